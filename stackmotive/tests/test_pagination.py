"""Cursors over a ledger that changes while it is read."""

import base64
import datetime as dt
import json
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import RequestFactory
from rest_framework.request import Request

from accounts.models import FactVersion, TierGrant, User
from stackmotive.common.pagination import Ledger
from stackmotive.common.problems import BadRequest

DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def page(queryset: QuerySet[Any], address: str = "/?page_size=3", view: Any = None) -> tuple[list[Any], dict[str, Any]]:
    pages = Ledger()
    rows = pages.paginate_queryset(queryset, Request(RequestFactory().get(address)), view)
    return rows, pages.get_paginated_response(rows).data


def walk(queryset: QuerySet[Any], way: str = "next", address: str | None = "/?page_size=3") -> list[list[int]]:
    pages = []
    while address:
        rows, body = page(queryset, address)
        pages.append([row.pk for row in rows])
        address = body[way]
    return pages


@pytest.fixture
def rows(owner: User) -> QuerySet[FactVersion]:
    """Ten rows, all on two moments, so that the order must be made whole by the key."""
    FactVersion.objects.bulk_create(
        FactVersion(user=owner, number=number, committed_at=DAY + dt.timedelta(days=number % 2), cause="x")
        for number in range(10)
    )
    return FactVersion.objects.order_by("-committed_at")


def test_pages_hold_each_row_once_and_lead_back(rows: QuerySet[FactVersion]) -> None:
    expected = list(rows.order_by("-committed_at", "-pk").values_list("pk", flat=True))
    forward = walk(rows)
    assert [len(keys) for keys in forward] == [3, 3, 3, 1]
    assert [key for keys in forward for key in keys] == expected
    address: str | None = "/?page_size=3"
    while address:
        _, last = page(rows, address)
        address = last["next"]
    backward = walk(rows, "previous", last["previous"])
    assert [key for keys in reversed(backward) for key in keys] == expected[:9]


def test_rows_that_arrive_meanwhile_neither_repeat_nor_hide(owner: User, rows: QuerySet[FactVersion]) -> None:
    first, body = page(rows)
    FactVersion.objects.create(user=owner, number=99, committed_at=DAY + dt.timedelta(days=9), cause="new")
    second, _ = page(rows, body["next"])
    assert not {row.pk for row in first} & {row.pk for row in second}
    assert 99 not in {row.number for row in second}


def test_unknown_values_come_last_and_are_paged_too(owner: User) -> None:
    for number in range(7):
        TierGrant.objects.create(
            user=owner, tier=1, starts_at=DAY, ends_at=None if number % 2 else DAY + dt.timedelta(days=number)
        )
    for ordering in ("ends_at", "-ends_at"):
        pages = walk(TierGrant.objects.order_by(ordering))
        keys = [key for keys in pages for key in keys]
        ends = [TierGrant.objects.get(pk=key).ends_at for key in keys]
        assert len(set(keys)) == 7
        assert [end is None for end in ends] == [False] * 4 + [True] * 3
        _, body = page(TierGrant.objects.order_by(ordering), "/?page_size=6")
        rest, back = page(TierGrant.objects.order_by(ordering), body["next"])
        assert [row.pk for row in rest] == keys[6:]
        before, _ = page(TierGrant.objects.order_by(ordering), back["previous"])
        assert [row.pk for row in before] == keys[:6]


def test_count_is_answered_where_the_view_asks_for_it(rows: QuerySet[FactVersion]) -> None:
    class Counting:
        counts_rows = True

    assert "count" not in page(rows)[1]
    assert page(rows, view=Counting())[1]["count"] == 10


def test_the_page_size_is_at_most_500(rows: QuerySet[FactVersion]) -> None:
    assert len(page(rows, "/?page_size=100000")[0]) == 10
    for odd in ("0", "-1", "x", "1.5", "1" * 30, "\u0661"):
        with pytest.raises(BadRequest):
            page(rows, f"/?page_size={odd}")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "AAAA",
        "W10",
        "WzAsW11d",
        "WzAsWyJub3QgYSBkYXkiLCIxIl1d",
        "WzAsWzEsMl1d",
        "bnVsbA",
        "W" * 3000,
        "%F0%9F%92%A9",
        "WzAsWyJcdTAwMDAiLCIxIl1d",
    ],
)
def test_a_made_up_cursor_is_refused(rows: QuerySet[FactVersion], cursor: str) -> None:
    with pytest.raises(BadRequest):
        page(rows, f"/?cursor={cursor}")


def test_a_cursor_with_a_giant_key_is_no_error(rows: QuerySet[FactVersion]) -> None:
    text = json.dumps([0, [DAY.isoformat(), "9" * 30]])
    found, _ = page(rows, "/?cursor=" + base64.urlsafe_b64encode(text.encode()).decode())
    assert {row.committed_at for row in found} == {DAY}


def test_an_empty_ledger_has_no_links(db: None) -> None:
    assert page(FactVersion.objects.order_by("pk"))[1] == {"next": None, "previous": None, "results": []}

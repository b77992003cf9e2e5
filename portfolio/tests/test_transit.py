"""What is on its way between own accounts is in the total and in no account; a payment is told apart."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from portfolio.models import DailyValue
from portfolio.selectors import value_series
from portfolio.tests.test_event_views import (  # noqa: F401  # the fixtures of the same API
    BASE,
    _fixed_day,
    account,
    bought,
    client,
    made,
    price,
    refreshed,
    results,
    row,
)

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


def totals(owner: User, first: int, last: int, **scope: Any) -> list[tuple[int, str, str]]:
    """(day of January, value, net flow)"""
    found = value_series(user=owner, start=dt.date(2024, 1, first), end=dt.date(2024, 1, last), **scope)
    return [(one.date.day, f"{one.value:f}", f"{one.flow:f}") for one in found]


def plain(rows: list[tuple[int, str, str]]) -> list[tuple[int, Decimal, Decimal]]:
    return [(day, Decimal(value), Decimal(flow)) for day, value, flow in rows]


def test_the_total_does_not_dip_while_shares_are_on_their_way(owner: User, client: APIClient) -> None:  # noqa: F811
    first, second = account(client, "A"), account(client, "B")
    acme = bought(client, first, quantity="100", price="10")["instrument"]
    row(client, first, "deposit", "02", cash_amount="1000")
    price(client, acme, "10", "02")
    price(client, acme, "11", "11")
    row(client, first, "transfer_out", "10", instrument=acme, quantity="40")
    row(client, second, "transfer_in", "13", instrument=acme, quantity="40")
    refreshed(owner)
    D = Decimal
    assert plain(totals(owner, 9, 14)) == [
        (9, D(1000), D(0)), (10, D(1000), D(0)), (11, D(1100), D(0)), (12, D(1100), D(0)), (13, D(1100), D(0)),
        (14, D(1100), D(0)),
    ]  # fmt: skip
    assert plain(totals(owner, 9, 13, account=first)) == [
        (9, D(1000), D(0)), (10, D(600), D(-400)), (11, D(660), D(0)), (12, D(660), D(0)), (13, D(660), D(0)),
    ]  # fmt: skip
    between = made(client.get(f"{BASE}summary/?as_of=2024-01-12"), 200)
    assert (between["in_transit"], between["market_value"], between["total_value"], between["total_gain"]) == (
        "440", "660", "1100", "100",
    )  # fmt: skip
    assert between["day_change"] == "0"
    assert made(client.get(f"{BASE}summary/?as_of=2024-01-12&account={first}"), 200)["in_transit"] == "0"
    assert made(client.get(f"{BASE}summary/"), 200)["in_transit"] == "0"


def test_cash_of_which_a_part_arrives_later_is_in_transit_until_then(owner: User, client: APIClient) -> None:  # noqa: F811
    first, second = account(client, "A"), account(client, "B")
    row(client, first, "deposit", "02", cash_amount="1000")
    row(client, first, "withdrawal", "10", cash_amount="300")
    row(client, second, "deposit", "11", cash_amount="100")
    row(client, second, "deposit", "12", cash_amount="199")
    refreshed(owner)
    (link,) = results(client, "transfers/")
    assert (link["fee"], len(link["in_legs"])) == ("1", 2)
    assert [value for _, value, _ in plain(totals(owner, 9, 13))] == [1000, 1000, 1000, 999, 999]
    days = DailyValue.objects.filter(user=owner).exclude(in_transit=0).order_by("date", "account_id")
    assert sorted((one.date.day, one.in_transit) for one in days) == [(10, 300), (11, -100), (11, 300)]


def test_an_arrival_booked_a_day_early_does_not_count_twice(owner: User, client: APIClient) -> None:  # noqa: F811
    first, second = account(client, "A"), account(client, "B")
    row(client, first, "deposit", "02", cash_amount="1000")
    row(client, second, "deposit", "09", cash_amount="300")
    row(client, first, "withdrawal", "10", cash_amount="300")
    refreshed(owner)
    assert [link["rule"] for link in results(client, "transfers/")] == ["rule"]
    assert [value for _, value, _ in plain(totals(owner, 8, 11))] == [1000, 1000, 1000, 1000]


def test_moving_the_arrival_moves_the_transit_of_the_other_account(owner: User, client: APIClient) -> None:  # noqa: F811
    first, second = account(client, "A"), account(client, "B")
    row(client, first, "deposit", "02", cash_amount="1000")
    row(client, first, "withdrawal", "10", cash_amount="300")
    came = row(client, second, "deposit", "11", cash_amount="300")
    refreshed(owner)
    made(client.patch(f"{BASE}transactions/{came['id']}/", {"trade_date": "2024-01-13"}), 200)
    refreshed(owner)
    assert [value for _, value, _ in plain(totals(owner, 9, 14))] == [1000] * 6


def test_a_payment_is_told_apart_from_what_was_taken_out(owner: User, client: APIClient) -> None:  # noqa: F811
    first = account(client, "A")
    row(client, first, "deposit", "02", cash_amount="1000")
    left = row(client, first, "withdrawal", "06", cash_amount="20")
    row(client, first, "withdrawal", "07", cash_amount="30")
    acme = bought(client, first, quantity="10", price="10")["instrument"]
    price(client, acme, "12", "05")
    given = row(client, first, "transfer_out", "06", instrument=acme, quantity="2")
    for one in (left, given):
        made(client.post(f"{BASE}transfers/resolve/", {"transaction": one["id"], "meaning": "payment"}))
    refreshed(owner)
    summary = made(client.get(f"{BASE}summary/"), 200)
    assert (summary["payments"], summary["net_contribution"], summary["income"]) == ("44", "926", "0")
    (said, *_) = made(client.get("/api/federation/decisions/"), 200)["results"]
    made(client.post(f"/api/federation/decisions/{said['id']}/revoke/"), 200)
    refreshed(owner)
    summary = made(client.get(f"{BASE}summary/"), 200)
    assert (summary["payments"], summary["net_contribution"]) == ("20", "926")

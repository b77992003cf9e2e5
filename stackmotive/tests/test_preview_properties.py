"""Generated histories: what a preview says is what the change then does, line by line (DESIGN 5.8, 7)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.models import Conflict, Transaction
from federation.services import (
    Change,
    decide,
    decision_change,
    differences_from_facts,
    preview,
    reconcile,
    source_change,
)
from federation.services.previewing import SHOWN
from federation.tests.histories import History, histories
from ingestion.services.sources import update_source
from portfolio.models import Position
from portfolio.services.previewing import preview_in_money
from portfolio.services.refresh import refresh
from stackmotive.tests.test_ledger_properties import Life, rolled_back

pytestmark = pytest.mark.django_db
FEW = settings(max_examples=settings().max_examples // 10)  # each lives twice, and figures are made four times


def rows_of(life: Life) -> dict[Any, dict[str, Any]]:
    return {row["pk"]: row for row in Transaction.objects.filter(user=life.user).values("pk", *SHOWN)}


def open_keys(life: Life) -> set[str]:
    return set(Conflict.objects.filter(user=life.user, status="open").values_list("key", flat=True))


def held(life: Life) -> dict[tuple[Any, Any], tuple[Decimal, Decimal | None]]:
    rows = Position.objects.filter(user=life.user)
    return {
        (account, instrument): (quantity, value)
        for account, instrument, quantity, value in rows.values_list(
            "account", "instrument", "quantity", "market_value_base"
        )
    }


def assert_comes_true(life: Life, change: Change, act: Callable[[], object]) -> None:
    refresh(user_id=life.user.pk)
    before, was_open, kept, was_held = rows_of(life), open_keys(life), life.seen(), held(life)
    told, money = preview(change), preview_in_money(change)
    assert (life.seen(), held(life)) == (kept, was_held)
    act()
    reconcile(life.user.pk)
    refresh(user_id=life.user.pk)
    assert differences_from_facts(life.user.pk) == []
    after, is_held = rows_of(life), held(life)
    assert {row.id for row in told.added} == after.keys() - before.keys()
    assert {row.id for row in told.removed} == before.keys() - after.keys()
    both = before.keys() & after.keys()
    assert {row.id for row in told.changed} == {key for key in both if before[key] != after[key]}
    for row in (*told.added, *told.changed):
        said = {name: value for name, value in after[row.id].items() if name != "pk" and value not in (None, "")}
        assert row.values == said
    assert {one.key for one in told.opened} == open_keys(life) - was_open
    assert {one.key for one in told.closed} == was_open - open_keys(life)
    nothing = (Decimal(0), Decimal(0))
    moved = {
        (one.account, one.instrument): tuple(
            (one.figures[name].before, one.figures[name].after) for name in ("quantity", "market_value")
        )
        for one in money.holdings
    }
    for spot in was_held.keys() | is_held.keys():
        was, is_now = was_held.get(spot, nothing), is_held.get(spot, nothing)
        if was != is_now:
            assert moved[spot] == tuple(zip(was, is_now, strict=True))


@FEW
@given(histories(), st.integers(0, 2), st.sampled_from([("enabled", False), ("priority", 1), ("priority", 9_000)]))
def test_what_a_preview_says_of_a_source_comes_true(history: History, place: int, said: tuple[str, Any]) -> None:
    def live() -> None:
        life = Life(history)
        for one in history.said:
            life.arrive(one)
        life.catch_up()
        source, values = life.sources[place % len(life.sources)], dict([said])
        assert_comes_true(
            life, source_change(source=source, **values), lambda: update_source(source=source, values=values)
        )

    rolled_back(live)


@FEW
@given(histories())
def test_what_a_preview_says_of_a_decision_comes_true(history: History) -> None:
    def live() -> None:
        life = Life(history)
        for one in history.said:
            life.arrive(one)
        life.catch_up()
        for conflict in Conflict.objects.filter(user=life.user).order_by("kind", "key"):
            others = [one["source"] for one in conflict.candidates if one["source"] != str(conflict.winner)]
            if conflict.kind in ("field", "quantity", "cash") and others:
                said: dict[str, Any] = {"kind": "choose", "keys": {"key": conflict.key}, "value": {"source": others[0]}}
                assert_comes_true(
                    life,
                    decision_change(user=life.user, **said),
                    lambda: decide(user=life.user, **said),  # noqa: B023  # called at once
                )
                return

    rolled_back(live)

"""Matching many alike events: the right pairs, and work that does not grow with the square of the twins."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from federation import matching
from federation.matching import MOST_PARTNERS, Matched, match
from federation.rows import Event, Leg, StagedRow

FIRST, SECOND, THING = UUID(int=1), UUID(int=2), UUID(int=3)
DAY = date(2024, 3, 1)
TWINS = 20_000


def bought(source: UUID, number: int, *, price: str, on: date = DAY, time: str = "", fee: str | None = None) -> Event:
    """One unit of THING bought for cash that no other price would make."""
    uid = UUID(int=(source.int << 64) + number)
    cost = None if fee is None else Decimal(fee)
    row = StagedRow(
        number, source.int, uid, f"{source.int}-{number}", False, number, "A1", "S", "buy", on, None, time, None, None,
        Decimal(1), Decimal(price), "USD", cost, "", None, -Decimal(price), "USD", None, None, "", "", 0, "", source,
        THING,
    )  # fmt: skip
    return Event(source, (Leg(row, number, uid, (number,)),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often two events have been compared by their money or measured since the test began."""
    count = 0

    def counted(rule: Callable[..., Any]) -> Callable[..., Any]:
        def ask(anchor: Event, event: Event) -> Any:
            nonlocal count
            count += 1
            return rule(anchor, event)

        return ask

    for name in ("_same_money", "_price_distance", "_dated_price_distance"):
        monkeypatch.setattr(matching, name, counted(getattr(matching, name)))
    return lambda: count


def pairs(matched: Matched) -> list[tuple[int, int]]:
    """(number in the first source, number in the second) of what was joined."""
    return [(one.events[0].first, one.events[1].first) for one in matched.joined if len(one.events) == 2]


def test_twins_pair_kth_with_kth_and_each_is_asked_about_once(asked: Callable[[], int]) -> None:
    mine = [bought(FIRST, number, price="5") for number in range(TWINS)]
    theirs = [bought(SECOND, number, price="5.00") for number in range(TWINS)]
    assert pairs(match([mine, theirs])) == [(number, number) for number in range(TWINS)]
    assert asked() <= TWINS


def test_twins_at_two_prices_stay_apart_without_comparing_each_with_each(asked: Callable[[], int]) -> None:
    mine = [bought(FIRST, number, price="5") for number in range(TWINS)]
    theirs = [bought(SECOND, number, price="6") for number in range(TWINS)]
    matched = match([mine, theirs])
    assert pairs(matched) == []
    assert len(matched.joined) == 2 * TWINS
    assert asked() <= 5 * TWINS


def test_equal_trades_of_many_years_are_measured_only_about_their_day(asked: Callable[[], int]) -> None:
    days = 5000
    mine = [bought(FIRST, number, price="5", on=DAY + timedelta(days=10 * number)) for number in range(days)]
    theirs = [bought(SECOND, number, price="5", on=DAY + timedelta(days=10 * number + 1)) for number in range(days)]
    matched = match([mine, theirs])
    assert pairs(matched) == [(number, number) for number in range(days)]
    assert {one.passes[1] for one in matched.joined} == {"day_apart"}
    assert asked() <= 3 * days


def test_an_ambiguity_among_thousands_lists_the_first_partners(asked: Callable[[], int]) -> None:
    count = 2000
    mine = [bought(FIRST, number, price="500", time=f"{number:06}") for number in range(count)]
    theirs = [bought(SECOND, number, price="501") for number in range(count)]
    matched = match([mine, theirs])
    assert len(matched.ambiguous) == count
    assert [one.first for one in matched.ambiguous[0].partners] == list(range(MOST_PARTNERS))
    assert asked() <= 5 * count


def test_grouping_twins_pairs_as_asking_about_each_does(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = ("5", "5.004", "5.01", "5.02", "6")
    mine = [bought(FIRST, number, price=prices[number * 7 % 5], fee=str(number % 2)) for number in range(60)]
    theirs = [bought(SECOND, number, price=prices[number * 3 % 5]) for number in range(45)]
    told = []
    for few in (0, 1000):
        monkeypatch.setattr(matching, "FEW", few)
        matched = match([mine, theirs])
        told.append(
            (
                [([event.uid for event in _legs(one.events)], one.passes) for one in matched.joined],
                [([one.event.first], [partner.first for partner in one.partners]) for one in matched.ambiguous],
            )
        )
    assert told[0] == told[1]
    assert len(pairs(match([mine, theirs]))) == 45


def _legs(events: list[Event]) -> list[Leg]:
    return [leg for event in events for leg in event.legs]

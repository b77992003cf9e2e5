"""Daily value series: worked days, unknown values, and equality of the parts with the whole."""

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.returns import DayValue, time_weighted_return
from portfolio.series import (
    Block,
    Closes,
    Events,
    Floats,
    Holding,
    Totals,
    build_blocks,
    chart_places,
    daily_totals,
    pack,
    pack_runs,
    spliced,
    unpack,
    window,
)

FIRST = date(2024, 1, 1)
NAN = float("nan")


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def events(*rows: tuple[int, float]) -> Events:
    return Events.of((day(number), amount) for number, amount in rows)


def closes(*rows: tuple[int, float]) -> Closes | None:
    return Closes.of((day(number), close) for number, close in rows)


def holding(asset: str, quantity: Events, **fields: Any) -> Holding:
    row: dict[str, Any] = {"account": "A", "asset": asset, "currency": "USD", "quantity": quantity}
    return Holding(**(row | fields))


def block(*holdings: Holding, last: int, first: int = 0) -> Block:
    (only,) = build_blocks(holdings, first_day=day(first), last_day=day(last))
    return only


def totals(*holdings: Holding, last: int, rates: dict[str, Floats] | None = None, **options: Any) -> Totals:
    blocks = build_blocks(holdings, first_day=FIRST, last_day=day(last), **options)
    return daily_totals(blocks, rates=rates or {"USD": np.ones(last + 1)}, first_day=FIRST, last_day=day(last))


def same(left: Floats, right: list[float]) -> bool:
    return np.allclose(left, right, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_quantity_runs_on_and_value_takes_the_last_close() -> None:
    built = block(holding("X", events((0, 10), (2, -4), (2, 1)), closes=closes((0, 5), (3, 6))), last=4)
    assert same(built.quantity[0], [10, 10, 7, 7, 7])
    assert same(built.value[0], [50, 50, 35, 42, 42])


def test_multiplier_and_quote_unit_scale_the_close() -> None:
    built = block(holding("OPT", events((0, 2)), closes=closes((0, 300)), factor=100 * 0.01), last=0)
    assert built.value[0, 0] == 600


def test_units_in_and_out_leave_no_dust() -> None:
    built = block(holding("X", events((0, 0.1), (0, 0.2), (1, -0.3)), closes=None), last=1)
    assert built.quantity[0, 1] == 0
    assert built.value[0, 1] == 0


def test_a_split_counts_at_the_start_of_its_day_with_closes_as_traded() -> None:
    split = holding("X", events((0, 10), (2, 5)), splits=events((2, 2)), closes=closes((0, 100), (1, 110), (2, 56)))
    built = block(split, last=2)
    assert same(built.quantity[0], [10, 10, 25])
    assert same(built.value[0], [1000, 1100, 25 * 56])
    later = block(split, first=2, last=3)
    assert same(later.quantity[0], [25, 25])
    after = block(split, first=3, last=3)
    assert same(after.quantity[0], [25])


def test_a_holding_is_unknown_before_its_first_close_and_zero_where_nothing_is_held() -> None:
    built = block(holding("X", events((1, 3), (4, -3)), closes=closes((3, 7))), last=5)
    assert same(built.value[0], [0, NAN, NAN, 21, 0, 0])


def test_a_close_is_fresh_inside_its_horizon_and_is_used_at_any_age() -> None:
    built = block(holding("X", events((0, 1)), closes=closes((0, 5), (2, 6)), horizon=2), last=6)
    assert built.value[0].tolist() == [5, 5, 6, 6, 6, 6, 6]
    assert built.is_fresh[0].tolist() == [True, True, True, True, True, False, False]
    late = block(holding("X", events((0, 1)), closes=closes((0, 5)), horizon=2), first=3, last=4)
    assert late.value[0].tolist() == [5, 5]
    assert not late.is_fresh[0].any()


def test_totals_convert_at_each_days_rate_and_split_flows() -> None:
    cash = holding(
        "EUR",
        events((0, 100), (2, -30)),
        currency="EUR",
        is_cash=True,
        flows={"external": events((0, 100), (2, -30)), "fees": events((1, 2))},
    )
    total = totals(cash, last=2, rates={"EUR": np.array([1.0, 1.1, 1.2])})
    assert same(total.value, [100, 110, 84])
    assert same(total.inflow, [100, 0, 0])
    assert same(total.outflow, [0, 0, 36])
    assert same(total.fees, [0, 2.2, 0])
    assert same(total.coverage, [1, 1, 1])


def test_a_total_sums_what_is_known_and_says_what_is_not() -> None:
    priced = holding("X", events((0, 10)), closes=closes((0, 10)), horizon=1)
    never = holding("Y", events((1, 4)))
    cash = holding("USD", events((0, 100)), is_cash=True)
    total = totals(priced, never, cash, last=2)
    assert same(total.value, [200, 200, 200])
    assert total.unknown.tolist() == [0, 1, 1]
    assert total.unpriced == (("A", "Y"),)
    assert same(total.coverage, [1, 1, 0.5])


def test_a_total_of_nothing_known_is_unknown_and_of_nothing_held_is_zero() -> None:
    never = holding("Y", events((1, 4), (2, -4)))
    total = totals(never, last=2)
    assert same(total.value, [0, NAN, 0])
    assert same(total.coverage, [1, NAN, 1])
    assert total.unpriced == ()


def test_a_currency_without_a_rate_is_unknown_and_never_one() -> None:
    foreign = holding("X", events((0, 2)), currency="TWD", closes=closes((0, 10)))
    cash = holding("USD", events((0, 5)), is_cash=True)
    total = totals(foreign, cash, last=1, rates={"USD": np.ones(2), "TWD": np.array([NAN, 0.5])})
    assert same(total.value, [5, 15])
    assert total.unknown.tolist() == [1, 0]
    assert same(total.border, [0, 10])


def as_days(total: Totals) -> list[DayValue]:
    return [
        DayValue(
            day(n),
            None if np.isnan(value) else D(str(value)),
            D(str(total.inflow[n] + max(total.border[n], 0))),
            D(str(total.outflow[n] + max(-total.border[n], 0))),
        )
        for n, value in enumerate(total.value)
    ]


def test_what_is_paid_into_an_unpriced_holding_is_no_loss_and_its_first_price_no_gain() -> None:
    cash = holding(
        "USD",
        events((0, 100), (1, -40)),
        is_cash=True,
        flows={"external": events((0, 100)), "internal": events((1, -40))},
    )
    bought = holding("Y", events((1, 4)), closes=closes((3, 12), (4, 15)), flows={"internal": events((1, 40))})
    total = totals(cash, bought, last=4)
    assert same(total.value, [100, 60, 60, 108, 120])
    assert same(total.border, [0, -40, 0, 48, 0])
    growth = time_weighted_return(as_days(total)).value
    assert growth is not None
    assert float(growth) == pytest.approx(120 / 108 - 1)


def test_blocks_change_nothing() -> None:
    rng = np.random.default_rng(3)
    many = [
        holding(
            f"X{n}",
            events(
                *(
                    (int(at), float(units))
                    for at, units in zip(rng.integers(0, 40, 5), rng.normal(5, 3, 5), strict=True)
                )
            ),
            closes=closes((int(rng.integers(0, 10)), 5.0 + n), (20, 6.0)),
            currency=("USD", "EUR")[n % 2],
            flows={"internal": events((3, 10.0))},
        )
        for n in range(9)
    ]
    rates = {"USD": np.ones(41), "EUR": np.linspace(1, 2, 41)}
    whole, parts = totals(*many, last=40, rates=rates), totals(*many, last=40, rates=rates, max_cells=90)
    assert whole.unpriced == parts.unpriced
    for name in ("value", "inflow", "outflow", "border", "internal", "coverage", "unknown"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), equal_nan=True)


changes = st.lists(st.tuples(st.integers(0, 30), st.integers(-50, 100)), max_size=12)


@settings(max_examples=80, deadline=None)
@given(moved=changes, priced=st.lists(st.integers(0, 30), max_size=6), start=st.integers(1, 30))
def test_going_on_from_a_stored_day_equals_building_all(
    moved: list[tuple[int, int]], priced: list[int], start: int
) -> None:
    rows = events(*((number, float(units)) for number, units in moved))
    quoted = closes(*((number, 10.0 + number) for number in priced))
    whole = block(holding("X", rows, closes=quoted), last=30)
    opening = float(whole.quantity[0, start - 1])
    tail = block(holding("X", rows, closes=quoted, opening_quantity=opening), first=start, last=30)
    for name in ("quantity", "value"):
        full, rest = getattr(whole, name)[0], getattr(tail, name)[0]
        assert same(spliced(full, stored_from=FIRST, fresh=rest, fresh_from=day(start)), full.tolist())
    assert tail.is_fresh[0].tolist() == whole.is_fresh[0, start:].tolist()
    untold = block(holding("X", rows, closes=quoted), first=start, last=30)
    assert same(untold.quantity[0], tail.quantity[0].tolist())


def test_a_series_with_a_gap_cannot_be_spliced() -> None:
    with pytest.raises(ValueError, match="does not reach"):
        spliced(np.zeros(3), stored_from=FIRST, fresh=np.zeros(1), fresh_from=day(4))


def test_packed_series_come_back_and_are_little_endian_doubles() -> None:
    values = np.array([1.5, NAN, -0.0])
    assert pack(values)[:8] == b"\x00\x00\x00\x00\x00\x00\xf8?"
    assert same(unpack(memoryview(pack(values))), values.tolist())
    assert unpack(b"").size == 0
    for garbage in (b"1234567", b"\x01" + bytes(4), b"\x02" + bytes(16)):
        with pytest.raises(ValueError, match="no packed series"):
            unpack(garbage)


def test_runs_are_kept_short_and_come_back_to_the_bit() -> None:
    values = np.array([0.0] * 40 + [-0.0] * 10 + [NAN] * 10 + [2.5] + [0.0] * 39)
    packed = pack_runs(values)
    assert (len(packed), packed[:5]) == (5 + 12 * 5, b"\x01\x64\x00\x00\x00")
    assert unpack(memoryview(packed)).tobytes() == values.tobytes()
    assert pack_runs(np.arange(100.0)) == pack(np.arange(100.0))
    assert (pack_runs(np.zeros(0)), pack_runs(np.zeros(1))) == (b"", bytes(8))


def test_a_window_of_a_stored_series_is_unknown_outside_it() -> None:
    stored = np.array([1.0, 2.0, 3.0])
    assert same(window(stored, stored_from=day(2), first_day=day(1), last_day=day(3)), [NAN, 1, 2])
    assert same(window(stored, stored_from=day(2), first_day=day(4), last_day=day(6)), [3, NAN, NAN])
    assert same(window(stored, stored_from=day(2), first_day=day(7), last_day=day(8)), [NAN, NAN])


def test_observed_closes_are_repeated_and_aged() -> None:
    filled = Closes.observed(FIRST, np.array([NAN, 5, NAN, NAN, 6]))
    assert same(filled.values, [NAN, 5, 5, 5, 6])
    assert filled.ages.tolist() == [0, 0, 1, 2, 0]
    assert Closes.of([]) is None


def test_a_chart_keeps_ends_and_extremes_within_its_points() -> None:
    values = np.sin(np.linspace(0, 40, 5000))
    values[1234], values[4321] = 9, -9
    places = chart_places(values, points=400)
    assert places.size <= 400
    assert {0, 1234, 4321, 4999} <= set(places.tolist())
    assert (np.diff(places) > 0).all()
    assert chart_places(values[:10], points=400).tolist() == list(range(10))
    assert chart_places(values, points=2).tolist() == [0, 4999]
    gap = np.concatenate([np.ones(50), np.full(500, NAN), np.ones(50)])
    shown = chart_places(gap, points=40)
    assert shown.size <= 40
    assert np.isnan(gap[shown]).any()
    with pytest.raises(ValueError, match="at least 2"):
        chart_places(values, points=1)

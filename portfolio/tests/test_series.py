"""Series in float64: what is held, what it is worth, and how it is kept."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from portfolio.series import Closes, Floats, chart_places, pack, pack_runs, stepped, unpack, window, worth

FIRST = date(2024, 1, 1)
NAN = float("nan")


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def closes(*rows: tuple[int, float]) -> Closes:
    """Observed on those days after FIRST."""
    first = rows[0][0]
    column = np.full(rows[-1][0] - first + 1, np.nan)
    for number, close in rows:
        column[number - first] = close
    return Closes.observed(day(first), column)


def held(*steps: tuple[int, str], first: int = 0, last: int) -> Floats:
    return stepped([(day(on), Decimal(units)) for on, units in steps], first_day=day(first), last_day=day(last))


def same(left: Floats, right: list[float]) -> bool:
    return np.allclose(left, right, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_a_quantity_stands_until_the_next_step() -> None:
    assert held((1, "10"), (3, "6.5"), (4, "0"), last=5).tolist() == [0, 10, 10, 6.5, 0, 0]
    assert held((1, "10"), (3, "6.5"), first=2, last=4).tolist() == [10, 6.5, 6.5]
    assert held((1, "10"), (2, "7"), first=4, last=5).tolist() == [7, 7]
    assert held(last=1).tolist() == [0, 0]


def test_value_takes_the_last_close_and_scales_it() -> None:
    value, _ = worth(held((0, "10"), (2, "7"), last=4), closes((0, 5), (3, 6)), first_day=FIRST, factor=1.0, horizon=7)
    assert value.tolist() == [50, 50, 35, 42, 42]
    option, _ = worth(held((0, "2"), last=0), closes((0, 300)), first_day=FIRST, factor=100 * 0.01, horizon=7)
    assert option.tolist() == [600]


def test_a_holding_is_unknown_before_its_first_close_and_zero_where_nothing_is_held() -> None:
    units = held((1, "3"), (4, "0"), last=5)
    value, is_fresh = worth(units, closes((3, 7)), first_day=FIRST, factor=1.0, horizon=7)
    assert same(value, [0, NAN, NAN, 21, 0, 0])
    assert is_fresh.tolist() == [True, False, False, True, True, True]
    value, is_fresh = worth(units, None, first_day=FIRST, factor=1.0, horizon=7)
    assert same(value, [0, NAN, NAN, NAN, 0, 0])
    assert is_fresh.tolist() == [True, False, False, False, True, True]


def test_a_close_is_fresh_inside_its_horizon_and_is_used_at_any_age() -> None:
    value, is_fresh = worth(held((0, "1"), last=6), closes((0, 5), (2, 6)), first_day=FIRST, factor=1.0, horizon=2)
    assert value.tolist() == [5, 5, 6, 6, 6, 6, 6]
    assert is_fresh.tolist() == [True, True, True, True, True, False, False]
    value, is_fresh = worth(held((0, "1"), first=3, last=4), closes((0, 5)), first_day=day(3), factor=1.0, horizon=2)
    assert (value.tolist(), is_fresh.tolist()) == ([5, 5], [False, False])


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

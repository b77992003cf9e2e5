"""Months, falls and rolling windows of a growth index."""

from datetime import date, timedelta
from decimal import Decimal as D

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio import spans
from portfolio.spans import Fall, Month


def run(first: date, *values: str) -> tuple[list[date], list[D]]:
    return [first + timedelta(days=place) for place in range(len(values))], [D(value) for value in values]


def test_months_open_at_the_close_before_them() -> None:
    days = [date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 4)]
    found = spans.months(days, [D(1), D("1.1"), D("1.2"), D("0.9"), D("1.8")])
    assert found == [
        Month(2024, 1, D("0.2"), is_whole=True),
        Month(2024, 2, D("-0.25"), is_whole=False),  # its first day is not there
        Month(2024, 3, D(1), is_whole=False),
    ]


def test_a_period_inside_one_month_is_one_month() -> None:
    days, index = run(date(2024, 1, 10), "1", "1.5", "1.2")
    assert spans.months(days, index) == [Month(2024, 1, D("0.2"), is_whole=False)]
    assert spans.months(days[:1], index[:1]) == spans.months([], []) == []


@given(st.lists(st.floats(-0.2, 0.25), min_size=1, max_size=200), st.integers(0, 400))
def test_linked_months_are_the_whole(returns: list[float], offset: int) -> None:
    first = date(2023, 1, 1) + timedelta(days=offset)
    days = [first + timedelta(days=place) for place in range(len(returns) + 1)]
    index = [D(1)]
    for one in returns:
        index.append(index[-1] * (1 + D(repr(one))))
    linked = D(1)
    for month in spans.months(days, index):
        linked *= 1 + month.change
    assert float(linked) == pytest.approx(float(index[-1]), rel=1e-12)


def test_falls_are_told_deepest_first_with_their_dates() -> None:
    days, index = run(date(2024, 1, 1), "1", "0.9", "1", "1.2", "0.6", "0.9", "1.2", "1.3", "1.235")
    assert spans.falls(days, index, most=10) == [
        Fall(pytest.approx(-0.5), date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 7)),
        Fall(pytest.approx(-0.1), date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)),
        Fall(pytest.approx(-0.05), date(2024, 1, 8), date(2024, 1, 9), None),
    ]
    assert len(spans.falls(days, index, most=1)) == 1
    assert spans.falls(*run(date(2024, 1, 1), "1", "1.1", "1.1"), most=3) == []


@given(st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=120))
def test_the_deepest_fall_is_the_drawdown_that_empyrical_finds(returns: list[float]) -> None:
    days = [date(2024, 1, 1) + timedelta(days=place) for place in range(len(returns) + 1)]
    index = [D(1)]
    for one in returns:
        index.append(index[-1] * (1 + D(repr(one))))
    found = spans.falls(days, index, most=1)
    expected = empyrical.max_drawdown(np.array(returns))
    assert (found[0].value if found else 0.0) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=60), st.integers(2, 20))
def test_rolling_volatility_is_what_empyrical_gives(returns: list[float], window: int) -> None:
    days = [date(2024, 1, 1) + timedelta(days=place) for place in range(len(returns))]
    found = spans.rolling(days, returns, window=window, crypto_ratio=1.0)
    parts = [np.array(returns[place : place + window]) for place in range(len(returns) - window + 1)]
    expected = [empyrical.annual_volatility(part, annualization=365) for part in parts]
    assert [one.volatility for one in found] == pytest.approx(expected, abs=1e-9)
    assert [one.date for one in found] == days[window - 1 :]


def test_rolling_windows_of_shares_end_on_weekdays() -> None:
    days = [date(2024, 1, 1) + timedelta(days=place) for place in range(14)]  # a Monday
    found = spans.rolling(days, [0.01] * 14, window=5, crypto_ratio=0.0)
    assert found[0].date == date(2024, 1, 5)
    assert all(one.date.weekday() < 5 for one in found)
    assert all(one.sharpe is None for one in found[:1])  # returns that do not move have no ratio

"""Returns and risk figures: exact values, invariants, and two libraries as oracles."""

from datetime import date, timedelta
from decimal import Decimal as D
from decimal import localcontext

import empyrical
import numpy as np
import pytest
import pyxirr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portfolio import returns as r
from portfolio.returns import DayValue, Figure

MONDAY = date(2024, 1, 1)


def days(*rows: tuple[str | None, str, str]) -> list[DayValue]:
    """Consecutive days of (value, inflow, outflow)."""
    return [
        DayValue(MONDAY + timedelta(days=n), None if value is None else D(value), D(inflow), D(outflow))
        for n, (value, inflow, outflow) in enumerate(rows)
    ]


# Growth of money


def test_flows_count_at_the_end_of_their_day() -> None:
    run = days(("1000", "1000", "0"), ("10500", "9000", "0"), ("8400", "0", "0"))
    assert [figure.value for figure in r.daily_returns(run)] == [D("0.5"), D("-0.2")]
    assert r.time_weighted_return(run) == Figure(D("0.20"))
    assert r.growth_index(run) == [1, D("1.5"), D("1.2")]


def test_the_first_day_of_a_new_portfolio_earns_on_what_came_in() -> None:
    run = days(("0", "0", "0"), ("990", "1000", "20"), ("0", "0", "990"), ("0", "0", "0"))
    assert [figure.value for figure in r.daily_returns(run)] == [D("0.01"), 0, 0]


def test_flows_of_the_opening_day_are_in_its_value() -> None:
    run = days(("1000", "1000", "0"), ("1100", "0", "0"))
    assert r.time_weighted_return(run).value == D("0.1")
    assert r.period_gain(run).value == 100


def test_an_unknown_day_is_spanned_with_its_flows() -> None:
    run = days(("100", "0", "0"), (None, "50", "0"), ("160", "0", "0"))
    assert r.daily_returns(run) == [Figure(None, "no_value"), Figure(D("0.1"))]
    assert r.time_weighted_return(run).value == D("0.1")
    assert r.growth_index(run) == [1, 1, D("1.1")]


def test_nothing_known_and_negative_capital_have_no_return() -> None:
    assert r.time_weighted_return(days((None, "0", "0"), (None, "0", "0"))).reason == "no_value"
    assert r.time_weighted_return(days(("100", "0", "0"), (None, "0", "0"))).reason == "no_value"
    below = days(("100", "0", "0"), ("-10", "0", "0"), ("-20", "0", "0"))
    assert r.daily_returns(below) == [Figure(D("-1.1")), Figure(None, "negative_value")]
    assert r.time_weighted_return(below).reason == "negative_value"


def test_no_day_at_all_grew_by_nothing() -> None:
    assert r.time_weighted_return([]).value == 0
    assert r.period_gain([]).value == 0
    assert r.growth_index([]) == []


def test_modified_dietz_weighs_a_flow_by_the_days_after_it() -> None:
    run = [
        DayValue(date(2023, 1, 1), D(1000), D(1000)),
        DayValue(date(2023, 7, 2), D(10500), D(9000)),
        DayValue(date(2024, 1, 1), D(8400)),
    ]
    figure = r.modified_dietz(run)
    assert figure.value is not None
    assert abs(figure.value - D("-0.29025844930417495")) < D("1e-16")
    assert r.modified_dietz(run[:1]).reason == "too_few_observations"
    empty = days(("0", "0", "0"), ("5", "0", "0"))
    assert r.modified_dietz(empty).reason == "zero_capital"
    assert r.modified_dietz(days((None, "0", "0"), ("5", "0", "0"))).reason == "no_value"


def test_annualizing_is_by_365_days_and_withheld_under_a_year_by_the_guard() -> None:
    two_years = r.annualized(D("0.21"), days=730)
    assert two_years.value == D("0.1")
    assert r.annualized(D(-1), days=30).value == -1
    assert r.annualized(D("-1.5"), days=30).reason == "negative_value"
    assert r.annualized(D("0.1"), days=0).reason == "too_few_observations"
    assert r.unless_short(two_years, days=364) == Figure(None, "under_one_year")
    assert r.unless_short(two_years, days=365) is two_years


values = st.decimals(min_value="1", max_value="100000", places=2)


@settings(max_examples=60, deadline=None)
@given(closes=st.lists(values, min_size=2, max_size=20), flow=values, at=st.integers(0, 100))
def test_a_deposit_changes_no_time_weighted_return(closes: list[D], flow: D, at: int) -> None:
    """The new money earns what the old earns: values after the deposit are scaled by it."""
    at = 1 + at % (len(closes) - 1)
    plain = [DayValue(MONDAY + timedelta(days=n), value) for n, value in enumerate(closes)]
    with localcontext(prec=60):
        factor = (closes[at] + flow) / closes[at]
        paid = [
            DayValue(
                day.day,
                day.value if n < at or day.value is None else day.value * factor,
                flow if n == at else D(0),
            )
            for n, day in enumerate(plain)
        ]
        before, after = r.time_weighted_return(plain).value, r.time_weighted_return(paid).value
        assert before is not None
        assert after is not None
        assert abs(before - after) < D("1e-40")


@settings(max_examples=60, deadline=None)
@given(closes=st.lists(st.tuples(values, values, values), min_size=2, max_size=15), scale=st.integers(2, 1000))
def test_scaling_all_amounts_scales_gains_and_leaves_rates(closes: list[tuple[D, D, D]], scale: int) -> None:
    run = [DayValue(MONDAY + timedelta(days=n), v, i, o) for n, (v, i, o) in enumerate(closes)]
    scaled = [
        DayValue(day.day, None if day.value is None else day.value * scale, day.inflow * scale, day.outflow * scale)
        for day in run
    ]
    with localcontext(prec=60):
        gain, scaled_gain = r.period_gain(run).value, r.period_gain(scaled).value
        assert gain is not None
        assert scaled_gain == gain * scale
        rate, scaled_rate = r.time_weighted_return(run).value, r.time_weighted_return(scaled).value
        if rate is not None and scaled_rate is not None:
            assert abs(rate - scaled_rate) <= D("1e-40") * max(D(1), abs(rate))


# Money-weighted return


def flows(*rows: tuple[str, str]) -> list[tuple[date, D]]:
    return [(date.fromisoformat(day), D(amount)) for day, amount in rows]


@pytest.mark.parametrize(
    ("cash", "rate"),
    [
        (flows(("2021-01-01", "-100"), ("2022-01-01", "110")), 0.1),
        (flows(("2022-01-01", "110"), ("2021-01-01", "-100")), 0.1),
        (flows(("2021-06-09", "-134.09"), ("2021-08-11", "40.86")), -0.9989769231734277),
        (flows(("2021-01-01", "-1"), ("2022-01-01", "100")), 99.0),
        (flows(("2021-01-01", "-1"), ("2021-01-02", "1.2")), 1.2**365 - 1),
        (flows(("2021-01-01", "-100"), ("2022-01-01", "100")), 0.0),
    ],
)
def test_xirr_is_an_annual_rate_over_365_days(cash: list[tuple[date, D]], rate: float) -> None:
    figure = r.xirr(cash)
    assert figure.value == pytest.approx(rate, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("cash", "reason"),
    [
        ([], "no_flows"),
        (flows(("2021-01-01", "0")), "no_flows"),
        (flows(("2021-01-01", "1000"), ("2022-01-01", "100")), "no_sign_change"),
        (flows(("2021-01-01", "-100"), ("2021-01-01", "110")), "no_sign_change"),
        (flows(("2021-01-01", "-100"), ("2021-07-01", "10"), ("2022-01-01", "-100")), "no_solution"),
    ],
)
def test_xirr_without_a_solution_says_why(cash: list[tuple[date, D]], reason: str) -> None:
    assert r.xirr(cash) == Figure(None, reason)  # type: ignore[arg-type]


def test_a_loss_that_newton_overshoots_is_found_all_the_same() -> None:
    cash = [(MONDAY + timedelta(days=1433), D(-1906)), (MONDAY + timedelta(days=3200), D(306))]
    assert r.xirr(cash).value == pytest.approx((306 / 1906) ** (365 / 1767) - 1, rel=1e-12)


def test_of_several_rates_xirr_gives_the_one_nearest_to_ten_percent() -> None:
    # 100 (1 + r)^2 - 265 (1 + r) + 168 = 0 has the rates 5 % and 60 %
    cash = flows(("2021-01-01", "-100"), ("2022-01-01", "265"), ("2023-01-01", "-168"))
    assert r.xirr(cash).value == pytest.approx(0.05, rel=1e-9)


@settings(max_examples=150, deadline=None)
@given(
    paid=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 10**6)), min_size=1, max_size=30),
    value=st.integers(1, 10**8),
)
def test_xirr_agrees_with_pyxirr(paid: list[tuple[int, int]], value: int) -> None:
    end = MONDAY + timedelta(days=3200)
    cash = [(MONDAY + timedelta(days=n), D(-amount)) for n, amount in paid] + [(end, D(value))]
    expected = pyxirr.xirr([day for day, _ in cash], [float(amount) for _, amount in cash])
    assume(expected is not None)
    assert r.xirr(cash).value == pytest.approx(expected, rel=1e-7, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(drawn=st.lists(st.tuples(st.integers(0, 9000), st.integers(-(10**6), 10**6)), max_size=25))
def test_any_rate_that_xirr_gives_solves_the_flows(drawn: list[tuple[int, int]]) -> None:
    cash = [(MONDAY + timedelta(days=n), D(amount)) for n, amount in drawn]
    figure = r.xirr(cash)
    if figure.value is None:
        assert figure.reason in {"no_flows", "no_sign_change", "no_solution"}
        return
    first, last = min(day for day, _ in cash), max(day for day, _ in cash)
    at = first if figure.value >= 0 else last
    terms = [
        float(amount) * np.exp(-np.log1p(figure.value) * (day - at).days / 365)
        for day, amount in cash
        if figure.value > -1 + 1e-12
    ]
    assert abs(sum(terms)) <= 1e-5 * max([abs(term) for term in terms], default=1)


# Return statistics

MIXED = r.observed([None, D("0.01"), D("0.10"), D("-0.04"), D("0.02"), D("0.03"), D("0.02"), D("0.01"), D("-0.10")])


def test_statistics_of_a_worked_series() -> None:
    assert MIXED.size == 8
    assert r.cumulative_return(MIXED).value == pytest.approx(0.03893, abs=5e-6)
    assert r.annualized_return(MIXED, periods_per_year=252).value == pytest.approx(2.3302927973004)
    assert r.volatility(MIXED, periods_per_year=252).value == pytest.approx(0.9136465399704637)
    assert r.sharpe(MIXED, periods_per_year=252).value == pytest.approx(1.7238613961706866)
    assert r.downside_deviation(MIXED, periods_per_year=252).value == pytest.approx(0.60448325038829653)
    assert r.sortino(MIXED, periods_per_year=252).value == pytest.approx(2.605531251673693)
    assert r.max_drawdown(MIXED).value == pytest.approx(-0.1)
    assert r.calmar(MIXED, periods_per_year=252).value == pytest.approx(23.30292797300402)
    assert r.omega(MIXED, risk_free=0.01).value == pytest.approx(0.8125)
    assert r.value_at_risk(MIXED).value == pytest.approx(-0.079)
    assert r.conditional_value_at_risk(MIXED).value == pytest.approx(-0.1)


def test_undefined_statistics_are_none_with_a_reason() -> None:
    nothing, flat, rising = r.observed([]), r.observed([0.01] * 7), r.observed([0.01, 0.02])
    assert r.cumulative_return(nothing).reason == "too_few_observations"
    assert r.annualized_return(nothing, periods_per_year=252).reason == "too_few_observations"
    assert r.max_drawdown(nothing).reason == "too_few_observations"
    assert r.omega(nothing).reason == "too_few_observations"
    assert r.value_at_risk(nothing).reason == "too_few_observations"
    assert r.conditional_value_at_risk(nothing).reason == "too_few_observations"
    assert r.volatility(flat[:1], periods_per_year=252).reason == "too_few_observations"
    assert r.volatility(flat, periods_per_year=252) == Figure(0.0)
    assert r.sharpe(flat, periods_per_year=252).reason == "zero_deviation"
    assert r.sharpe(flat[:1], periods_per_year=252).reason == "too_few_observations"
    assert r.sortino(rising, periods_per_year=252).reason == "no_downside"
    assert r.omega(rising).reason == "no_downside"
    assert r.calmar(rising, periods_per_year=252).reason == "no_drawdown"
    assert r.beta(rising, flat[:2]).reason == "no_benchmark_variance"
    assert r.beta(rising[:1], flat[:1]).reason == "too_few_observations"
    assert r.information_ratio(rising, rising).reason == "zero_deviation"
    assert r.annualized_return(r.observed([1e300]), periods_per_year=252).reason == "out_of_range"
    assert r.annualized_return(r.observed([-3.0]), periods_per_year=252).reason == "negative_value"


noise = st.lists(st.floats(-0.2, 0.2).map(lambda x: round(x, 6)), min_size=5, max_size=60)


@settings(max_examples=100, deadline=None)
@given(own=noise, other=noise)
def test_statistics_agree_with_empyrical(own: list[float], other: list[float]) -> None:
    size = min(len(own), len(other))
    returns, benchmark = np.array(own[:size]), np.array(other[:size])
    assume(returns.std() > 1e-4)
    assume(benchmark.std() > 1e-4)
    assume(returns.min() < -1e-4)
    pairs = [
        (r.cumulative_return(returns), empyrical.cum_returns_final(returns)),
        (r.annualized_return(returns, periods_per_year=252), empyrical.annual_return(returns)),
        (r.volatility(returns, periods_per_year=252), empyrical.annual_volatility(returns)),
        (r.sharpe(returns, periods_per_year=252), empyrical.sharpe_ratio(returns)),
        (r.downside_deviation(returns, periods_per_year=252), empyrical.downside_risk(returns)),
        (r.sortino(returns, periods_per_year=252), empyrical.sortino_ratio(returns)),
        (r.max_drawdown(returns), empyrical.max_drawdown(returns)),
        (r.calmar(returns, periods_per_year=252), empyrical.calmar_ratio(returns)),
        (r.value_at_risk(returns), empyrical.value_at_risk(returns)),
        (r.beta(returns, benchmark), empyrical.beta(returns, benchmark)),
        (r.alpha(returns, benchmark, periods_per_year=252), empyrical.alpha(returns, benchmark)),
    ]
    for ours, theirs in pairs:
        assert ours.value == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_benchmark_figures_take_the_days_both_have() -> None:
    own, other = r.paired([0.01, None, 0.03, -0.02], [0.02, 0.05, 0.01, float("nan")])
    assert own.tolist() == [0.01, 0.03]
    assert other.tolist() == [0.02, 0.01]
    assert r.beta(own, other).value == pytest.approx(-2)
    assert r.information_ratio(own, other).value == pytest.approx(0.005 / (0.03 / np.sqrt(2)))
    assert r.information_ratio(own, other, periods_per_year=4).value == pytest.approx(0.01 / (0.03 / np.sqrt(2)))


def test_drawdown_names_its_days() -> None:
    closes = [100, 120, 110, 80, 85, 90, 95, 100, 105, 110, 115, 120]
    run = [date(2015, 1, n) for n in range(1, 13)]
    fall = r.drawdown(run, [D(close) for close in closes])
    assert fall.value.value == pytest.approx(-1 / 3)
    assert (fall.peak_on, fall.trough_on, fall.recovered_on) == (run[1], run[3], run[11])
    assert r.drawdown(run[:5], closes[:5]).recovered_on is None
    assert r.drawdown(run[:2], closes[:2]) == r.Drawdown(Figure(0.0))
    assert r.drawdown([], []).value.reason == "too_few_observations"
    assert r.drawdown(run[:1], [0]).value.reason == "negative_value"


def test_a_weekend_moves_in_mondays_return() -> None:
    week = [MONDAY + timedelta(days=n) for n in range(9)]  # Monday to the Tuesday after
    moves = [0.0, 0.0, 0.0, 0.0, 0.01, 0.1, 0.1, 0.1, 0.02]
    folded, periods = r.statistics_returns(week, moves, crypto_ratio=0.5)
    assert periods == 252
    assert folded.tolist() == pytest.approx([0, 0, 0, 0, 0.01, 1.1**3 - 1, 0.02])
    every, periods = r.statistics_returns(week, moves, crypto_ratio=0.51)
    assert (every.size, periods) == (9, 365)


def test_a_weekend_at_the_end_and_unknown_days_keep_the_product() -> None:
    week = [MONDAY + timedelta(days=n) for n in range(7)]
    folded, _ = r.statistics_returns(week, [None, 0.1, None, 0.0, 0.2, 0.5, None], crypto_ratio=0.0)
    assert folded.tolist() == pytest.approx([0.1, 0.0, 0.8])
    alone, _ = r.statistics_returns(week[5:], [0.1, 0.1], crypto_ratio=0.0)
    assert alone.size == 0

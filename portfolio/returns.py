"""Returns and risk figures on plain sequences.

Growth of money (time-weighted return, Modified Dietz) is exact Decimal arithmetic; return statistics are
float64. An undefined figure is None with a reason, never infinity and never 0. Rates and ratios are
fractions: 0.1 is +10 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Final, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Reason = Literal[
    "",
    "negative_value",
    "no_benchmark_variance",
    "no_downside",
    "no_drawdown",
    "no_flows",
    "no_sign_change",
    "no_solution",
    "no_value",
    "out_of_range",
    "too_few_observations",
    "under_one_year",
    "zero_capital",
    "zero_deviation",
]
Floats = NDArray[np.float64]
Number = TypeVar("Number", Decimal, float)

DIGITS: Final = 60
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
DAYS_A_YEAR: Final = 365
WEEKDAYS_A_YEAR: Final = 252
NOISE: Final = 1e-12  # a deviation this small beside the returns themselves is rounding of equal returns


@dataclass(frozen=True, slots=True)
class Figure(Generic[Number]):
    """A number, or None and why there is none."""

    value: Number | None
    reason: Reason = ""


@dataclass(frozen=True, slots=True)
class DayValue:
    """One day of a portfolio in one currency.

    value: at the close, with the day's flows in it; None where unknown. inflow, outflow: external flows of
    the day, both positive.
    """

    day: date
    value: Decimal | None
    inflow: Decimal = ZERO
    outflow: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a running peak: `value` at or below 0; dates None where there is no fall.

    peak_on: the last day at the peak before the fall. recovered_on: the first day back at it; None if not
    yet.
    """

    value: Figure[float]
    peak_on: date | None = None
    trough_on: date | None = None
    recovered_on: date | None = None


# Growth of money


def daily_returns(days: Sequence[DayValue]) -> list[Figure[Decimal]]:
    """Return of each day after the first, flows at the end of their day: (V - I + O) / V(before) - 1.

    days: ascending; the first is the opening, whose flows are in its value already. A day that opens at 0
    earns (V + O) / I - 1, and 0 without an inflow. A day of unknown value is None (`no_value`); the next
    known one spans the gap, with the gap's flows. A day after a negative value is None (`negative_value`):
    there is no capital to earn on.
    """
    with localcontext(prec=DIGITS):
        returns: list[Figure[Decimal]] = []
        before = days[0].value if days else None
        inflow = outflow = ZERO
        for day in days[1:]:
            inflow, outflow = inflow + day.inflow, outflow + day.outflow
            if day.value is None:
                returns.append(Figure(None, "no_value"))
                continue
            if before is None:
                returns.append(Figure(None, "no_value"))
            elif before < 0:
                returns.append(Figure(None, "negative_value"))
            elif before > 0:
                returns.append(Figure((day.value - inflow + outflow) / before - 1))
            elif inflow > 0:
                returns.append(Figure((day.value + outflow) / inflow - 1))
            else:
                returns.append(Figure(ZERO))
            before, inflow, outflow = day.value, ZERO, ZERO
        return returns


def time_weighted_return(days: Sequence[DayValue]) -> Figure[Decimal]:
    """Growth of one unit of money over `days`, independent of deposits and withdrawals.

    days: as for `daily_returns`. 0 for fewer than two days. Unknown days at the start, inside and at the end
    are spanned or left out; None where no two values are known (`no_value`) or a day opens below 0. Source:
    GIPS 2020 (time-weighted return). Convention: flows count at the end of their day.
    """
    known = [day.value for day in days if day.value is not None]
    if days and (not known or (len(known) == 1 and len(days) > 1)):
        return Figure(None, "no_value")
    with localcontext(prec=DIGITS):
        growth = ONE
        for figure in daily_returns(days):
            if figure.reason == "negative_value":
                return Figure(None, "negative_value")
            if figure.value is not None:
                growth *= 1 + figure.value
        return Figure(growth - 1)


def growth_index(days: Sequence[DayValue]) -> list[Decimal]:
    """Value of one unit of money at the close of each day, 1 on the first; an unknown day repeats one."""
    with localcontext(prec=DIGITS):
        index = [ONE] if days else []
        for figure in daily_returns(days):
            index.append(index[-1] if figure.value is None else index[-1] * (1 + figure.value))
        return index


def annualized(total: Decimal, *, days: int) -> Figure[Decimal]:
    """(1 + total)^(365 / days) - 1 for a return over `days` days, however few; see `unless_short`."""
    if days <= 0:
        return Figure(None, "too_few_observations")
    if total < -1:
        return Figure(None, "negative_value")
    with localcontext(prec=DIGITS):
        growth = (1 + total) ** (Decimal(DAYS_A_YEAR) / days) if total > -1 else ZERO
        return Figure(growth - 1)


def unless_short(figure: Figure[Number], *, days: int) -> Figure[Number]:
    """An annualized figure as the API shows it: none for less than a year."""
    return Figure(None, "under_one_year") if days < DAYS_A_YEAR else figure


def period_gain(days: Sequence[DayValue]) -> Figure[Decimal]:
    """V(end) - V(start) - external flows after the opening day, in the currency of the values."""
    if not days:
        return Figure(ZERO)
    start, end = days[0].value, days[-1].value
    if start is None or end is None:
        return Figure(None, "no_value")
    with localcontext(prec=DIGITS):
        return Figure(end - start - sum((day.inflow - day.outflow for day in days[1:]), ZERO))


def modified_dietz(days: Sequence[DayValue]) -> Figure[Decimal]:
    """Period gain over the capital at work; a flow works from the end of its day to the end of the period."""
    gain = period_gain(days)
    if gain.value is None:
        return gain
    if len(days) < 2 or days[0].value is None:
        return Figure(None, "too_few_observations")
    span = (days[-1].day - days[0].day).days
    with localcontext(prec=DIGITS):
        weighted = sum((day.inflow - day.outflow) * (days[-1].day - day.day).days for day in days[1:]) / Decimal(span)
        capital = days[0].value + weighted
        if capital <= 0:
            return Figure(None, "zero_capital")
        return Figure(gain.value / capital)


# Money-weighted return

RATE_SCAN: Final[Floats] = 0.05 * np.sinh(np.linspace(-10.2, 10.2, 401))  # ln(1 + r): fine near 0, out to +-670


def xirr(flows: Iterable[tuple[date, Decimal]]) -> Figure[float]:
    """The annual rate r at which the flows are worth nothing: sum of amount / (1 + r)^(days / 365) = 0.

    flows: in any order, from the investor's side (negative paid in, positive received); a closing value is
    received. Days count from the first flow. Where several rates solve it, the one nearest to 10 % is given.
    None without flows, without both signs, or with all of them on one day.
    """
    by_day: dict[date, Decimal] = {}
    with localcontext(prec=DIGITS):
        for day, amount in flows:
            by_day[day] = by_day.get(day, ZERO) + amount
    dated = sorted((day, amount) for day, amount in by_day.items() if amount)
    if not dated:
        return Figure(None, "no_flows")
    largest = max(abs(amount) for _, amount in dated)
    amounts = np.array([float(amount / largest) for _, amount in dated])
    years = np.array([(day - dated[0][0]).days / DAYS_A_YEAR for day, _ in dated])
    if not (amounts.min() < 0 < amounts.max()):
        return Figure(None, "no_sign_change")
    guess = float(np.log1p(0.1))
    changes = int(np.count_nonzero(np.diff(np.sign(amounts))))
    if changes == 1:  # one change of sign has one root only, so Newton's root is the root
        root = _newton(amounts, years, guess)
        if root is not None:
            return _rate(root)
    worth = _scan(amounts, years)
    brackets = np.flatnonzero(np.sign(worth[:-1]) * np.sign(worth[1:]) <= 0)
    if not brackets.size:
        return Figure(None, "no_solution")
    roots = [_bisect(amounts, years, float(RATE_SCAN[i]), float(RATE_SCAN[i + 1])) for i in brackets]
    return _rate(min(roots, key=lambda root: abs(root - guess)))


def _rate(root: float) -> Figure[float]:
    return Figure(float(np.expm1(root)))


def _worth(amounts: Floats, years: Floats, root: float) -> float:
    """Present value at ln(1 + r) = root; below 0 seen from the last flow, so that no power overflows."""
    return float(amounts @ np.exp(-root * (years if root >= 0 else years - years[-1])))


def _scan(amounts: Floats, years: Floats) -> Floats:
    low, high = RATE_SCAN[RATE_SCAN < 0, None], RATE_SCAN[RATE_SCAN >= 0, None]
    return np.concatenate(
        [np.exp(-low * (years - years[-1])) @ amounts, np.exp(-high * years) @ amounts],
    )


def _newton(amounts: Floats, years: Floats, root: float) -> float | None:
    for _ in range(50):
        if abs(root) > 600:
            return None
        powers = amounts * np.exp(-root * (years if root >= 0 else years - years[-1]))
        worth, slope = float(powers.sum()), float(-(powers @ years))
        if root < 0:
            slope += float(years[-1]) * worth
        if slope == 0:
            return None
        step = worth / slope
        root -= step
        if abs(step) <= 1e-14 * max(1.0, abs(root)):
            with np.errstate(over="ignore", invalid="ignore"):
                terms = amounts * np.exp(-root * (years if root >= 0 else years - years[-1]))
                is_root = abs(float(terms.sum())) <= 1e-9 * float(np.abs(terms).max())
            return root if is_root else None  # far from 0 the slope is rounding noise, and any step may look small
    return None


def _bisect(amounts: Floats, years: Floats, low: float, high: float) -> float:
    sign = np.sign(_worth(amounts, years, low))
    if sign == 0:
        return low
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if np.sign(_worth(amounts, years, middle)) == sign:
            low = middle
        else:
            high = middle
    return (low + high) / 2


# Return statistics


def observed(returns: Iterable[float | Decimal | None]) -> Floats:
    """The known returns, oldest first: a missing one (None, NaN) is left out of every figure."""
    values = np.array([np.nan if value is None else float(value) for value in returns], dtype=np.float64)
    return values[~np.isnan(values)]


def paired(
    returns: Sequence[float | Decimal | None], benchmark: Sequence[float | Decimal | None]
) -> tuple[Floats, Floats]:
    """The days on which both are known. Both sequences have the same days."""
    own = np.array([np.nan if value is None else float(value) for value in returns], dtype=np.float64)
    other = np.array([np.nan if value is None else float(value) for value in benchmark], dtype=np.float64)
    both = ~np.isnan(own) & ~np.isnan(other)
    return own[both], other[both]


def statistics_returns(
    days: Sequence[date], returns: Sequence[float | Decimal | None], *, crypto_ratio: float
) -> tuple[Floats, int]:
    """The observations that return statistics take, and how many make a year.

    days: of each return, ascending. crypto_ratio: share of crypto in the mean value. Above half, every day
    counts and a year has 365. Else Monday to Friday count and a year has 252: a weekend's move is compounded
    into Monday's, one at the very end into the last weekday's, so that the product of all stays.
    """
    if crypto_ratio > 0.5:
        return observed(returns), DAYS_A_YEAR
    folded: list[float] = []
    pending: float | None = None
    for day, known in zip(days, returns, strict=True):
        value = None if known is None or np.isnan(float(known)) else float(known)
        if value is not None:
            pending = value if pending is None else (1 + pending) * (1 + value) - 1
        if day.weekday() < 5 and pending is not None:
            folded.append(pending)
            pending = None
    if pending is not None and folded:
        folded[-1] = (1 + folded[-1]) * (1 + pending) - 1
    return np.array(folded, dtype=np.float64), WEEKDAYS_A_YEAR


def _figure(value: float) -> Figure[float]:
    return Figure(float(value)) if np.isfinite(value) else Figure(None, "out_of_range")


def _deviation(values: Floats) -> float | None:
    """Standard deviation, n - 1; None where the values are equal but for rounding."""
    deviation = float(values.std(ddof=1))
    return None if deviation <= NOISE * float(np.abs(values).max()) else deviation


def cumulative_return(returns: Floats) -> Figure[float]:
    if not returns.size:
        return Figure(None, "too_few_observations")
    return _figure(float(np.prod(1 + returns)) - 1)


def annualized_return(returns: Floats, *, periods_per_year: int) -> Figure[float]:
    """(product of 1 + r)^(periods_per_year / n) - 1."""
    if not returns.size:
        return Figure(None, "too_few_observations")
    growth = float(np.prod(1 + returns))
    if growth < 0:
        return Figure(None, "negative_value")
    with np.errstate(over="ignore"):
        return _figure(float(np.power(growth, periods_per_year / returns.size)) - 1)


def volatility(returns: Floats, *, periods_per_year: int) -> Figure[float]:
    """Standard deviation of simple returns, n - 1, a year."""
    if returns.size < 2:
        return Figure(None, "too_few_observations")
    return _figure((_deviation(returns) or 0.0) * np.sqrt(periods_per_year))


def sharpe(returns: Floats, *, periods_per_year: int, risk_free: float = 0.0) -> Figure[float]:
    """Mean excess over its standard deviation, a year; risk_free is per period."""
    if returns.size < 2:
        return Figure(None, "too_few_observations")
    excess = returns - risk_free
    deviation = _deviation(excess)
    if deviation is None:
        return Figure(None, "zero_deviation")
    return _figure(excess.mean() / deviation * np.sqrt(periods_per_year))


def downside_deviation(returns: Floats, *, periods_per_year: int, risk_free: float = 0.0) -> Figure[float]:
    """Root of the mean squared shortfall below risk_free over all returns, a year."""
    if not returns.size:
        return Figure(None, "too_few_observations")
    shortfall = np.minimum(returns - risk_free, 0)
    return _figure(np.sqrt(np.mean(shortfall**2)) * np.sqrt(periods_per_year))


def sortino(returns: Floats, *, periods_per_year: int, risk_free: float = 0.0) -> Figure[float]:
    """Mean excess a year over the downside deviation a year."""
    downside = downside_deviation(returns, periods_per_year=periods_per_year, risk_free=risk_free)
    if downside.value is None:
        return downside
    if downside.value == 0:
        return Figure(None, "no_downside")
    return _figure((returns - risk_free).mean() * periods_per_year / downside.value)


def max_drawdown(returns: Floats) -> Figure[float]:
    """Least of value / running peak - 1 of one unit of money; the starting value counts as a peak."""
    if not returns.size:
        return Figure(None, "too_few_observations")
    index = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return _figure((index / np.maximum.accumulate(index) - 1).min())


def drawdown(days: Sequence[date], values: Sequence[float | Decimal]) -> Drawdown:
    """The deepest fall of a series of values without flows (a growth index), with its dates."""
    if not days:
        return Drawdown(Figure(None, "too_few_observations"))
    index = np.array([float(value) for value in values], dtype=np.float64)
    if index[0] <= 0:
        return Drawdown(Figure(None, "negative_value"))
    peaks = np.maximum.accumulate(index)
    falls = index / peaks - 1
    trough = int(falls.argmin())
    if falls[trough] >= 0:
        return Drawdown(Figure(0.0))
    peak = int(np.flatnonzero(index[: trough + 1] == peaks[trough])[-1])
    back = np.flatnonzero(index[trough:] >= peaks[trough])
    recovered = days[trough + int(back[0])] if back.size else None
    return Drawdown(Figure(float(falls[trough])), days[peak], days[trough], recovered)


def calmar(returns: Floats, *, periods_per_year: int) -> Figure[float]:
    """Annualized return over the size of the deepest drawdown."""
    yearly = annualized_return(returns, periods_per_year=periods_per_year)
    fall = max_drawdown(returns)
    if yearly.value is None or fall.value is None:
        return yearly
    if fall.value == 0:
        return Figure(None, "no_drawdown")
    return _figure(yearly.value / abs(fall.value))


def omega(returns: Floats, *, risk_free: float = 0.0) -> Figure[float]:
    """Sum of gains above risk_free over the sum of losses below it."""
    if not returns.size:
        return Figure(None, "too_few_observations")
    losses = float(np.maximum(risk_free - returns, 0).sum())
    if losses == 0:
        return Figure(None, "no_downside")
    return _figure(float(np.maximum(returns - risk_free, 0).sum()) / losses)


def value_at_risk(returns: Floats, *, cutoff: float = 0.05) -> Figure[float]:
    """The quantile of the returns at `cutoff`, linear between neighbors; a loss is negative."""
    if not returns.size:
        return Figure(None, "too_few_observations")
    return _figure(np.quantile(returns, cutoff))


def conditional_value_at_risk(returns: Floats, *, cutoff: float = 0.05) -> Figure[float]:
    """Mean of the returns at or below the value at risk."""
    quantile = value_at_risk(returns, cutoff=cutoff)
    if quantile.value is None:
        return quantile
    # Interpolation between two equal returns may end a rounding above or below them.
    return _figure(returns[returns <= max(quantile.value, float(returns.min()))].mean())


def beta(returns: Floats, benchmark: Floats) -> Figure[float]:
    """Covariance with the benchmark over the benchmark's variance; both without gaps (`paired`)."""
    if returns.size < 2:
        return Figure(None, "too_few_observations")
    if _deviation(benchmark) is None:
        return Figure(None, "no_benchmark_variance")
    return _figure(np.cov(returns, benchmark, ddof=1)[0, 1] / benchmark.var(ddof=1))


def alpha(returns: Floats, benchmark: Floats, *, periods_per_year: int, risk_free: float = 0.0) -> Figure[float]:
    """What the benchmark's moves leave unexplained, compounded to a year; risk_free is per period."""
    slope = beta(returns, benchmark)
    if slope.value is None:
        return slope
    excess = returns.mean() - risk_free - slope.value * (benchmark.mean() - risk_free)
    if excess < -1:
        return Figure(None, "out_of_range")
    with np.errstate(over="ignore"):
        return _figure(float(np.power(1 + excess, periods_per_year)) - 1)


def tracking_error(returns: Floats, benchmark: Floats, *, periods_per_year: int) -> Figure[float]:
    """Standard deviation of the difference to the benchmark, n - 1, a year."""
    if returns.size < 2:
        return Figure(None, "too_few_observations")
    return volatility(returns - benchmark, periods_per_year=periods_per_year)


def information_ratio(returns: Floats, benchmark: Floats, *, periods_per_year: int | None = None) -> Figure[float]:
    """Mean over standard deviation of the difference to the benchmark; a year where periods are given."""
    if returns.size < 2:
        return Figure(None, "too_few_observations")
    active = returns - benchmark
    deviation = _deviation(active)
    if deviation is None:
        return Figure(None, "zero_deviation")
    return _figure(active.mean() / deviation * np.sqrt(periods_per_year or 1))

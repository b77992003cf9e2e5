"""Returns and risk of a portfolio or an account over a period."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import Listing
from federation.selectors import instruments
from portfolio import returns
from portfolio.returns import DayValue, Figure
from portfolio.selectors.measured import Measured, measured
from portfolio.selectors.positions import positions
from portfolio.selectors.prices import packed_closes
from portfolio.selectors.rates import rate_table
from portfolio.selectors.scope import standing
from portfolio.series import Closes, Floats, chart_places, window

PLACES = Decimal(1).scaleb(-10)
AGAINST = ("beta", "alpha", "tracking_error", "information_ratio")
METHOD = {
    "twr": "time-weighted, daily, flows at the end of their day",
    "xirr": "money-weighted, annual, days over 365",
    "net_of": "fees and taxes that sources state, of trades and apart",
    "gross_of": "your own income tax and what funds charge inside",
    "scope": "portfolio",
}
BEYOND_MEANING = Decimal(10) ** 18  # an annual rate of days on which a little became much


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a peak, at or below 0."""

    value: Decimal | None
    peak_on: dt.date | None
    trough_on: dt.date | None
    recovered_on: dt.date | None


@dataclass(frozen=True, slots=True)
class Point:
    """flow: external, net, at the end of the day. twr_index: worth of one unit of money since the opening."""

    date: dt.date
    value: Decimal | None
    flow: Decimal
    twr_index: Decimal


@dataclass(frozen=True, slots=True)
class Performance:
    """Fractions: 0.1 is +10 %. Opens at the close of `start`. A figure that is None has its reason in `reasons`."""

    currency: str
    start: dt.date | None
    end: dt.date | None
    twr: Decimal | None
    twr_annualized: Decimal | None
    xirr: Decimal | None
    modified_dietz: Decimal | None
    period_gain: Decimal | None
    volatility: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    max_drawdown: Drawdown
    calmar: Decimal | None
    omega: Decimal | None
    downside_deviation: Decimal | None
    benchmark: dict[str, Any] | None
    beta: Decimal | None
    alpha: Decimal | None
    tracking_error: Decimal | None
    information_ratio: Decimal | None
    var_95: Decimal | None
    cvar_95: Decimal | None
    n_obs: int
    periods_per_year: int
    method: dict[str, str]
    adjustments_ratio: Decimal | None
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    reasons: dict[str, str] = field(default_factory=dict)
    series: list[Point] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def performance(
    *,
    user: User,
    start: dt.date | None = None,
    end: dt.date | None = None,
    account: UUID | None = None,
    currency: str | None = None,
    benchmark: UUID | None = None,
    instrument: UUID | None = None,
    points: int | None = None,
) -> Performance:
    """Figures from the close of `start` (before the first flow) to the close of `end` (the valuation day).

    instrument: of that holding alone, over all accounts or the one given.
    benchmark: an instrument the user may see; its closes in the same currency give beta.
    """
    now = standing(user=user)
    over = measured(user=user, account=account, currency=currency, start=start, end=end, instrument=instrument)
    days, observed, periods, span = over.days, over.observed, over.periods, over.span
    reasons: dict[str, str] = {}

    def figure(name: str, found: Figure[Any]) -> Decimal | None:
        if found.value is None:
            reasons[name] = found.reason or "unknown"
            return None
        value = found.value if isinstance(found.value, Decimal) else Decimal(repr(found.value))
        if not value.is_finite() or abs(value) >= BEYOND_MEANING:
            reasons[name] = "out_of_range"
            return None
        return value.quantize(PLACES)

    twr = returns.time_weighted_return(days) if days else Figure(None, "no_value")
    index = over.index
    fall = returns.drawdown([one.day for one in days], index)
    against: dict[str, Figure[float]] = dict.fromkeys(AGAINST, Figure(None, "no_benchmark_variance"))
    if benchmark is None:
        reasons |= dict.fromkeys(AGAINST, "no_benchmark")
    elif len(days) > 1:
        pair = _paired(over, _benchmark_returns(user, benchmark, days, over.rate.currency))
        against = {
            "beta": returns.beta(*pair),
            "alpha": returns.alpha(*pair, periods_per_year=periods),
            "tracking_error": returns.tracking_error(*pair, periods_per_year=periods),
            "information_ratio": returns.information_ratio(*pair, periods_per_year=periods),
        }
    shown = range(len(days))
    if points is not None and len(days) > points:
        worth = np.array([np.nan if one.value is None else float(one.value) for one in days])
        shown = chart_places(worth, points=points).tolist()
    yearly = returns.annualized(twr.value, days=span) if twr.value is not None else twr
    return Performance(
        currency=over.rate.currency,
        start=days[0].day if days else start,
        end=days[-1].day if days else end,
        twr=figure("twr", twr),
        twr_annualized=figure(
            "twr_annualized", returns.unless_short(yearly, days=span) if yearly.value is not None else yearly
        ),
        xirr=figure("xirr", _xirr(days)),
        modified_dietz=figure("modified_dietz", returns.modified_dietz(days) if days else Figure(None, "no_value")),
        period_gain=figure("period_gain", returns.period_gain(days)),
        volatility=figure("volatility", returns.volatility(observed, periods_per_year=periods)),
        sharpe=figure("sharpe", returns.sharpe(observed, periods_per_year=periods)),
        sortino=figure("sortino", returns.sortino(observed, periods_per_year=periods)),
        max_drawdown=Drawdown(figure("max_drawdown", fall.value), fall.peak_on, fall.trough_on, fall.recovered_on),
        calmar=figure("calmar", returns.unless_short(returns.calmar(observed, periods_per_year=periods), days=span)),
        omega=figure("omega", returns.omega(observed)),
        downside_deviation=figure("downside_deviation", returns.downside_deviation(observed, periods_per_year=periods)),
        benchmark=None if benchmark is None else _named(user, benchmark),
        **{name: None if benchmark is None else figure(name, found) for name, found in against.items()},
        var_95=figure("var_95", returns.value_at_risk(observed)),
        cvar_95=figure("cvar_95", returns.conditional_value_at_risk(observed)),
        n_obs=int(observed.size),
        periods_per_year=periods,
        method=METHOD | ({"scope": "holding"} if instrument else {}),
        adjustments_ratio=_adjustments_ratio(user, account, instrument),
        as_of=now.valued_on,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        reasons=reasons,
        series=[
            Point(
                days[place].day,
                None if (worth_then := days[place].value) is None else worth_then.quantize(PLACES),
                (days[place].inflow - days[place].outflow).quantize(PLACES),
                index[place].quantize(PLACES),
            )
            for place in shown
        ],
    )


def _xirr(days: Sequence[DayValue]) -> Figure[float]:
    """From the investor's side: the opening value and inflows are paid, outflows and the closing value received."""
    if not days or days[0].value is None or days[-1].value is None:
        return Figure(None, "no_value")
    flows = [(days[0].day, -days[0].value)]
    flows += [(one.day, one.outflow - one.inflow) for one in days[1:]]
    flows.append((days[-1].day, days[-1].value))
    return returns.xirr(flows)


def _paired(over: Measured, benchmark: Sequence[float]) -> tuple[Floats, Floats]:
    """Own and benchmark's returns of the statistics days on which both are known."""
    own = np.array([np.nan if one is None else float(one) for one in over.moved])
    other = np.array(benchmark)
    known = ~np.isnan(own) & ~np.isnan(other)
    days = [one.day for one, is_known in zip(over.days[1:], known, strict=True) if is_known]
    folded = [
        returns.statistics_returns(days, column[known].tolist(), crypto_ratio=over.crypto_ratio)[0]
        for column in (own, other)
    ]
    return folded[0], folded[1]


def _named(user: User, benchmark: UUID) -> dict[str, Any]:
    """The benchmark, and what its closes are: prices without dividends."""
    symbol = instruments(user).filter(pk=benchmark).values_list("symbol", flat=True).first()
    return {"instrument": benchmark, "symbol": symbol or "", "basis": "price"}


def _adjustments_ratio(user: User, account: UUID | None, instrument: UUID | None) -> Decimal | None:
    """Share of today's value that rests on reports which no row explains; None where nothing has a value."""
    rows = [row for row in positions(user=user, account=account) if instrument in (None, row.instrument)]
    total = sum((abs(row.market_value_base) for row in rows if row.market_value_base is not None), Decimal(0))
    if not total:
        return None
    adjusted = sum(
        (
            min(abs(row.unexplained_quantity / row.quantity), Decimal(1)) * abs(row.market_value_base)
            for row in rows
            if row.market_value_base is not None and row.quantity
        ),
        Decimal(0),
    )
    return (adjusted / total).quantize(PLACES)


def _benchmark_returns(user: User, instrument: UUID, days: Sequence[DayValue], currency: str) -> list[float]:
    """Daily returns of an instrument's closes in `currency` on the same days; NaN where unknown."""
    first, last = days[0].day, days[-1].day
    none = [float("nan")] * (len(days) - 1)
    listings = {row.pk: row for row in Listing.objects.filter(instrument=instrument).order_by("pk")}
    packed = packed_closes(user_id=user.pk, listing_ids=listings)
    listing = next((row for row in listings.values() if row.pk in packed), None)
    if listing is None:
        return none
    kept = packed[listing.pk]
    closes = Closes.observed(kept.first_day, kept.closes)
    column: Floats = window(closes.values, stored_from=kept.first_day, first_day=first, last_day=last)
    table = rate_table(user_id=user.pk, currencies={listing.currency, currency})
    column = column * table.column(listing.currency, currency, first, last)
    places = [(one.day - first).days for one in days]
    taken = column[places]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved: list[float] = (taken[1:] / taken[:-1] - 1).tolist()
    return moved

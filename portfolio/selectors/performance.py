"""Returns and risk of a portfolio or an account over a period."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import InstrumentKind, Listing
from portfolio import returns
from portfolio.models import ValueSeries
from portfolio.returns import DayValue, Figure
from portfolio.selectors.prices import packed_closes
from portfolio.selectors.rates import rate_table
from portfolio.selectors.scope import account_filter, exchange, standing
from portfolio.selectors.value_series import day_values
from portfolio.series import Closes, Floats, chart_places, unpack, window

PLACES = Decimal(1).scaleb(-10)
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
    beta: Decimal | None
    var_95: Decimal | None
    cvar_95: Decimal | None
    n_obs: int
    periods_per_year: int
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
    rate = exchange(user=user, currency=currency)
    days = day_values(user=user, account=account, start=start, end=end, rate=rate, instrument=instrument)
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

    span = (days[-1].day - days[0].day).days if days else 0
    daily = returns.daily_returns(days)
    moved = [one.value for one in daily]
    observed, periods = returns.statistics_returns(
        [one.day for one in days[1:]], moved, crypto_ratio=_crypto_ratio(user, account, days)
    )
    twr = returns.time_weighted_return(days) if days else Figure(None, "no_value")
    index = returns.growth_index(days)
    fall = returns.drawdown([one.day for one in days], index)
    beta: Figure[float] = Figure(None, "no_benchmark_variance")
    if benchmark is None:
        reasons["beta"] = "no_benchmark"
    elif len(days) > 1:
        beta = returns.beta(*returns.paired(moved, _benchmark_returns(user, benchmark, days, rate.currency)))
    shown = range(len(days))
    if points is not None and len(days) > points:
        worth = np.array([np.nan if one.value is None else float(one.value) for one in days])
        shown = chart_places(worth, points=points).tolist()
    yearly = returns.annualized(twr.value, days=span) if twr.value is not None else twr
    return Performance(
        currency=rate.currency,
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
        beta=None if benchmark is None else figure("beta", beta),
        var_95=figure("var_95", returns.value_at_risk(observed)),
        cvar_95=figure("cvar_95", returns.conditional_value_at_risk(observed)),
        n_obs=int(observed.size),
        periods_per_year=periods,
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


def _crypto_ratio(user: User, account: UUID | None, days: Sequence[DayValue]) -> float:
    """Share of crypto in the mean value of the period, in base currency."""
    if not days:
        return 0.0
    first, last = days[0].day, days[-1].day
    crypto = ValueSeries.objects.visible_to(user).filter(
        instrument__kind=InstrumentKind.CRYPTO, **account_filter(account)
    )
    total = np.zeros((last - first).days + 1)
    for stored_from, packed in crypto.values_list("first_day", "value"):
        total += np.nan_to_num(window(unpack(packed), stored_from=stored_from, first_day=first, last_day=last))
    if not total.any():
        return 0.0
    worth = np.array([0.0 if one.value is None else float(one.value) for one in days])
    mean = float(worth.mean())
    return float(total.mean()) / mean if mean > 0 else 0.0


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

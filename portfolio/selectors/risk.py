"""What could go wrong: falls, rolling figures, concentration, exposures and how holdings move together."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

from accounts.models import User
from portfolio import returns
from portfolio.models import ValueSeries
from portfolio.returns import Figure
from portfolio.selectors.allocation import allocation
from portfolio.selectors.measured import Measured, measured
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.scope import account_filter, standing
from portfolio.series import Floats, unpack, window
from portfolio.spans import Fall, Rolling, falls, rolling

ZERO = Decimal(0)
PLACES = Decimal(1).scaleb(-10)
MOST_FALLS: Final = 10
MOST_CORRELATED: Final = 10
FEWEST_SHARED: Final = 20  # days that two holdings must share before their correlation says anything
LABELS: Final = ((Decimal("0.1"), "low"), (Decimal("0.2"), "medium"), (Decimal("0.3"), "high"))


@dataclass(frozen=True, slots=True)
class Concentration:
    """Shares of the sizes of holdings with a value, one instrument over all accounts. hhi: sum of squared shares;
    effective_number: its inverse. label: of the largest share: low under 10 %, medium under 20, high under 30, else
    very_high.
    """

    largest: Decimal | None
    top_5: Decimal | None
    top_10: Decimal | None
    hhi: Decimal | None
    effective_number: Decimal | None
    label: str
    curve: list[Decimal]  # share of the n largest, n from 1


@dataclass(frozen=True, slots=True)
class Correlation:
    """Of daily returns between the largest holdings. matrix: rows and columns as `instruments`; None where two share
    fewer than 20 days or one does not move.
    """

    instruments: list[dict[str, Any]]
    matrix: list[list[Decimal | None]]


@dataclass(frozen=True, slots=True)
class Risk:
    """Fractions; a figure that is None has its reason in `reasons`."""

    currency: str
    start: dt.date | None
    end: dt.date | None
    volatility: Decimal | None
    downside_deviation: Decimal | None
    var_95: Decimal | None
    var_99: Decimal | None
    cvar_95: Decimal | None
    max_drawdown: Decimal | None
    current_drawdown: Decimal | None
    n_obs: int
    periods_per_year: int
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    drawdowns: list[Fall]
    underwater: list[tuple[dt.date, Decimal]]
    rolling: list[Rolling]
    window: int
    concentration: Concentration
    exposures: dict[str, list[dict[str, Any]]]
    correlation: Correlation
    reasons: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def risk(
    *,
    user: User,
    account: UUID | None = None,
    currency: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    window_size: int = 63,
) -> Risk:
    """window_size: observations of a rolling figure."""
    now = standing(user=user)
    over = measured(user=user, account=account, currency=currency, start=start, end=end)
    reasons: dict[str, str] = {}

    def figure(name: str, found: Figure[Any]) -> Decimal | None:
        if found.value is None:
            reasons[name] = found.reason
            return None
        return _ratio(float(found.value))

    held = positions(user=user, account=account, group_by="instrument", currency=currency)
    dates = [one.day for one in over.days]
    observed, periods = over.observed, over.periods
    under = _underwater(over)
    return Risk(
        currency=over.rate.currency,
        start=dates[0] if dates else start,
        end=dates[-1] if dates else end,
        volatility=figure("volatility", returns.volatility(observed, periods_per_year=periods)),
        downside_deviation=figure("downside_deviation", returns.downside_deviation(observed, periods_per_year=periods)),
        var_95=figure("var_95", returns.value_at_risk(observed)),
        var_99=figure("var_99", returns.value_at_risk(observed, cutoff=0.01)),
        cvar_95=figure("cvar_95", returns.conditional_value_at_risk(observed)),
        max_drawdown=figure("max_drawdown", returns.drawdown(dates, over.index).value),
        current_drawdown=under[-1][1] if under else None,
        n_obs=int(observed.size),
        periods_per_year=periods,
        as_of=now.valued_on,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        drawdowns=falls(dates, over.index, most=MOST_FALLS),
        underwater=under,
        rolling=rolling(dates[1:], over.moved, window=window_size, crypto_ratio=over.crypto_ratio),
        window=window_size,
        concentration=concentration(held),
        exposures={by: _exposure(user, account, currency, by) for by in ("kind", "currency", "sector", "country")},
        correlation=_correlation(user, account, held, over),
        reasons=reasons,
    )


def _ratio(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(PLACES)


def _underwater(over: Measured) -> list[tuple[dt.date, Decimal]]:
    """How far below its last peak one unit of money stands each day."""
    found, peak = [], ZERO
    for one, worth in zip(over.days, over.index, strict=True):
        peak = max(peak, worth)
        found.append((one.day, (worth / peak - 1).quantize(PLACES) if peak > 0 else ZERO))
    return found


def concentration(held: Sequence[PositionRow]) -> Concentration:
    sizes = sorted((abs(row.market_value_base) for row in held if row.market_value_base), reverse=True)
    total = sum(sizes, ZERO)
    if not total:
        return Concentration(None, None, None, None, None, "unknown", [])
    shares = [size / total for size in sizes]
    curve, running = [], ZERO
    for share in shares[:100]:
        running += share
        curve.append(running.quantize(PLACES))
    hhi = sum((share * share for share in shares), ZERO)
    label = next((name for limit, name in LABELS if shares[0] < limit), "very_high")
    return Concentration(
        largest=curve[0],
        top_5=curve[min(5, len(curve)) - 1],
        top_10=curve[min(10, len(curve)) - 1],
        hhi=hhi.quantize(PLACES),
        effective_number=(1 / hhi).quantize(PLACES),
        label=label,
        curve=curve,
    )


def _exposure(user: User, account: UUID | None, currency: str | None, by: str) -> list[dict[str, Any]]:
    found = allocation(user=user, by=by, account=account, currency=currency)
    return [{"key": one.key, "label": one.label, "share": one.share} for one in found.slices]


def _correlation(user: User, account: UUID | None, held: Sequence[PositionRow], over: Measured) -> Correlation:
    largest = [row for row in held if row.market_value_base][:MOST_CORRELATED]
    if not largest or len(over.days) < 2:
        return Correlation([], [])
    first, last = over.days[0].day, over.days[-1].day
    columns = _price_moves(user, account, [row.instrument for row in largest], first, last)
    matrix: list[list[Decimal | None]] = []
    for row in largest:
        line: list[Decimal | None] = []
        for other in largest:
            line.append(_correlated(columns.get(row.instrument), columns.get(other.instrument)))
        matrix.append(line)
    named = [{"instrument": row.instrument, "symbol": row.symbol, "name": row.name} for row in largest]
    return Correlation(named, matrix)


def _price_moves(
    user: User, account: UUID | None, instruments: Sequence[UUID], first: dt.date, last: dt.date
) -> dict[UUID, Floats]:
    """Daily moves of one unit in base, weekdays only, NaN where it was not held or has no value."""
    found: dict[UUID, Floats] = {}
    weekdays = np.array([(first + dt.timedelta(days=place)).weekday() < 5 for place in range((last - first).days + 1)])
    stored = ValueSeries.objects.visible_to(user).filter(instrument__in=instruments, **account_filter(account))
    for row in stored.only("instrument_id", "first_day", "value", "external_flow", "internal_flow").order_by("pk"):
        if row.instrument_id is None:
            continue

        def part(packed: bytes, stored_from: dt.date = row.first_day) -> Floats:
            return window(unpack(packed), stored_from=stored_from, first_day=first, last_day=last)

        worth = part(row.value)
        flow = np.nan_to_num(part(row.external_flow)) + np.nan_to_num(part(row.internal_flow))
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = (worth[1:] - flow[1:]) / worth[:-1] - 1
        moved[~np.isfinite(moved) | ~weekdays[1:]] = np.nan
        known = found.get(row.instrument_id)
        found[row.instrument_id] = moved if known is None else np.where(np.isnan(known), moved, known)
    return found


def _correlated(first: Floats | None, second: Floats | None) -> Decimal | None:
    if first is None or second is None:
        return None
    both = ~np.isnan(first) & ~np.isnan(second)
    if int(both.sum()) < FEWEST_SHARED:
        return None
    one, other = first[both], second[both]
    if one.std() <= returns.NOISE or other.std() <= returns.NOISE:
        return None
    return _ratio(float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1)))

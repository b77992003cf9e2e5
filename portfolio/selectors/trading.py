"""How closed trades did, by period."""

import datetime as dt
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from accounts.models import User
from portfolio.models import RealizedGain
from portfolio.selectors.scope import Exchange, account_filter, exchange, standing
from stackmotive.common.money import to_money

ZERO = Decimal(0)
Period = Literal["all", "day", "month", "quarter", "year"]
PERIODS: Final = ("all", "day", "month", "quarter", "year")


@dataclass(slots=True)
class TradeFigures:
    """Closed trades of one period; money in the currency asked for. without_gain: a cost or rate is unknown. A trade is
    one row that closed something. Null has its reason in `reasons`. win_rate: wins of those with a known gain.
    profit_factor: all wins over all losses. holding_days: mean, weighted by units.
    """

    period: str
    trades: int
    wins: int
    losses: int
    without_gain: int
    realized_gain: Decimal
    win_rate: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    largest_win: Decimal | None
    largest_loss: Decimal | None
    profit_factor: Decimal | None
    holding_days: Decimal | None
    reasons: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TradingMetrics:
    currency: str
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    results: list[TradeFigures]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Closed:
    """One closing row: its gain, None as soon as a part's is unknown, and how long its units were held."""

    day: dt.date
    gain: Decimal | None = ZERO
    units: Decimal = ZERO
    unit_days: Decimal = ZERO


def trading_metrics(
    *,
    user: User,
    period: Period = "all",
    account: UUID | None = None,
    currency: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> TradingMetrics:
    """Newest period first; trades closed after the close of `start`, up to that of `end`."""
    now = standing(user=user)
    rate = exchange(user=user, currency=currency)
    by_period: dict[str, list[_Closed]] = defaultdict(list)
    for trade in _closed(user, account, rate, start, end or now.valued_on):
        by_period[_name(trade.day, period)].append(trade)
    if period == "all" and not by_period:
        by_period["all"] = []
    return TradingMetrics(
        currency=rate.currency,
        as_of=now.valued_on,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        results=[_figures(name, by_period[name]) for name in sorted(by_period, reverse=True)],
    )


def _closed(user: User, account: UUID | None, rate: Exchange, start: dt.date | None, end: dt.date) -> list[_Closed]:
    rows = RealizedGain.objects.visible_to(user).filter(closed_on__lte=end, **account_filter(account))
    if start is not None:
        rows = rows.filter(closed_on__gt=start)
    trades: dict[UUID, _Closed] = {}
    columns = ("closed_by", "closed_on", "acquired_on", "quantity", "gain_base", "proceeds_base", "cost_base", "side")
    for row, closed_on, acquired_on, quantity, gain, proceeds, cost, side in rows.order_by(
        "closed_on", "id"
    ).values_list(*columns):
        trade = trades.setdefault(row, _Closed(closed_on))
        if rate.table is not None and gain is not None:
            opened, closed = (acquired_on, closed_on) if side == "long" else (closed_on, acquired_on)
            got, paid = rate.convert(proceeds, closed or closed_on), rate.convert(cost, opened or closed_on)
            gain = None if got is None or paid is None else got - paid
        trade.gain = None if trade.gain is None or gain is None else trade.gain + gain
        if acquired_on is not None:
            trade.units += quantity
            trade.unit_days += quantity * (closed_on - acquired_on).days
    return list(trades.values())


def _name(day: dt.date, period: Period) -> str:
    if period == "all":
        return "all"
    if period == "quarter":
        return f"{day.year}-Q{(day.month + 2) // 3}"
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[period]]


def _figures(name: str, trades: list[_Closed]) -> TradeFigures:
    known = [trade.gain for trade in trades if trade.gain is not None]
    wins, losses = [gain for gain in known if gain > 0], [gain for gain in known if gain < 0]
    units = sum((trade.units for trade in trades), ZERO)
    found = TradeFigures(
        period=name,
        trades=len(trades),
        wins=len(wins),
        losses=len(losses),
        without_gain=len(trades) - len(known),
        realized_gain=to_money(sum(known, ZERO)),
        win_rate=to_money(Decimal(len(wins)) / len(known)) if known else None,
        average_win=to_money(sum(wins, ZERO) / len(wins)) if wins else None,
        average_loss=to_money(sum(losses, ZERO) / len(losses)) if losses else None,
        largest_win=to_money(max(wins)) if wins else None,
        largest_loss=to_money(min(losses)) if losses else None,
        profit_factor=to_money(sum(wins, ZERO) / -sum(losses, ZERO)) if losses else None,
        holding_days=to_money(sum((trade.unit_days for trade in trades), ZERO) / units) if units else None,
    )
    why = {
        "win_rate": "no_closed_trades", "average_win": "no_wins", "largest_win": "no_wins", "average_loss": "no_losses",
        "largest_loss": "no_losses", "profit_factor": "no_losses", "holding_days": "no_closed_trades",
    }  # fmt: skip
    found.reasons = {key: reason for key, reason in why.items() if getattr(found, key) is None}
    return found

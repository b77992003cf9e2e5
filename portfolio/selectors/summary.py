"""The headline figures of a portfolio or of one account."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum

from accounts.models import User
from portfolio.models import CashBalance, DailyValue, HoldingStep, RealizedGain
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.rates import rate_table
from portfolio.selectors.scope import Exchange, account_filter, exchange, standing
from stackmotive.common.money import MONEY_QUANTUM, to_money

ZERO = Decimal(0)
FLOWS = (
    "external_flow",
    "transfer_flow",
    "border_flow",
    "payments",
    "dividends",
    "interest",
    "income",
    "fees",
    "taxes",
)


@dataclass(frozen=True, slots=True)
class Summary:
    """In `currency`, at the close of as_of. A sum holds what is known; it is None where nothing is, and reasons says
    why.
    """

    currency: str
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    open_conflicts: int
    market_value: Decimal | None
    cash: Decimal | None
    in_transit: Decimal
    total_value: Decimal | None
    net_contribution: Decimal
    payments: Decimal
    total_gain: Decimal | None
    realized_gain: Decimal
    unrealized_gain: Decimal | None
    cost_basis: Decimal | None
    income: Decimal
    dividends: Decimal
    interest: Decimal
    fees: Decimal
    taxes: Decimal
    day_change: Decimal | None
    day_change_ratio: Decimal | None
    coverage: Decimal | None
    coverage_by_cost: Decimal | None
    unpriced: list[dict[str, Any]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CashRow:
    """amount_base: in the currency asked for; None where no rate is known."""

    account: UUID
    currency: str
    amount: Decimal
    amount_base: Decimal | None


def summary(
    *, user: User, currency: str | None = None, account: UUID | None = None, as_of: dt.date | None = None
) -> Summary:
    now = standing(user=user)
    rate = exchange(user=user, currency=currency)
    day = min(as_of, now.valued_on) if as_of else now.valued_on
    held = positions(user=user, account=account, as_of=day, currency=currency)
    cash = cash_rows(user=user, account=account, day=day, rate=rate, is_today=day >= now.valued_on)
    reasons: dict[str, str] = {}

    market_value = _money(_known(row.market_value_base for row in held))
    balance = _money(_known(row.amount_base for row in cash))
    total_value = None if market_value is None and balance is None else (market_value or ZERO) + (balance or ZERO)
    if held and market_value is None:
        reasons["market_value"] = "no_holding_has_a_value"
    if cash and balance is None:
        reasons["cash"] = "no_rate"
    if not held:
        market_value = ZERO
    if not cash:
        balance = ZERO
    if not held and not cash:
        total_value = ZERO
    transit = to_money(_in_transit(user, day, rate)) if account is None else ZERO
    if transit:
        total_value = (total_value or ZERO) + transit
    if total_value is None:
        reasons["total_value"] = "nothing_has_a_value"

    flows = flow_sums(user=user, account=account, until=day, rate=rate)
    contribution = to_money(flows["external_flow"]) - (ZERO if account else to_money(flows["transfer_flow"]))
    total_gain = None if total_value is None else total_value - contribution - to_money(flows["border_flow"])
    if total_gain is None:
        reasons["total_gain"] = "nothing_has_a_value"
    gains, unknown_gains = realized(user=user, account=account, until=day, rate=rate)
    if unknown_gains:
        reasons["realized_gain"] = "cost_unknown_for_some"
    unrealized = _known(row.unrealized_gain_base for row in held) if held else ZERO
    if any(row.unrealized_gain_base is None for row in held):
        reasons["unrealized_gain"] = next(row.reason for row in held if row.unrealized_gain_base is None) or "unknown"
    change, ratio = _day_change(user, account, day, rate)
    if change is None:
        reasons["day_change"] = reasons["day_change_ratio"] = "no_value_the_day_before"
    elif ratio is None:
        reasons["day_change_ratio"] = "no_value_the_day_before"
    return Summary(
        currency=rate.currency,
        as_of=day,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        open_conflicts=now.open_conflicts,
        market_value=market_value,
        cash=balance,
        in_transit=transit,
        total_value=total_value,
        net_contribution=contribution,
        payments=to_money(flows["payments"]),
        total_gain=total_gain,
        realized_gain=to_money(gains),
        unrealized_gain=_money(unrealized),
        cost_basis=_money(_known(row.cost_basis_base for row in held) if held else ZERO),
        income=to_money(flows["income"]),
        dividends=to_money(flows["dividends"]),
        interest=to_money(flows["interest"]),
        fees=to_money(flows["fees"]),
        taxes=to_money(flows["taxes"]),
        day_change=_money(change),
        day_change_ratio=ratio,
        coverage=_coverage(held, cash),
        coverage_by_cost=_coverage_by_cost(held),
        unpriced=_unpriced(held, cash),
        reasons=reasons,
    )


def _in_transit(user: User, day: dt.date, rate: Exchange) -> Decimal:
    """What is on its way between own accounts at the close of `day`."""
    moving = DailyValue.objects.visible_to(user).filter(date=day).aggregate(total=Sum("in_transit"))["total"]
    return rate.convert(moving, day) or ZERO if moving else ZERO


def _known(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, ZERO) if known else None


def _money(value: Decimal | None) -> Decimal | None:
    return None if value is None else to_money(value)


def cash_rows(*, user: User, account: UUID | None, day: dt.date, rate: Exchange, is_today: bool) -> list[CashRow]:
    """Balances at the close of `day`, in the currency asked for at that day's rate."""
    if is_today:
        stored = (
            CashBalance.objects.visible_to(user).filter(**account_filter(account)).order_by("account_id", "currency")
        )
        return [
            CashRow(row.account_id, row.currency, row.amount, rate.convert(row.amount_base, row.as_of))
            for row in stored
        ]
    steps = (
        HoldingStep.objects.visible_to(user)
        .filter(instrument=None, day__lte=day, **account_filter(account))
        .order_by("account_id", "currency", "-day")
        .distinct("account_id", "currency")
    )
    balances = list(steps.values_list("account_id", "currency", "quantity"))
    table = rate_table(user_id=user.pk, currencies={rate.currency, *(currency for _, currency, _ in balances)})
    rows = []
    for holder, currency, amount in balances:
        found = table.rate(currency, rate.currency, day)
        rows.append(CashRow(holder, currency, amount, None if found is None else amount * found.value))
    return rows


def flow_sums(*, user: User, account: UUID | None, until: dt.date, rate: Exchange) -> Mapping[str, Decimal]:
    """Sums of dated amounts up to `until`, each converted at the rate of its own day."""
    days = DailyValue.objects.visible_to(user).filter(date__lte=until, **account_filter(account))
    if rate.table is None:
        sums = days.aggregate(**{f"sum_{name}": Sum(name) for name in FLOWS})
        return {name: sums[f"sum_{name}"] or ZERO for name in FLOWS}
    totals = dict.fromkeys(FLOWS, ZERO)
    for date, *amounts in days.values_list("date", *FLOWS):
        if any(amounts):
            for name, amount in zip(FLOWS, amounts, strict=True):
                totals[name] += rate.convert(amount, date) or ZERO
    return totals


def realized(*, user: User, account: UUID | None, until: dt.date, rate: Exchange) -> tuple[Decimal, int]:
    """(gain realized up to `until`, how many sales are left out because a cost or rate is unknown)."""
    rows = RealizedGain.objects.visible_to(user).filter(closed_on__lte=until, **account_filter(account))
    unknown = rows.filter(gain_base=None).count()
    if rate.table is None:
        return rows.aggregate(total=Sum("gain_base"))["total"] or ZERO, unknown
    total = ZERO
    known = rows.filter(gain_base__isnull=False)
    for closed_on, acquired_on, proceeds, cost, side in known.values_list(
        "closed_on", "acquired_on", "proceeds_base", "cost_base", "side"
    ):
        opened, closed = (acquired_on, closed_on) if side == "long" else (closed_on, acquired_on)
        got, paid = rate.convert(proceeds, closed), rate.convert(cost, opened or closed_on)
        if got is None or paid is None:
            unknown += 1
        else:
            total += got - paid
    return total, unknown


def _day_change(
    user: User, account: UUID | None, day: dt.date, rate: Exchange
) -> tuple[Decimal | None, Decimal | None]:
    """(gain of the day, its share of the value the day before), flows taken out."""
    known = Sum("value") if account else Sum("value") + Sum("in_transit")
    rows = (
        DailyValue.objects.visible_to(user)
        .filter(date__in=(day - dt.timedelta(days=1), day), **account_filter(account))
        .values("date")
        .annotate(known=known, external=Sum("external_flow"), inside=Sum("transfer_flow"), border=Sum("border_flow"))
    )
    by_day = {row["date"]: row for row in rows}
    today, before = by_day.get(day), by_day.get(day - dt.timedelta(days=1))
    if today is None or today["known"] is None:
        return None, None
    opening = ZERO if before is None else before["known"]
    if opening is None:
        return None, None
    flow = today["external"] + today["border"] - (ZERO if account else today["inside"])
    value = rate.convert(today["known"], day)
    opened = rate.convert(opening, day - dt.timedelta(days=1))
    entered = rate.convert(flow, day)
    if value is None or opened is None or entered is None:
        return None, None
    change = value - opened - entered
    return change, (change / opened).quantize(MONEY_QUANTUM) if opened > 0 else None


def _coverage(held: list[PositionRow], cash: list[CashRow]) -> Decimal | None:
    """Known value with a price inside its horizon, over all known value."""
    sizes = [(abs(row.market_value_base), not row.is_stale) for row in held if row.market_value_base is not None]
    sizes += [(abs(row.amount_base), True) for row in cash if row.amount_base is not None]
    total = sum((size for size, _ in sizes), ZERO)
    if not total:
        return None if held else Decimal(1)
    return (sum((size for size, is_fresh in sizes if is_fresh), ZERO) / total).quantize(MONEY_QUANTUM)


def _coverage_by_cost(held: list[PositionRow]) -> Decimal | None:
    """Cost of the holdings that have a value, over the cost of all; None where no cost is known."""
    costs = [
        (abs(row.cost_basis_base), row.market_value_base is not None) for row in held if row.cost_basis_base is not None
    ]
    total = sum((cost for cost, _ in costs), ZERO)
    if not total:
        return None if held else Decimal(1)
    return (sum((cost for cost, is_valued in costs if is_valued), ZERO) / total).quantize(MONEY_QUANTUM)


def _unpriced(held: list[PositionRow], cash: list[CashRow]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "position": row.id, "account": row.account, "instrument": row.instrument, "symbol": row.symbol,
            "quantity": row.quantity, "cost_basis": row.cost_basis, "currency": row.currency, "reason": row.reason,
        }
        for row in held
        if row.market_value_base is None
    ]  # fmt: skip
    rows += [
        {
            "position": None, "account": row.account, "instrument": None, "symbol": row.currency,
            "quantity": row.amount,
            "cost_basis": None, "currency": row.currency, "reason": "no_rate",
        }
        for row in cash
        if row.amount_base is None
    ]  # fmt: skip
    return rows

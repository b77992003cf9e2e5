"""Storing computed figures where they differ from what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Q

from portfolio.derived_ids import derived_id, derived_uuid
from portfolio.ledger_rows import Holding
from portfolio.lots import Amounts, Lot, RealizedGain
from portfolio.models import CashBalance, DailyValue, HoldingStep, Position, ValueSeries
from portfolio.models import Lot as LotRow
from portfolio.models import RealizedGain as RealizedGainRow
from portfolio.services.daily_values import daily_values
from portfolio.services.diff_write import Scope, copy_rows, diff_write
from portfolio.services.drafts import Figures
from portfolio.services.stored_series import columns_of, digest_of
from stackmotive.common.money import MONEY_QUANTUM, RECORDED_QUANTUM

ZERO = Decimal(0)
NONE = Amounts(ZERO, ZERO, ZERO)


def write(figures: Figures) -> None:
    """Store what differs from what is stored."""
    _write_lots(figures)
    _write_steps(figures)
    _write_positions(figures)
    _write_cash(figures)
    _write_series(figures)
    _write_daily_values(figures)


def recorded(value: Decimal | None) -> Decimal | None:
    """Rounded half-even to what a RecordedField holds."""
    return value.quantize(RECORDED_QUANTUM, ROUND_HALF_EVEN) if value else None if value is None else ZERO


def money(value: Decimal | None) -> Decimal | None:
    """Rounded half-even to what a MoneyField holds."""
    return value.quantize(MONEY_QUANTUM, ROUND_HALF_EVEN) if value else None if value is None else ZERO


OWNED = "t.user_id = %s"


def _of_instruments(figures: Figures) -> Scope:
    """The stored rows of instruments that were computed."""
    touched = figures.touched
    if touched.is_all:
        return f"{OWNED} AND t.instrument_id IS NOT NULL", [figures.user.pk]
    return f"{OWNED} AND t.instrument_id = ANY(%s)", [figures.user.pk, list(touched.instruments)]


def _of_accounts(figures: Figures, *, day: str | None, also: str = "") -> Scope:
    """The stored rows of accounts that were computed: those from their first computed day on, by the column `day`."""
    touched = figures.touched
    if touched.is_all:
        return f"{OWNED}{also}", [figures.user.pk]
    each = "t.account_id = %s" if day is None else f"t.account_id = %s AND t.{day} >= %s"
    values: list[Any] = [figures.user.pk]
    for account, since in touched.since.items():
        values += [account] if day is None else [account, since]
    alternatives = " OR ".join([each] * len(touched.since)) or "FALSE"
    return f"{OWNED}{also} AND ({alternatives})", values


LOT_COLUMNS = [
    "id",
    "user_id",
    "account_id",
    "instrument_id",
    "opened_by",
    "acquired_on",
    "held_from",
    "quantity",
    "currency",
    "cost",
    "fee",
    "tax",
    "cost_base",
]
GAIN_COLUMNS = [
    "id",
    "user_id",
    "account_id",
    "instrument_id",
    "closed_by",
    "opened_by",
    "acquired_on",
    "closed_on",
    "quantity",
    "currency",
    "proceeds",
    "proceeds_fee",
    "proceeds_tax",
    "cost",
    "cost_fee",
    "cost_tax",
    "gain",
    "proceeds_base",
    "cost_base",
    "gain_base",
    "fx_gain_base",
    "side",
]


def _write_lots(figures: Figures) -> None:
    lots, gains = [], []
    user = str(figures.user.pk)
    for instrument, found in figures.held.items():
        asset = str(instrument)
        lots += [_lot(user, asset, lot) for lot in (*found.lots.open, *found.lots.in_transit)]
        seen: dict[str, int] = defaultdict(int)
        gains += [_gain(user, asset, gain, seen) for gain in found.lots.realized]
    diff_write(LotRow, columns=LOT_COLUMNS, key=["id"], rows=lots, scope=_of_instruments(figures))
    diff_write(RealizedGainRow, columns=GAIN_COLUMNS, key=["id"], rows=gains, scope=_of_instruments(figures))


def _row_id(text: str) -> str:
    """The ledger row of an entry: a part or a fee carries its row's id before a mark."""
    return text[:36]


def _lot(user: str, instrument: str, lot: Lot) -> tuple[Any, ...]:
    cost, opened_by = lot.cost, _row_id(lot.opened_by)
    return (
        derived_id(opened_by, "lot", lot.id, lot.account), user, lot.account, instrument,
        opened_by, lot.acquired_on, lot.opened_on, recorded(lot.quantity), lot.currency,
        recorded(cost.total if cost else None), recorded(cost.fee if cost else ZERO),
        recorded(cost.tax if cost else ZERO),
        recorded(lot.base_cost.total if lot.base_cost else None),
    )  # fmt: skip


def _gain(user: str, instrument: str, gain: RealizedGain, seen: dict[str, int]) -> tuple[Any, ...]:
    mark = f"{gain.entry_id}/{gain.lot_id}"
    seen[mark] += 1
    closed_by = _row_id(gain.entry_id)
    proceeds = gain.proceeds or NONE
    cost = gain.cost if gain.currency == gain.cost_currency else None
    of_cost = cost or NONE
    return (
        derived_id(closed_by, "gain", mark, seen[mark]), user, gain.account, instrument, closed_by,
        _row_id(gain.opened_by) if gain.opened_by else None, gain.acquired_on, gain.day,
        recorded(gain.quantity), gain.currency, recorded(gain.proceeds.net if gain.proceeds else None),
        recorded(proceeds.fee), recorded(proceeds.tax), recorded(cost.total if cost else None),
        recorded(of_cost.fee), recorded(of_cost.tax), recorded(gain.gain()),
        recorded(gain.base_proceeds.net if gain.base_proceeds else None),
        recorded(gain.base_cost.total if gain.base_cost else None), recorded(gain.base_gain()), recorded(gain.fx_gain),
        gain.side,
    )  # fmt: skip


STEP_COLUMNS = ["user_id", "account_id", "instrument_id", "currency", "day", "quantity", "cost", "cost_base"]


def _write_steps(figures: Figures) -> None:
    user = str(figures.user.pk)
    for is_cash in (False, True):
        rows = [
            (
                user, account, instrument, step.currency, step.day, recorded(step.quantity), recorded(step.cost),
                recorded(step.cost_base),
            )
            for holding in figures.lines
            if (holding.instrument is None) is is_cash
            for account, instrument in [(str(holding.account), None if is_cash else str(holding.instrument))]
            for step in figures.steps(holding)
            if not is_cash or step.day >= figures.starts(holding.account)
        ]  # fmt: skip
        diff_write(
            HoldingStep,
            columns=STEP_COLUMNS,
            key=["account_id", "currency" if is_cash else "instrument_id", "day"],
            rows=rows,
            scope=_of_accounts(figures, day="day", also=" AND t.instrument_id IS NULL")
            if is_cash
            else _of_instruments(figures),
        )


POSITION_COLUMNS = [
    "id",
    "user_id",
    "account_id",
    "instrument_id",
    "listing_id",
    "quantity",
    "currency",
    "cost_basis",
    "cost_basis_base",
    "average_cost",
    "price",
    "price_as_of",
    "price_provider",
    "market_value",
    "market_value_base",
    "unrealized_gain",
    "unrealized_gain_base",
    "realized_gain_base",
    "income_base",
    "unexplained_quantity",
    "reported_as_of",
    "missing_quantity",
    "day_change_base",
    "is_stale",
    "reason",
    "as_of",
]


def _write_positions(figures: Figures) -> None:
    rows = list(_positions(figures))
    diff_write(
        Position,
        columns=POSITION_COLUMNS,
        key=["account_id", "instrument_id"],
        rows=[[row[name] for name in POSITION_COLUMNS] for row in rows],
        scope=_of_instruments(figures),
    )


def _positions(figures: Figures) -> Iterator[dict[str, Any]]:
    realized = _realized_by_holding(figures)
    for holding in figures.lines:
        if holding.instrument is None:
            continue
        steps = figures.steps(holding)
        missing = figures.held[holding.instrument].missing.get(str(holding.account), ZERO) if steps else ZERO
        if not steps or (not steps[-1].quantity and not missing):
            continue
        yield _position(figures, holding, realized.get(holding, ZERO), missing)


def _realized_by_holding(figures: Figures) -> dict[Holding, Decimal | None]:
    realized: dict[Holding, Decimal | None] = {}
    for instrument, found in figures.held.items():
        totals: dict[str, Decimal | None] = {}
        for gain in found.lots.realized:
            before, amount = totals.get(gain.account, ZERO), gain.base_gain()
            totals[gain.account] = None if before is None or amount is None else before + amount
        realized |= {Holding(UUID(account), instrument): total for account, total in totals.items()}
    return realized


def _position(figures: Figures, holding: Holding, realized: Decimal | None, missing: Decimal) -> dict[str, Any]:
    line, step = figures.lines[holding], figures.steps(holding)[-1]
    quantity = step.quantity
    cost = step.cost if step.currency == line.currency else None
    cost_base = step.cost_base
    rate = figures.rate(line.currency, figures.today)
    price = line.close.close if line.close else None
    value = None if price is None else quantity * price * line.multiplier
    value_base = None if value is None or rate is None else value * rate
    income = sum(figures.flows.by_holding.get(holding, {}).get("income", {}).values(), ZERO)
    reason = ""
    if price is None:
        reason = "no_price"
    elif rate is None:
        reason = "no_rate"
    elif cost_base is None:
        reason = "opening_cost_unknown" if holding in figures.unexplained else "cost_unknown"
    elif cost is None and quantity:
        reason = "cost_in_another_currency"
    return {
        "id": derived_uuid(holding.account, "position", holding.instrument),
        "user_id": figures.user.pk,
        "account_id": holding.account,
        "instrument_id": holding.instrument,
        "listing_id": line.listing,
        "quantity": recorded(quantity),
        "currency": line.currency,
        "cost_basis": money(cost),
        "cost_basis_base": money(cost_base),
        "average_cost": recorded(cost / quantity) if cost is not None and quantity else ZERO if not quantity else None,
        "price": recorded(price),
        "price_as_of": line.close.date if line.close else None,
        "price_provider": line.close.provider if line.close else "",
        "market_value": money(value),
        "market_value_base": money(value_base),
        "unrealized_gain": money(value - cost) if value is not None and cost is not None else None,
        "unrealized_gain_base": money(value_base - cost_base)
        if value_base is not None and cost_base is not None
        else None,
        "realized_gain_base": money(realized),
        "income_base": money(income),
        "unexplained_quantity": recorded(figures.unexplained.get(holding, ZERO)),
        "reported_as_of": figures.reported.get(holding),
        "missing_quantity": recorded(missing),
        "day_change_base": money(_day_change(figures, holding)),
        "is_stale": line.close is not None and (figures.today - line.close.date).days > line.horizon,
        "reason": reason,
        "as_of": figures.today,
    }


def _day_change(figures: Figures, holding: Holding) -> Decimal | None:
    """Today's gain of a holding: its value less yesterday's and less what went into it; None where unknown."""
    series = figures.series[holding]
    flows = figures.flows.by_holding.get(holding, {})
    entered = sum((flows.get(kind, {}).get(figures.today, ZERO) for kind in ("internal", "external")), ZERO)
    before = series.value[-2] if series.value.size > 1 else 0.0
    if np.isnan(series.value[-1]) or np.isnan(before):
        return None
    return Decimal(repr(float(series.value[-1]))) - Decimal(repr(float(before))) - entered


CASH_COLUMNS = [
    "user_id",
    "account_id",
    "currency",
    "amount",
    "amount_base",
    "unexplained_amount",
    "reported_as_of",
    "as_of",
]


def _write_cash(figures: Figures) -> None:
    rows = []
    for holding in figures.lines:
        steps = figures.steps(holding) if holding.instrument is None else []
        if not steps:
            continue
        amount = steps[-1].quantity
        rate = figures.rate(holding.currency, figures.today)
        rows.append(
            (
                figures.user.pk, holding.account, holding.currency, recorded(amount),
                money(None if rate is None else amount * rate), recorded(figures.unexplained.get(holding, ZERO)),
                figures.reported.get(holding), figures.today,
            )
        )  # fmt: skip
    diff_write(
        CashBalance,
        columns=CASH_COLUMNS,
        key=["account_id", "currency"],
        rows=rows,
        scope=_of_accounts(figures, day=None),
    )


SERIES_COLUMNS = [
    "user_id",
    "account_id",
    "instrument_id",
    "currency",
    "first_day",
    "quantity",
    "value",
    "external_flow",
    "internal_flow",
    "transfer_flow",
    "border_flow",
    "income",
    "fees",
    "is_fresh",
    "digest",
]
SERIES_TYPES = ["uuid", "uuid", "uuid", "text", "date", *["bytea"] * 9, "text"]


def _write_series(figures: Figures) -> None:
    touched = figures.touched
    computed = ValueSeries.objects.filter(user=figures.user)
    if not touched.is_all:
        computed = computed.filter(
            Q(instrument__in=touched.instruments) | Q(instrument=None, account__in=touched.since)
        )
    stored = {
        Holding(account, instrument, currency): (pk, digest)
        for pk, account, instrument, currency, digest in computed.values_list(
            "pk", "account_id", "instrument_id", "currency", "digest"
        )
    }
    rows = {}
    for holding, series in figures.series.items():
        columns = columns_of(figures, series)
        digest = digest_of(series.first_day, columns)
        if holding not in stored or stored[holding][1] != digest:
            rows[holding] = (figures.user.pk, *holding, series.first_day, *columns, digest)
    replaced = [pk for holding, (pk, _) in stored.items() if holding in rows or holding not in figures.series]
    if replaced:
        ValueSeries.objects.filter(pk__in=replaced).delete()
    if rows:
        copy_rows(ValueSeries._meta.db_table, SERIES_COLUMNS, rows.values(), types=SERIES_TYPES)


DAY_COLUMNS = [
    "user_id",
    "account_id",
    "date",
    "value",
    "cash",
    "external_flow",
    "transfer_flow",
    "border_flow",
    "in_transit",
    "payments",
    "dividends",
    "interest",
    "income",
    "fees",
    "taxes",
    "unpriced_count",
]


def _write_daily_values(figures: Figures) -> None:
    diff_write(
        DailyValue,
        columns=DAY_COLUMNS,
        key=["account_id", "date"],
        rows=(
            (figures.user.pk, day.account, day.date, *map(money, day.amounts), day.unpriced_count)
            for day in daily_values(figures)
        ),
        scope=_of_accounts(figures, day="date"),
    )

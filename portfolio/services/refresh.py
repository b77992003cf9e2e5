"""Bringing a user's figures up to their ledger: lots, positions, cash, daily series and values, written where they differ."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection, transaction
from django.db.models import F, Q

from accounts.facts import market_number
from accounts.models import User
from federation.models import Conflict, LedgerState
from ingestion.models import Content
from ingestion.services import finish_runs
from notifications import push
from portfolio.derived_ids import derived_uuid
from portfolio.ledger_rows import Holding
from portfolio.lots import Amounts, Lot, RealizedGain
from portfolio.models import (
    CashBalance,
    DailyValue,
    FigureState,
    HoldingStep,
    Position,
    ValueSeries,
)
from portfolio.models import Lot as LotRow
from portfolio.models import RealizedGain as RealizedGainRow
from portfolio.series import pack
from portfolio.services.diff_write import diff_write
from portfolio.services.figures import KINDS, Figures, Series, column, compute
from portfolio.services.prices import derive_broker_marks
from portfolio.valuation_day import valuation_day
from stackmotive.common.money import MONEY_QUANTUM, RECORDED_QUANTUM

ZERO = Decimal(0)
REFRESH_LOCK = 7_302  # class of advisory locks; the object is the user


def refresh(*, user_id: UUID, everything: bool = False) -> bool:
    """Bring the figures of one user up to their ledger, prices, rates and the day. True if anything was behind.

    One at a time for each user: a second call returns at once, and the first looks again before it ends.
    """
    worked = False
    while True:
        since, version, done = _refresh_once(user_id=user_id, everything=everything)
        if not done:
            break
        worked, everything = True, False
        push.portfolio(user_id=user_id, ledger_version=version, since=since.isoformat() if since else None)
    end_runs(user_id=user_id)
    return worked


def end_runs(*, user_id: UUID) -> None:
    """End the imports whose facts ledger and figures now include."""
    state = LedgerState.objects.filter(pk=user_id).first()
    if state is None or state.valued_version < state.ledger_version or state.dirty_from is not None:
        return
    held = Conflict.objects.filter(user_id=user_id, kind="mass_withdrawal", status=Conflict.Status.OPEN)
    contents = Content.objects.filter(
        source__user_id=user_id, coverage__in=[int(key) for key in map(_last_part, held.values_list("key", flat=True)) if key]
    )
    finish_runs(
        user_id=user_id,
        fact_number=state.facts_version,
        ledger_version=state.valued_version,
        held_contents=set(contents.values_list("pk", flat=True)) if held else (),
    )


def _last_part(key: str) -> str:
    """The coverage id of `coverage:<id>`."""
    name = key.rpartition(":")[2]
    return name if name.isascii() and name.isdigit() else ""


@transaction.atomic
def _refresh_once(*, user_id: UUID, everything: bool) -> tuple[dt.date | None, int, bool]:
    """(first day that was behind, ledger version included, whether anything was done)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [REFRESH_LOCK, str(user_id)])
        row = cursor.fetchone()
    state = LedgerState.objects.filter(pk=user_id).first()
    if row is None or not row[0] or state is None:
        return None, 0, False
    user = User.objects.get(pk=user_id)
    today, market = valuation_day(user), market_number()
    done, _created = FigureState.objects.get_or_create(pk=user_id)
    is_behind = (
        everything
        or state.dirty_from is not None
        or state.valued_version < state.ledger_version
        or done.valued_on != today
        or done.base_currency != user.base_currency
        or done.market_number < market
    )
    if not is_behind:
        return None, 0, False
    derive_broker_marks(user_id=user_id)
    write(compute(user=user, today=today))
    FigureState.objects.filter(pk=user_id).update(
        valued_on=today, base_currency=user.base_currency, market_number=market
    )
    LedgerState.objects.filter(pk=user_id).update(valued_version=state.ledger_version, market_version=market)
    # Whatever became dirty while this ran stays so.
    LedgerState.objects.filter(
        Q(dirty_since=state.dirty_since), pk=user_id, ledger_version=F("valued_version")
    ).update(dirty_from=None, dirty_since=None)
    return state.dirty_from, state.ledger_version, True


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
    return None if value is None else value.quantize(RECORDED_QUANTUM, rounding=ROUND_HALF_EVEN)


def money(value: Decimal | None) -> Decimal | None:
    """Rounded half-even to what a MoneyField holds."""
    return None if value is None else value.quantize(MONEY_QUANTUM, rounding=ROUND_HALF_EVEN)


OWNED = "t.user_id = %s"
LOT_COLUMNS = (
    "id user_id account_id instrument_id opened_by acquired_on held_from quantity currency cost fee tax cost_base"
).split()
GAIN_COLUMNS = (
    "id user_id account_id instrument_id closed_by opened_by acquired_on closed_on quantity currency proceeds"
    " proceeds_fee proceeds_tax cost cost_fee cost_tax gain proceeds_base cost_base gain_base fx_gain_base side"
).split()


def _write_lots(figures: Figures) -> None:
    lots, gains = [], []
    for instrument, found in figures.held.items():
        lots += [_lot(figures, instrument, lot) for lot in (*found.lots.open, *found.lots.in_transit)]
        seen: dict[str, int] = defaultdict(int)
        for gain in found.lots.realized:
            gains.append(_gain(figures, instrument, gain, seen))
    diff_write(
        LotRow, columns=LOT_COLUMNS, key=["id"], rows=lots, scope=OWNED, scope_values=[figures.user.pk]
    )
    diff_write(
        RealizedGainRow, columns=GAIN_COLUMNS, key=["id"], rows=gains, scope=OWNED, scope_values=[figures.user.pk]
    )


def _row_id(text: str) -> UUID:
    """The ledger row of an entry: a part or a fee carries its row's id before a mark."""
    return UUID(text[:36])


def _lot(figures: Figures, instrument: UUID, lot: Lot) -> tuple[Any, ...]:
    cost = lot.cost
    return (
        derived_uuid(_row_id(lot.opened_by), "lot", lot.id, lot.account), figures.user.pk, UUID(lot.account), instrument,
        _row_id(lot.opened_by), lot.acquired_on, lot.opened_on, recorded(lot.quantity), lot.currency,
        recorded(cost.total if cost else None), recorded(cost.fee if cost else ZERO), recorded(cost.tax if cost else ZERO),
        recorded(lot.base_cost.total if lot.base_cost else None),
    )  # fmt: skip


def _part(amounts: Amounts | None, name: str) -> Decimal | None:
    return recorded(ZERO if amounts is None else getattr(amounts, name))


def _gain(figures: Figures, instrument: UUID, gain: RealizedGain, seen: dict[str, int]) -> tuple[Any, ...]:
    mark = f"{gain.entry_id}/{gain.lot_id}"
    seen[mark] += 1
    cost = gain.cost if gain.currency == gain.cost_currency else None
    return (
        derived_uuid(_row_id(gain.entry_id), "gain", mark, seen[mark]), figures.user.pk, UUID(gain.account), instrument,
        _row_id(gain.entry_id), _row_id(gain.opened_by) if gain.opened_by else None, gain.acquired_on, gain.day,
        recorded(gain.quantity), gain.currency, recorded(gain.proceeds.net if gain.proceeds else None),
        _part(gain.proceeds, "fee"), _part(gain.proceeds, "tax"), recorded(cost.total if cost else None),
        _part(cost, "fee"), _part(cost, "tax"), recorded(gain.gain()),
        recorded(gain.base_proceeds.net if gain.base_proceeds else None),
        recorded(gain.base_cost.total if gain.base_cost else None), recorded(gain.base_gain()), recorded(gain.fx_gain),
        gain.side,
    )  # fmt: skip


STEP_COLUMNS = "user_id account_id instrument_id currency day quantity cost cost_base".split()


def _write_steps(figures: Figures) -> None:
    for is_cash in (False, True):
        rows = [
            (
                figures.user.pk, holding.account, holding.instrument, step.currency, step.day, recorded(step.quantity),
                recorded(step.cost), recorded(step.cost_base),
            )
            for holding in figures.lines
            if (holding.instrument is None) is is_cash
            for step in figures.steps(holding)
        ]  # fmt: skip
        diff_write(
            HoldingStep,
            columns=STEP_COLUMNS,
            key=["account_id", "currency" if is_cash else "instrument_id", "day"],
            rows=rows,
            scope=f"{OWNED} AND t.instrument_id IS {'' if is_cash else 'NOT '}NULL",
            scope_values=[figures.user.pk],
        )


POSITION_COLUMNS = (
    "id user_id account_id instrument_id listing_id quantity currency cost_basis cost_basis_base average_cost price"
    " price_as_of price_provider market_value market_value_base unrealized_gain unrealized_gain_base realized_gain_base"
    " income_base unexplained_quantity reported_as_of missing_quantity day_change_base weight is_stale reason as_of"
).split()


def _write_positions(figures: Figures) -> None:
    rows = [row for row in map(dict, _positions(figures))]
    known = sum((abs(row["market_value_base"]) for row in rows if row["market_value_base"] is not None), ZERO)
    for row in rows:
        if row["market_value_base"] is not None and known:
            row["weight"] = (row["market_value_base"] / known).quantize(MONEY_QUANTUM)
    diff_write(
        Position,
        columns=POSITION_COLUMNS,
        key=["account_id", "instrument_id"],
        rows=[[row[name] for name in POSITION_COLUMNS] for row in rows],
        scope=OWNED,
        scope_values=[figures.user.pk],
    )


def _positions(figures: Figures) -> Iterator[dict[str, Any]]:
    realized = _realized_by_holding(figures)
    for holding, line in figures.lines.items():
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
        for gain in found.lots.realized:
            holding = Holding(UUID(gain.account), instrument)
            before, amount = realized.get(holding, ZERO), gain.base_gain()
            realized[holding] = None if before is None or amount is None else before + amount
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
        "unrealized_gain_base": money(value_base - cost_base) if value_base is not None and cost_base is not None else None,
        "realized_gain_base": money(realized),
        "income_base": money(income),
        "unexplained_quantity": recorded(figures.unexplained.get(holding, ZERO)),
        "reported_as_of": figures.reported.get(holding),
        "missing_quantity": recorded(missing),
        "day_change_base": money(_day_change(figures, holding)),
        "weight": None,
        "is_stale": line.close is not None and (figures.today - line.close.date).days > line.horizon,
        "reason": reason,
        "as_of": figures.today,
    }


def _day_change(figures: Figures, holding: Holding) -> Decimal | None:
    """Today's gain of a holding: its value less yesterday's and less what went into it; None where either is unknown."""
    series = figures.series[holding]
    flows = figures.flows.by_holding.get(holding, {})
    entered = sum((flows.get(kind, {}).get(figures.today, ZERO) for kind in ("internal", "external")), ZERO)
    before = series.value[-2] if series.value.size > 1 else 0.0
    if np.isnan(series.value[-1]) or np.isnan(before):
        return None
    return Decimal(repr(float(series.value[-1]))) - Decimal(repr(float(before))) - entered


CASH_COLUMNS = "user_id account_id currency amount amount_base unexplained_amount reported_as_of as_of".split()


def _write_cash(figures: Figures) -> None:
    rows = []
    for holding in figures.flows.cash:
        amount = figures.cash_steps(holding)[-1].quantity
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
        scope=OWNED,
        scope_values=[figures.user.pk],
    )


SERIES_COLUMNS = (
    "user_id account_id instrument_id currency first_day quantity value external_flow internal_flow transfer_flow"
    " border_flow income fees is_fresh digest"
).split()


def _write_series(figures: Figures) -> None:
    stored = dict(
        ((account, instrument, currency), digest)
        for account, instrument, currency, digest in ValueSeries.objects.filter(user=figures.user).values_list(
            "account_id", "instrument_id", "currency", "digest"
        )
    )
    wanted = set()
    changed: list[ValueSeries] = []
    for holding, series in figures.series.items():
        place = (holding.account, holding.instrument, holding.currency)
        wanted.add(place)
        row = _series_row(figures, holding, series)
        if stored.get(place) != row.digest:
            changed.append(row)
    gone = stored.keys() - wanted
    for account, instrument, currency in gone | {(row.account_id, row.instrument_id, row.currency) for row in changed}:
        if (account, instrument, currency) in stored:
            ValueSeries.objects.filter(account=account, instrument=instrument, currency=currency).delete()
    ValueSeries.objects.bulk_create(changed, batch_size=200)


def _series_row(figures: Figures, holding: Holding, series: Series) -> ValueSeries:
    flows = figures.flows.by_holding.get(holding, {})
    columns = {
        "quantity": pack(series.quantity),
        "value": pack(series.value),
        "external_flow": pack(column(series, flows.get("external", {}))),
        "internal_flow": pack(column(series, flows.get("internal", {}))),
        "transfer_flow": pack(column(series, flows.get("transfer", {}))),
        "border_flow": pack(column(series, series.border)),
        "income": pack(column(series, flows.get("income", {}))),
        "fees": pack(column(series, flows.get("fees", {}))),
        "is_fresh": series.is_fresh.astype("u1").tobytes(),
    }
    digest = hashlib.sha256(series.first_day.isoformat().encode() + b"".join(columns.values())).hexdigest()
    return ValueSeries(
        user=figures.user,
        account_id=holding.account,
        instrument_id=holding.instrument,
        currency=holding.currency,
        first_day=series.first_day,
        digest=digest,
        **columns,
    )


DAY_COLUMNS = (
    "user_id account_id date value cash external_flow transfer_flow border_flow dividends interest income fees taxes"
    " unpriced_count"
).split()


def _write_daily_values(figures: Figures) -> None:
    diff_write(
        DailyValue,
        columns=DAY_COLUMNS,
        key=["account_id", "date"],
        rows=_daily_values(figures),
        scope=OWNED,
        scope_values=[figures.user.pk],
    )


def _daily_values(figures: Figures) -> Iterator[tuple[Any, ...]]:
    by_account: dict[UUID, list[tuple[Holding, Series]]] = defaultdict(list)
    for holding, series in figures.series.items():
        by_account[holding.account].append((holding, series))
    for account, members in by_account.items():
        first = min(series.first_day for _, series in members)
        days = (figures.today - first).days + 1
        value, cash, size = np.zeros(days), np.zeros(days), np.zeros(days)
        unknown = np.zeros(days, dtype=np.int64)
        flows: dict[str, dict[dt.date, Decimal]] = {name: defaultdict(Decimal) for name in (*KINDS, "border")}
        for holding, series in members:
            start = (series.first_day - first).days
            known = np.nan_to_num(series.value, nan=0.0)
            value[start:] += known
            size[start:] += np.abs(known)
            if holding.instrument is None:
                cash[start:] += known
            unknown[start:] += np.isnan(series.value)
            for kind in KINDS:
                for day, amount in figures.flows.by_holding.get(holding, {}).get(kind, {}).items():
                    flows[kind][day] += amount
            for day, amount in series.border.items():
                flows["border"][day] += amount
        exact = _exact_value(figures, account)
        for place in range(days):
            day = first + dt.timedelta(days=place)
            worth: Decimal | None = Decimal(repr(float(value[place])))
            if unknown[place] and not size[place]:
                worth = None
            elif place == days - 1:
                worth = exact
            yield (
                figures.user.pk, account, day, money(worth), money(Decimal(repr(float(cash[place])))),
                *(money(flows[kind].get(day, ZERO)) for kind in ("external", "transfer", "border", "dividends")),
                *(money(flows[kind].get(day, ZERO)) for kind in ("interest", "income", "fees", "taxes")),
                int(unknown[place]),
            )  # fmt: skip


def _exact_value(figures: Figures, account: UUID) -> Decimal:
    """Today's known value of an account, in Decimal."""
    total = ZERO
    for holding, line in figures.lines.items():
        steps = figures.steps(holding)
        rate = figures.rate(line.currency, figures.today)
        if holding.account != account or not steps or rate is None:
            continue
        if holding.instrument is None:
            total += steps[-1].quantity * rate
        elif line.close is not None:
            total += steps[-1].quantity * line.close.close * line.multiplier * rate
    return total

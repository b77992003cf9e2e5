"""Every figure of an open lot and of a realized gain."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from portfolio.explain.quotes import split_ratios
from portfolio.explain.rows import row_words
from portfolio.explain.sight import Sight
from portfolio.explain.tree import (
    MONEY_PLACES,
    RECORDED_PLACES,
    Node,
    Ref,
    added,
    given,
    less,
    over,
    row_ref,
    times,
)
from portfolio.ledger_rows import LedgerRow, base_rate, lot_entry
from portfolio.models import Lot, RealizedGain

LOT_FIGURES: Final = ("quantity", "cost", "cost_base", "fee", "tax")
GAIN_FIGURES: Final = (
    "quantity", "proceeds", "proceeds_fee", "proceeds_tax", "cost", "cost_fee", "cost_tax", "gain", "proceeds_base",
    "cost_base", "gain_base", "fx_gain_base",
)  # fmt: skip
LABELS: Final = {
    "quantity": "Units", "cost": "Cost with fee and tax", "cost_base": "Cost at the rate of its day", "fee": "Fee in it",
    "tax": "Tax in it", "proceeds": "Proceeds after fee and tax", "proceeds_fee": "Fee off the proceeds",
    "proceeds_tax": "Tax off the proceeds", "cost_fee": "Fee in the cost", "cost_tax": "Tax in the cost", "gain": "Gain",
    "proceeds_base": "Proceeds at the rate of their day", "gain_base": "Gain", "fx_gain_base": "Part of it from currencies",
}  # fmt: skip


def lot_figure(sight: Sight, name: str, lot: Lot) -> Node | None:
    if name not in LOT_FIGURES:
        return None
    value = getattr(lot, name)
    unit = "units" if name == "quantity" else sight.rate.base if name == "cost_base" else lot.currency
    if value is None:
        return given(LABELS[name], None, unit, ref=Ref("lot", str(lot.pk)), reason="cost_unknown")
    rows = _rows_of(sight, lot.instrument_id)
    opened = next((row for row in rows if row.id == lot.opened_by), None)
    part = None if opened is None else _share(sight, opened, name, unit, lot.quantity, rows)
    whole = None if part is None else times(LABELS[name], unit, [part], places=RECORDED_PLACES)
    if whole is not None and whole.value == value:
        return whole
    return _by_the_pass(LABELS[name], value, unit, rows, until=lot.held_from, ref=Ref("lot", str(lot.pk)))


def gain_figure(sight: Sight, name: str, gain: RealizedGain) -> Node | None:
    if name not in GAIN_FIGURES:
        return None
    value = getattr(gain, name)
    is_base = name.endswith("_base")
    unit = "units" if name == "quantity" else sight.rate.base if is_base else gain.currency
    ref = Ref("realized_gain", str(gain.pk))
    label = LABELS[name]
    if value is None:
        return given(label, None, unit, ref=ref, reason="cost_unknown_for_some")
    rows = _rows_of(sight, gain.instrument_id)
    if name in ("gain", "gain_base"):
        end = "_base" if is_base else ""
        sides = [_side(sight, f"{part}{end}", gain, unit, rows) for part in ("proceeds", "cost")]
        whole = less(label, unit, [side for side in sides if side is not None], places=RECORDED_PLACES)
        if None not in sides and whole.value == value:
            return whole
    elif name != "fx_gain_base":
        side = _side(sight, name, gain, unit, rows)
        if side is not None and (whole := times(label, unit, [side], places=RECORDED_PLACES)).value == value:
            return whole
    return _by_the_pass(label, value, unit, rows, until=gain.closed_on, ref=ref)


def _side(sight: Sight, name: str, gain: RealizedGain, unit: str, rows: Sequence[LedgerRow]) -> Node | None:
    """What the sale brought, or the purchase cost, of the units of a gain; None where no one row says it."""
    of_close = name.startswith("proceeds") == (gain.side == "long") or name == "quantity"
    row = next((row for row in rows if row.id == (gain.closed_by if of_close else gain.opened_by)), None)
    return None if row is None else _share(sight, row, name, unit, gain.quantity, rows, until=gain.closed_on)


def _rows_of(sight: Sight, instrument: UUID) -> list[LedgerRow]:
    return [row for row in sight.rows if row.instrument == instrument]


def _share(
    sight: Sight,
    row: LedgerRow,
    name: str,
    unit: str,
    quantity: Decimal,
    rows: Sequence[LedgerRow],
    *,
    until: date | None = None,
) -> Node | None:
    """The part of what a row paid or received that belongs to `quantity` of its units; None where that cannot be said
    of one row alone.
    """
    if not row.quantity or row.kind not in ("buy", "sell"):
        return None
    day = until or sight.day
    grown = [ratio for on, ratio in split_ratios(rows) if row.day < on <= day]
    moved = given("Units of the row", abs(row.quantity), "units", ref=row_ref(row.id), on=row.day)
    after = times(
        "Units of the row, after splits since", "units", [moved, *(given("Split", one, "ratio") for one in grown)]
    )
    if name == "quantity":
        is_whole = after.value == abs(quantity)
        return times("Units", "units", [moved, *(given("Split", one, "ratio") for one in grown)]) if is_whole else None
    paid = _paid(sight, row, name)
    if paid is None or not after.value:
        return None
    mine = given("Units of this part", abs(quantity), "units")
    kept = paid.value is not None and after.value == mine.value
    parts = [paid] if kept else [paid, over("Its share of the row", "ratio", mine, after)]
    if name.endswith("_base"):
        parts.append(_rate(sight, row))
    label = f"{LABELS[name]}: {row_words(row).lower()}"
    return times(label, unit, parts, ref=row_ref(row.id), on=row.day)


def _paid(sight: Sight, row: LedgerRow, name: str) -> Node | None:
    """What the row cost or brought as a whole, in its own currency."""
    entry = lot_entry(row, base=sight.rate.base, rate_on=sight.rate_on)
    ref = row_ref(row.id)
    if name.endswith("fee"):
        return given("Fee of the row", entry.fee, row.currency, ref=ref)
    if name.endswith("tax"):
        return given("Tax of the row", entry.tax, row.currency, ref=ref)
    if entry.cash_amount is not None:
        amount = given("Amount of the row", abs(entry.cash_amount), row.currency, ref=ref, on=row.day)
        if entry.fee_in_cash or not entry.fee:
            return amount
        fee = given("Fee paid apart", entry.fee, row.currency, ref=ref)
        label = "Amount and fee"
        return (
            added(label, row.currency, [amount, fee])
            if name.startswith("cost")
            else less(label, row.currency, [amount, fee])
        )
    if row.price is None or row.quantity is None:
        return None
    gross = times(
        "Units at their price",
        row.currency,
        [
            given("Units of the row", abs(row.quantity), "units", ref=ref),
            given("Price", row.price, row.currency, ref=ref),
            given("Multiplier", row.multiplier, "ratio"),
        ],
    )
    costs = [given("Fee", entry.fee, row.currency, ref=ref), given("Tax", entry.tax, row.currency, ref=ref)]
    charged = [one for one in costs if one.value]
    if not charged:
        return gross
    if name.startswith("cost"):
        return added("With fee and tax", row.currency, [gross, *charged])
    return less("After fee and tax", row.currency, [gross, *charged])


def _rate(sight: Sight, row: LedgerRow) -> Node:
    """Base currency for one unit of the row's: the recorded rate first."""
    rate = base_rate(row, sight.rate.base, sight.rate_on)
    market = sight.rate_node(row.currency, sight.rate.base, row.day)
    if rate == market.value:
        return market
    label = f"{row.currency} in {sight.rate.base}, as recorded"
    return given(label, rate, "ratio", ref=row_ref(row.id), on=row.day, reason="" if rate is not None else "no_rate")


def _by_the_pass(label: str, value: Decimal, unit: str, rows: Sequence[LedgerRow], *, until: date, ref: Ref) -> Node:
    """What only the whole pass over the instrument's rows says: the rows up to then are listed, in their order."""
    listed = [
        given(row_words(row), row.quantity, "units", ref=row_ref(row.id), on=row.day)
        for row in rows
        if row.day <= until
    ]
    return Node(label, "statistic", value, unit, tuple(listed), MONEY_PLACES, ref=ref, statistic="lot_pass")

"""What one ledger row moves: cash, units, income, fees, and what of it crosses the border of its account.

Plain values in, exact Decimal out. Base amounts take the rate that was recorded on the row, else the day's; None where
no rate is known. Signs: + into the account; fees and taxes are costs, positive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple
from uuid import UUID

from federation import opening_lots
from portfolio.lots import ZERO, Entry
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.money import to_recorded

TRADES: Final = frozenset({"buy", "sell"})
# Units or money that come from or go to outside. Between two accounts of the user they are paired by their group.
BORDER: Final = frozenset({"deposit", "withdrawal", "transfer_in", "transfer_out", "adjustment"})
CORPORATE: Final = frozenset(
    {"split", "spinoff", "merger", "symbol_change", "return_of_capital", "stock_dividend", "rights"}
)
INCOME: Final = frozenset({"dividend", "interest", "reward"})
COSTS_OR_INCOME: Final = frozenset({"fee", "tax", "dividend", "interest"})  # told by the cash that moved

FlowKind = Literal["external", "transfer", "payments", "internal", "dividends", "interest", "income", "fees", "taxes"]
RateOn = Callable[[str, str, date], Decimal | None]


class Holding(NamedTuple):
    """A line of an account: an instrument, or cash of one currency."""

    account: UUID
    instrument: UUID | None
    currency: str = ""  # of cash


@dataclass(slots=True)
class LedgerRow:
    """One row of the ledger with what its meaning needs. is_tracked: its account keeps cash.

    Nobody changes it; not frozen because a hundred thousand of them would take three times as long to make.
    """

    id: UUID
    account: UUID
    is_tracked: bool
    instrument: UUID | None
    multiplier: Decimal
    kind: str
    day: date
    position: int
    leg: int
    quantity: Decimal | None
    price: Decimal | None
    currency: str
    fee: Decimal
    fee_currency: str  # the row's currency where none is stated; a coin's symbol where the fee was paid in units
    tax: Decimal
    cash_amount: Decimal | None
    cash_currency: str
    fx_rate: Decimal | None
    ratio: Decimal | None
    group: UUID | None
    is_paired: bool = False  # the other leg of its transfer is in the ledger too
    transfer: str | None = None  # what the legs of its transfer share, where that is not their group
    lots: str = ""  # of an opening balance: what the user says it was bought as

    @property
    def order(self) -> tuple[date, bool, int, int, UUID]:
        """Ledger order: corporate actions open their day."""
        return self.day, self.kind not in CORPORATE, self.position, self.leg, self.id

    @property
    def gross(self) -> Decimal | None:
        if self.quantity is None or self.price is None:
            return None
        return abs(self.quantity * self.price * self.multiplier)

    @property
    def moves_units(self) -> bool:
        return self.instrument is not None and (bool(self.quantity) or self.kind == "split")

    @property
    def pays_for_event(self) -> bool:
        """A leg of a corporate action that is money alone: cash in lieu, the cash part of a merger."""
        return self.kind in CORPORATE and bool(self.group) and bool(self.cash_amount)


def cash_moves(row: LedgerRow) -> dict[str, Decimal]:
    """Money by currency that the row moves in its account. A fee in a coin moves no money."""
    moves: dict[str, Decimal] = defaultdict(Decimal)
    is_fee_money = row.fee_currency in ISO_4217
    if row.cash_amount is not None:
        moves[row.cash_currency] += row.cash_amount
        if is_fee_money and row.fee_currency != row.cash_currency:
            moves[row.fee_currency] -= row.fee
    else:
        amount = ZERO
        if row.kind in TRADES and row.gross is not None and row.quantity is not None:
            amount = -row.gross if row.quantity > 0 else row.gross
        rate = row.fx_rate if row.cash_currency != row.currency and row.fx_rate else None
        currency = row.cash_currency if rate else row.currency
        moves[currency] += (amount - row.tax) * (rate or 1)
        if is_fee_money:
            in_row_currency = row.fee_currency == row.currency
            moves[currency if in_row_currency else row.fee_currency] -= row.fee * (
                (rate or 1) if in_row_currency else 1
            )
    return {currency: amount for currency, amount in moves.items() if amount}


def base_rate(row: LedgerRow, base: str, rate_on: RateOn) -> Decimal | None:
    """Base currency for one unit of the row's currency: the rate recorded on the row goes before the day's."""
    if row.currency == base:
        return Decimal(1)
    if row.fx_rate:
        if row.cash_currency in (base, row.currency):
            return row.fx_rate
        onward = rate_on(row.cash_currency, base, row.day)
        if onward is not None:
            return row.fx_rate * onward
    return rate_on(row.currency, base, row.day)


@dataclass(slots=True)
class Flows:
    """Exact base amounts by holding, kind and day; units that cross the border in kind, to be valued at the close."""

    by_holding: dict[Holding, dict[FlowKind, dict[date, Decimal]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(Decimal)))
    )
    in_kind: dict[Holding, list[tuple[date, Decimal, FlowKind, bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # day, units, kind (external, payments or income), is_paired
    cash: dict[Holding, dict[date, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))

    def add(self, holding: Holding, kind: FlowKind, day: date, amount: Decimal | None) -> None:
        if amount:
            self.by_holding[holding][kind][day] += amount


def account_flows(
    rows: Iterable[LedgerRow],
    *,
    base: str,
    rate_on: RateOn,
    payments: Collection[UUID] = frozenset(),
    into: Flows | None = None,
) -> Flows:
    """Money and units that the rows of accounts move, in base currency. payments: rows that the user called so. into:
    what other rows moved, to which these are added.
    """
    flows = Flows() if into is None else into
    for row in rows:
        _add_row(flows, row, base, rate_on, is_payment=row.id in payments)
    return flows


def _add_row(flows: Flows, row: LedgerRow, base: str, rate_on: RateOn, *, is_payment: bool) -> None:
    rate = base_rate(row, base, rate_on)

    def in_base(amount: Decimal, currency: str) -> Decimal | None:
        known = rate if currency == row.currency else rate_on(currency, base, row.day)
        if currency == row.cash_currency and currency != row.currency and row.fx_rate and rate is not None:
            known = rate / row.fx_rate
        return None if known is None else amount * known

    kind, day = row.kind, row.day
    moves = cash_moves(row)
    held = Holding(row.account, row.instrument) if row.instrument else None
    line = held or Holding(row.account, None, row.cash_currency)
    fee: Decimal | None = ZERO
    if row.fee or row.tax or kind in COSTS_OR_INCOME:
        fee = in_base(row.fee, row.fee_currency) if row.fee and row.fee_currency in ISO_4217 else ZERO
        _add_income(flows, row, line, moves, in_base, fee, in_base(row.tax, row.currency))
    is_border = kind in BORDER

    if held and row.quantity and (is_border or kind == "reward"):
        if is_border:
            flows.in_kind[held].append((day, row.quantity, "external", row.is_paired))
            if is_payment:
                flows.in_kind[held].append((day, -row.quantity, "payments", False))
        elif row.gross is None:
            flows.in_kind[held].append((day, row.quantity, "income", False))
        else:
            flows.add(held, "income", day, in_base(row.gross, row.currency))

    if row.is_tracked:
        for currency, amount in moves.items():
            cash = Holding(row.account, None, currency)
            flows.cash[cash][day] += to_recorded(amount)  # so that a balance goes on from a stored one
            money = in_base(amount, currency)
            if is_border and not (held and row.quantity):
                gross = amount
                if currency == row.fee_currency:
                    gross += row.fee
                if currency == row.currency:
                    gross += row.tax
                crossing = in_base(gross, currency)
                flows.add(cash, "external", day, crossing)
                if row.is_paired:
                    flows.add(cash, "transfer", day, crossing)
                if is_payment and crossing is not None:
                    flows.add(cash, "payments", day, -crossing)
            elif kind == "fx":
                flows.add(cash, "internal", day, money)
            elif held and not is_border:
                flows.add(cash, "internal", day, money)
                flows.add(held, "internal", day, None if money is None else -money)
        return
    # No cash is kept: what a row pays or receives comes from or goes outside at once.
    if is_border or kind == "fx":
        flows.add(line, "external", day, fee)
        return
    for currency, amount in moves.items():
        money = in_base(amount, currency)
        flows.add(line, "external", day, None if money is None else -money)


def _add_income(
    flows: Flows,
    row: LedgerRow,
    line: Holding,
    moves: dict[str, Decimal],
    in_base: Callable[[Decimal, str], Decimal | None],
    fee: Decimal | None,
    tax: Decimal | None,
) -> None:
    if row.kind not in COSTS_OR_INCOME:
        flows.add(line, "fees", row.day, fee)
        flows.add(line, "taxes", row.day, tax)
        return
    net = in_base(moves.get(row.cash_currency, ZERO), row.cash_currency)
    if row.kind == "fee":
        flows.add(line, "fees", row.day, None if net is None else -net - (tax or ZERO))
        flows.add(line, "taxes", row.day, tax)
        return
    if row.kind == "tax":
        flows.add(line, "taxes", row.day, None if net is None else -net - (fee or ZERO))
        flows.add(line, "fees", row.day, fee)
        return
    flows.add(line, "fees", row.day, fee)
    flows.add(line, "taxes", row.day, tax)
    if net is not None:
        gross = net + (tax or ZERO) + ((fee or ZERO) if row.fee_currency == row.cash_currency else ZERO)
        flows.add(line, "dividends" if row.kind == "dividend" else "interest", row.day, gross)
        flows.add(line, "income", row.day, gross)


def lot_entry(row: LedgerRow, *, base: str, rate_on: RateOn) -> Entry:
    """The row as the lot pass reads it."""
    fee_in_row = row.fee
    in_cash = row.fee_currency == row.cash_currency
    if row.fee and row.fee_currency != row.currency:
        rate = rate_on(row.fee_currency, row.currency, row.day) if row.fee_currency in ISO_4217 else None
        # A fee in the row's own asset or another coin left as units; its units are relieved apart, at no proceeds.
        fee_in_row = row.fee * rate if rate is not None else ZERO
    cash_amount = row.cash_amount
    if row.cash_currency != row.currency:
        cash_amount = row.cash_amount / row.fx_rate if row.cash_amount is not None and row.fx_rate else None
        in_cash = in_cash or row.fee_currency == row.currency
    return Entry(
        id=str(row.id),
        account=str(row.account),
        day=row.day,
        kind=row.kind,
        quantity=row.quantity,
        currency=row.currency,
        gross=row.gross,
        fee=fee_in_row,
        tax=row.tax,
        cash_amount=cash_amount,
        fee_in_cash=in_cash,
        base_rate=base_rate(row, base, rate_on),
        ratio=row.ratio,
        transfer_group=row.transfer or str(row.group) if row.is_paired else None,
        event_group=str(row.group) if row.group and row.kind not in BORDER else None,
    )


def lot_entries(row: LedgerRow, *, base: str, rate_on: RateOn) -> list[Entry]:
    """The row as the lot pass reads it: an opening balance whose lots the user gave comes in as those lots.

    Each costs in base currency what it did on the day it was bought.
    """
    entry = lot_entry(row, base=base, rate_on=rate_on)
    if not row.lots:
        return [entry]
    return [
        replace(
            entry,
            id=f"{entry.id}:lot{place}" if place else entry.id,
            quantity=lot.quantity,
            gross=lot.cost,
            acquired_on=lot.acquired_on,
            base_rate=Decimal(1) if row.currency == base else rate_on(row.currency, base, lot.acquired_on),
        )
        for place, lot in enumerate(opening_lots.from_text(row.lots))
    ]

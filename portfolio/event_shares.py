"""The money of an event over several instruments, and the lots it divides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from portfolio.lot_books import GRID, OpenLot, Triple, joined, minus, shared, times
from portfolio.lots import ZERO, Amounts, Entry, RealizedGain

ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Cash:
    """Money of an event, signed into the account. amount None: none, or in several currencies; base None: unknown."""

    currency: str
    amount: Decimal | None = None
    base: Triple | None = None

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Cash:
        paid = [entry for entry in entries if entry.cash_amount]
        currencies = {entry.currency for entry in paid}
        if len(currencies) != 1:
            return cls(entries[0].currency)
        amount = sum((entry.cash_amount or ZERO for entry in paid), ZERO)
        parts = [times((entry.cash_amount or ZERO, ZERO, ZERO), entry.base_rate) for entry in paid]
        base: Triple | None = (ZERO, ZERO, ZERO)
        for part in parts:
            base = joined(base, part)
        return cls(currencies.pop(), amount, base)

    def is_received(self, side: int) -> bool:
        """Whether it comes for what is given up: in for a long position (side 1), out for a short one (side -1)."""
        return self.amount is not None and self.amount * side > 0

    def is_added(self, side: int) -> bool:
        """Whether it goes with what is given up."""
        return self.amount is not None and self.amount * side < 0

    @property
    def triple(self) -> Triple | None:
        return None if self.amount is None else (self.amount, ZERO, ZERO)

    def part(self, weight: Decimal, whole: Decimal) -> Cash:
        if weight == whole:
            return self
        amount = shared(self.triple, weight, whole)
        return Cash(self.currency, amount[0] if amount else None, shared(self.base, weight, whole))


def signed(triple: Triple | None, side: int) -> Triple | None:
    return triple if side > 0 else negated(triple)


def negated(triple: Triple | None) -> Triple | None:
    return None if triple is None else (-triple[0], -triple[1], -triple[2])


def realized_at_unknown_cost(entry: Entry, account: str, cash: Cash, side: int) -> RealizedGain:
    """What came for long units whose cost is not known, or was paid for short ones."""
    amounts, base = signed(cash.triple, side), signed(cash.base, side)
    moved = Amounts(*amounts) if amounts else None
    moved_base = Amounts(*base) if base else None
    return RealizedGain(
        entry_id=entry.id, account=account, day=entry.day, kind=entry.kind, side="long" if side > 0 else "short",
        lot_id=None, opened_by=None, acquired_on=None, quantity=ZERO, currency=cash.currency,
        proceeds=moved if side > 0 else None, base_proceeds=moved_base if side > 0 else None,
        cost_currency=cash.currency, cost=None if side > 0 else moved, base_cost=None if side > 0 else moved_base,
        fx_gain=None,
    )  # fmt: skip


def offshoot(lot: OpenLot, part: Decimal | None) -> OpenLot:
    """The same units and dates with `part` of the cost, which leaves `lot`; of unknown cost for None."""
    copy = OpenLot(
        id=lot.id, account=lot.account, opened_by=lot.opened_by, kind=lot.kind, acquired_on=lot.acquired_on,
        opened_on=lot.opened_on, order=lot.order, quantity=lot.quantity, currency=lot.currency, cost=None,
        base_cost=None,
    )  # fmt: skip
    if part is None:
        return copy
    copy.cost, copy.base_cost = shared(lot.cost, part, ONE), shared(lot.base_cost, part, ONE)
    if lot.cost is not None and copy.cost is not None:
        lot.cost = minus(lot.cost, copy.cost)
    if lot.base_cost is not None and copy.base_cost is not None:
        lot.base_cost = minus(lot.base_cost, copy.base_cost)
    return copy


def divided(lots: Sequence[OpenLot], weights: Sequence[Decimal]) -> list[list[OpenLot]]:
    """The lots once for each weight, their cost divided; the last takes the rest."""
    result: list[list[OpenLot]] = []
    left = sum(weights, ZERO)
    for weight in weights[:-1]:
        result.append([offshoot(lot, (weight / left).quantize(GRID)) for lot in lots])
        left -= weight
    return [*result, list(lots)]

"""The open lots of one account while a pass runs: in order of age, cut and pooled without losing a digit."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from portfolio.lots import DIGITS, ZERO, Amounts, Lot, Method

GRID: Final = Decimal(1).scaleb(-36)  # two recorded numbers of 18 places multiply to 36

Triple = tuple[Decimal, Decimal, Decimal]
NOTHING: Final[Triple] = (ZERO, ZERO, ZERO)


def amounts_of(triple: Triple | None) -> Amounts | None:
    return None if triple is None else Amounts(*triple)


def times(triple: Triple | None, rate: Decimal | None) -> Triple | None:
    if triple is None or rate is None:
        return None
    return triple[0] * rate, triple[1] * rate, triple[2] * rate


def minus(whole: Triple, part: Triple) -> Triple:
    return whole[0] - part[0], whole[1] - part[1], whole[2] - part[2]


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount x part / whole on the grid, so that part and rest add up to the digit."""
    if not amount:
        return ZERO
    value = amount * part / whole
    return value.quantize(GRID) if value.adjusted() < DIGITS - 38 else value


def shared(triple: Triple | None, part: Decimal, whole: Decimal) -> Triple | None:
    if triple is None:
        return None
    return share(triple[0], part, whole), share(triple[1], part, whole), share(triple[2], part, whole)


class OpenLot:
    """A lot while the pass runs; quantity and cost shrink as parts leave."""

    __slots__ = (
        "account",
        "acquired_on",
        "base_cost",
        "cost",
        "currency",
        "id",
        "kind",
        "opened_by",
        "opened_on",
        "opened_quantity",
        "order",
        "quantity",
    )

    def __init__(
        self,
        *,
        id: str,
        account: str,
        opened_by: str,
        kind: str,
        acquired_on: date,
        opened_on: date,
        order: tuple[int, int],
        quantity: Decimal,
        currency: str,
        cost: Triple | None,
        base_cost: Triple | None,
    ) -> None:
        self.id, self.account, self.opened_by, self.kind = id, account, opened_by, kind
        self.acquired_on, self.opened_on, self.order = acquired_on, opened_on, order
        self.quantity, self.opened_quantity = quantity, quantity
        self.currency, self.cost, self.base_cost = currency, cost, base_cost

    def __lt__(self, other: OpenLot) -> bool:
        return (self.acquired_on, self.order) < (other.acquired_on, other.order)

    def split_off(self, quantity: Decimal) -> OpenLot:
        """Take `quantity` (signed as the lot's, smaller than it) out as a lot of its own with its share of
        the cost.
        """
        cost = shared(self.cost, quantity, self.quantity)
        base_cost = shared(self.base_cost, quantity, self.quantity)
        part = OpenLot(
            id=self.id,
            account=self.account,
            opened_by=self.opened_by,
            kind=self.kind,
            acquired_on=self.acquired_on,
            opened_on=self.opened_on,
            order=self.order,
            quantity=quantity,
            currency=self.currency,
            cost=cost,
            base_cost=base_cost,
        )
        self.quantity -= quantity
        if self.cost is not None and cost is not None:
            self.cost = minus(self.cost, cost)
        if self.base_cost is not None and base_cost is not None:
            self.base_cost = minus(self.base_cost, base_cost)
        return part

    def absorb(self, other: OpenLot) -> None:
        """Pool another lot into this one; its cost in trade currency is unknown once currencies differ."""
        self.acquired_on = min(self.acquired_on, other.acquired_on)
        self.quantity += other.quantity
        self.opened_quantity += other.opened_quantity
        same = self.currency == other.currency
        self.cost = joined(self.cost, other.cost) if same else None
        self.base_cost = joined(self.base_cost, other.base_cost)

    def frozen(self) -> Lot:
        return Lot(
            id=self.id,
            account=self.account,
            opened_by=self.opened_by,
            kind=self.kind,
            acquired_on=self.acquired_on,
            opened_on=self.opened_on,
            quantity=self.quantity,
            opened_quantity=self.opened_quantity,
            currency=self.currency,
            cost=amounts_of(self.cost),
            base_cost=amounts_of(self.base_cost),
        )


def joined(left: Triple | None, right: Triple | None) -> Triple | None:
    if left is None or right is None:
        return None
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _unit_cost(lot: OpenLot) -> Decimal:
    """Base cost of one unit, else the cost in trade currency; -1 for an unknown one, which so comes last."""
    cost = lot.base_cost or lot.cost
    return Decimal(-1) if cost is None else (cost[0] + cost[1] + cost[2]) / lot.quantity


class Totals:
    """What lots hold and cost together. unknown, base_unknown: how many have no such cost. currencies: lots of each."""

    __slots__ = ("base_cost", "base_unknown", "cost", "currencies", "quantity", "unknown")

    def __init__(self, lots: Iterable[OpenLot]) -> None:
        self.quantity = self.cost = self.base_cost = ZERO
        self.unknown = self.base_unknown = 0
        self.currencies: dict[str, int] = {}
        for lot in lots:
            self.include(lot)

    def include(self, lot: OpenLot) -> None:
        self.quantity += lot.quantity
        self.currencies[lot.currency] = self.currencies.get(lot.currency, 0) + 1
        if lot.cost is None:
            self.unknown += 1
        else:
            self.cost += lot.cost[0] + lot.cost[1] + lot.cost[2]
        if lot.base_cost is None:
            self.base_unknown += 1
        else:
            self.base_cost += lot.base_cost[0] + lot.base_cost[1] + lot.base_cost[2]

    def exclude(self, lot: OpenLot) -> None:
        self.shrink(lot)
        left = self.currencies[lot.currency] - 1
        if left:
            self.currencies[lot.currency] = left
        else:
            del self.currencies[lot.currency]
        self.unknown -= lot.cost is None
        self.base_unknown -= lot.base_cost is None

    def shrink(self, part: OpenLot) -> None:
        """A part left a lot that stays."""
        self.quantity -= part.quantity
        if part.cost is not None:
            self.cost -= part.cost[0] + part.cost[1] + part.cost[2]
        if part.base_cost is not None:
            self.base_cost -= part.base_cost[0] + part.base_cost[1] + part.base_cost[2]


class Book:
    """The open lots of one account, oldest first; all long or all short. Who changes a lot in it calls `changed`."""

    __slots__ = ("_by_cost", "_totals", "deficit", "lots")

    def __init__(self) -> None:
        self.lots: list[OpenLot] = []
        self.deficit = ZERO  # units that left beyond those known and that no report has explained yet
        self._by_cost: list[tuple[Decimal, OpenLot]] | None = None  # heap for HIFO; None: to be built
        self._totals: Totals | None = None  # None: to be summed

    @property
    def quantity(self) -> Decimal:
        return self.totals.quantity

    @property
    def totals(self) -> Totals:
        """Kept up to date with every lot that comes and goes: summed anew each day they would cost the square."""
        if self._totals is None or not self.lots:  # nothing left is exactly nothing
            self._totals = Totals(self.lots)
        return self._totals

    def changed(self) -> None:
        """Lots were changed where they are: what is known of all of them together no longer holds."""
        self._by_cost = self._totals = None

    @property
    def is_short(self) -> bool:
        return bool(self.lots) and self.lots[0].quantity < 0

    def add(self, lot: OpenLot, *, pooled: bool) -> None:
        if pooled and self.lots:
            self.pool()
            self.lots[0].absorb(lot)
            self.changed()
            return
        if not self.lots or self.lots[-1] < lot:
            self.lots.append(lot)
        else:
            insort(self.lots, lot)
        if self._totals is not None:
            self._totals.include(lot)
        if self._by_cost is not None:
            heapq.heappush(self._by_cost, (-_unit_cost(lot), lot))

    def pool(self) -> None:
        """Make one lot of all."""
        for lot in self.lots[1:]:
            self.lots[0].absorb(lot)
        del self.lots[1:]
        self.changed()

    def take(
        self, magnitude: Decimal, method: Method, wanted: Sequence[tuple[str, Decimal]] = ()
    ) -> tuple[list[OpenLot], Decimal]:
        """Detach lots of `magnitude` units by `method`; returns the parts and the units not held."""
        parts: list[OpenLot] = []
        if method == "average":
            self.pool()
        if method == "specific":
            for lot_id, asked in wanted:
                lot = next((lot for lot in self.lots if lot.id == lot_id), None)
                if lot is not None and magnitude > 0:
                    magnitude -= self._detach(lot, min(magnitude, asked), parts)
        while magnitude > 0 and self.lots:
            if method == "lifo":
                lot = self.lots[-1]
            elif method == "hifo":
                lot = self._costliest()
            else:
                lot = self.lots[0]
            magnitude -= self._detach(lot, magnitude, parts)
        return parts, magnitude

    def _costliest(self) -> OpenLot:
        if self._by_cost is None:
            self._by_cost = [(-_unit_cost(lot), lot) for lot in self.lots]
            heapq.heapify(self._by_cost)
        return self._by_cost[0][1]

    def _detach(self, lot: OpenLot, magnitude: Decimal, parts: list[OpenLot]) -> Decimal:
        """Move up to `magnitude` units of `lot` to `parts`; returns how many."""
        held = abs(lot.quantity)
        if magnitude < held:
            part = lot.split_off(magnitude.copy_sign(lot.quantity))
            if self._totals is not None:
                self._totals.shrink(part)
            parts.append(part)
            return magnitude
        if self._totals is not None:
            self._totals.exclude(lot)
        if self.lots[0] is lot:
            del self.lots[0]
        elif self.lots[-1] is lot:
            del self.lots[-1]
        else:
            self.lots.remove(lot)
        if self._by_cost is not None:
            if self._by_cost[0][1] is lot:
                heapq.heappop(self._by_cost)
            else:
                self._by_cost = None
        parts.append(lot)
        return held

    def scale(self, target: Decimal) -> None:
        """Spread `target` units over the lots in proportion; cost stays."""
        left_old, left_new = self.quantity, target
        for lot in self.lots:
            new = left_new if lot.quantity == left_old else share(left_new, lot.quantity, left_old)
            lot_old = lot.quantity
            lot.opened_quantity = lot.opened_quantity * new / lot_old
            left_old, left_new, lot.quantity = left_old - lot_old, left_new - new, new
        self.changed()


class Spread:
    """Hands out the amounts of one row over the parts it closes; the last part takes the rest."""

    __slots__ = ("amounts", "base", "quantity")

    def __init__(self, quantity: Decimal, amounts: Triple | None, base: Triple | None) -> None:
        self.quantity, self.amounts, self.base = quantity, amounts, base

    def take(self, quantity: Decimal) -> tuple[Triple | None, Triple | None]:
        if quantity == self.quantity:
            return self.amounts, self.base
        amounts = shared(self.amounts, quantity, self.quantity)
        base = shared(self.base, quantity, self.quantity)
        if self.amounts is not None and amounts is not None:
            self.amounts = minus(self.amounts, amounts)
        if self.base is not None and base is not None:
            self.base = minus(self.base, base)
        self.quantity -= quantity
        return amounts, base

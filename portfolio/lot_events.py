"""Corporate actions over several instruments: the cost of what is given up goes to what comes for it (DESIGN 5.10).

One pass over all rows of a user, each instrument with its own lots. The legs of an event happen together: lots leave,
the part that cash pays for is realized, the rest goes over with its dates. What no allocation and no price tells stays
unknown. Cost before = cost after + cost realized, to the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from portfolio.event_shares import Cash, divided, negated, offshoot, realized_at_unknown_cost, signed
from portfolio.holding_steps import Held, SteppedPass
from portfolio.lot_books import GRID, OpenLot, Spread, Triple, joined, share
from portfolio.lot_matching import EVENTS
from portfolio.lots import DIGITS, ZERO, Entry, Method, Unresolved, UnresolvedReason

CLAIM_DAYS: Final = 5  # a broker may book an action this far from its day
STAYS: Final = frozenset({"spinoff", "rights"})  # what was held before is held after it
ONE: Final = Decimal(1)
Leg = tuple[str, Entry]  # instrument and row
Worths = Callable[[Collection[str], date], Mapping[str, Decimal] | None]
"""(instruments, day) -> base currency for one unit of each at one close on that day or soon after; None for unknown."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of an action beside its rows. allocation: the share of the old cost that the new one takes."""

    id: str
    kind: str
    instrument: str
    new_instrument: str | None
    ex_date: date
    ratio: Decimal | None = None
    allocation: Decimal | None = None


def nothing_is_priced(instruments: Collection[str], day: date) -> None:
    return None


def held_together(
    rows: Sequence[Leg],
    *,
    method: Callable[[str, date], Method],
    allows_short: Callable[[str], bool],
    terms: Sequence[Terms] = (),
    worths: Worths = nothing_is_priced,
) -> dict[str, Held]:
    """Lots and steps of each instrument. rows: in ledger order over all instruments and accounts."""
    with localcontext(prec=DIGITS):
        work = _Work(rows, method, allows_short, terms, worths)
        work.run()
        return {instrument: one.held() for instrument, one in work.passes.items()}


@dataclass(slots=True)
class _Event:
    account: str
    legs: list[Leg]
    terms: Terms | None


class _Work:
    def __init__(
        self,
        rows: Sequence[Leg],
        method: Callable[[str, date], Method],
        allows_short: Callable[[str], bool],
        terms: Sequence[Terms],
        worths: Worths,
    ) -> None:
        self.rows, self.worths = rows, worths
        entries: dict[str, list[Entry]] = defaultdict(list)
        for instrument, entry in rows:
            entries[instrument].append(entry)
        carried: dict[str, int] = defaultdict(int)  # one count for all: a lot's name is unique over instruments
        self.passes: dict[str, SteppedPass] = {}
        for instrument, own in entries.items():
            self.passes[instrument] = SteppedPass(own, method, allows_short, {})
            self.passes[instrument].carried = carried
        self.events = self._find_events(terms)
        self.over: set[int] = set()

    def _find_events(self, terms: Sequence[Terms]) -> dict[str, _Event]:
        """Row -> the event over several instruments that it is a leg of."""
        grouped: dict[tuple[str, str], _Event] = {}
        for instrument, entry in self.rows:
            if entry.account is None:
                continue
            known = _terms_of(instrument, entry, terms)
            name = entry.event_group or (known.id if known else None)
            if name is None:
                continue
            event = grouped.setdefault((name, entry.account), _Event(entry.account, [], None))
            event.legs.append((instrument, entry))
            event.terms = event.terms or known
        found: dict[str, _Event] = {}
        for event in grouped.values():
            instruments = {instrument for instrument, _ in event.legs}
            if event.terms is not None and event.terms.kind in EVENTS:
                instruments |= {event.terms.instrument} & self.passes.keys()
            if len(instruments) > 1 and any(entry.kind in EVENTS for _, entry in event.legs):
                found |= {entry.id: event for _, entry in event.legs}
        return found

    def run(self) -> None:
        for number, (instrument, entry) in enumerate(self.rows, 1):
            one = self.passes[instrument]
            if entry.id in one.done:
                continue
            one.number = number
            event = self.events.get(entry.id)
            if event is None:
                one.apply(entry)
            elif id(event) not in self.over:
                self.over.add(id(event))
                self.happen(event)

    def happen(self, event: _Event) -> None:
        day = min(entry.day for _, entry in event.legs)
        side = self._side(event)
        arriving = {instrument for instrument, entry in event.legs if (entry.quantity or ZERO) * side > 0}
        sold = [leg for leg in event.legs if leg[0] in arriving and _is_fraction(leg[1], side)]
        legs = [leg for leg in event.legs if leg not in sold]
        outs = [leg for leg in legs if (leg[1].quantity or ZERO) * side < 0]
        ins = [leg for leg in legs if (leg[1].quantity or ZERO) * side > 0]
        cash = Cash.of([entry for _, entry in legs])
        for instrument in {instrument for instrument, _ in event.legs}:
            self.passes[instrument].begin(day, event.account)
        if (options := _settled_by_delivery(legs, side)) is not None:
            self.deliver(event, *options)
        elif outs and ins:
            self.exchange(event, outs, ins, cash, day, side)
        elif outs:
            self.give_up(event, outs, cash, side)
        elif ins:
            self.separate(event, ins, cash, day, side)
        for instrument, entry in sold:
            trade = replace(entry, kind="sell" if side > 0 else "buy")
            self.passes[instrument].trade(trade, event.account, entry.quantity or ZERO)

    def _side(self, event: _Event) -> int:
        """1 for an event on a long position, -1 on a short one: old units then come in and new ones are owed."""
        legs = [(instrument, entry.quantity) for instrument, entry in event.legs if entry.quantity]
        held = {instrument: self._held(instrument, event.account) for instrument, _ in legs}
        old = event.terms.instrument if event.terms is not None else None
        if all(entry.kind in STAYS for _, entry in event.legs if entry.quantity):
            arriving = [leg for leg in event.legs if leg[1].quantity]
            parent = self._parent(event, arriving) if arriving else None
            return -1 if parent is not None and self._held(parent, event.account) < 0 else 1
        against = [(instrument, quantity) for instrument, quantity in legs if quantity * held[instrument] < 0]
        against.sort(key=lambda leg: (leg[0] != old, leg[1] != -held[leg[0]]))
        return -1 if against and against[0][1] > 0 else 1

    def _held(self, instrument: str, account: str) -> Decimal:
        one = self.passes.get(instrument)
        return one.books[account].quantity if one is not None and account in one.books else ZERO

    # Old units leave

    def exchange(self, event: _Event, outs: list[Leg], ins: list[Leg], cash: Cash, day: date, side: int) -> None:
        """Units for units, perhaps with cash either way."""
        lots: list[OpenLot] = []
        for instrument, entry in outs:
            lots += self.passes[instrument].release(entry, event.account, -side * (entry.quantity or ZERO), side)
        given = -sum((entry.quantity or ZERO for _, entry in outs), ZERO)
        held = sum((lot.quantity for lot in lots), ZERO)
        weights = self._weights(ins, day)
        if cash.is_received(side) and lots:
            part = self._cash_share(event, ins, cash, day)
            self._realize(outs[0], event.account, lots, cash, part, side)
            cash = Cash(cash.currency)
        if weights is None:
            for lot in lots:
                lot.cost = lot.base_cost = None
            self._unresolved(ins[0], "allocation_unknown")
            weights = [ONE] * len(ins)
        if held != given:
            self._unresolved(outs[0], "event_without_position")
        for (instrument, entry), weight, parts in zip(ins, weights, divided(lots, weights), strict=True):
            quantity = entry.quantity or ZERO
            known = quantity if held == given else share(quantity, held, given)
            paid = cash.part(weight, sum(weights, ZERO)) if cash.is_added(side) else None
            self._arrive(instrument, entry, event.account, parts, known, quantity, paid)

    def give_up(self, event: _Event, outs: list[Leg], cash: Cash, side: int) -> None:
        """Units for cash alone are sold for it; short ones are bought back."""
        for instrument, entry in outs:
            one = self.passes[instrument]
            if len(outs) == 1 and cash.amount is not None:
                kind = "sell" if side > 0 else "buy"
                trade = replace(entry, kind=kind, currency=cash.currency, cash_amount=cash.amount, fee_in_cash=True)
                one.trade(trade, event.account, entry.quantity or ZERO)
            else:
                one.step_aside(entry, event.account)

    def deliver(self, event: _Event, options: list[Leg], stock: Leg) -> None:
        """An option is settled by a purchase or sale: what it cost or brought goes into that trade's amounts."""
        lots: list[OpenLot] = []
        for instrument, entry in options:
            quantity = entry.quantity or ZERO
            side = -1 if quantity > 0 else 1
            lots += self.passes[instrument].release(entry, event.account, abs(quantity), side)
        instrument, entry = stock
        one, quantity = self.passes[instrument], entry.quantity or ZERO
        premium: Triple | None = (ZERO, ZERO, ZERO)
        premium_base: Triple | None = (ZERO, ZERO, ZERO)
        for lot in lots:
            premium = joined(premium, lot.cost if lot.currency == entry.currency else None)
            premium_base = joined(premium_base, lot.base_cost)
        if premium is None or sum((lot.quantity for lot in lots), ZERO) != -sum(
            (leg.quantity or ZERO for _, leg in options), ZERO
        ):
            self._unresolved(stock, "event_without_position")
        trade = replace(entry, kind="buy" if quantity > 0 else "sell")
        one.trade(trade, event.account, quantity, added=(premium, premium_base))

    def _realize(
        self, leg: Leg, account: str, lots: list[OpenLot], cash: Cash, part: Decimal | None, side: int
    ) -> None:
        """Relieve the part of each lot that cash pays for. An unknown part leaves the cost unknown."""
        one, entry = self.passes[leg[0]], replace(leg[1], currency=cash.currency)
        if part is None:
            for lot in lots:
                lot.cost = lot.base_cost = None
            one.realized.append(realized_at_unknown_cost(entry, account, cash, side))
            self._unresolved(leg, "allocation_unknown")
            return
        sizes = [(lot.quantity * part).quantize(GRID) for lot in lots]
        spread = Spread(sum(sizes, ZERO), signed(cash.triple, side), signed(cash.base, side))
        for lot, size in zip(lots, sizes, strict=True):
            if size:
                one.close(entry, account, lot.split_off(size), *spread.take(size))

    def _cash_share(self, event: _Event, ins: list[Leg], cash: Cash, day: date) -> Decimal | None:
        """Which share of the old units the cash pays for: as stated, else by value on the day."""
        if event.terms is not None and event.terms.allocation is not None:
            return ONE - event.terms.allocation
        worths = self.worths({instrument for instrument, _ in ins}, day)
        if worths is None or cash.base is None:
            return None
        received = sum((worths[instrument] * (entry.quantity or ZERO) for instrument, entry in ins), ZERO)
        return (abs(cash.base[0]) / (abs(cash.base[0]) + abs(received))).quantize(GRID)

    # Old units stay

    def separate(self, event: _Event, ins: list[Leg], cash: Cash, day: date, side: int) -> None:
        """New units beside the old: a part of the old lots' cost goes over, their dates too."""
        parent = self._parent(event, ins)
        book = self.passes[parent].books[event.account] if parent else None
        if parent is None or book is None or book.quantity * side <= 0:
            self._unresolved(ins[0], "event_without_position")
            for instrument, entry in ins:
                self.passes[instrument].receive(entry, event.account, entry.quantity or ZERO)
            return
        self.passes[parent].begin(day, event.account)
        allocation = event.terms.allocation if event.terms else None
        weights = self._weights(ins, day) if len(ins) > 1 else [ONE]
        worths = self.worths({parent, *(instrument for instrument, _ in ins)}, day)
        if allocation is None and worths is not None:
            new = sum((worths[instrument] * (entry.quantity or ZERO) for instrument, entry in ins), ZERO)
            whole = new + worths[parent] * book.quantity
            allocation = (new / whole).quantize(GRID) if whole else None
        if allocation is None or weights is None:
            self._unresolved(ins[0], "allocation_unknown")
            for lot in book.lots:
                lot.cost = lot.base_cost = None
            weights = [ONE] * len(ins)
        moved: list[OpenLot] = [offshoot(lot, allocation) for lot in book.lots]
        book.changed()
        ratio = event.terms.ratio if event.terms else None
        for (instrument, entry), parts in zip(ins, divided(moved, weights), strict=True):
            quantity = entry.quantity or ZERO
            due = book.quantity * ratio if ratio and cash.is_received(side) and len(ins) == 1 else quantity
            whole = max(due, quantity, key=abs)
            self._arrive(instrument, entry, event.account, parts, whole, whole, None)
            if cash.is_received(side) and instrument == ins[0][0]:
                self._cash_in_lieu(instrument, entry, event.account, whole - quantity, cash)

    def _cash_in_lieu(self, instrument: str, entry: Entry, account: str, fraction: Decimal, cash: Cash) -> None:
        """The fraction that did not come is sold; where its size is not known the cash lowers the cost."""
        paid = replace(entry, currency=cash.currency, cash_amount=cash.amount, fee=ZERO, tax=ZERO, gross=None)
        if fraction:
            self.passes[instrument].trade(replace(paid, kind="sell"), account, -fraction)
        else:
            self.passes[instrument].return_capital(replace(paid, kind="return_of_capital"), account)

    def _parent(self, event: _Event, ins: list[Leg]) -> str | None:
        """The instrument whose holders got the new units: as stated, else the one that a leg without units names."""
        arrived = {instrument for instrument, _ in ins}
        if event.terms is not None and event.terms.instrument not in arrived:
            return event.terms.instrument
        return next((instrument for instrument, _ in event.legs if instrument not in arrived), None)

    # Both

    def _weights(self, ins: list[Leg], day: date) -> list[Decimal] | None:
        """How the cost divides over several new instruments: by value on the day."""
        if len(ins) == 1:
            return [ONE]
        worths = self.worths({instrument for instrument, _ in ins}, day)
        if worths is None:
            return None
        return [worths[instrument] * abs(entry.quantity or ZERO) for instrument, entry in ins]

    def _arrive(
        self,
        instrument: str,
        entry: Entry,
        account: str,
        lots: Sequence[OpenLot],
        known: Decimal,
        quantity: Decimal,
        paid: Cash | None,
    ) -> None:
        """Put lots into their new instrument as `known` units in proportion; the rest of `quantity` is of unknown cost.

        paid: cash that was added, which is cost too, or proceeds of what is owed.
        """
        one = self.passes[instrument]
        spread = Spread(quantity, negated(paid.triple), negated(paid.base)) if paid else None
        left_old, left_new = sum((lot.quantity for lot in lots), ZERO), known
        for lot in lots:
            new = left_new if lot.quantity == left_old else share(left_new, lot.quantity, left_old)
            left_old, left_new, lot.quantity = left_old - lot.quantity, left_new - new, new
            if spread is not None and paid is not None:
                extra, base_extra = spread.take(new)
                lot.cost = joined(lot.cost, extra) if lot.currency == paid.currency else None
                lot.base_cost = joined(lot.base_cost, base_extra)
            one.carry(entry, account, lot)
        if quantity != known:
            one.come_in(replace(entry, base_rate=None), account, quantity - known, None)

    def _unresolved(self, leg: Leg, reason: UnresolvedReason) -> None:
        self.passes[leg[0]].unresolved.append(Unresolved(leg[1].id, reason))


def _settled_by_delivery(legs: Sequence[Leg], side: int) -> tuple[list[Leg], Leg] | None:
    """Options and the one trade that settles them, where they are not simply turned into units: the stock leaves, or
    the option was owed.
    """
    if any(entry.kind != "exercise" or not entry.quantity for _, entry in legs):
        return None
    stock = [leg for leg in legs if leg[1].cash_amount]
    options = [leg for leg in legs if not leg[1].cash_amount]
    if len(stock) != 1 or not options:
        return None
    quantity = stock[0][1].quantity or ZERO
    is_turned = quantity > 0 and all((entry.quantity or ZERO) < 0 for _, entry in options)
    return None if is_turned else (options, stock[0])


def _terms_of(instrument: str, entry: Entry, terms: Sequence[Terms]) -> Terms | None:
    """The stated action that a row is of: the same kind and instrument, near its day."""
    if entry.kind not in EVENTS:
        return None
    near = [
        one
        for one in terms
        if instrument in (one.instrument, one.new_instrument)
        and (one.kind == entry.kind)
        and abs((one.ex_date - entry.day).days) <= CLAIM_DAYS
    ]
    return min(near, key=lambda one: (abs((one.ex_date - entry.day).days), one.id), default=None)


def _is_fraction(entry: Entry, side: int) -> bool:
    """Whether a leg sells units of what arrives, or buys units of what is owed."""
    trade = "sell" if side > 0 else "buy"
    moved, cash = (entry.quantity or ZERO) * side, (entry.cash_amount or ZERO) * side
    return moved < 0 and (entry.kind == trade or cash > 0)

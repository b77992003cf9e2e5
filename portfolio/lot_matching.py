"""One pass over the rows of one instrument: what each row opens, relieves, carries or cannot know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from portfolio.lot_books import NOTHING, Book, OpenLot, Spread, Triple, amounts_of, joined, shared, times
from portfolio.lots import (
    DIGITS,
    ZERO,
    Amounts,
    Crossing,
    Entry,
    LotResult,
    Method,
    Missing,
    RealizedGain,
    Unresolved,
)

TRADES: Final = frozenset({"buy", "sell"})
MOVES_OUT: Final = frozenset({"transfer_out", "withdrawal"})
# Their cost comes from another instrument's lots, which this pass does not see.
EVENTS: Final = frozenset({"spinoff", "merger", "symbol_change", "exercise", "rights"})


def always_fifo(account: str, day: date) -> Method:
    return "fifo"


def no_shorts(account: str) -> bool:
    return False


def match_lots(
    entries: Sequence[Entry],
    *,
    method: Callable[[str, date], Method] = always_fifo,
    allows_short: Callable[[str], bool] = no_shorts,
    specific: Mapping[str, Sequence[tuple[str, Decimal]]] | None = None,
) -> LotResult:
    """Relieve lots by the rows of one instrument over all accounts of one user, in the order given.

    method: of an account on a day; it may change from a date. specific: for a row of a "specific" account,
    the lots to relieve and how much of each; what it leaves open falls to the oldest. HIFO goes by base cost
    per unit, unknown costs last. "average" keeps one pool per account and side, dated by its first purchase.
    """
    with localcontext(prec=DIGITS):
        match = Pass(entries, method, allows_short, specific or {})
        match.run()
        return match.result()


def _negated(proceeds: Triple | None) -> Triple | None:
    """Proceeds as the cost of a short, and back: cost = -(gross - fee - tax)."""
    return None if proceeds is None else (-proceeds[0], proceeds[1], proceeds[2])


def _as_gross(cost: Triple | None, quantity: Decimal) -> Triple | None:
    """The cost of an option as a part of what its purchase cost (quantity > 0) or its sale brought."""
    return None if cost is None else (sum(cost, ZERO) * (1 if quantity > 0 else -1), ZERO, ZERO)


def _trade_amounts(entry: Entry, quantity: Decimal) -> Triple | None:
    """Gross, fee and tax of a row in its currency; the cash that moved decides the gross of a trade."""
    fee, tax = entry.fee, entry.tax
    if entry.cash_amount is not None and entry.kind in TRADES:
        in_cash = fee + tax if entry.fee_in_cash else tax
        gross = -entry.cash_amount - in_cash if quantity > 0 else entry.cash_amount + in_cash
        return gross, fee, tax
    if entry.gross is None:
        return None
    return entry.gross, fee, tax


class Pass:
    """The state of the lots of one instrument while its rows are read."""

    def __init__(
        self,
        entries: Sequence[Entry],
        method: Callable[[str, date], Method],
        allows_short: Callable[[str], bool],
        specific: Mapping[str, Sequence[tuple[str, Decimal]]],
    ) -> None:
        self.entries, self.method, self.allows_short, self.specific = entries, method, allows_short, specific
        self.books: dict[str, Book] = defaultdict(Book)
        self.transit: dict[str, list[OpenLot]] = defaultdict(list)
        self.carried: dict[str, int] = defaultdict(int)
        self.done: set[str] = set()
        self.realized: list[RealizedGain] = []
        self.crossings: list[Crossing] = []
        self.missing: list[Missing] = []
        self.unresolved: list[Unresolved] = []
        self.number = 0
        self.out_legs: dict[str, list[Entry]] = defaultdict(list)
        self.in_legs: dict[str, int] = defaultdict(int)
        self.split_rows: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self.cash_legs: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        event_legs: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.transfer_group is not None and entry.quantity is not None:
                if entry.quantity < 0:
                    self.out_legs[entry.transfer_group].append(entry)
                elif entry.quantity > 0:
                    self.in_legs[entry.transfer_group] += 1
            if entry.event_group is not None and entry.account is not None:
                if _is_cash_in_lieu(entry):
                    self.cash_legs[entry.event_group, entry.account].append(entry)
                elif entry.kind == "split":
                    self.split_rows[entry.event_group, entry.account].append(entry)
                elif entry.kind in EVENTS:
                    event_legs[entry.event_group, entry.account].append(entry)
        for key, legs in event_legs.items():
            signs = {leg.quantity > 0 for leg in legs if leg.quantity}
            if len(signs) == 2:  # out and in again as the same instrument: a new name or number of units, like a split
                self.split_rows[key] += legs

    def run(self) -> None:
        for entry in self.entries:
            if entry.id not in self.done:
                self.number += 1
                self.apply(entry)

    def result(self) -> LotResult:
        return LotResult(
            open=tuple(lot.frozen() for account in sorted(self.books) for lot in self.books[account].lots),
            in_transit=tuple(lot.frozen() for group in sorted(self.transit) for lot in self.transit[group]),
            realized=tuple(self.realized),
            crossings=tuple(self.crossings),
            missing=tuple(self.missing),
            unresolved=tuple(self.unresolved),
            accounts=frozenset(self.books),
        )

    def apply(self, entry: Entry) -> None:
        if _is_cash_in_lieu(entry) and entry.account is not None:
            legs = self.split_rows.get((entry.event_group or "", entry.account))
            return self.split(legs[0]) if legs else self.sell_fraction(entry, entry.account)
        if entry.kind == "split":
            return self.split(entry)
        if entry.kind in EVENTS and (entry.event_group, entry.account) in self.split_rows:
            return self.split(entry)
        if entry.account is None:
            raise ValueError(f"Row {entry.id}: only a split may leave the account out.")
        if entry.kind == "return_of_capital":
            return self.return_capital(entry, entry.account)
        quantity = entry.quantity
        if not quantity:
            return None
        if self.out_legs.get(entry.transfer_group or ""):
            if quantity < 0:
                return self.leave_paired(entry, entry.account, -quantity)
            return self.arrive(entry, entry.account, quantity)
        if entry.kind in EVENTS and quantity < 0 and entry.cash_amount and entry.cash_amount > 0:
            return self.trade(replace(entry, kind="sell"), entry.account, quantity)  # given up for money
        if quantity > 0 and self.books[entry.account].is_short:
            if entry.kind == "expiry":
                return self.trade(entry, entry.account, quantity)  # what was owed is not owed any more
            if entry.kind in EVENTS and entry.cash_amount and entry.cash_amount < 0:
                return self.trade(replace(entry, kind="buy"), entry.account, quantity)  # bought back for money
        if entry.kind in EVENTS:
            self.unresolved.append(Unresolved(entry.id, "event_across_instruments"))
        if entry.kind in TRADES:
            return self.trade(entry, entry.account, quantity)
        if quantity > 0:
            return self.receive(entry, entry.account, quantity)
        if entry.kind in MOVES_OUT or entry.kind in EVENTS or entry.kind == "adjustment":
            return self.leave(entry, entry.account, -quantity)
        # A fee or tax paid in units, an expiry: given up for what it stated, nothing where it expired.
        return self.trade(entry, entry.account, quantity)

    # Trades

    def trade(
        self,
        entry: Entry,
        account: str,
        quantity: Decimal,
        *,
        added: tuple[Triple | None, Triple | None] | None = None,
    ) -> None:
        """Close what stands against the row, then open with the rest (long, or short where allowed).

        added: the cost, also in base, of an option that the trade settles.
        """
        book = self.books[account]
        amounts = _trade_amounts(entry, quantity)
        if amounts is None and entry.kind == "expiry":
            amounts = (ZERO, entry.fee, entry.tax)
        base = times(amounts, entry.base_rate)
        if added is not None:
            amounts, base = joined(amounts, _as_gross(added[0], quantity)), joined(base, _as_gross(added[1], quantity))
        method = self.method(account, entry.day)
        rest = abs(quantity)
        spread = Spread(rest, amounts, base)
        if book.lots and (book.lots[0].quantity > 0) != (quantity > 0):
            parts, rest = book.take(rest, method, self.specific.get(entry.id, ()))
            for part in parts:
                self.close(entry, account, part, *spread.take(abs(part.quantity)))
        if not rest:
            return
        rest_amounts, rest_base = spread.take(rest)
        if quantity > 0:
            self.open(entry, account, rest, rest_amounts, rest_base)
        elif self.allows_short(account):
            self.open(entry, account, -rest, _negated(rest_amounts), _negated(rest_base))
        else:
            book.deficit += rest
            self.missing.append(Missing(entry.id, account, entry.day, rest))
            self.realized.append(
                RealizedGain(
                    entry_id=entry.id,
                    account=account,
                    day=entry.day,
                    kind=entry.kind,
                    side="long",
                    lot_id=None,
                    opened_by=None,
                    acquired_on=None,
                    quantity=rest,
                    currency=entry.currency,
                    proceeds=amounts_of(rest_amounts),
                    base_proceeds=amounts_of(rest_base),
                    cost_currency=entry.currency,
                    cost=None,
                    base_cost=None,
                    fx_gain=None,
                )
            )

    def close(self, entry: Entry, account: str, part: OpenLot, amounts: Triple | None, base: Triple | None) -> None:
        fx_gain = None
        if part.cost and part.base_cost and entry.base_rate is not None and entry.currency == part.currency:
            fx_gain = sum(part.cost) * entry.base_rate - sum(part.base_cost)
        is_long = part.quantity > 0
        self.realized.append(
            RealizedGain(
                entry_id=entry.id,
                account=account,
                day=entry.day,
                kind=entry.kind,
                side="long" if is_long else "short",
                lot_id=part.id,
                opened_by=part.opened_by,
                acquired_on=part.acquired_on,
                quantity=abs(part.quantity),
                currency=entry.currency if is_long else part.currency,
                proceeds=amounts_of(amounts if is_long else _negated(part.cost)),
                base_proceeds=amounts_of(base if is_long else _negated(part.base_cost)),
                cost_currency=part.currency if is_long else entry.currency,
                cost=amounts_of(part.cost if is_long else amounts),
                base_cost=amounts_of(part.base_cost if is_long else base),
                fx_gain=fx_gain,
            )
        )

    def open(
        self, entry: Entry, account: str, quantity: Decimal, cost: Triple | None, base_cost: Triple | None
    ) -> OpenLot:
        lot = OpenLot(
            id=entry.id,
            account=account,
            opened_by=entry.id,
            kind=entry.kind,
            acquired_on=entry.acquired_on or entry.day,
            opened_on=entry.day,
            order=(self.number, 0),
            quantity=quantity,
            currency=entry.currency,
            cost=cost,
            base_cost=base_cost,
        )
        self.books[account].add(lot, pooled=self.method(account, entry.day) == "average")
        return lot

    # Units that come and go without a trade

    def receive(self, entry: Entry, account: str, quantity: Decimal) -> None:
        """Units at the stated price plus fee; of unknown cost where none is stated."""
        book = self.books[account]
        cost = _trade_amounts(entry, quantity)
        if entry.kind == "adjustment" and book.deficit:
            explained = min(book.deficit, quantity)  # a report of what was sold beyond the known is no new lot
            book.deficit -= explained
            cost = shared(cost, quantity - explained, quantity)
            quantity -= explained
        self.come_in(entry, account, quantity, cost)

    def come_in(self, entry: Entry, account: str, quantity: Decimal, cost: Triple | None) -> None:
        """Cover a short with units that came without a trade; the rest is a lot. Owed units open a short."""
        if quantity < 0:
            self.cross(entry, self.open(entry, account, quantity, None, None), quantity)
            return
        spread = Spread(quantity, cost, times(cost, entry.base_rate))
        quantity = self.cover(entry, account, quantity, spread)
        if not quantity:
            return
        lot_cost, base_cost = spread.take(quantity)
        lot = self.open(entry, account, quantity, lot_cost, base_cost)
        self.cross(entry, lot, quantity)

    def cover(self, entry: Entry, account: str, quantity: Decimal, spread: Spread) -> Decimal:
        """Close an open short with up to `quantity` units at the cost in `spread`; returns the rest."""
        book = self.books[account]
        if book.lots and book.lots[0].quantity < 0:
            parts, quantity = book.take(quantity, self.method(account, entry.day))
            for part in parts:
                self.close(entry, account, part, *spread.take(-part.quantity))
        return quantity

    def sell_held(self, entry: Entry, account: str, quantity: Decimal, spread: Spread) -> Decimal:
        """Close long lots with up to `quantity` units owed, at the proceeds in `spread`; returns the rest."""
        book = self.books[account]
        if book.lots and not book.is_short:
            parts, quantity = book.take(quantity, self.method(account, entry.day))
            for part in parts:
                self.close(entry, account, part, *spread.take(part.quantity))
        return quantity

    def leave(self, entry: Entry, account: str, magnitude: Decimal) -> None:
        """Lots leave at cost, oldest first; no gain. A report may show a short that no row explains."""
        if entry.kind == "adjustment" and self.allows_short(account):
            book = self.books[account]
            parts: list[OpenLot] = []
            if book.lots and book.lots[0].quantity > 0:
                parts, magnitude = book.take(magnitude, "fifo")
            if magnitude:
                self.cross(entry, self.open(entry, account, -magnitude, None, None), -magnitude)
        else:
            parts = self.release(entry, account, magnitude)
        for part in parts:
            self.cross(entry, part, -part.quantity)

    def release(self, entry: Entry, account: str, magnitude: Decimal, side: int = 1) -> list[OpenLot]:
        """Detach long lots (side -1: short ones), oldest first; what is not there is missing."""
        book = self.books[account]
        parts: list[OpenLot] = []
        if book.lots and book.lots[0].quantity * side > 0:
            parts, magnitude = book.take(magnitude, "fifo")
        if magnitude and side < 0:
            self.come_in(replace(entry, base_rate=None), account, magnitude, None)  # more came than was owed
        elif magnitude:
            book.deficit += magnitude
            self.missing.append(Missing(entry.id, account, entry.day, magnitude))
        return parts

    def cross(self, entry: Entry, part: OpenLot, quantity: Decimal) -> None:
        self.crossings.append(
            Crossing(
                entry_id=entry.id,
                account=part.account,
                day=entry.day,
                kind=entry.kind,
                lot_id=part.id,
                acquired_on=part.acquired_on,
                quantity=quantity,
                currency=part.currency,
                cost=amounts_of(part.cost),
                base_cost=amounts_of(part.base_cost),
            )
        )

    # Paired transfers

    def leave_paired(self, entry: Entry, account: str, magnitude: Decimal) -> None:
        self.done.add(entry.id)
        self.transit[entry.transfer_group or ""] += self.release(entry, account, magnitude)

    def arrive(self, entry: Entry, account: str, quantity: Decimal) -> None:
        """Take over the lots of the pair's out legs, oldest first."""
        group = entry.transfer_group or ""
        for leg in self.out_legs[group]:
            if leg.id not in self.done and leg.account is not None and leg.quantity is not None:
                self.leave_paired(leg, leg.account, -leg.quantity)  # its day lacks a zone: it left before it came
        waiting = self.transit[group]
        covered = ZERO
        while waiting and covered < quantity:
            lot = waiting[0]
            if lot.quantity > quantity - covered:
                lot = lot.split_off(quantity - covered)
            else:
                del waiting[0]
            covered += lot.quantity
            self.carry(entry, account, lot)
        self.in_legs[group] -= 1
        if self.in_legs[group] == 0:
            for lot in waiting:  # what never arrives of a finished pair is the fee that was taken in units
                self.cross(entry, lot, -lot.quantity)
            del self.transit[group]
        if covered < quantity:
            rest = quantity - covered  # no known lot covers it: at its share of the stated price, else unknown
            self.come_in(entry, account, rest, shared(_trade_amounts(entry, quantity), rest, quantity))

    def carry(self, entry: Entry, account: str, lot: OpenLot) -> None:
        """Put a lot that arrived into its new account; against a short it is the purchase that covers it.

        A short lot sells what is held long.
        """
        if lot.quantity > 0:
            spread = Spread(lot.quantity, lot.cost, lot.base_cost)
            rest = self.cover(entry, account, lot.quantity, spread)
            cost, base_cost = spread.take(rest) if rest else (None, None)
        else:
            spread = Spread(-lot.quantity, _negated(lot.cost), _negated(lot.base_cost))
            rest = -self.sell_held(entry, account, -lot.quantity, spread)
            cost, base_cost = map(_negated, spread.take(-rest)) if rest else (None, None)
        if not rest:
            return
        lot.quantity, lot.cost, lot.base_cost = rest, cost, base_cost
        self.carried[lot.opened_by] += 1
        lot.id = f"{lot.opened_by}.{self.carried[lot.opened_by]}"
        lot.order = (lot.order[0], self.carried[lot.opened_by])
        lot.account, lot.opened_on, lot.opened_quantity = account, entry.day, rest
        self.books[account].add(lot, pooled=self.method(account, entry.day) == "average")

    # Corporate actions

    def split(self, entry: Entry) -> None:
        """Quantities change, cost and dates stay. The quantity a row states goes before the ratio."""
        if entry.account is None:
            own = {account for group, account in self.split_rows if group == entry.event_group}
            for account in [account for account in self.books if account not in own]:
                self.split_account(entry, account, None)
            self.split_transit(entry, None)
            return
        rows = [entry]
        if entry.event_group is not None:
            rows = self.split_rows[entry.event_group, entry.account]  # old units out and new ones in are one change
            self.done.update(row.id for row in rows)
        stated = [row.quantity for row in rows if row.quantity is not None]
        change = sum(stated, ZERO) if stated else None
        side = -1 if self.books[entry.account].is_short else 1  # who is short pays for the fraction
        paid = [row for row in rows if row.cash_amount and row.cash_amount * side > 0]
        fraction = self.fraction(entry, entry.account, change) if paid else ZERO
        self.split_account(entry, entry.account, change if change is None else change + fraction)
        self.split_transit(entry, entry.account)
        for row in paid:
            if fraction:
                self.trade(replace(row, kind="sell"), entry.account, -fraction)
            else:
                self.unresolved.append(Unresolved(row.id, "cash_in_lieu_without_fraction"))
                self.return_capital(row, entry.account)
        for row in self.cash_legs.get((entry.event_group or "", entry.account), ()):
            self.done.add(row.id)
            self.sell_fraction(row, entry.account)

    def fraction(self, entry: Entry, account: str, change: Decimal | None) -> Decimal:
        """Units due by the ratio that a row with cash in lieu did not give; 0 where they cannot be told."""
        held = self.books[account].quantity
        if change is None or not entry.ratio:
            return ZERO
        due = held * entry.ratio - held - change
        return due if due * held > 0 else ZERO

    def sell_fraction(self, entry: Entry, account: str) -> None:
        """Cash for a fraction of a unit sells it; where no units are stated it lowers the cost."""
        if entry.quantity:
            return self.trade(replace(entry, kind="sell"), account, entry.quantity)
        self.unresolved.append(Unresolved(entry.id, "cash_in_lieu_without_fraction"))
        return self.return_capital(entry, account)

    def step_aside(self, entry: Entry, account: str) -> None:
        """Units of an event that leave for something unknown: at cost, no gain."""
        self.unresolved.append(Unresolved(entry.id, "event_across_instruments"))
        self.leave(entry, account, -(entry.quantity or ZERO))

    def split_account(self, entry: Entry, account: str, change: Decimal | None) -> None:
        book = self.books[account]
        held = book.quantity
        if change is None:
            if not entry.ratio or entry.ratio < 0:
                self.unresolved.append(Unresolved(entry.id, "split_without_ratio"))
            elif held:
                book.scale(held * entry.ratio)
        elif not change:
            return
        elif held and (held + change) * held > 0:
            book.scale(held + change)
        else:
            self.unresolved.append(Unresolved(entry.id, "split_without_position"))
            if change > 0:
                self.open(entry, account, change, None, None)
            else:
                self.leave(entry, account, -change)

    def split_transit(self, entry: Entry, account: str | None) -> None:
        if entry.ratio and entry.ratio > 0:
            for lots in self.transit.values():
                for lot in lots:
                    if account in (None, lot.account):
                        lot.quantity *= entry.ratio
                        lot.opened_quantity *= entry.ratio

    def return_capital(self, entry: Entry, account: str) -> None:
        """Lower the cost by the amount received, unit for unit; what exceeds a lot's cost is a gain."""
        amount = entry.cash_amount if entry.cash_amount is not None else entry.gross
        book = self.books[account]
        held = book.quantity
        if amount is None or not held:
            self.unresolved.append(Unresolved(entry.id, "event_across_instruments"))
            return
        base = times((amount, ZERO, ZERO), entry.base_rate)
        spread = Spread(held, (amount, ZERO, ZERO), base)
        for lot in book.lots:
            part, base_part = spread.take(lot.quantity)
            in_currency = part if lot.currency == entry.currency else None
            lot.cost, excess = _lowered(lot.cost, in_currency)
            lot.base_cost, base_excess = _lowered(lot.base_cost, base_part)
            if excess or base_excess:
                self.realized.append(
                    RealizedGain(
                        entry_id=entry.id,
                        account=account,
                        day=entry.day,
                        kind=entry.kind,
                        side="long",
                        lot_id=lot.id,
                        opened_by=lot.opened_by,
                        acquired_on=lot.acquired_on,
                        quantity=ZERO,
                        currency=entry.currency,
                        proceeds=Amounts(excess, ZERO, ZERO),
                        base_proceeds=None if base is None else Amounts(base_excess, ZERO, ZERO),
                        cost_currency=entry.currency,
                        cost=Amounts(ZERO, ZERO, ZERO),
                        base_cost=Amounts(ZERO, ZERO, ZERO),
                        fx_gain=None,
                    )
                )
        book.changed()


def _is_cash_in_lieu(entry: Entry) -> bool:
    """Money for a fraction, beside the row that changes the units: those it names left, or it names none."""
    if entry.kind not in EVENTS and entry.kind != "split":
        return False
    if not entry.cash_amount or entry.event_group is None or entry.ratio:
        return False
    if entry.cash_amount < 0:  # paid by who is short
        return bool(entry.quantity) and 0 < (entry.quantity or ZERO) < 1
    return not entry.quantity or -1 < entry.quantity < 0


def _lowered(cost: Triple | None, by: Triple | None) -> tuple[Triple | None, Decimal]:
    """Cost after capital came back, never under 0 for a long lot, and what exceeded it."""
    if cost is None or by is None:
        return None, ZERO
    total = sum(cost, ZERO)
    if total >= 0 and by[0] > total:
        return NOTHING, by[0] - total
    return (cost[0] - by[0], cost[1], cost[2]), ZERO

"""Units and cost of a holding at the close of every day on which it changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import NamedTuple

from portfolio.lot_matching import Pass
from portfolio.lots import DIGITS, Entry, LotResult, Method


class Step(NamedTuple):
    """From the close of `day`: units, their cost with fee and tax; None where one is unknown or currencies differ."""

    day: date
    quantity: Decimal
    currency: str
    cost: Decimal | None
    cost_base: Decimal | None


@dataclass(frozen=True, slots=True)
class Held:
    """One instrument over all accounts: what the lot pass leaves, and by account the steps on the way."""

    lots: LotResult
    steps: dict[str, list[Step]] = field(default_factory=dict)
    missing: dict[str, Decimal] = field(default_factory=dict)  # units that left beyond those known, not explained yet


def held(
    entries: Sequence[Entry],
    *,
    method: Callable[[str, date], Method],
    allows_short: Callable[[str], bool],
) -> Held:
    """Run the lot pass over rows in ledger order and keep the state at the end of each account's days."""
    with localcontext(prec=DIGITS):
        match = SteppedPass(entries, method, allows_short, {})
        match.run()
        return match.held()


class SteppedPass(Pass):
    """A pass that keeps each account's state at the end of its days."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.steps: dict[str, list[Step]] = defaultdict(list)
        self.day: date | None = None
        self.touched: set[str] = set()
        self.accounts_of = {entry.id: entry.account for entry in self.entries}

    def apply(self, entry: Entry) -> None:
        self.begin(entry.day, entry.account)
        super().apply(entry)
        self.touched.update(self.books if entry.account is None else (entry.account,))
        if entry.transfer_group is not None:  # an arrival may take its out leg with it
            self.touched.update(leg.account for leg in self.out_legs[entry.transfer_group] if leg.account)

    def begin(self, day: date, account: str | None) -> None:
        """Something happens to an account on `day`; the days come in order."""
        if day != self.day:
            self.end_day()
            self.day = day
        if account is not None:
            self.touched.add(account)

    def held(self) -> Held:
        """What the pass leaves, once all rows are in."""
        self.end_day()
        missing = {account: book.deficit for account, book in self.books.items() if book.deficit}
        return Held(self.result(), dict(self.steps), missing)

    def end_day(self) -> None:
        for account in sorted(self.touched):
            step = self.state(account)
            before = self.steps[account]
            if not before or (before[-1].quantity, before[-1].cost, before[-1].cost_base) != (
                step.quantity,
                step.cost,
                step.cost_base,
            ):
                before.append(step)
        self.touched.clear()

    def state(self, account: str) -> Step:
        if self.day is None:
            raise ValueError("There is no state before the first row.")
        totals = self.books[account].totals
        is_of_one = len(totals.currencies) < 2
        return Step(
            day=self.day,
            quantity=totals.quantity,
            currency=next(iter(totals.currencies), "") if is_of_one else "",
            cost=totals.cost if not totals.unknown and is_of_one else None,
            cost_base=totals.base_cost if not totals.base_unknown else None,
        )

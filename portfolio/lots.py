"""Tax lots of one instrument: which purchase each sale relieves, and what that leaves as cost and gain.

One pass over all accounts of one user in ledger order. Everything is exact Decimal arithmetic on plain
values: nothing is rounded to a currency here, and a part split off a lot plus what stays is always the lot
(shares are cut on a grid of 36 places and the last part takes the rest). An unknown cost stays unknown: it
makes the gain unknown, never 0. Definitions: fees and taxes are in cost and off proceeds; base cost is at the
purchase day's rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import Final, Literal, NamedTuple

Method = Literal["fifo", "lifo", "hifo", "average", "specific"]
Side = Literal["long", "short"]
UnresolvedReason = Literal[
    "allocation_unknown",
    "cash_in_lieu_without_fraction",
    "event_across_instruments",
    "event_without_position",
    "split_without_position",
    "split_without_ratio",
]

ZERO: Final = Decimal(0)
GRID: Final = Decimal(1).scaleb(-36)  # two recorded numbers of 18 places multiply to 36
DIGITS: Final = 60


# Entries and gains are made by the hundred thousand: frozen they would take three times as long to make.


@dataclass(slots=True)
class Entry:
    """One ledger row of the instrument, in the order of the ledger. Nobody changes it.

    account: None on a split means every account that has no split row of its own in the same `event_group`.
    quantity: signed, + into the account; None where only `ratio` is known. gross: |quantity x price x
    multiplier| in `currency`, None where no price is known (0 is a stated price of nothing). fee, tax: in
    `currency`, positive are costs. cash_amount: signed net cash in `currency`, None where absent or in
    another currency; it decides the cost of a trade. fee_in_cash: False where the fee was paid apart (in
    another currency or coin) and is already converted. base_rate: base currency for one `currency` on the
    day, the recorded rate first; None is unknown. transfer_group: the link of paired transfer legs.
    event_group: the legs of one corporate action. acquired_on: where units that come in were bought before `day`.
    """

    id: str
    account: str | None
    day: date
    kind: str
    quantity: Decimal | None
    currency: str
    gross: Decimal | None = None
    fee: Decimal = ZERO
    tax: Decimal = ZERO
    cash_amount: Decimal | None = None
    fee_in_cash: bool = True
    base_rate: Decimal | None = None
    ratio: Decimal | None = None
    transfer_group: str | None = None
    event_group: str | None = None
    acquired_on: date | None = None


class Amounts(NamedTuple):
    """A sum of money in its three components; fee and tax are positive where they cost.

    As a cost, all three add up (`total`); as proceeds, fee and tax come off (`net`). The cost of a short lot
    is minus its net proceeds: gross is negative, fee and tax positive.
    """

    gross: Decimal
    fee: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        return self.gross + self.fee + self.tax

    @property
    def net(self) -> Decimal:
        return self.gross - self.fee - self.tax

    def cost(self, *, fees: bool = True, taxes: bool = True) -> Decimal:
        """As a cost, with or without its fee and tax."""
        return self.gross + (self.fee if fees else ZERO) + (self.tax if taxes else ZERO)

    def proceeds(self, *, fees: bool = True, taxes: bool = True) -> Decimal:
        """As proceeds, after or before its fee and tax."""
        return self.gross - (self.fee if fees else ZERO) - (self.tax if taxes else ZERO)


@dataclass(frozen=True, slots=True)
class Lot:
    """Units acquired at once, or a part of them; quantity and cost are negative for a short.

    id: the opening row's id, with ".n" for the n-th part carried to another account. acquired_on travels with
    a transfer, opened_on is the day in this account. opened_quantity is in today's units (after splits). cost
    is in `currency`, None where unknown or pooled over currencies; base_cost None where unknown.
    """

    id: str
    account: str
    opened_by: str
    kind: str
    acquired_on: date
    opened_on: date
    quantity: Decimal
    opened_quantity: Decimal
    currency: str
    cost: Amounts | None
    base_cost: Amounts | None


@dataclass(slots=True)
class RealizedGain:
    """One part of a lot relieved by one row; a row that relieves three lots gives three. Nobody changes it.

    quantity: positive. side: "short" where a purchase covers a short: then proceeds are the opening sale's
    (day acquired_on) and cost the purchase's. lot_id None: units sold beyond those known (`is_missing`), cost
    unknown. cost is in cost_currency, proceeds in currency; each in base at its own day's rate; None is
    unknown.
    """

    entry_id: str
    account: str
    day: date
    kind: str
    side: Side
    lot_id: str | None
    opened_by: str | None
    acquired_on: date | None
    quantity: Decimal
    currency: str
    proceeds: Amounts | None
    base_proceeds: Amounts | None
    cost_currency: str
    cost: Amounts | None
    base_cost: Amounts | None
    fx_gain: Decimal | None

    @property
    def is_missing(self) -> bool:
        return self.lot_id is None

    def gain(self, *, fees: bool = True, taxes: bool = True) -> Decimal | None:
        """Proceeds less cost in the trade currency; None where either is unknown or currencies differ."""
        if self.proceeds is None or self.cost is None or self.currency != self.cost_currency:
            return None
        return self.proceeds.proceeds(fees=fees, taxes=taxes) - self.cost.cost(fees=fees, taxes=taxes)

    def base_gain(self, *, fees: bool = True, taxes: bool = True) -> Decimal | None:
        """Proceeds less cost in base, each at its own day's rate."""
        if self.base_proceeds is None or self.base_cost is None:
            return None
        return self.base_proceeds.proceeds(fees=fees, taxes=taxes) - self.base_cost.cost(fees=fees, taxes=taxes)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Units that came in or left without a trade (outside transfer, adjustment, reward, fee of a transfer).

    quantity: signed, + into the account. The parts of a leaving lot are one crossing each; no gain is
    realized.
    """

    entry_id: str
    account: str
    day: date
    kind: str
    lot_id: str
    acquired_on: date
    quantity: Decimal
    currency: str
    cost: Amounts | None
    base_cost: Amounts | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Units that left beyond those known: a gap in the records, never a short position."""

    entry_id: str
    account: str
    day: date
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A row whose effect on cost this pass cannot know."""

    entry_id: str
    reason: UnresolvedReason


@dataclass(frozen=True, slots=True)
class AccountState:
    """The open lots of one account summed; a cost is None as soon as one lot's is unknown or currencies
    differ.

    `known_base_cost` sums what is known and `unknown_quantity` counts the units left out of it.
    """

    quantity: Decimal
    currency: str | None
    cost: Amounts | None
    base_cost: Amounts | None
    known_base_cost: Amounts
    unknown_quantity: Decimal
    missing_quantity: Decimal


@dataclass(frozen=True, slots=True)
class LotResult:
    """What a pass leaves. open: by account, oldest first. in_transit: between the legs of a transfer."""

    open: tuple[Lot, ...]
    in_transit: tuple[Lot, ...]
    realized: tuple[RealizedGain, ...]
    crossings: tuple[Crossing, ...]
    missing: tuple[Missing, ...]
    unresolved: tuple[Unresolved, ...]
    accounts: frozenset[str] = field(default_factory=frozenset)

    def state(self, account: str | None = None) -> AccountState:
        """The open position of one account; of all accounts and what is in transit for None."""
        lots = [lot for lot in self.open if account in (None, lot.account)]
        if account is None:
            lots += self.in_transit
        gaps = [gap.quantity for gap in self.missing if account in (None, gap.account)]
        return summed(lots, missing_quantity=sum(gaps, ZERO))


def added(amounts: Iterable[Amounts]) -> Amounts:
    gross = fee = tax = ZERO
    for amount in amounts:
        gross, fee, tax = gross + amount.gross, fee + amount.fee, tax + amount.tax
    return Amounts(gross, fee, tax)


def summed(lots: Iterable[Lot], *, missing_quantity: Decimal = ZERO) -> AccountState:
    """Quantity and cost of lots together."""
    with localcontext(prec=DIGITS):
        lots = list(lots)
        currencies = {lot.currency for lot in lots}
        known = [lot.base_cost for lot in lots if lot.base_cost is not None]
        costs = [lot.cost for lot in lots if lot.cost is not None]
        return AccountState(
            quantity=sum((lot.quantity for lot in lots), ZERO),
            currency=next(iter(currencies)) if len(currencies) == 1 else None,
            cost=added(costs) if len(costs) == len(lots) and len(currencies) < 2 else None,
            base_cost=added(known) if len(known) == len(lots) else None,
            known_base_cost=added(known),
            unknown_quantity=sum((lot.quantity for lot in lots if lot.base_cost is None), ZERO),
            missing_quantity=missing_quantity,
        )

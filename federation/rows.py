"""What the pure rules of federation work on: staged facts with their accounts and instruments resolved, and
what follows.

No module that imports this one touches the database. Signs: + into the account. Days are the statements' own.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

Completeness = Literal["declared", "inferred", "broken"]

DERIVED = UUID("5f3c2a52-8a3e-5d0b-9d67-0c1f6e1b7a10")
"""Namespace of ids that are computed and not recorded: adjustments, groups, conflicts."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A believed source. `pulled`: its newest statement was fetched, not uploaded (decides how soon it is
    stale).
    """

    id: UUID
    kind: str
    priority: int
    name: str = ""
    pulled: bool = False

    @property
    def by_hand(self) -> bool:
        return self.kind == "manual"


class Edition(NamedTuple):
    """How new a statement is: generation time where it counts, else arrival; then the recorded version."""

    time: datetime
    number: int


@dataclass(frozen=True, slots=True)
class ContentInfo:
    """A content in force, with its newest arrival."""

    id: int
    source: UUID
    layout: str
    institution: str
    references_issued: bool
    generated_at: datetime | None
    default_account: UUID | None
    cash_mode: str
    descending: bool
    base_currencies: dict[str, str]
    number: int
    arrived_at: datetime
    pulled: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What a content says it holds of one account: `start` to `end`, both included."""

    content: int
    start: date
    end: date
    completeness: Completeness
    edition: Edition
    coverage: int = 0  # the recorded fact it is read from


@dataclass(slots=True)
class StagedRow:
    """One staged transaction; the fields follow the columns that `facts` reads, then what was resolved."""

    id: int
    content: int
    uid: UUID
    identity: str
    has_own_id: bool
    line: int
    account_ref: str
    instrument_key: str
    kind: str
    trade_date: date
    traded_at: datetime | None
    local_time: str
    settled_on: date | None
    reported_on: date | None
    quantity: Decimal | None
    price: Decimal | None
    currency: str
    fee: Decimal | None
    fee_currency: str
    tax: Decimal | None
    cash_amount: Decimal | None
    cash_currency: str
    fx_rate: Decimal | None
    ratio: Decimal | None
    external_id: str
    group: str
    leg: int
    note: str
    source: UUID = field(default=UUID(int=0))
    instrument: UUID | None = None
    listing: UUID | None = None

    @property
    def statement_day(self) -> date:
        """The day whose statement shows the row: the one that coverage is asked about."""
        return self.reported_on or self.trade_date


@dataclass(frozen=True, slots=True)
class Report:
    """A source's statement of a position (instrument set) or of cash (instrument null) at the close of
    `as_of`.
    """

    content: int
    source: UUID
    line: int
    instrument: UUID | None
    currency: str
    value: Decimal
    cost_basis: Decimal | None
    as_of: date

    @property
    def key(self) -> "HoldingKey":
        return HoldingKey(self.instrument, "" if self.instrument else self.currency)


class HoldingKey(NamedTuple):
    """What a balance is of: an instrument, or cash of one currency."""

    instrument: UUID | None
    currency: str


@dataclass(frozen=True, slots=True)
class AccountInfo:
    id: UUID
    currency: str
    tracking: str
    cash_mode: str


@dataclass(frozen=True, slots=True)
class Stated:
    """All that one source says of one account under one reference: windows by section, rows and reports."""

    source: UUID
    transactions: tuple[Window, ...] = ()
    positions: tuple[Window, ...] = ()
    cash: tuple[Window, ...] = ()
    rows: tuple[StagedRow, ...] = ()
    position_reports: tuple[Report, ...] = ()
    cash_reports: tuple[Report, ...] = ()


@dataclass(slots=True)
class Leg:
    """One leg as one source states it: the row that speaks, and every staged row of that identity."""

    row: StagedRow
    first: int  # smallest staged id of the identity: when the fact was first recorded
    uid: UUID
    members: tuple[int, ...]
    descending: bool = False
    layout: str = ""


@dataclass(slots=True)
class Event:
    """Legs that one source states as one event."""

    source: UUID
    legs: tuple[Leg, ...]

    @property
    def day(self) -> date:
        return self.legs[0].row.statement_day

    @property
    def first(self) -> int:
        return self.legs[0].first if len(self.legs) == 1 else min(leg.first for leg in self.legs)


@dataclass(slots=True)
class LedgerRow:
    """One row of the ledger to be; field order is the column order of `ledger.TRANSACTION_COLUMNS`."""

    id: UUID
    user: UUID
    account: UUID
    instrument: UUID | None
    listing: UUID | None
    kind: str
    trade_date: date
    traded_at: datetime | None
    settled_on: date | None
    quantity: Decimal | None
    price: Decimal | None
    currency: str
    fee: Decimal | None
    fee_currency: str
    tax: Decimal | None
    cash_amount: Decimal | None
    cash_currency: str
    fx_rate: Decimal | None
    ratio: Decimal | None
    group: UUID | None
    leg: int
    position: int
    note: str
    source: UUID | None
    is_manual: bool
    decided: str = ""  # fields that the user set, by name, joined by commas
    lots: str = ""  # of an opening balance: what the user says it was bought as; see `opening_lots`


class ClaimRow(NamedTuple):
    transaction: UUID
    staged: int
    source: UUID
    won: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one source says of a key on one day."""

    source: UUID
    value: Decimal
    as_of: date
    cost_basis: Decimal | None = None


@dataclass(slots=True)
class Balance:
    """A reported balance in force: the winner's value on `as_of`, and every candidate rolled forward to that
    day.
    """

    key: HoldingKey
    as_of: date
    value: Decimal
    cost_basis: Decimal | None
    source: UUID
    rule: str
    candidates: tuple[Candidate, ...]


@dataclass(slots=True)
class Disagreement:
    """Candidates that differ beyond their precision, before its effect in money is known."""

    kind: str
    key: str
    account: UUID
    instrument: UUID | None
    candidates: list[dict[str, str]]
    winner: UUID | None
    rule: str
    settled: bool
    decided: bool
    difference: Decimal | None
    currency: str = ""  # of `difference` where it is money; "" = units of the instrument

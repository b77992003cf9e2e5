"""How sources name instruments, and what a user says of it (DESIGN 5.5)."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

STRONG = ("isin", "figi", "conid", "cusip")  # strongest first
SHARES = frozenset({"equity", "etf", "fund"})  # sources do not agree which of these a thing is

Naming = tuple[UUID, str]
"""(source, key of StagedInstrument)"""
Piece = tuple[UUID, str, date | None]
"""(source, key, from which day; null = from the first)"""
Days = tuple[date, date]
"""First and last day, both included."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a source says of an instrument under one key; `first` = smallest staged id, `accounts` where it is used.

    days: of the rows that use it, null where none does. since: of a piece, the day from which it counts.
    """

    source: UUID
    key: str
    first: int
    symbol: str
    name: str
    kind: str
    isin: str
    figi: str
    cusip: str
    conid: str
    exchange: str
    currency: str
    multiplier: Decimal
    accounts: frozenset[UUID] = frozenset()
    row_currency: str = ""  # what most of its rows are priced in: chooses a listing where none is stated
    days: Days | None = None
    since: date | None = None

    @property
    def naming(self) -> Naming:
        return (self.source, self.key)

    @property
    def piece(self) -> Piece:
        return (self.source, self.key, self.since)

    @property
    def ticker(self) -> str:
        return self.symbol.upper()

    @property
    def family(self) -> str:
        return "share" if self.kind in SHARES else self.kind

    @property
    def is_identified(self) -> bool:
        return bool(self.isin or self.figi or self.conid or self.cusip)


@dataclass(frozen=True, slots=True)
class InstrumentRuling:
    """What the user says of namings: that they are one instrument, or one apart from all others."""

    is_merge: bool
    namings: frozenset[Naming]

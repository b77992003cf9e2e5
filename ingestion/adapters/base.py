"""What every adapter turns bytes into: frozen rows in the trade's words, knowing nothing of the database.

Signs: quantity + into the account; cash_amount + into the account, net of fee and tax in the same currency;
fee and tax are costs, positive (a refund is negative). Decimals only. Days are the statement's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Protocol

Section = Literal["transactions", "positions", "cash"]
Completeness = Literal["declared", "inferred", "broken"]


@dataclass(frozen=True, slots=True)
class InstrumentRef:
    """How a source names an instrument; "" where it does not say. `currency` is the listing's, not an amount's."""

    symbol: str = ""
    name: str = ""
    kind: str = ""  # a federation InstrumentKind value, such as equity, etf, crypto; "" = not said
    isin: str = ""
    figi: str = ""
    cusip: str = ""
    conid: str = ""
    exchange: str = ""
    currency: str = ""
    multiplier: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """One leg of one event. `line` is the physical line (CSV) or the element's number (XML), 1-based."""

    line: int
    account: str  # the source's reference; "" where the file names none
    kind: str  # a Transaction.kind of DESIGN 4
    trade_date: date
    currency: str
    instrument: InstrumentRef | None = None
    traded_at: datetime | None = None  # aware UTC, only where the source states an instant
    local_time: str = ""  # "HH:MM:SS" as stated where no zone is: orders rows inside a day, nothing else
    settled_on: date | None = None
    reported_on: date | None = None  # the day whose statement first shows the row, where that differs from trade_date
    quantity: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str = ""
    tax: Decimal | None = None
    cash_amount: Decimal | None = None
    cash_currency: str = ""  # "" = currency
    fx_rate: Decimal | None = None  # recorded: cash_currency per currency
    ratio: Decimal | None = None  # splits: new units for one old
    external_id: str = ""  # the source's own id of this row, where it has one that is never reused
    group: str = ""  # rows of one event share it
    leg: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class PositionRow:
    line: int
    account: str
    instrument: InstrumentRef
    quantity: Decimal
    as_of: date
    currency: str = ""
    cost_basis: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CashRow:
    line: int
    account: str
    currency: str
    balance: Decimal
    as_of: date


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A mark the source used, as traded, in `currency`."""

    instrument: InstrumentRef
    day: date
    close: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class RateRow:
    """One `base` is `rate` of `quote` on `day`."""

    base: str
    quote: str
    day: date
    rate: Decimal


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """What the statement says it holds: a window for transactions, one day (start == end) for positions and cash."""

    account: str
    section: Section
    start: date
    end: date
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that could not be taken, in words its user understands. `code` is stable; `field`: column or attribute."""

    line: int
    code: str
    detail: str
    field: str = ""
    raw: str = ""  # the row as it stood, cut to 500 characters


@dataclass(frozen=True, slots=True)
class Ignored:
    """A row left out by a named rule (a subtotal, a summary level), never silently."""

    line: int
    rule: str
    count: int = 1  # rows it stands for: an unread XML section is one entry at its first row


@dataclass(slots=True)
class Statement:
    """Everything one file or reply said."""

    layout: str
    parser_version: int = 1  # of the adapter that read it
    institution: str = ""  # named by the layout; "" for generic ones
    references_issued: bool = False  # account references are the institution's own numbers
    generated_at: datetime | None = None
    base_currencies: dict[str, str] = field(default_factory=dict)  # account reference -> base currency
    cash_mode: Literal["tracked", "external"] = "external"  # what the adapter proposes for accounts it makes
    time_order: Literal["ascending", "descending"] = "ascending"
    transactions: list[TransactionRow] = field(default_factory=list)
    positions: list[PositionRow] = field(default_factory=list)
    cash: list[CashRow] = field(default_factory=list)
    prices: list[PriceRow] = field(default_factory=list)
    rates: list[RateRow] = field(default_factory=list)
    coverage: list[CoverageRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """Something the file does not prove and only its user knows (DESIGN 5.3, `needs_mapping`)."""

    code: Literal["date_order", "number_format", "columns", "encoding"]
    detail: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """A proposed mapping of one column, for the preview. confidence 0 to 1; field "" = not used."""

    column: str
    field: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read before it is refused (SECURITY_BAR 4). Settings may give others."""

    csv_bytes: int = 20 * 1024 * 1024
    csv_rows: int = 10_000  # data rows: header, preamble and blank lines are not counted
    xml_bytes: int = 256 * 1024 * 1024
    xml_depth: int = 32
    xml_elements: int = 5_000_000
    xml_attribute: int = 64 * 1024  # characters of one attribute's value


@dataclass(frozen=True, slots=True)
class ParseOptions:
    """What the user decided. mapping: column -> field; date_order: "dmy" | "mdy" | "ymd";
    number_format: "1,234.56" | "1.234,56"; "" = not said."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    date_order: str = ""
    number_format: str = ""
    encoding: str = ""
    as_of: date | None = None  # for positions files that carry no date
    whole: bool = True  # a positions file lists the whole account (DESIGN 5.3)
    words: Mapping[str, str] = field(default_factory=dict)  # mapped layouts: the file's word for a kind -> kind
    constants: Mapping[str, str] = field(default_factory=dict)  # mapped layouts: field -> value that no column states
    limits: Limits = Limits()


class FileRefused(Exception):
    """The file as a whole cannot be read; nothing is staged. `detail`: what to do, `line`: where (0 = all of it)."""

    def __init__(self, code: str, detail: str, *, line: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.line = line


class NeedsMapping(Exception):
    """The file cannot be read without an answer from its user."""

    def __init__(self, questions: Iterable[Question], guesses: Iterable[ColumnGuess] = ()) -> None:
        super().__init__("needs mapping")
        self.questions = tuple(questions)
        self.guesses = tuple(guesses)


class FileAdapter(Protocol):
    """One layout. Stateless."""

    layout: str  # "generic_transactions", "generic_positions", "ibkr_flex", "trading212"
    version: int  # raised when the same bytes are read otherwise than before: `manage.py replay` reads kept ones again
    source_kind: str  # "csv" | "ibkr_flex"
    label: str
    default_on_error: Literal["refuse", "skip"]

    def score(self, head: "Head") -> float:
        """How surely this file is of this layout, 0 to 1, from its first rows or bytes only."""
        ...

    def parse(self, content: bytes, options: ParseOptions, progress: "Progress") -> Statement:
        """Raises FileRefused or NeedsMapping; a bad row is a Problem beside the good ones."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The start of a file, decoded where it is text: what detection may look at."""

    filename: str
    first_bytes: bytes
    rows: tuple[tuple[str, ...], ...]  # first 30 CSV rows, () where it is not text


class Progress(Protocol):
    def __call__(self, done: int, total: int) -> None: ...


def no_progress(done: int, total: int) -> None:
    """For callers that show none."""

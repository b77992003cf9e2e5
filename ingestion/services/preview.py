"""What an import of a file would do, read in the request and kept nowhere."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.models import User
from ingestion import identity, reading, selectors, staging
from ingestion.adapters.base import (
    CashRow,
    FileRefused,
    InstrumentRef,
    NeedsMapping,
    PositionRow,
    Problem,
    Statement,
    TransactionRow,
    no_progress,
)
from ingestion.adapters.column_guesses import propose_mapping
from ingestion.adapters.csv_reading import header_index
from ingestion.errors import FileUnreadable, SourceNamed
from ingestion.models import Source
from ingestion.options import ImportOptions
from ingestion.reading import Recognized
from ingestion.services.sources import DEFAULT_NAMES, create_source
from ingestion.staging import Counts

SHOWN_ROWS = 20
SHOWN_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file: its first value, and what it is read as ("" = not used). confidence 0 to 1."""

    column: str
    example: str
    field: str
    confidence: float


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row as it was understood; what a section does not have is empty or None."""

    line: int
    section: str
    account: str
    day: date
    kind: str = ""
    symbol: str = ""
    isin: str = ""
    name: str = ""
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """questions: as ImportRun.questions keeps them; with one open there are no rows, counts or problems yet."""

    layout: str
    label: str
    source_name: str
    on_error: str
    header_digest: str
    columns: list[Column]
    questions: list[dict[str, Any]] = field(default_factory=list)
    rows: list[PreviewRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    digest: str = ""
    has_source: bool = False  # it goes to a source that is there already


def preview_import(
    *, user: User, content: bytes, filename: str, source: Source | None = None, options: ImportOptions | None = None
) -> Preview:
    """Read the whole file and compare it with what is in force. Raises FileUnreadable."""
    try:
        recognized = reading.recognize(
            content,
            filename=filename,
            options=options or ImportOptions(),
            profile_of=lambda digest: selectors.profile_options(user_id=user.pk, header_digest=digest),
        )
        try:
            statement = reading.parse(content, recognized, no_progress)
        except NeedsMapping as asked:
            return _asking(recognized, asked)
    except FileRefused as refusal:
        raise FileUnreadable(refusal.detail, reason=refusal.code, line=refusal.line or None) from refusal
    return _read(user, recognized, source, statement)


def source_for_file(
    *, user: User, name: str, content: bytes, filename: str, options: ImportOptions | None = None
) -> Source:
    """A new source called `name`, of the kind that the file asks for. Raises FileUnreadable, QuotaExceeded, SourceNamed."""
    try:
        recognized = reading.recognize(
            content, filename=filename, options=options or ImportOptions(), profile_of=lambda _: None
        )
    except FileRefused as refusal:
        raise FileUnreadable(refusal.detail, reason=refusal.code, line=refusal.line or None) from refusal
    if selectors.sources(user_id=user.pk).filter(name__iexact=name).exists():
        raise SourceNamed(
            f"You have a source called “{name}”. Choose it from the list, or give the new one its own name."
        )
    return create_source(user=user, kind=recognized.adapter.source_kind, name=name)


def _asking(recognized: Recognized, asked: NeedsMapping) -> Preview:
    questions = reading.as_questions(asked, recognized)["questions"]
    adapter = recognized.adapter
    return Preview(
        layout=adapter.layout, label=adapter.label, source_name="", on_error=recognized.on_error,
        header_digest=recognized.header_digest, columns=_columns(recognized), questions=questions,
    )  # fmt: skip


def _read(user: User, recognized: Recognized, source: Source | None, statement: Statement) -> Preview:
    adapter = recognized.adapter
    source = source or Source.objects.filter(
        user=user, kind=adapter.source_kind, layout=recognized.family, is_default=True
    ).first()  # fmt: skip
    batch = identity.prepare(statement, default_account=recognized.options.account, mapping=recognized.mapping)
    known = staging.known_rows(source_id=source.pk if source else None, batch=batch)
    names = {(str(kind), layout): name for (kind, layout), name in DEFAULT_NAMES.items()}
    fresh_name = names.get((adapter.source_kind, recognized.family), f"{adapter.label} files")
    return Preview(
        layout=adapter.layout,
        label=adapter.label,
        source_name=source.name if source else fresh_name,
        has_source=source is not None,
        on_error=recognized.on_error,
        header_digest=recognized.header_digest,
        columns=_columns(recognized),
        rows=_first_rows(statement),
        problems=statement.problems[:SHOWN_PROBLEMS],
        counts=staging.count(batch=batch, statement=statement, known=known),
        digest=batch.digest,
    )


def _columns(recognized: Recognized) -> list[Column]:
    """Each column of the file with its first value; read as the user said, else as it is guessed."""
    rows = recognized.head.rows
    index = header_index(rows)
    if index is None:
        return []
    guesses = {guess.column: guess for guess in propose_mapping(rows)}
    said = recognized.options.mapping
    below = rows[index + 1 :]
    columns = []
    for position, name in enumerate(recognized.header):
        if not name:
            continue
        example = next((row[position].strip() for row in below if position < len(row) and row[position].strip()), "")
        guess = guesses.get(name)
        read_as, confidence = (guess.field, guess.confidence) if guess else ("", 0.0)
        if said:
            read_as, confidence = said.get(name, ""), 1.0
        columns.append(Column(name, example[:100], read_as, confidence))
    return columns


def _first_rows(statement: Statement) -> list[PreviewRow]:
    transactions = [_transaction(row) for row in statement.transactions[:SHOWN_ROWS]]
    positions = [_position(row) for row in statement.positions[:SHOWN_ROWS]]
    cash = [_cash(row) for row in statement.cash[:SHOWN_ROWS]]
    return sorted((*transactions, *positions, *cash), key=lambda row: row.line)[:SHOWN_ROWS]


def _transaction(row: TransactionRow) -> PreviewRow:
    ref = row.instrument or InstrumentRef()
    return PreviewRow(
        row.line, "transactions", row.account, row.trade_date, row.kind, ref.symbol, ref.isin, ref.name,
        row.quantity, row.price, row.cash_amount, row.currency,
    )  # fmt: skip


def _position(row: PositionRow) -> PreviewRow:
    ref = row.instrument
    return PreviewRow(
        row.line, "positions", row.account, row.as_of, "", ref.symbol, ref.isin, ref.name,
        row.quantity, row.price, row.cost_basis, row.currency,
    )  # fmt: skip


def _cash(row: CashRow) -> PreviewRow:
    return PreviewRow(row.line, "cash", row.account, row.as_of, amount=row.balance, currency=row.currency)

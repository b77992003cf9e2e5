"""What a file holds and what it leaves open, for the form that imports it. Reads bytes, stores nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ingestion.adapters.base import FileRefused, InstrumentRef, NeedsMapping, Problem, Statement, no_progress
from ingestion.adapters.position_cells import POSITION_FIELDS
from ingestion.adapters.transaction_cells import TRANSACTION_FIELDS
from ingestion.options import ImportOptions
from ingestion.reading import ProfileOf, Recognized, as_questions, parse, recognize
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.display import DASH, quantity_text

FIRST_ROWS = 8
MOST_PROBLEMS = 20
LARGEST_READ = 5 * 1024 * 1024  # larger files are only recognized: a page must not wait for them
FIELD_LABELS = {
    "account": "Account", "trade_date": "Trade day", "traded_at": "Trade time", "kind": "What happened",
    "symbol": "Symbol", "name": "Name", "instrument_kind": "Kind of instrument",
    "isin": "ISIN", "quantity": "Quantity", "price": "Price",
    "fee": "Fee", "tax": "Tax", "cash_amount": "Cash amount", "currency": "Currency", "external_id": "Reference",
    "note": "Note", "fee_currency": "Currency of the fee", "fx_rate": "Exchange rate", "fx_currency": "Exchanged into",
    "ratio": "Split ratio", "group": "Group", "exchange": "Exchange", "multiplier": "Multiplier",
    "settled_on": "Settlement day", "average_cost": "Average cost", "cost_basis": "Cost", "as_of": "Position day",
}  # fmt: skip
CHOICE_LABELS = {
    "dmy": "Day, month, year (31.12.2025)",
    "mdy": "Month, day, year (12/31/2025)",
    "ymd": "Year, month, day (2025-12-31)",
    "1,234.56": "A point (1,234.56)",
    "1.234,56": "A comma (1.234,56)",
    "cp1252": "Western European (Windows)",
}
ANSWERS = ("date_order", "number_format", "encoding")


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """name: the form field that answers it; "" where the table of columns does."""

    name: str
    detail: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class AskedColumn:
    index: int
    name: str
    example: str
    field: str


@dataclass(frozen=True, slots=True)
class RowsShown:
    """First rows of one section as they were understood."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]  # line, cells


@dataclass(frozen=True, slots=True)
class FilePreview:
    error: str = ""
    layout: str = ""
    holds: tuple[str, ...] = ()  # "412 transactions", "8 positions"
    questions: tuple[AskedQuestion, ...] = ()
    columns: tuple[AskedColumn, ...] = ()
    asks_day: bool = False
    sections: tuple[RowsShown, ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    fields: tuple[tuple[str, str], ...] = tuple(FIELD_LABELS.items())
    currencies: tuple[str, ...] = tuple(sorted(ISO_4217))


def preview_file(content: bytes, *, filename: str, options: ImportOptions, profile_of: ProfileOf) -> FilePreview:
    """Never raises for what a file holds: an unreadable one is a preview with an error that says what to do."""
    try:
        recognized = recognize(content, filename=filename, options=options, profile_of=profile_of)
        label = recognized.adapter.label
        if len(content) > LARGEST_READ:
            return FilePreview(layout=label, holds=("too long to show here, read whole by the import",))
        statement = parse(content, recognized, no_progress)
    except FileRefused as exc:
        where = f" (line {exc.line})" if exc.line else ""
        return FilePreview(error=f"{exc.detail}{where}")
    except NeedsMapping as exc:
        asked = asked_preview(as_questions(exc, recognized), options=options)
        return replace(asked, columns=with_examples(asked.columns, recognized))
    return read_preview(statement, label)


def columns_of(content: bytes, *, filename: str, options: ImportOptions) -> tuple[str, ...]:
    """The names of its columns; () for a file that has none or cannot be read."""
    try:
        return recognize(content, filename=filename, options=options, profile_of=lambda _: None).header
    except FileRefused:
        return ()


def asked_preview(asked: Mapping[str, Any], *, options: ImportOptions) -> FilePreview:
    """The questions of a file or of a run that waits, as a form."""
    questions = asked["questions"]
    asks_day = any(tuple(q["choices"]) == ("as_of",) for q in questions)
    guesses = {guess["column"]: guess["field"] for guess in asked["guesses"]} | options.mapping
    asks_columns = any(q["code"] == "columns" for q in questions) and not asks_day
    columns = enumerate(asked["columns"]) if asks_columns else ()
    return FilePreview(
        layout="A table of your own",
        questions=tuple(as_question(q, options) for q in questions),
        columns=tuple(AskedColumn(i, name, "", guesses.get(name, "")) for i, name in columns if name),
        asks_day=asks_day,
    )


def as_question(question: Mapping[str, Any], options: ImportOptions) -> AskedQuestion:
    code = question["code"]
    if code not in ANSWERS:
        return AskedQuestion("", question["detail"], ())
    said = getattr(options, code)
    choices = tuple(Choice(value, CHOICE_LABELS.get(value, value), value == said) for value in question["choices"])
    return AskedQuestion(code, question["detail"], choices)


def with_examples(columns: Sequence[AskedColumn], recognized: Recognized) -> tuple[AskedColumn, ...]:
    """The first value under each column, which says more than its name."""
    rows = list(recognized.head.rows)
    header = next((i for i, row in enumerate(rows) if tuple(c.strip() for c in row) == recognized.header), None)
    below = rows[header + 1 :] if header is not None else []

    def example(index: int) -> str:
        return next((row[index].strip()[:60] for row in below if index < len(row) and row[index].strip()), "")

    return tuple(replace(column, example=example(column.index)) for column in columns)


def read_preview(statement: Statement, label: str) -> FilePreview:
    parts = (
        ("transaction", statement.transactions),
        ("position", statement.positions),
        ("cash balance", statement.cash),
    )
    holds = tuple(f"{len(rows):,} {noun}{'s' if len(rows) != 1 else ''}" for noun, rows in parts if rows)
    return FilePreview(
        layout=label,
        holds=holds,
        sections=tuple(s for s in (transactions_shown(statement), positions_shown(statement)) if s.rows),
        problems=tuple(statement.problems[:MOST_PROBLEMS]),
        problem_count=len(statement.problems),
    )


def named(instrument: InstrumentRef | None) -> str:
    return (instrument.symbol or instrument.isin or instrument.name) if instrument else ""


def transactions_shown(statement: Statement) -> RowsShown:
    rows = tuple(
        (
            row.line,
            (
                row.trade_date.isoformat(),
                row.kind.replace("_", " "),
                named(row.instrument),
                shown(row.quantity),
                shown(row.price),
                shown(row.cash_amount),
                row.cash_currency or row.currency,
            ),
        )
        for row in statement.transactions[:FIRST_ROWS]
    )
    return RowsShown("First transactions", ("Day", "Kind", "Instrument", "Quantity", "Price", "Cash", "Currency"), rows)


def positions_shown(statement: Statement) -> RowsShown:
    rows = tuple(
        (
            row.line,
            (row.as_of.isoformat(), named(row.instrument), shown(row.quantity), shown(row.cost_basis), row.currency),
        )
        for row in statement.positions[:FIRST_ROWS]
    )
    return RowsShown("First positions", ("Day", "Instrument", "Quantity", "Cost", "Currency"), rows)


def shown(value: Any) -> str:
    return "" if value is None else quantity_text(value).replace(DASH, "")


def answers_of(form: Mapping[str, str], *, columns: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of ImportOptions that a form answers. columns: the names behind the fields `column:<index>`.

    What is no known field, currency or day is left out, so that the file asks again rather than fails.
    """
    said: dict[str, Any] = {name: form[name] for name in ANSWERS if form.get(name)}
    fields = {*TRANSACTION_FIELDS, *POSITION_FIELDS}
    mapping = {name: form.get(f"column:{index}", "") for index, name in enumerate(columns) if name}
    if mapping := {name: field for name, field in mapping.items() if field in fields}:
        said["mapping"] = mapping
    if form.get("constant_currency", "") in ISO_4217:
        said["constants"] = {"currency": form["constant_currency"]}
    with suppress(ValueError):
        said["as_of"] = date.fromisoformat(form.get("as_of", "")).isoformat()
    return said

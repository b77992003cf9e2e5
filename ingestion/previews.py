"""What a file holds and what it leaves open, in the words of the form that imports it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from ingestion.adapters.base import Problem
from ingestion.adapters.position_cells import POSITION_FIELDS
from ingestion.adapters.transaction_cells import TRANSACTION_FIELDS
from ingestion.options import ImportOptions
from ingestion.services.preview import Preview, PreviewRow
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.display import quantity_text

FIRST_ROWS = 8
MOST_PROBLEMS = 20
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
ROW_COLUMNS = ("Day", "What", "Instrument", "Quantity", "Price", "Amount", "Currency")
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
class RowShown:
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilePreview:
    """error: why the file cannot be read; then nothing else is set. holds: "411 rows new", "1 known"."""

    error: str = ""
    layout: str = ""
    source_name: str = ""
    holds: tuple[str, ...] = ()
    refuses: bool = False  # one bad row stops the whole file
    is_shared: bool = False  # the source has files already, and the user did not choose it
    questions: tuple[AskedQuestion, ...] = ()
    columns: tuple[AskedColumn, ...] = ()
    asks_day: bool = False
    rows: tuple[RowShown, ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    row_columns: tuple[str, ...] = ROW_COLUMNS
    fields: tuple[tuple[str, str], ...] = tuple(FIELD_LABELS.items())
    currencies: tuple[str, ...] = tuple(sorted(ISO_4217))


def shown_preview(preview: Preview, *, options: ImportOptions, is_shared: bool = False) -> FilePreview:
    """What the service read, as the page shows it. is_shared: its source was found and not chosen."""
    columns = [(column.column, column.field, column.example) for column in preview.columns]
    if preview.questions:
        return asked_preview(preview.questions, columns, options=options)
    counts = preview.counts
    parts = ((counts.staged, "new"), (counts.unchanged, "known already"), (counts.ignored, "left out by rule"))
    return FilePreview(
        layout=preview.label,
        source_name=preview.source_name,
        holds=tuple(f"{number:,} {word}" for number, word in parts if number),
        refuses=preview.on_error == "refuse",
        is_shared=is_shared and preview.has_source,
        rows=tuple(RowShown(row.line, cells_of(row)) for row in preview.rows[:FIRST_ROWS]),
        problems=tuple(preview.problems[:MOST_PROBLEMS]),
        problem_count=counts.rejected,
    )


def run_preview(asked: Mapping[str, Any], *, options: ImportOptions) -> FilePreview:
    """The questions that a run waits for (ImportRun.questions)."""
    guesses = {guess["column"]: guess["field"] for guess in asked["guesses"]} | options.mapping
    columns = [(name, guesses.get(name, ""), "") for name in asked["columns"] if name]
    return asked_preview(asked["questions"], columns, options=options)


def asked_preview(
    questions: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]], *, options: ImportOptions
) -> FilePreview:
    """columns: (name, field it is read as, first value)."""
    asks_day = any(tuple(question["choices"]) == ("as_of",) for question in questions)
    asks_columns = bool(options.mapping) or any(question["code"] == "columns" for question in questions)
    asked = enumerate(columns) if asks_columns and not asks_day else ()
    return FilePreview(
        layout="A table of your own",
        questions=tuple(as_question(question, options) for question in questions),
        columns=tuple(AskedColumn(index, name, example, field) for index, (name, field, example) in asked),
        asks_day=asks_day,
    )


def as_question(question: Mapping[str, Any], options: ImportOptions) -> AskedQuestion:
    code = question["code"]
    if code not in ANSWERS:
        return AskedQuestion("", question["detail"], ())
    said = getattr(options, code)
    choices = tuple(Choice(value, CHOICE_LABELS.get(value, value), value == said) for value in question["choices"])
    return AskedQuestion(code, question["detail"], choices)


def cells_of(row: PreviewRow) -> tuple[str, ...]:
    what = row.kind.replace("_", " ") or {"positions": "position", "cash": "cash"}.get(row.section, "")
    numbers = tuple("" if value is None else quantity_text(value) for value in (row.quantity, row.price, row.amount))
    return (row.day.isoformat(), what, row.symbol or row.isin or row.name, *numbers, row.currency)


def answers_of(form: Mapping[str, str], *, columns: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of ImportOptions that a form answers. columns: the names behind the fields `column:<index>`.

    What is no known field, currency or day is left out, so that the file asks again rather than fails.
    """
    said: dict[str, Any] = {name: form[name] for name in ANSWERS if form.get(name)}
    fields = {*TRANSACTION_FIELDS, *POSITION_FIELDS}
    named = [name for name in columns if name]
    mapping = {name: form.get(f"column:{index}", "") for index, name in enumerate(named)}
    if mapping := {name: field for name, field in mapping.items() if field in fields}:
        said["mapping"] = mapping
    if form.get("constant_currency", "") in ISO_4217:
        said["constants"] = {"currency": form["constant_currency"]}
    with suppress(ValueError):
        said["as_of"] = date.fromisoformat(form.get("as_of", "")).isoformat()
    return said

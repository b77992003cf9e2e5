"""Any CSV whose columns its user has mapped to the fields of the generic layouts: transactions, or positions.

Number format and date order are proved by the whole file or asked; the words of its kind column are known
ones or mapped.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Literal, cast

from ingestion.adapters.base import (
    FileRefused,
    Head,
    NeedsMapping,
    ParseOptions,
    Progress,
    Question,
    Statement,
)
from ingestion.adapters.column_guesses import propose_mapping
from ingestion.adapters.csv_reading import Table, choose_delimiter, decode, head_rows, normalized, read_table
from ingestion.adapters.dates import (
    DATE_ORDERS,
    DateOrder,
    DateProblem,
    parse_day,
    parse_iso_time,
    proved_orders,
)
from ingestion.adapters.generic_positions import AS_OF_QUESTION
from ingestion.adapters.generic_transactions import read_transactions
from ingestion.adapters.kinds import KIND_RULES, kind_in_words
from ingestion.adapters.numbers import NUMBER_FORMATS, POINT, NumberFormat, parse_number, proved_format
from ingestion.adapters.position_cells import POSITION_FIELDS, PositionCells, read_positions
from ingestion.adapters.transaction_cells import TRANSACTION_FIELDS, CellRules, TransactionCells

_NUMBERS = frozenset(
    {"quantity", "price", "fee", "tax", "cash_amount", "fx_rate", "multiplier", "average_cost", "cost_basis"}
)
_DAYS = frozenset({"trade_date", "traded_at", "settled_on", "as_of"})


class GenericMapped:
    layout = "generic_mapped"
    version = 1
    source_kind = "csv"
    label = "CSV with mapped columns"
    default_on_error: Literal["refuse", "skip"] = "refuse"

    def score(self, head: Head) -> float:
        """Never detected: chosen by a mapping."""
        return 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        if not options.mapping:
            raise self._unmapped(content, options)
        fields = self._fields(options)
        wanted = {normalized(column): field for column, field in options.mapping.items() if field}
        table = read_table(
            content,
            limits=options.limits,
            is_header=lambda row: wanted.keys() <= {normalized(cell) for cell in row},
            encoding=options.encoding,
        )
        columns = {
            wanted[normalized(cell)]: index for index, cell in enumerate(table.header) if normalized(cell) in wanted
        }
        number_format, date_order = self._formats(table, columns, options)
        rules = CellRules(
            number=lambda text: parse_number(text, number_format),
            price=lambda text: parse_number(text, number_format, is_price=True),
            day=lambda text: _parse_day(text, date_order),
            kind=_kinds(options.words),
            costs_may_be_negative=True,
        )
        if fields == "positions":
            if "as_of" not in columns and options.as_of is None and "as_of" not in options.constants:
                raise NeedsMapping([AS_OF_QUESTION])
            reader = PositionCells(columns, rules, as_of=options.as_of, constants=options.constants)
            return read_positions(table, reader, self.layout, options, progress)
        return read_transactions(table, TransactionCells(columns, rules, options.constants), self.layout, progress)

    def _unmapped(self, content: bytes, options: ParseOptions) -> NeedsMapping:
        """The question which column is which, with guesses. Raises FileRefused where the file is no text."""
        if len(content) > options.limits.csv_bytes:
            raise FileRefused(
                "too_large", f"The file is larger than {options.limits.csv_bytes:,} bytes. Split it by date."
            )
        text = decode(content, chosen=options.encoding).removeprefix("\ufeff")
        rows = head_rows(text, choose_delimiter(text))
        guesses = propose_mapping(rows)
        if not guesses:
            raise FileRefused(
                "no_header",
                "No row of the first 30 looks like a header. Add a line with the names of the columns.",
            )
        question = Question("columns", "This layout is not known. Say which column is which.", TRANSACTION_FIELDS)
        return NeedsMapping([question], guesses)

    def _fields(self, options: ParseOptions) -> Literal["transactions", "positions"]:
        """Which kind of file the mapping describes. Raises FileRefused or NeedsMapping where it describes
        neither.
        """
        mapped = [field for field in options.mapping.values() if field]
        known = set(TRANSACTION_FIELDS) | set(POSITION_FIELDS)
        unknown = sorted((set(mapped) | set(options.constants)) - known)
        if unknown:
            raise FileRefused("mapping", f"The mapping names fields that do not exist: {', '.join(unknown)[:200]}.")
        doubled = sorted({field for field in mapped if mapped.count(field) > 1})
        if doubled:
            raise FileRefused("mapping", f"The mapping gives two columns the same field: {', '.join(doubled)}.")
        given = set(mapped) | set(options.constants)
        if {"kind", "currency"} <= given and given & {"trade_date", "traded_at"}:
            return "transactions"
        if (
            {"quantity", "currency"} <= given
            and given & {"symbol", "isin"}
            and not given & {"kind", "trade_date", "traded_at"}
        ):
            return "positions"
        raise NeedsMapping(
            [
                Question(
                    "columns",
                    "Transactions need a date, kind and currency; positions need symbol or isin, quantity "
                    "and currency. "
                    "What no column states can be given as a constant.",
                    TRANSACTION_FIELDS,
                )
            ]
        )

    def _formats(
        self, table: Table, columns: Mapping[str, int], options: ParseOptions
    ) -> tuple[NumberFormat, DateOrder]:
        """Number format and date order, chosen or proved. Raises NeedsMapping with every question that is
        open.
        """
        questions: list[Question] = []
        number_format = _chosen(options.number_format, NUMBER_FORMATS, "number_format")
        if number_format is None:
            proved, ambiguous = proved_format(_cells(table, [columns[name] for name in _NUMBERS if name in columns]))
            number_format = next(iter(proved)) if len(proved) == 1 else POINT
            if len(proved) != 1 and (ambiguous or proved):
                shown = ambiguous or "both forms appear"
                questions.append(
                    Question(
                        "number_format",
                        f"Is the decimal mark a point or a comma? ({shown[:40]})",
                        NUMBER_FORMATS,
                    )
                )
        date_order = _chosen(options.date_order, DATE_ORDERS, "date_order")
        if date_order is None:
            orders = proved_orders(_cells(table, [columns[name] for name in _DAYS if name in columns]))
            date_order = "ymd"
            if orders is not None and len(orders) == 1:
                date_order = next(iter(orders))
            elif orders is not None:
                choices = tuple(order for order in DATE_ORDERS if not orders or order in orders)
                questions.append(
                    Question("date_order", "In which order do its dates give day, month and year?", choices)
                )
        if questions:
            raise NeedsMapping(questions)
        return cast("NumberFormat", number_format), cast("DateOrder", date_order)


def _chosen(value: str, allowed: Sequence[str], name: str) -> str | None:
    if not value:
        return None
    if value not in allowed:
        raise FileRefused("mapping", f"{name} is one of {', '.join(allowed)}.")
    return value


def _cells(table: Table, indexes: Sequence[int]) -> Iterable[str]:
    for row in table.rows:
        for index in indexes:
            if index < len(row):
                yield row[index]


def _parse_day(text: str, order: DateOrder) -> tuple[date, datetime | None, str]:
    try:
        return parse_iso_time(text)
    except DateProblem:
        return parse_day(text, order), None, ""


def _kinds(words: Mapping[str, str]) -> "_KindReader":
    unknown = sorted(set(words.values()) - KIND_RULES.keys())
    if unknown:
        raise FileRefused("mapping", f"The mapping names kinds that do not exist: {', '.join(unknown)[:200]}.")
    return _KindReader({" ".join(word.casefold().split()): kind for word, kind in words.items()})


class _KindReader:
    """The user's own words first, then those that are known."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def __call__(self, word: str) -> str:
        return self._words.get(" ".join(word.casefold().split())) or kind_in_words(word)

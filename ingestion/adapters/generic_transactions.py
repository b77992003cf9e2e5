"""The generic transactions CSV of DESIGN 7: our own column names, ISO dates, decimal points; nothing is
asked.
"""

from collections.abc import Sequence
from typing import Literal

from ingestion.adapters.base import (
    FileRefused,
    Head,
    ParseOptions,
    Problem,
    Progress,
    Statement,
    TransactionRow,
)
from ingestion.adapters.csv_reading import Table, normalized, read_table
from ingestion.adapters.dates import parse_iso_time
from ingestion.adapters.kinds import known_kind
from ingestion.adapters.numbers import parse_exact
from ingestion.adapters.rows import RowProblem, aligned, time_order, transactions_coverage
from ingestion.adapters.transaction_cells import TRANSACTION_FIELDS, CellRules, TransactionCells

PROGRESS_ROWS = 1000
RULES = CellRules(
    number=parse_exact,
    price=lambda text: parse_exact(text, is_price=True),
    day=parse_iso_time,
    kind=known_kind,
)


def field_name(cell: str) -> str:
    """ "Trade Date" and "trade-date" as "trade_date"."""
    return normalized(cell).replace(" ", "_").replace("-", "_")


class GenericTransactions:
    layout = "generic_transactions"
    version = 1
    source_kind = "csv"
    label = "StackMotive transactions CSV"
    default_on_error: Literal["refuse", "skip"] = "refuse"

    def is_header(self, row: Sequence[str]) -> bool:
        names = {field_name(cell) for cell in row}
        return "kind" in names and "currency" in names and bool(names & {"trade_date", "traded_at"})

    def score(self, head: Head) -> float:
        for row in head.rows:
            if self.is_header(row):
                names = {field_name(cell) for cell in row if cell.strip()}
                return 0.6 + 0.4 * len(names & set(TRANSACTION_FIELDS)) / len(names)
        return 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        table = read_table(content, limits=options.limits, is_header=self.is_header, encoding=options.encoding)
        columns = unique_columns(
            {index: field_name(cell) for index, cell in enumerate(table.header)}, table.header_line
        )
        return read_transactions(table, TransactionCells(columns, RULES), self.layout, progress)


def unique_columns(names: dict[int, str], line: int) -> dict[str, int]:
    """Field -> column index for the fields of transactions; other columns are left unread. Raises
    FileRefused on doubles.
    """
    columns: dict[str, int] = {}
    for index, name in names.items():
        if name not in TRANSACTION_FIELDS:
            continue
        if name in columns:
            raise FileRefused("duplicate_column", f"Two columns are named {name}.", line=line)
        columns[name] = index
    return columns


def read_transactions(table: Table, reader: TransactionCells, layout: str, progress: Progress) -> Statement:
    """Every data row of `table`: a transaction or a problem. Twin rows stay two rows."""
    statement = Statement(layout=layout)
    width, total = len(table.header), len(table.rows)
    rows: list[TransactionRow] = statement.transactions
    problems: list[Problem] = statement.problems
    for number, (line, cells) in enumerate(zip(table.lines, table.rows, strict=True)):
        if number % PROGRESS_ROWS == 0:
            progress(number, total)
        try:
            rows.append(reader.row(line, aligned(cells, width)))
        except RowProblem as exc:
            problems.append(exc.at(line, table.delimiter.join(cells[:width])))
    progress(total, total)
    statement.coverage = transactions_coverage(rows, is_broken=bool(problems))
    statement.time_order = time_order(rows)
    has_cash_flows = any(row.kind in ("deposit", "withdrawal") for row in rows)
    statement.cash_mode = "tracked" if has_cash_flows else "external"
    return statement

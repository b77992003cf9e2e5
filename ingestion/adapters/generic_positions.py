"""The generic positions CSV: what each account holds on a day. A file counts as whole unless its user says
that it lists a part.
"""

from collections.abc import Sequence
from typing import Literal

from ingestion.adapters.base import (
    FileRefused,
    Head,
    NeedsMapping,
    ParseOptions,
    Progress,
    Question,
    Statement,
)
from ingestion.adapters.csv_reading import read_table
from ingestion.adapters.generic_transactions import RULES, field_name
from ingestion.adapters.position_cells import POSITION_FIELDS, PositionCells, read_positions

ALIASES = {"kind": "instrument_kind"}  # as our own portfolio export names it
_LEAST_KNOWN = 0.6  # of its columns: below that it is some other list with a quantity
_OF_TRANSACTIONS = frozenset({"trade_date", "traded_at", "date", "time", "action", "type", "side", "transaction_type"})


class GenericPositions:
    layout = "generic_positions"
    version = 1
    source_kind = "csv"
    label = "StackMotive positions CSV"
    default_on_error: Literal["refuse", "skip"] = "refuse"

    def is_header(self, row: Sequence[str]) -> bool:
        names = {field_name(cell) for cell in row}
        has_holding = {"quantity", "currency"} <= names and bool(names & {"symbol", "isin"})
        return has_holding and not names & _OF_TRANSACTIONS

    def score(self, head: Head) -> float:
        for row in head.rows:
            if self.is_header(row):
                names = {ALIASES.get(field_name(cell), field_name(cell)) for cell in row if cell.strip()}
                known = len(names & set(POSITION_FIELDS)) / len(names)
                return 0.9 * known if known >= _LEAST_KNOWN else 0.0
        return 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        table = read_table(content, limits=options.limits, is_header=self.is_header, encoding=options.encoding)
        columns: dict[str, int] = {}
        for index, cell in enumerate(table.header):
            name = ALIASES.get(field_name(cell), field_name(cell))
            if name in columns:
                raise FileRefused("duplicate_column", f"Two columns are named {name}.", line=table.header_line)
            if name in POSITION_FIELDS:
                columns[name] = index
        if "as_of" not in columns and options.as_of is None:
            raise NeedsMapping([AS_OF_QUESTION])
        return read_positions(table, PositionCells(columns, RULES, as_of=options.as_of), self.layout, options, progress)


AS_OF_QUESTION = Question(
    "columns",
    "The file does not say which day it describes. State as_of, the day of these positions.",
    ("as_of",),
)

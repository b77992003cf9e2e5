"""What the CSV layouts share: rejecting a row, bounds on text, instruments' words, order and coverage of
what came out.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal

from ingestion.adapters.base import Completeness, CoverageRow, Problem, TransactionRow
from stackmotive.common.currencies import ISO_4217, QUOTE_UNITS

RAW_CHARACTERS = 500
NOTE_CHARACTERS = 500
NAME_CHARACTERS = 200
# What the columns of staged rows hold; a reference that does not fit would name something else once cut.
TEXT_LIMITS = {
    "account": 100, "symbol": 60, "exchange": 40, "external_id": 100, "group": 100, "conid": 20, "figi": 12,
    "cusip": 9,
}  # fmt: skip

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]", re.ASCII)

INSTRUMENT_KINDS = frozenset(
    {"equity", "etf", "fund", "bond", "crypto", "commodity", "option", "future", "property", "other"}
)
INSTRUMENT_KIND_WORDS = {
    "stock": "equity", "stocks": "equity", "share": "equity", "shares": "equity", "adr": "equity",
    "reit": "equity",
    "equities": "equity", "stk": "equity", "mutual fund": "fund", "mutualfund": "fund",
    "mutual_fund": "fund", "funds": "fund",
    "bonds": "bond", "coin": "crypto", "token": "crypto", "cryptocurrency": "crypto", "options": "option",
    "opt": "option",
    "futures": "future", "fut": "future", "real estate": "property", "metal": "commodity", "etfs": "etf",
    "etp": "etf",
}  # fmt: skip


class RowProblem(Exception):
    """A row that cannot be taken; becomes a Problem beside the good rows."""

    def __init__(self, code: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field

    def at(self, line: int, raw: str) -> Problem:
        return Problem(line, self.code, self.detail, self.field, raw[:RAW_CHARACTERS])


def aligned(cells: list[str], width: int) -> list[str]:
    """`cells` as wide as the header plus one "" for absent columns. Raises RowProblem where a cell is
    missing or too many.
    """
    if len(cells) != width:
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            del cells[width:]
        else:
            raise RowProblem(
                "cells",
                f"The row has {len(cells)} cells and the header {width}: a delimiter is missing or too many.",
            )
    cells.append("")
    return cells


def bounded(text: str, field: str) -> str:
    """`text` if its column holds it. Raises RowProblem."""
    if len(text) > TEXT_LIMITS[field]:
        raise RowProblem("too_long", f"{field} is longer than {TEXT_LIMITS[field]} characters.", field)
    return text


def parse_currency(text: str, field: str = "currency") -> str:
    """An ISO 4217 code, upper case. Raises RowProblem for anything else: coins are instruments, pence are
    quote units.
    """
    code = text.strip()
    if code.upper() in ISO_4217 and code not in QUOTE_UNITS:
        return code.upper()
    if code in QUOTE_UNITS or code.upper() in QUOTE_UNITS:
        whole = (QUOTE_UNITS.get(code) or QUOTE_UNITS[code.upper()])[0]
        raise RowProblem(
            "currency",
            f"“{code}” is a unit that prices are quoted in. State {whole} and amounts in {whole}.",
            field,
        )
    if not code:
        raise RowProblem("missing", f"{field} is empty.", field)
    raise RowProblem(
        "currency",
        f"“{code[:20]}” is no ISO 4217 currency. Coins are instruments: give them as symbol.",
        field,
    )


def parse_isin(text: str) -> str:
    """An ISIN by its form, upper case, or "". Raises RowProblem."""
    isin = text.strip().upper()
    if isin and not _ISIN.fullmatch(isin):
        raise RowProblem(
            "isin", f"“{text[:20]}” is not an ISIN: two letters, nine letters or digits, one digit.", "isin"
        )
    return isin


def isin_or_nothing(text: str) -> str:
    """For broker layouts, whose other words ("Not available") mean that there is none."""
    isin = text.strip().upper()
    return isin if _ISIN.fullmatch(isin) else ""


def parse_instrument_kind(text: str) -> str:
    """An InstrumentKind value, or "" where the cell is empty. Raises RowProblem."""
    word = " ".join(text.strip().casefold().split())
    kind = INSTRUMENT_KIND_WORDS.get(word, word)
    if kind and kind not in INSTRUMENT_KINDS:
        known = ", ".join(sorted(INSTRUMENT_KINDS))
        raise RowProblem(
            "instrument_kind",
            f"“{text[:20]}” is not a kind of instrument. Known: {known}.",
            "instrument_kind",
        )
    return kind


def time_order(rows: Iterable[TransactionRow]) -> Literal["ascending", "descending"]:
    """ "descending" where the dates of the file prove it, else "ascending"."""
    previous: tuple[date, str] | None = None
    falls = rises = False
    for row in rows:
        moment = (row.trade_date, row.local_time)
        if previous is not None:
            falls = falls or moment < previous
            rises = rises or moment > previous
        previous = moment
    return "descending" if falls and not rises else "ascending"


def transactions_coverage(rows: Iterable[TransactionRow], *, is_broken: bool) -> list[CoverageRow]:
    """One inferred window (first to last row) per account; broken where a row of the file was rejected."""
    windows: dict[str, tuple[date, date]] = {}
    for row in rows:
        day = row.trade_date
        known = windows.get(row.account)
        if known is None:
            windows[row.account] = (day, day)
        elif day < known[0]:
            windows[row.account] = (day, known[1])
        elif day > known[1]:
            windows[row.account] = (known[0], day)
    completeness: Completeness = "broken" if is_broken else "inferred"
    return [CoverageRow(account, "transactions", start, end, completeness) for account, (start, end) in windows.items()]

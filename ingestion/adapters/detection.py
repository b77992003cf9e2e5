"""The registered layouts, and which of them a file is by its first rows or bytes."""

from collections.abc import Sequence

from ingestion.adapters.base import FileAdapter, FileRefused, Head
from ingestion.adapters.csv_reading import HEADER_ROWS, choose_delimiter, decode, head_rows
from ingestion.adapters.generic_mapped import GenericMapped
from ingestion.adapters.generic_positions import GenericPositions
from ingestion.adapters.generic_transactions import GenericTransactions
from ingestion.adapters.ibkr_flex import IbkrFlex
from ingestion.adapters.trading212 import Trading212

ADAPTERS: tuple[FileAdapter, ...] = (  # one line per layout
    GenericTransactions(),
    GenericPositions(),
    IbkrFlex(),
    Trading212(),
)
MAPPED: FileAdapter = GenericMapped()  # for files of no known layout, once their columns are mapped

_HEAD_BYTES = 64 * 1024
_LEAST_SCORE = 0.5


def adapter_of(layout: str) -> FileAdapter:
    """The adapter of a layout that was detected or chosen before. Raises KeyError."""
    for adapter in (*ADAPTERS, MAPPED):
        if adapter.layout == layout:
            return adapter
    raise KeyError(layout)


def read_head(content: bytes, filename: str = "", *, encoding: str = "") -> Head:
    """What detection may look at: the first bytes and, where they are text, the first 30 rows. Raises
    nothing.
    """
    start = content[:_HEAD_BYTES]
    if len(content) > _HEAD_BYTES:
        start = start[: start.rfind(b"\n") + 1] or start
    text = _lenient_text(start, encoding)
    rows: tuple[tuple[str, ...], ...] = ()
    if text and not text.lstrip().startswith("<"):
        delimiter = choose_delimiter(text, _is_known_header)
        rows = tuple(tuple(row) for row in head_rows(text, delimiter)[:HEADER_ROWS])
    return Head(filename=filename, first_bytes=start[:4096], rows=rows)


def detect(head: Head) -> FileAdapter | None:
    """The adapter with the best score, or None for an unknown layout."""
    best = max(ADAPTERS, key=lambda adapter: adapter.score(head))
    return best if best.score(head) >= _LEAST_SCORE else None


def _is_known_header(row: Sequence[str]) -> bool:
    head = Head(filename="", first_bytes=b"", rows=(tuple(row),))
    return any(adapter.score(head) >= _LEAST_SCORE for adapter in ADAPTERS)


def _lenient_text(start: bytes, encoding: str) -> str:
    """The start of the file as text, "" where it is none. A character cut in two at its end does no harm."""
    for cut in range(4):
        try:
            return decode(start[: len(start) - cut], chosen=encoding, declared="cp1252").removeprefix("\ufeff")
        except FileRefused:
            continue
    return ""

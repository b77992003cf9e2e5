"""CSV bytes to rows of text with their physical line numbers. What cannot be read safely is refused with
the line.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingestion.adapters.base import FileRefused, Limits

DELIMITERS = (",", ";", "\t", "|")
HEADER_ROWS = 30  # the header stands in one of the first 30 rows
_HEAD_CHARACTERS = 64 * 1024
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
)
CHOSEN_ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "cp1252": "cp1252", "windows-1252": "cp1252"}


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file with its header found. `lines[i]` is the physical line, 1-based, on which `rows[i]`
    starts.
    """

    header: list[str]
    header_line: int
    rows: list[list[str]]  # data rows; blank lines are left out
    lines: list[int]
    delimiter: str


def normalized(cell: str) -> str:
    """A header cell as layouts compare it: lower case, single blanks, no byte order mark."""
    return " ".join(cell.replace("\ufeff", "").replace("\u00a0", " ").casefold().split())


def refuse_archives(content: bytes) -> None:
    """Raises FileRefused for what is no text by its first bytes."""
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            raise FileRefused("not_text", f"This is {kind}. Unpack it or save it as CSV (UTF-8) and import that.")


def decode(content: bytes, *, chosen: str = "", declared: str = "") -> str:
    """The text of `content`: by its byte order mark, else UTF-8, else cp1252 where its user chose or its
    layout declares it.

    Raises FileRefused, with the line of the first byte or character that cannot be.
    """
    refuse_archives(content)
    wanted = CHOSEN_ENCODINGS.get(chosen.strip().lower()) if chosen else "utf-8"
    if wanted is None:
        raise FileRefused("encoding", f"“{chosen[:40]}” is not one of the encodings utf-8 and cp1252.")
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), wanted)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as exc:
        text = _decode_declared(content, encoding, declared, exc)
    if "\x00" in text:
        line = _line_of(text, text.index("\x00"))
        raise FileRefused("nul", f"Line {line} holds a NUL character. Save the file again as CSV (UTF-8).", line=line)
    control = _CONTROLS.search(text)
    if control is not None:
        line = _line_of(text, control.start())
        raise FileRefused("not_text", f"Line {line} holds a control character: this is no CSV file.", line=line)
    return text


def _decode_declared(content: bytes, tried: str, declared: str, error: UnicodeDecodeError) -> str:
    if tried == "utf-8" and declared == "cp1252":
        try:
            return content.decode("cp1252")
        except UnicodeDecodeError as exc:
            error = exc
    if tried.startswith(("utf-16", "utf-32")):
        raise FileRefused(
            "encoding", f"The file is marked as {tried.upper()} and is not. Save it again as UTF-8."
        ) from error
    line = content.count(b"\n", 0, error.start) + 1
    advice = "Save the file as UTF-8, or import it with encoding cp1252 if it comes from Windows."
    raise FileRefused(
        "encoding", f"Line {line} is not {tried.removesuffix('-sig').upper()} text. {advice}", line=line
    ) from error


def _line_of(text: str, index: int) -> int:
    before = text[:index]
    return before.count("\n") + before.count("\r") - before.count("\r\n") + 1


def head_rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows, leniently: for detection only."""
    reader = csv.reader(io.StringIO(text[:_HEAD_CHARACTERS], newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == HEADER_ROWS:
                break
    except csv.Error:
        return rows
    return rows


def choose_delimiter(text: str, is_header: Callable[[Sequence[str]], bool] | None = None) -> str:
    """The delimiter under which a known header appears, else the one under which the widest header-like
    row does.

    Header cells hold no decimal commas, so counting on them cannot be fooled by the numbers below.
    """
    best, best_width = ",", 0
    for delimiter in DELIMITERS:
        rows = head_rows(text, delimiter)
        if is_header is not None and any(is_header(row) for row in rows):
            return delimiter
        index = header_index(rows)
        width = len(rows[index]) if index is not None else 0
        if width > best_width:
            best, best_width = delimiter, width
    return best


def header_index(rows: Sequence[Sequence[str]]) -> int | None:
    """Which row looks like a header: words in nearly all of its cells, and the widest row that does. None:
    no such row.
    """
    best: int | None = None
    best_words = 1
    for index, row in enumerate(rows[:HEADER_ROWS]):
        filled = [cell.strip() for cell in row if cell.strip()]
        words = sum(1 for cell in filled if cell[0].isalpha() or cell[0] in "#(_")
        if words >= 2 and words * 10 >= len(filled) * 8 and words > best_words:
            best, best_words = index, words
    return best


def read_table(
    content: bytes,
    *,
    limits: Limits,
    is_header: Callable[[Sequence[str]], bool],
    encoding: str = "",
    declared_encoding: str = "",
) -> Table:
    """The data rows below the first row that `is_header` accepts.

    encoding: what the user chose ("" = nothing). Raises FileRefused: too_large, too_many_rows, encoding,
    nul, not_text,
    bad_csv (with the line), no_header, no_rows.
    """
    if len(content) > limits.csv_bytes:
        raise FileRefused(
            "too_large",
            f"The file is larger than {limits.csv_bytes:,} bytes. Split it by date and import the parts.",
        )
    text = decode(content, chosen=encoding, declared=declared_encoding).removeprefix("\ufeff")
    delimiter = choose_delimiter(text, is_header)
    header: list[str] | None = None
    header_line = 0
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first_line, seen = 1, 0
    try:
        for row in reader:
            if header is None:
                seen += 1
                if is_header(row):
                    header, header_line = [cell.strip() for cell in row], first_line
                elif seen >= HEADER_ROWS:
                    break
            elif any(row) and any(cell and not cell.isspace() for cell in row):
                if len(rows) == limits.csv_rows:
                    raise FileRefused(
                        "too_many_rows",
                        f"The file has more than {limits.csv_rows:,} rows. Split it by date and import the parts.",
                        line=first_line,
                    )
                rows.append(row)
                lines.append(first_line)
            first_line = reader.line_num + 1
    except csv.Error as exc:
        raise FileRefused("bad_csv", _csv_error(exc, first_line), line=first_line) from exc
    if header is None:
        raise FileRefused("no_header", "No row of the first 30 holds the column names of this layout.")
    if not rows:
        raise FileRefused("no_rows", "The file has a header and no rows below it.", line=header_line)
    return Table(header, header_line, rows, lines, delimiter)


def _csv_error(error: csv.Error, line: int) -> str:
    reason = str(error)
    if "field larger" in reason:
        return f"A cell that starts on line {line} is longer than {csv.field_size_limit():,} characters."
    if "unexpected end" in reason:
        return f"A quotation mark opened on line {line} is never closed."
    return f"Line {line} is not valid CSV: {reason}."

import codecs
import gzip
import io
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.base import FileRefused, Limits
from ingestion.adapters.csv_reading import choose_delimiter, header_index, read_table


def is_header(row: Sequence[str]) -> bool:
    return "kind" in row


def refused(content: bytes, limits: Limits | None = None, **options: str) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read_table(content, limits=limits or Limits(), is_header=is_header, **options)
    return caught.value


def test_rows_carry_the_physical_line_they_start_on() -> None:
    content = b'Account 7\r\n\r\nkind,note\r\nbuy,"two\r\nlines"\r\n\r\n,\r\nsell,x\r\n'
    table = read_table(content, limits=Limits(), is_header=is_header)
    assert (table.header, table.header_line) == (["kind", "note"], 3)
    assert table.rows == [["buy", "two\r\nlines"], ["sell", "x"]]
    assert table.lines == [4, 8]


@pytest.mark.parametrize(
    "content",
    [
        "kind;note\nbuy;Zürich £\n".encode(),
        codecs.BOM_UTF8 + "kind;note\nbuy;Zürich £\n".encode(),
        "kind;note\nbuy;Zürich £\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "kind;note\nbuy;Zürich £\n".encode("utf-16-be"),
        "kind;note\nbuy;Zürich £\n".encode("utf-32"),
    ],
)
def test_unicode_encodings_by_their_mark(content: bytes) -> None:
    table = read_table(content, limits=Limits(), is_header=is_header)
    assert (table.header, table.rows) == (["kind", "note"], [["buy", "Zürich £"]])


def test_cp1252_only_where_chosen_or_declared() -> None:
    content = "kind,note\nbuy,£5 €3\n".encode("cp1252")
    error = refused(content)
    assert (error.code, error.line) == ("encoding", 2)
    for options in ({"encoding": "cp1252"}, {"declared_encoding": "cp1252"}):
        assert read_table(content, limits=Limits(), is_header=is_header, **options).rows == [["buy", "£5 €3"]]
    assert refused(content, encoding="cp1250").code == "encoding"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.csv", "kind\nbuy\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (zipped(), "not_text", 0),
        (gzip.compress(b"kind\nbuy\n", mtime=0), "not_text", 0),
        (b"%PDF-1.7", "not_text", 0),
        (b"kind,note\nbuy,a\x00b\n", "nul", 2),
        ("kind,note\nbuy,a\x00b\n".encode("utf-16"), "nul", 2),
        (b"kind,note\nbuy,\x1b[1m\n", "not_text", 2),
        (b"kind,note\nbuy,\xed\xa0\x80\n", "encoding", 2),  # a lone surrogate
        (codecs.BOM_UTF16_LE + b"\x00\xd8", "encoding", 0),
        (b'kind,note\nbuy,"never closed\nsell,x\n', "bad_csv", 2),
        (b'kind,note\nbuy,"a"b\n', "bad_csv", 2),
        (b"kind,note\nbuy," + b"x" * 140_000 + b"\n", "bad_csv", 2),
        (b"date,amount\n2024-01-01,5\n", "no_header", 0),
        (b"", "no_header", 0),
        (b"kind,note\n\n,\n", "no_rows", 1),
        (b"\n" * 30 + b"kind,note\nbuy,x\n", "no_header", 0),
    ],
)
def test_what_is_refused_and_where(content: bytes, code: str, line: int) -> None:
    error = refused(content)
    assert (error.code, error.line) == (code, line)


def test_caps_on_bytes_and_rows() -> None:
    content = b"kind,note\n" + b"buy,x\n" * 10_000
    assert len(read_table(content, limits=Limits(), is_header=is_header).rows) == 10_000
    error = refused(content + b"\nbuy,one too many\n")
    assert (error.code, error.line) == ("too_many_rows", 10_003)
    assert refused(content, Limits(csv_bytes=100)).code == "too_large"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Datum;Aantal;Koers\n01-02-2024;1,5;2,25\n", ";"),
        ("Date\tQty\tPrice\n2024-01-01\t1\t2\n", "\t"),
        ("Hello, you\n\nDate|Qty|Price\n1|2|3\n", "|"),
        ("Date,Qty,Price\n1,2,3\n", ","),
    ],
)
def test_the_delimiter_is_counted_on_header_like_rows(text: str, delimiter: str) -> None:
    assert choose_delimiter(text) == delimiter


def test_a_title_above_is_no_header() -> None:
    assert header_index([["Transactions for Jane"], ["Date", "Type", "Amount"], ["2024-01-01", "Buy", "5"]]) == 1


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_refused(content: bytes) -> None:
    try:
        read_table(content, limits=Limits(), is_header=lambda row: len(row) > 0)
    except FileRefused:
        return


@given(st.text(max_size=300))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        read_table(text.encode("utf-8", "surrogatepass"), limits=Limits(), is_header=lambda row: "a" in row)
    except FileRefused:
        return

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.base import FileRefused, ParseOptions, Statement, no_progress
from ingestion.adapters.detection import detect, read_head
from ingestion.adapters.trading212 import Trading212

FILE = (Path(__file__).parent / "data" / "trading212.csv").read_bytes()
HEADER, *_ = FILE.decode().splitlines()


def parse(content: bytes) -> Statement:
    adapter = detect(read_head(content))
    assert isinstance(adapter, Trading212)
    return adapter.parse(content, ParseOptions(), no_progress)


def test_every_row_of_a_history() -> None:
    statement = parse(FILE)
    assert (statement.institution, statement.references_issued, statement.time_order) == (
        "Trading 212",
        False,
        "ascending",
    )
    rows = [
        (
            row.line,
            str(row.trade_date),
            row.kind,
            row.instrument.symbol if row.instrument else None,
            row.quantity if row.quantity is None else f"{row.quantity.normalize():f}",
            None if row.price is None else f"{row.price.normalize():f}",
            None if row.fee is None else str(row.fee),
            row.currency,
            row.cash_currency,
            None if row.cash_amount is None else str(row.cash_amount),
        )
        for row in statement.transactions
    ]
    assert rows == [
        (2, "2024-01-02", "deposit", None, None, None, None, "GBP", "", "5000.00"),
        (3, "2024-01-03", "buy", "WIDG", "12", "125", "1.50", "USD", "GBP", "-1201.50"),
        (4, "2024-01-04", "buy", "PENN", "100", "2.5", "1.25", "GBP", "", "-251.25"),
        (5, "2024-02-05", "sell", "WIDG", "-2", "130", "0.36", "USD", "GBP", "207.64"),
        (6, "2024-02-12", "dividend", "WIDG", None, None, None, "GBP", "", "1.70"),
        (7, "2024-02-29", "interest", None, None, None, None, "GBP", "", "0.42"),
        (8, "2024-03-01", "withdrawal", None, None, None, None, "GBP", "", "-100.00"),
        (9, "2024-03-02", "fx", None, None, None, None, "GBP", "", "-80.00"),
        (9, "2024-03-02", "fx", None, None, None, None, "USD", "", "100.00"),
        (9, "2024-03-02", "fee", None, None, None, None, "GBP", "", "-0.12"),
        (11, "2024-03-05", "split", "WIDG", "30", None, None, "USD", "", None),
        (12, "2024-03-06", "fee", None, None, None, None, "GBP", "", "-0.05"),
    ]
    buy = statement.transactions[1]
    assert buy.instrument is not None
    assert (buy.instrument.isin, buy.instrument.name, buy.instrument.currency) == (
        "US1234567890",
        "Widget, Inc.",
        "USD",
    )
    assert (buy.fx_rate, buy.fee_currency, buy.external_id) == (Decimal("0.8"), "GBP", "EOF1")
    assert buy.traded_at == datetime(2024, 1, 3, 14, 30, 5, 123000, tzinfo=UTC)
    dividend = statement.transactions[4]
    assert (dividend.tax, dividend.note) == (Decimal("0.30"), "Dividend (Ordinary)")
    split = statement.transactions[10]
    assert (split.ratio, split.external_id) == (Decimal(4), "EOF8")
    legs = statement.transactions[7:10]
    assert {leg.group for leg in legs} == {"fx:EOF6"}
    assert [leg.leg for leg in legs] == [0, 1, 2]


def test_rows_it_does_not_know_are_told_with_their_line() -> None:
    statement = parse(FILE)
    assert [(found.line, found.code, found.field) for found in statement.problems] == [
        (13, "unknown_kind", "Action"),
        (14, "currency", "Total"),
        (15, "incomplete_split", "Action"),
    ]
    (window,) = statement.coverage
    assert (window.account, window.section, window.start, window.end, window.completeness) == (
        "",
        "transactions",
        date(2024, 1, 2),
        date(2024, 3, 6),
        "broken",
    )


def test_older_exports_name_the_currency_in_the_column() -> None:
    content = (
        b"Action,Time,ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),"
        b"Exchange rate,Result (EUR),Total (EUR),Stamp duty reserve tax (EUR),Currency conversion fee (EUR),Notes,ID\n"
        b"Market sell,2021-03-04 10:00:00,US1234567890,WIDG,Widget,4.0,30.00,USD,1.20000,2.00,99.85,,0.15,,EOF9\n"
        b"Market buy,2021-03-05 10:00:00,GB1234567890,PENN,Penny,100,850.00,GBX,85.00000,,1005.00,5.00,,,EOF10\n"
    )
    statement = parse(content)
    assert statement.problems == []
    sell, buy = statement.transactions
    assert (sell.cash_amount, sell.cash_currency, sell.fee, sell.quantity) == (
        Decimal("99.85"),
        "EUR",
        Decimal("0.15"),
        Decimal(-4),
    )
    assert sell.fx_rate == Decimal("0.833333333333333333")
    assert (buy.price, buy.currency, buy.cash_amount, buy.fee) == (
        Decimal("8.50"),
        "GBP",
        Decimal(-1005),
        Decimal("5.00"),
    )
    assert buy.fx_rate == Decimal("1.176470588235294118")  # 85 pence for a euro


def test_twins_stay_two() -> None:
    cells = {"Action": "Deposit", "Time": "2024-01-02 08:00:00", "Total": "5.00", "Currency (Total)": "GBP"}
    twin = ",".join(cells.get(name, "") for name in HEADER.split(","))
    statement = parse(f"{HEADER}\n{twin}\n{twin}\n".encode())
    assert [(found.line, found.cash_amount) for found in statement.transactions] == [
        (2, Decimal(5)),
        (3, Decimal(5)),
    ]


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(FileRefused) as caught:
        parse(HEADER.encode())
    assert caught.value.code == "no_rows"


@given(st.lists(st.lists(st.text(max_size=12), max_size=24), max_size=5))
def test_any_rows_are_read_or_rejected(rows: list[list[str]]) -> None:
    lines = [",".join(cell.replace('"', "") for cell in row) for row in rows]
    content = "\n".join([HEADER, *lines]).encode("utf-8", "surrogatepass")
    try:
        Trading212().parse(content, ParseOptions(), no_progress)
    except FileRefused:
        return

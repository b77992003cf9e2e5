from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.base import FileRefused, NeedsMapping, ParseOptions, Statement, no_progress
from ingestion.adapters.column_guesses import header_fingerprint, propose_mapping
from ingestion.adapters.detection import detect, read_head
from ingestion.adapters.generic_mapped import GenericMapped

DUTCH = b"""Rekening 1234

Datum;Soort;Product;ISIN;Aantal;Koers;Bedrag;Kosten;Munt
03-02-2024;Koop;Acme NV;NL0010273215;1,5;612,40;-920,60;-2,00;EUR
16-02-2024;Verkoop;Acme NV;NL0010273215;0,5;1.620,00;808,00;-2,00;EUR
"""
MAPPING = {
    "Datum": "trade_date",
    "Soort": "kind",
    "Product": "name",
    "ISIN": "isin",
    "Aantal": "quantity",
    "Koers": "price",
    "Bedrag": "cash_amount",
    "Kosten": "fee",
    "Munt": "currency",
}


def parse(content: bytes, options: ParseOptions) -> Statement:
    return GenericMapped().parse(content, options, no_progress)


def questions(content: bytes, options: ParseOptions) -> list[tuple[str, tuple[str, ...]]]:
    with pytest.raises(NeedsMapping) as caught:
        parse(content, options)
    return [(question.code, question.choices) for question in caught.value.questions]


def test_columns_are_proposed_and_nothing_is_read_unasked() -> None:
    head = read_head(DUTCH)
    assert detect(head) is None
    with pytest.raises(NeedsMapping) as caught:
        parse(DUTCH, ParseOptions())
    assert caught.value.guesses == propose_mapping(head.rows)
    assert {guess.column: guess.field for guess in caught.value.guesses} == MAPPING
    assert all(0.5 <= guess.confidence <= 1 for guess in caught.value.guesses)


def test_a_mapped_file_with_decimal_commas_and_days_first() -> None:
    statement = parse(DUTCH, ParseOptions(mapping=MAPPING))
    assert statement.problems == []
    buy, sell = statement.transactions
    assert (buy.line, buy.kind, buy.trade_date, buy.quantity) == (4, "buy", date(2024, 2, 3), Decimal("1.5"))
    assert (buy.price, buy.cash_amount, buy.fee) == (Decimal("612.40"), Decimal("-920.60"), Decimal("2.00"))
    assert (sell.kind, sell.trade_date, sell.quantity, sell.price) == (
        "sell",
        date(2024, 2, 16),
        Decimal("-0.5"),
        Decimal("1620.00"),
    )


def test_unproved_order_and_format_are_asked_together() -> None:
    content = b'day,what,units,px,ccy,sym\n01/02/2024,buy,1,"1,200",USD,A\n'
    mapping = {
        "day": "trade_date",
        "what": "kind",
        "units": "quantity",
        "px": "price",
        "ccy": "currency",
        "sym": "symbol",
    }
    assert questions(content, ParseOptions(mapping=mapping)) == [
        ("number_format", ("1,234.56", "1.234,56")),
        ("date_order", ("dmy", "mdy")),
    ]
    answered = ParseOptions(mapping=mapping, number_format="1,234.56", date_order="mdy")
    (row,) = parse(content, answered).transactions
    assert (row.trade_date, row.price) == (date(2024, 1, 2), Decimal(1200))


def test_an_order_that_the_file_contradicts_is_asked() -> None:
    content = b"day,what,amount,ccy\n16/02/2024,deposit,1,USD\n02/16/2024,deposit,1,USD\n"
    mapping = {"day": "trade_date", "what": "kind", "amount": "cash_amount", "ccy": "currency"}
    assert questions(content, ParseOptions(mapping=mapping)) == [("date_order", ("ymd", "dmy", "mdy"))]
    statement = parse(content, ParseOptions(mapping=mapping, date_order="dmy"))
    assert [(found.line, found.code) for found in statement.problems] == [(3, "bad_date")]


def test_words_of_the_file_and_what_no_column_states() -> None:
    content = b"day,what,amount\n2024-02-16,Inleg,100\n2024-02-17,Raadsel,5\n"
    options = ParseOptions(
        mapping={"day": "trade_date", "what": "kind", "amount": "cash_amount"},
        words={"inleg": "deposit"},
        constants={"currency": "EUR", "account": "Bank"},
    )
    statement = parse(content, options)
    (row,) = statement.transactions
    assert (row.account, row.kind, row.cash_amount, row.currency) == ("Bank", "deposit", Decimal(100), "EUR")
    assert [(found.line, found.code) for found in statement.problems] == [(3, "unknown_kind")]


def test_positions_by_mapping() -> None:
    content = b"Ticker;Stk;Wert;W\nA;3;10,50;EUR\n"
    mapping = {"Ticker": "symbol", "Stk": "quantity", "Wert": "cost_basis", "W": "currency"}
    assert questions(content, ParseOptions(mapping=mapping)) == [("columns", ("as_of",))]
    statement = parse(content, ParseOptions(mapping=mapping, as_of=date(2024, 3, 31)))
    assert [(row.quantity, row.cost_basis, row.as_of) for row in statement.positions] == [
        (Decimal(3), Decimal("10.50"), date(2024, 3, 31))
    ]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (ParseOptions(mapping={"Datum": "birthday"}), "mapping"),
        (ParseOptions(mapping={"Datum": "price", "Koers": "price"}), "mapping"),
        (ParseOptions(mapping=MAPPING | {"Nowhere": "note"}), "no_header"),
        (ParseOptions(mapping=MAPPING, date_order="ydm"), "mapping"),
        (ParseOptions(mapping=MAPPING, words={"Koop": "gamble"}), "mapping"),
    ],
)
def test_mappings_that_cannot_be(options: ParseOptions, code: str) -> None:
    with pytest.raises(FileRefused) as caught:
        parse(DUTCH, options)
    assert caught.value.code == code


def test_a_mapping_without_what_rows_need_is_asked_again() -> None:
    assert questions(DUTCH, ParseOptions(mapping={"Datum": "trade_date"}))[0][0] == "columns"


def test_a_fingerprint_knows_the_next_file_of_its_layout() -> None:
    fingerprint = header_fingerprint(["Datum", "Soort", "Munt"])
    assert fingerprint == header_fingerprint(["\ufeffdatum ", "Munt", "SOORT", ""])
    assert fingerprint != header_fingerprint(["Datum", "Soort"])
    assert len(fingerprint) == 64


@given(
    st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=9), min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(sorted(MAPPING)), st.sampled_from(sorted(MAPPING.values())), max_size=9),
)
def test_any_rows_under_any_mapping_are_read_or_refused(rows: list[list[str]], mapping: dict[str, str]) -> None:
    header = ";".join(MAPPING)
    body = "\n".join(";".join(cell.replace('"', "") for cell in row) for row in rows)
    content = f"{header}\n{body}\n".encode("utf-8", "surrogatepass")
    try:
        parse(content, ParseOptions(mapping=mapping))
    except (FileRefused, NeedsMapping):
        return

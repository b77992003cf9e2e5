from datetime import date
from decimal import Decimal

import pytest

from ingestion.adapters.base import NeedsMapping, ParseOptions, Statement, no_progress
from ingestion.adapters.detection import detect, read_head
from ingestion.adapters.generic_positions import GenericPositions

FILE = b"""account,symbol,instrument_kind,isin,name,quantity,average_cost,price,currency,as_of,exchange
Depot,ACME,etf,IE00B4L5ZY03,Acme Fund,10.5,20,21.50,EUR,2024-06-28,XETRA
Depot,,cash,,,1250.75,,,EUR,2024-06-28,
Drawer,XAU,commodity,,Gold,2,,,USD,2024-06-28,
"""


def parse(content: bytes, options: ParseOptions | None = None) -> Statement:
    assert detect(read_head(content)) is not None
    return GenericPositions().parse(content, options or ParseOptions(), no_progress)


def test_positions_prices_and_cash() -> None:
    statement = parse(FILE)
    acme, gold = statement.positions
    assert (acme.line, acme.account, acme.quantity, acme.as_of) == (2, "Depot", Decimal("10.5"), date(2024, 6, 28))
    assert (acme.instrument.symbol, acme.instrument.kind, acme.instrument.isin) == ("ACME", "etf", "IE00B4L5ZY03")
    assert (acme.instrument.name, acme.instrument.exchange, acme.instrument.currency) == ("Acme Fund", "XETRA", "EUR")
    assert (acme.cost_basis, acme.price) == (Decimal("210.0"), Decimal("21.50"))
    assert (gold.account, gold.cost_basis, gold.price) == ("Drawer", None, None)
    assert [(row.account, row.currency, row.balance) for row in statement.cash] == [
        ("Depot", "EUR", Decimal("1250.75"))
    ]
    assert [(row.close, row.currency, row.day) for row in statement.prices] == [
        (Decimal("21.50"), "EUR", date(2024, 6, 28))
    ]
    assert [(c.account, c.section, c.start, c.completeness) for c in statement.coverage] == [
        ("Depot", "positions", date(2024, 6, 28), "declared"),
        ("Drawer", "positions", date(2024, 6, 28), "declared"),
        ("Depot", "cash", date(2024, 6, 28), "declared"),
    ]
    assert statement.problems == []


def test_a_part_of_an_account_declares_nothing() -> None:
    assert {c.completeness for c in parse(FILE, ParseOptions(whole=False)).coverage} == {"inferred"}


def test_a_rejected_row_breaks_coverage() -> None:
    statement = parse(
        FILE + b"Depot,B,,,,many,,,EUR,2024-06-28,\nDepot,C,,,,,,,EUR,2024-06-28,\nDepot,,,,,1,,,EUR,2024-06-28,\n"
    )
    assert [(p.line, p.code, p.field) for p in statement.problems] == [
        (5, "bad_number", "quantity"),
        (6, "missing", "quantity"),
        (7, "missing", "symbol"),
    ]
    assert {c.completeness for c in statement.coverage} == {"broken"}


def test_the_day_is_asked_where_nothing_states_it() -> None:
    content = b"symbol,name,quantity,cost_basis,currency\nA,Aco,3,12.5,USD\n"
    with pytest.raises(NeedsMapping) as caught:
        parse(content)
    assert [(question.code, question.choices) for question in caught.value.questions] == [("columns", ("as_of",))]
    (position,) = parse(content, ParseOptions(as_of=date(2024, 1, 31))).positions
    assert (position.as_of, position.cost_basis) == (date(2024, 1, 31), Decimal("12.5"))


def test_our_own_portfolio_export_is_read_as_positions() -> None:
    content = (
        b"account,symbol,name,kind,quantity,average_cost,price,currency,market_value,market_value_base,unrealized_gain,weight\n"
        b"Main,ACME,Acme,equity,3,10,11,USD,33,33,3,1\n"
    )
    adapter = detect(read_head(content))
    assert adapter is not None
    assert adapter.layout == "generic_positions"
    (position,) = parse(content, ParseOptions(as_of=date(2024, 1, 31))).positions
    assert (position.instrument.kind, position.cost_basis) == ("equity", Decimal(30))


def test_the_least_columns_are_enough_and_strange_ones_are_not() -> None:
    adapter = detect(read_head(b"symbol,quantity,currency\nA,1,USD\n"))
    assert adapter is not None
    assert adapter.layout == "generic_positions"
    assert detect(read_head(b"symbol,quantity,currency,when,why,who\nA,1,USD,x,y,z\n")) is None
    assert detect(read_head(b"date,symbol,quantity,currency,price\n2024-01-01,A,1,USD,5\n")) is None

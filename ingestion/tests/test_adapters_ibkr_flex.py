from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.base import FileRefused, Limits, ParseOptions, RateRow, Statement, no_progress
from ingestion.adapters.detection import detect, read_head
from ingestion.adapters.ibkr_flex import IbkrFlex

FILE = (Path(__file__).parent / "data" / "flex_statement.xml").read_bytes()


def parse(content: bytes, limits: Limits | None = None) -> Statement:
    return IbkrFlex().parse(content, ParseOptions(limits=limits or Limits()), no_progress)


def statement_of(sections: str, **attributes: str) -> bytes:
    given_attributes = {
        "accountId": "U1",
        "fromDate": "20240101",
        "toDate": "20240131",
        "whenGenerated": "20240201;010000",
    } | attributes
    text = " ".join(f'{name}="{value}"' for name, value in given_attributes.items())
    return (
        f"<FlexQueryResponse><FlexStatements><FlexStatement {text}>{sections}</FlexStatement></FlexStatements>"
        "</FlexQueryResponse>"
    ).encode()


def trade(**attributes: str) -> str:
    whole = {
        "currency": "USD",
        "assetCategory": "STK",
        "symbol": "A",
        "conid": "1",
        "tradeDate": "20240105",
        "quantity": "1",
        "tradePrice": "5",
        "netCash": "-5",
        "buySell": "BUY",
    } | attributes
    return "<Trade " + " ".join(f'{name}="{value}"' for name, value in whole.items()) + " />"


def refused(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(FileRefused) as caught:
        parse(content, limits)
    return caught.value.code


def test_a_statement_is_detected_by_its_first_bytes() -> None:
    assert isinstance(detect(read_head(FILE)), IbkrFlex)
    assert isinstance(detect(read_head(FILE.decode().encode("utf-16"))), IbkrFlex)


def test_every_transaction_of_a_statement() -> None:
    statement = parse(FILE)
    assert [
        (
            str(row.trade_date),
            row.kind,
            row.instrument.conid if row.instrument else "",
            None if row.quantity is None else str(row.quantity),
            None if row.price is None else str(row.price),
            None if row.fee is None else str(row.fee),
            row.currency,
            None if row.cash_amount is None else str(row.cash_amount),
            row.external_id,
        )
        for row in statement.transactions
    ] == [
        ("2024-01-03", "buy", "9001", "1200", "125.5", "2", "USD", "-150602", "5001"),
        ("2024-01-10", "sell", "9001", "-200", "130", "2.5", "USD", "25997.5", "5002"),
        ("2024-01-11", "buy", "9002", "100", "2.50", "1.25", "GBP", "-251.25", "5003"),
        ("2024-01-12", "fx", "", None, None, None, "EUR", "-3000", "5004"),
        ("2024-01-12", "fx", "", None, "1.15", None, "USD", "3450", "5004"),
        ("2024-01-12", "fee", "", None, None, None, "CHF", "-1.8", "5004"),
        ("2024-02-16", "expiry", "9003", "-2", "0", None, "USD", "0", "5005"),
        ("2024-01-17", "buy", "9004", "1", "4800", "2.25", "USD", "-2.25", ""),
        ("2024-01-18", "buy", "9005", "10", "5.5", "1", "EUR", "-56", "5008"),
        ("2024-01-02", "deposit", "", None, None, None, "EUR", "5000", "6001"),
        ("2024-02-15", "dividend", "9001", None, None, None, "USD", "30", "6002"),
        ("2023-08-15", "tax", "9001", None, None, None, "USD", "4.5", "6003"),
        ("2024-02-21", "fee", "", None, None, None, "USD", "-1.34", ""),
        ("2024-02-21", "fee", "", None, None, None, "USD", "-1.34", ""),
        ("2024-03-01", "split", "9001", "2000", None, None, "USD", None, "6101"),
        ("2024-03-05", "symbol_change", "9007", "-500", None, None, "USD", None, "6102"),
        ("2024-03-05", "symbol_change", "9008", "50", None, None, "USD", None, "6103"),
        ("2024-03-07", "transfer_out", "9009", "-40", None, None, "USD", None, "6201"),
        ("2023-12-29", "sell", "9006", "-7", "3", None, "EUR", "21", "5009"),
    ]
    by_id = {row.external_id: row for row in statement.transactions if row.leg == 0}
    buy = by_id["5001"]
    assert buy.instrument is not None
    assert (buy.account, buy.local_time, buy.traded_at, buy.settled_on) == (
        "U7000001",
        "09:30:00",
        None,
        date(2024, 1, 5),
    )
    assert (buy.instrument.isin, buy.instrument.exchange, buy.instrument.kind) == ("US1234567890", "NYSE", "equity")
    assert (buy.note, by_id["5002"].local_time) == ("P", "10:00:00")
    option = by_id["5005"].instrument
    assert option is not None
    assert (option.kind, option.multiplier, option.symbol) == ("option", Decimal(100), "WIDG 240216C00130000")
    dividend = by_id["6002"].instrument
    assert dividend is not None
    assert (dividend.currency, dividend.multiplier, dividend.name) == ("", Decimal(1), "")
    assert by_id["6003"].reported_on == date(2024, 2, 20)
    legs = [row for row in statement.transactions if row.group == "fx:5004"]
    assert [row.leg for row in legs] == [0, 1, 2]
    moved = [row for row in statement.transactions if row.group == "action:811"]
    assert [(row.leg, row.ratio) for row in moved] == [(0, Decimal("0.1")), (1, Decimal("0.1"))]


def test_a_cancel_takes_its_trade_with_it_and_a_correction_stays() -> None:
    statement = parse(FILE)
    assert [(row.line, row.rule) for row in statement.ignored if "cancel" in row.rule] == [
        (14, "canceled_trade"),
        (15, "trade_cancel"),
    ]
    (unpaired,) = [row for row in statement.transactions if row.external_id == "5009"]
    assert (unpaired.group, unpaired.note, unpaired.reported_on) == ("cancel:60", "Cancels trade 60", date(2024, 1, 2))


def test_a_commission_that_is_not_given_back_stays_a_fee() -> None:
    kept = trade(
        quantity="450", tradePrice="5.432", netCash="-2446.8444", tradeID="9", transactionID="1", ibCommission="-2.4444"
    )
    cancel = trade(
        quantity="-450", tradePrice="5.432", netCash="2444.4", buySell="BUY (Ca.)", origTradeID="9", transactionID="2"
    )
    for sections in (kept + cancel, cancel + kept):
        (row,) = parse(statement_of(f"<Trades>{sections}</Trades>")).transactions
        assert (row.kind, row.cash_amount, row.quantity, row.external_id) == ("fee", Decimal("-2.4444"), None, "1")


def test_a_cancel_does_not_take_a_trade_that_bears_another_id() -> None:
    other = trade(quantity="10", netCash="-50", tradeID="8", transactionID="1")
    cancel = trade(quantity="-10", netCash="50", buySell="BUY (Ca.)", origTradeID="9", transactionID="2")
    rows = parse(statement_of(f"<Trades>{other}{cancel}</Trades>")).transactions
    assert [(row.kind, row.quantity, row.cash_amount) for row in rows] == [
        ("buy", Decimal(10), Decimal(-50)),
        ("sell", Decimal(-10), Decimal(50)),
    ]


def test_what_it_left_out_is_named() -> None:
    counts: dict[str, int] = {}
    for row in parse(FILE).ignored:
        counts[row.rule] = counts.get(row.rule, 0) + row.count
    assert counts == {
        "summary_level": 4,
        "canceled_trade": 1,
        "trade_cancel": 1,
        "base_summary": 1,
        "rate_of_no_currency": 1,
        "rate_unknown": 1,
        "section_StmtFunds": 2,
        "repeated_statement": 1,
    }


def test_bad_and_unknown_rows_are_problems() -> None:
    problems = parse(FILE).problems
    assert [(found.line, found.code, found.field) for found in problems] == [
        (18, "missing", "quantity"),
        (26, "unknown_kind", "type"),
        (31, "unknown_kind", "type"),
    ]
    assert problems[1].detail == "Cash bookings of type “Carbon Credits” are not known."
    assert problems[1].raw.startswith(
        '<CashTransaction accountId="U7000001" currency="USD" description="SOMETHING NEW"'
    )


def test_positions_balances_marks_and_rates() -> None:
    statement = parse(FILE)
    (position,) = statement.positions
    assert (position.quantity, position.as_of, position.cost_basis) == (
        Decimal(3000),
        date(2024, 3, 31),
        Decimal(125500),
    )
    assert [(row.currency, row.balance, row.as_of) for row in statement.cash] == [
        ("EUR", Decimal("10.5"), date(2023, 12, 31)),
        ("EUR", Decimal("4900.25"), date(2024, 3, 31)),
    ]
    assert [(row.instrument.conid, row.day, row.close) for row in statement.prices] == [
        ("9001", date(2024, 1, 3), Decimal(126)),
        ("9001", date(2024, 3, 31), Decimal(44)),
    ]
    assert statement.rates == [RateRow("USD", "EUR", date(2024, 1, 2), Decimal("0.91"))]


def test_coverage_of_each_account_and_section() -> None:
    statement = parse(FILE)
    first, last, opening = date(2024, 1, 1), date(2024, 3, 31), date(2023, 12, 31)
    assert [(c.account, c.section, c.start, c.end, c.completeness) for c in statement.coverage] == [
        ("U7000001", "transactions", first, last, "broken"),
        ("U7000001", "positions", last, last, "declared"),
        ("U7000001", "cash", opening, opening, "declared"),
        ("U7000001", "cash", last, last, "declared"),
        # made before its last day had ended; empty sections are declared
        ("U7000002", "transactions", date(2024, 3, 1), date(2024, 3, 30), "declared"),
        ("U7000002", "positions", last, last, "declared"),
    ]
    assert statement.base_currencies == {"U7000001": "EUR", "U7000002": "CHF"}
    assert (statement.institution, statement.references_issued, statement.cash_mode) == (
        "Interactive Brokers",
        True,
        "tracked",
    )
    assert statement.generated_at == datetime(2024, 4, 1, 3, 15, tzinfo=ZoneInfo("America/New_York"))


def test_trades_without_cash_bookings_withdraw_nothing() -> None:
    statement = parse(statement_of(f"<Trades>{trade()}</Trades>"))
    assert [(c.section, c.completeness) for c in statement.coverage] == [("transactions", "inferred")]
    assert statement.cash_mode == "external"
    both = parse(statement_of(f"<Trades>{trade()}</Trades><CashTransactions/>"))
    assert [(c.section, c.completeness) for c in both.coverage] == [("transactions", "declared")]


def test_orders_alone_are_not_taken_for_executions() -> None:
    order = trade(levelOfDetail="ORDER").replace("<Trade", "<Order")
    statement = parse(statement_of(f"<Trades>{order}</Trades>"))
    assert statement.transactions == []
    assert [(found.line, found.code) for found in statement.problems] == [(5, "level_of_detail")]


@pytest.mark.parametrize("day", ["01/02/2024", "13/02/2024", "1/2/24", "01/02/2024;093000"])
def test_dates_with_slashes_are_refused(day: str) -> None:
    assert refused(statement_of(f"<Trades>{trade(tradeDate=day)}</Trades>")) == "date_format"


@pytest.mark.parametrize(
    "day", ["20240105", "2024-01-05", "05-Jan-24", "20240105;101112", "2024-01-05, 10:11:12", "20240105 10:11:12 EST"]
)
def test_dates_of_flex_queries(day: str) -> None:
    (row,) = parse(statement_of(f"<Trades>{trade(tradeDate='', dateTime=day)}</Trades>")).transactions
    assert row.trade_date == date(2024, 1, 5)
    assert row.local_time in ("", "10:11:12")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "bad_xml"),
        (b"<FlexQueryResponse><FlexStatements>", "bad_xml"),
        (b"<html><body>temporarily unavailable</body></html>", "not_a_statement"),
        (b"<FlexStatementResponse><Status>Warn</Status></FlexStatementResponse>", "not_a_statement"),
        (b"<FlexQueryResponse><FlexStatements/></FlexQueryResponse>", "no_rows"),
        (statement_of("<StmtFunds/>"), "no_rows"),
        (b'<!DOCTYPE a [<!ENTITY x "harmless">]><FlexQueryResponse/>', "xml_dtd"),
        (
            b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>',
            "xml_dtd",
        ),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><FlexQueryResponse/>', "xml_dtd"),
        (b'<?xml version="1.0" encoding="utf-7"?><FlexQueryResponse/>', "encoding"),
        (b"<FlexQueryResponse>" + b"<a>" * 40, "too_deep"),
        (b'<FlexQueryResponse x="' + b"y" * 70_000 + b'"/>', "attribute_too_long"),
        (statement_of("<Trades/>", fromDate="20249999"), "bad_date"),
    ],
)
def test_what_is_refused(content: bytes, code: str) -> None:
    assert refused(content) == code


def test_limits_are_parameters() -> None:
    content = statement_of(f"<Trades>{trade() * 10}</Trades>")
    assert len(parse(content).transactions) == 10
    assert refused(content, Limits(xml_elements=8)) == "too_many_elements"
    assert refused(content, Limits(xml_bytes=100)) == "too_large"


VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "-",
            "--",
            "N/A",
            "0",
            "1",
            "-1",
            "1e400",
            "99999999999999999999",
            "EUR",
            "GBX",
            "CASH",
            "EUR.USD",
            "20240105",
        ]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)
NAMES = st.sampled_from(
    [
        "currency",
        "assetCategory",
        "symbol",
        "conid",
        "isin",
        "multiplier",
        "tradeDate",
        "dateTime",
        "reportDate",
        "quantity",
        "tradePrice",
        "proceeds",
        "netCash",
        "cost",
        "taxes",
        "ibCommission",
        "ibCommissionCurrency",
        "closePrice",
        "notes",
        "buySell",
        "transactionType",
        "transactionID",
        "amount",
        "type",
        "position",
        "markPrice",
        "costBasisMoney",
        "costBasisPrice",
        "direction",
        "cashTransfer",
        "salesTax",
        "endingCash",
        "startingCash",
        "fromCurrency",
        "toCurrency",
        "rate",
        "accountId",
        "levelOfDetail",
        "description",
        "actionID",
    ]
)
ROWS = {
    "Trades": "Trade",
    "CashTransactions": "CashTransaction",
    "CorporateActions": "CorporateAction",
    "Transfers": "Transfer",
    "SalesTaxes": "SalesTax",
    "OpenPositions": "OpenPosition",
    "CashReport": "CashReportCurrency",
    "ConversionRates": "ConversionRate",
}
START = {
    "Trades": {"currency": "USD", "quantity": "-1", "netCash": "1", "tradeDate": "20240105", "conid": "1"},
    "CashTransactions": {"currency": "USD", "amount": "1", "type": "Dividends", "dateTime": "20240105"},
    "CorporateActions": {"currency": "USD", "quantity": "1", "type": "RS", "reportDate": "20240105", "conid": "1"},
    "Transfers": {"currency": "USD", "quantity": "1", "direction": "IN", "date": "20240105", "conid": "1"},
    "OpenPositions": {"currency": "USD", "position": "1", "conid": "1"},
}


@given(st.sampled_from(sorted(ROWS)), st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=3))
def test_any_attributes_are_rows_problems_or_a_refused_file(section: str, rows: list[dict[str, str]]) -> None:
    def escaped(value: str) -> str:
        return "".join(f"&#{ord(char)};" for char in value if char.isprintable() and ord(char) not in (0xFFFE, 0xFFFF))

    body = "".join(
        f"<{ROWS[section]} " + " ".join(f'{n}="{escaped(v)}"' for n, v in (START.get(section, {}) | row).items()) + "/>"
        for row in rows
    )
    try:
        statement = parse(statement_of(f"<{section}>{body}</{section}>"))
    except FileRefused:
        return
    told = len(statement.problems) + sum(row.count for row in statement.ignored)
    taken = statement.transactions or statement.positions or statement.cash or statement.rates
    assert taken or told


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(FileRefused):
        parse(content)

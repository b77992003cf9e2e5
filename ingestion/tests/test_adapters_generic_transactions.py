from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.adapters.base import FileRefused, ParseOptions, Statement, TransactionRow, no_progress
from ingestion.adapters.detection import detect, read_head
from ingestion.adapters.generic_transactions import GenericTransactions
from ingestion.adapters.kinds import KIND_RULES
from ingestion.adapters.transaction_cells import TRANSACTION_FIELDS

BASE = {"trade_date": "2024-05-02", "currency": "USD"}


def parse(*rows: dict[str, str]) -> Statement:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names)] + [",".join(row.get(name, "") for name in names) for row in rows]
    content = "\n".join(lines).encode()
    assert detect(read_head(content)) is not None
    return GenericTransactions().parse(content, ParseOptions(), no_progress)


def one(**cells: str) -> TransactionRow:
    statement = parse(BASE | cells)
    assert statement.problems == []
    (row,) = statement.transactions
    return row


def problem(**cells: str) -> tuple[str, str]:
    statement = parse(BASE | cells)
    assert statement.transactions == []
    (found,) = statement.problems
    assert found.line == 2
    return found.code, found.field


def test_a_buy_with_every_column() -> None:
    row = one(
        account="U1",
        traded_at="2024-05-02T14:30:05Z",
        kind="buy",
        symbol="ACME",
        instrument_kind="stock",
        isin="us0378331005",
        quantity="10",
        price="150.25",
        fee="1.50",
        tax="0.50",
        external_id="T-1",
        note="first",
        group="g1",
        exchange="NASDAQ",
        multiplier="1",
        settled_on="2024-05-06",
        broker_color="blue",
    )
    assert row.instrument is not None
    assert (row.line, row.account, row.kind, row.trade_date) == (2, "U1", "buy", date(2024, 5, 2))
    assert row.traded_at == datetime(2024, 5, 2, 14, 30, 5, tzinfo=UTC)
    assert (row.instrument.symbol, row.instrument.kind, row.instrument.isin) == ("ACME", "equity", "US0378331005")
    assert (row.instrument.exchange, row.instrument.currency) == ("NASDAQ", "USD")
    assert (row.quantity, row.price, row.fee, row.tax) == (
        Decimal(10),
        Decimal("150.25"),
        Decimal("1.50"),
        Decimal("0.50"),
    )
    assert row.cash_amount == Decimal("-1504.50")
    assert (row.external_id, row.note, row.group, row.settled_on) == ("T-1", "first", "g1", date(2024, 5, 6))


@pytest.mark.parametrize(
    ("cells", "quantity", "cash"),
    [
        ({"kind": "buy", "symbol": "A", "quantity": "10", "price": "5", "fee": "1"}, "10", "-51"),
        ({"kind": "BUY", "symbol": "A", "quantity": "10", "cash_amount": "51.37"}, "10", "-51.37"),
        ({"kind": "buy", "symbol": "A", "quantity": "10", "price": "5", "cash_amount": "-51"}, "10", "-51"),
        ({"kind": "sell", "symbol": "A", "quantity": "10", "price": "5", "fee": "1"}, "-10", "49"),
        ({"kind": "sell", "symbol": "A", "quantity": "-10", "price": "5", "cash_amount": "49"}, "-10", "49"),
        ({"kind": "sell", "symbol": "A", "quantity": "1", "price": "0", "fee": "2", "cash_amount": "-2"}, "-1", "-2"),
        ({"kind": "buy", "symbol": "O", "quantity": "2", "price": "6.95", "multiplier": "100"}, "2", "-1390"),
        ({"kind": "dividend", "symbol": "A", "cash_amount": "8.50", "tax": "1.50"}, None, "8.50"),
        ({"kind": "dividend", "symbol": "A", "quantity": "40", "price": "0.25", "tax": "1.5"}, None, "8.50"),
        ({"kind": "dividend_reversal", "symbol": "A", "cash_amount": "8.50"}, None, "-8.50"),
        ({"kind": "interest", "cash_amount": "3.10"}, None, "3.10"),
        ({"kind": "interest", "cash_amount": "-3.10"}, None, "-3.10"),
        ({"kind": "interest_charge", "cash_amount": "3.10"}, None, "-3.10"),
        ({"kind": "fee", "cash_amount": "5.21"}, None, "-5.21"),
        ({"kind": "fee", "cash_amount": "-5.21"}, None, "-5.21"),
        ({"kind": "fee", "fee": "5.21"}, None, "-5.21"),
        ({"kind": "fee", "fee": "-5.21"}, None, "-5.21"),
        ({"kind": "fee_refund", "cash_amount": "5.21"}, None, "5.21"),
        ({"kind": "tax", "cash_amount": "7"}, None, "-7"),
        ({"kind": "Tax Refund", "cash_amount": "7"}, None, "7"),
        ({"kind": "deposit", "cash_amount": "1000"}, None, "1000"),
        ({"kind": "withdrawal", "cash_amount": "1000"}, None, "-1000"),
        ({"kind": "transfer_in", "symbol": "A", "quantity": "5", "price": "9"}, "5", None),
        ({"kind": "transfer_in", "symbol": "A", "quantity": "5", "fee": "2"}, "5", "-2"),
        ({"kind": "transfer_out", "symbol": "A", "quantity": "5"}, "-5", None),
        ({"kind": "transfer_out", "cash_amount": "5"}, None, "-5"),
        ({"kind": "split", "symbol": "A", "ratio": "2"}, None, None),
        ({"kind": "split", "symbol": "A", "quantity": "-90"}, "-90", None),
        ({"kind": "reward", "symbol": "ETH", "quantity": "0.01"}, "0.01", None),
        ({"kind": "merger", "symbol": "A", "quantity": "-12", "cash_amount": "34.32"}, "-12", "34.32"),
        ({"kind": "fx", "cash_amount": "-100"}, None, "-100"),
        ({"kind": "return_of_capital", "symbol": "A", "cash_amount": "4"}, None, "4"),
    ],
)
def test_signs_and_cash_of_each_kind(cells: dict[str, str], quantity: str | None, cash: str | None) -> None:
    row = one(**cells)
    assert row.quantity == (None if quantity is None else Decimal(quantity))
    assert row.cash_amount == (None if cash is None else Decimal(cash))


def test_a_fee_row_counts_its_amount_once() -> None:
    row = one(kind="fee", fee="5.21", cash_amount="-5.21")
    assert (row.cash_amount, row.fee) == (Decimal("-5.21"), None)
    assert problem(kind="fee", fee="5", cash_amount="6") == ("contradiction", "fee")


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        ({"kind": "buy", "symbol": "A", "quantity": "-10", "price": "5"}, "contradicting_sign", "quantity"),
        (
            {"kind": "sell", "symbol": "A", "quantity": "10", "price": "5", "cash_amount": "-50"},
            "contradicting_sign",
            "cash_amount",
        ),
        ({"kind": "deposit", "cash_amount": "-10"}, "contradicting_sign", "cash_amount"),
        ({"kind": "dividend", "symbol": "A", "cash_amount": "-10"}, "contradicting_sign", "cash_amount"),
        ({"kind": "buy", "symbol": "A", "quantity": "1", "price": "5", "fee": "-1"}, "contradicting_sign", "fee"),
        ({"kind": "buy", "quantity": "1", "price": "5"}, "missing", "symbol"),
        ({"kind": "buy", "symbol": "A", "price": "5"}, "missing", "quantity"),
        ({"kind": "buy", "symbol": "A", "quantity": "5"}, "missing", "cash_amount"),
        ({"kind": "deposit"}, "missing", "cash_amount"),
        ({"kind": "split", "symbol": "A"}, "missing", "ratio"),
        ({"kind": "buy", "symbol": "A", "quantity": "0", "price": "5"}, "bad_number", "quantity"),
        ({"kind": "stake", "symbol": "A", "quantity": "1"}, "unknown_kind", "kind"),
        ({"kind": ""}, "missing", "kind"),
        ({"kind": "buy", "symbol": "A", "quantity": "1", "price": "1e400"}, "number_too_large", "price"),
        ({"kind": "buy", "symbol": "A", "quantity": "NaN", "price": "1"}, "bad_number", "quantity"),
        ({"kind": "deposit", "cash_amount": "1", "currency": "USDT"}, "currency", "currency"),
        ({"kind": "deposit", "cash_amount": "1", "currency": "GBX"}, "currency", "currency"),
        ({"kind": "deposit", "cash_amount": "1", "currency": ""}, "missing", "currency"),
        ({"kind": "deposit", "cash_amount": "1", "trade_date": "01/02/2024"}, "bad_date", "trade_date"),
        ({"kind": "deposit", "cash_amount": "1", "trade_date": "2024-02-30"}, "bad_date", "trade_date"),
        ({"kind": "deposit", "cash_amount": "1", "trade_date": ""}, "missing", "trade_date"),
        ({"kind": "buy", "symbol": "A", "quantity": "1", "price": "1", "isin": "US123"}, "isin", "isin"),
        ({"kind": "buy", "symbol": "A" * 61, "quantity": "1", "price": "1"}, "too_long", "symbol"),
        ({"kind": "buy", "symbol": "A", "quantity": "1", "price": "1", "fx_rate": "0.9"}, "missing", "fx_currency"),
        ({"kind": "fx", "cash_amount": "5", "fx_currency": "EUR", "fx_rate": "0.9"}, "contradiction", "fx_currency"),
        ({"kind": "split", "symbol": "A", "ratio": "0"}, "bad_number", "ratio"),
        (
            {"kind": "buy", "symbol": "A", "quantity": "0.000000000000000001", "price": "0.5"},
            "number_too_precise",
            "cash_amount",
        ),
    ],
)
def test_rows_that_cannot_be_taken(cells: dict[str, str], code: str, field: str) -> None:
    assert problem(**cells) == (code, field)


def test_an_informative_price_is_cut_where_the_amount_is_given() -> None:
    row = one(kind="buy", symbol="A", quantity="3", price="0.33333333333333333333", cash_amount="1")
    assert (row.price, row.cash_amount) == (Decimal("0.333333333333333333"), Decimal(-1))


def test_cash_in_another_currency_at_the_recorded_rate() -> None:
    row = one(kind="buy", symbol="A", quantity="10", price="150", fee="2", fx_rate="0.8", fx_currency="GBP")
    assert (row.currency, row.cash_currency, row.fx_rate) == ("USD", "GBP", Decimal("0.8"))
    assert row.cash_amount == Decimal("-1201.6")


def test_a_fee_in_the_cash_currency_is_not_converted() -> None:
    row = one(
        kind="sell",
        symbol="A",
        quantity="10",
        price="160",
        fee="1.91",
        fee_currency="GBP",
        fx_rate="0.78125",
        fx_currency="GBP",
    )
    assert (row.cash_amount, row.fee_currency) == (Decimal("1248.09"), "GBP")


def test_a_fee_in_a_third_currency_is_not_in_the_cash() -> None:
    row = one(kind="buy", symbol="BTC", quantity="1", price="100", fee="0.3", fee_currency="KCS")
    assert (row.cash_amount, row.fee_currency) == (Decimal(-100), "KCS")


def test_a_naive_time_keeps_the_day_and_claims_no_instant() -> None:
    row = one(trade_date="", traded_at="2024-05-02 14:30:05", kind="deposit", cash_amount="1")
    assert (row.trade_date, row.traded_at, row.local_time) == (date(2024, 5, 2), None, "14:30:05")


def test_a_zone_does_not_move_the_trade_date() -> None:
    row = one(trade_date="", traded_at="2024-05-02T23:30:00-05:00", kind="deposit", cash_amount="1")
    assert (row.trade_date, row.traded_at) == (date(2024, 5, 2), datetime(2024, 5, 3, 4, 30, tzinfo=UTC))


def test_a_ratio_may_be_written_as_a_pair() -> None:
    assert one(kind="split", symbol="A", ratio="2:1").ratio == 2
    assert one(kind="split", symbol="A", ratio="1:3").ratio == Decimal("0.333333333333333333")


def test_twin_rows_stay_two_and_bad_ones_break_coverage() -> None:
    buy = BASE | {"account": "U1", "kind": "buy", "symbol": "A", "quantity": "1", "price": "5"}
    late = buy | {"trade_date": "2024-06-01"}
    statement = parse(buy, buy, late)
    assert [row.line for row in statement.transactions] == [2, 3, 4]
    (window,) = statement.coverage
    assert (window.account, window.start, window.end, window.completeness) == (
        "U1",
        date(2024, 5, 2),
        date(2024, 6, 1),
        "inferred",
    )
    broken = parse(buy, buy | {"quantity": "x"})
    assert [(found.line, found.raw) for found in broken.problems] == [(3, "2024-05-02,USD,U1,buy,A,x,5")]
    assert [window.completeness for window in broken.coverage] == ["broken"]


def test_the_order_of_rows_is_proved_by_dates() -> None:
    days = [BASE | {"kind": "deposit", "cash_amount": "1", "trade_date": f"2024-05-0{n}"} for n in (3, 2, 1)]
    assert parse(*days).time_order == "descending"
    assert parse(*reversed(days)).time_order == "ascending"
    assert parse(days[0], days[2], days[1]).time_order == "ascending"


def test_a_row_of_another_width_is_not_shifted_into_place() -> None:
    content = (
        b"trade_date,kind,currency,cash_amount\n"
        b"2024-01-01,deposit,USD\n2024-01-01,deposit,USD,1,2\n2024-01-01,deposit,USD,1,,\n"
    )
    statement = GenericTransactions().parse(content, ParseOptions(), no_progress)
    assert [(found.line, found.code) for found in statement.problems] == [(2, "cells"), (3, "cells")]
    assert [row.line for row in statement.transactions] == [4]


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(FileRefused) as caught:
        GenericTransactions().parse(
            b"kind,currency,trade_date,fee,Fee\nbuy,USD,2024-01-01,1,2\n", ParseOptions(), no_progress
        )
    assert (caught.value.code, caught.value.line) == ("duplicate_column", 1)


CELLS = st.one_of(
    st.sampled_from(
        ["", "1", "-1", "0.5", "1e400", "NaN", "USD", "EUR", "GBX", "2024-01-01", "2024-01-01T00:00:00Z", "A", "2:1"]
    ),
    st.text(alphabet=st.characters(exclude_characters='",\r\n', exclude_categories=["Cs", "Cc"]), max_size=12),
)


@settings(max_examples=200)
@given(st.sampled_from(sorted(KIND_RULES)), st.dictionaries(st.sampled_from(TRANSACTION_FIELDS), CELLS, max_size=12))
def test_any_row_is_a_transaction_or_a_problem(kind: str, cells: dict[str, str]) -> None:
    row = (
        {"trade_date": "2024-01-01", "kind": kind, "currency": "USD", "symbol": "A", "quantity": "2"}
        | cells
        | {"note": "x"}
    )
    content = (",".join(row) + "\n" + ",".join(row.values())).encode()
    statement = GenericTransactions().parse(content, ParseOptions(), no_progress)
    assert len(statement.transactions) + len(statement.problems) == 1

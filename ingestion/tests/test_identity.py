from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from ingestion.adapters.base import InstrumentRef, PositionRow, Statement, TransactionRow
from ingestion.identity import Batch, instrument_key, prepare

ACME = InstrumentRef(symbol="ACME", currency="USD")
BUY = TransactionRow(
    line=2,
    account="A1",
    kind="buy",
    trade_date=date(2024, 1, 5),
    currency="USD",
    instrument=ACME,
    quantity=Decimal("1.50"),
    price=Decimal(10),
)


def batch(*rows: TransactionRow, **named: object) -> Batch:
    return prepare(Statement(layout="generic_transactions", transactions=list(rows)), **named)  # type: ignore[arg-type]


def identities(*rows: TransactionRow, **named: object) -> list[str]:
    return [leg.identity for leg in batch(*rows, **named).transactions]


def test_equal_rows_of_one_file_stay_two() -> None:
    first, second = batch(BUY, replace(BUY, line=3)).transactions
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert first.identity != second.identity


def test_line_note_fee_and_trailing_zeros_are_no_part_of_the_identity() -> None:
    told_again = replace(BUY, line=99, note="again", fee=Decimal(1), quantity=Decimal("1.5"))
    assert identities(BUY) == identities(told_again)


def test_each_stated_reference_is_part_of_the_identity() -> None:
    others = [
        replace(BUY, account="A2"),
        replace(BUY, kind="sell"),
        replace(BUY, instrument=InstrumentRef(symbol="ACM")),
        replace(BUY, trade_date=date(2024, 1, 6)),
        replace(BUY, local_time="10:00:00"),
        replace(BUY, quantity=Decimal(2)),
        replace(BUY, price=Decimal(11)),
        replace(BUY, cash_amount=Decimal(-15)),
        replace(BUY, currency="EUR"),
    ]
    assert len({identities(row)[0] for row in (BUY, *others)}) == 10


def test_a_column_added_later_keeps_the_identity() -> None:
    assert identities(BUY) == identities(replace(BUY, instrument=replace(ACME, isin="US0378331005", name="Acme Inc")))


def test_own_id_is_the_identity_whatever_the_row_says() -> None:
    stated = replace(BUY, external_id="T1")
    corrected = replace(stated, quantity=Decimal(7), trade_date=date(2025, 1, 1))
    assert identities(stated) == identities(corrected)
    assert identities(stated) != identities(replace(stated, leg=1))
    assert batch(stated).transactions[0].has_own_id


def test_row_with_own_id_stated_twice_word_for_word_is_one() -> None:
    stated = replace(BUY, external_id="T1")
    twice = batch(stated, replace(stated, line=9))
    assert len(twice.transactions) == 1
    assert [(row.line, row.rule) for row in twice.repeated] == [(9, "repeated_row")]


def test_default_account_stands_for_a_reference_left_out() -> None:
    unnamed = replace(BUY, account="")
    one, other = UUID(int=1), UUID(int=2)
    assert identities(unnamed, default_account=one) != identities(unnamed, default_account=other)
    assert identities(BUY, default_account=one) == identities(BUY, default_account=other)


def test_digest_ignores_lines_and_counts_mapping_and_account() -> None:
    digest = batch(BUY).digest
    assert len(digest) == 64
    assert batch(replace(BUY, line=7)).digest == digest
    assert batch(BUY, mapping={"columns": {"a": "kind"}}).digest != digest
    assert batch(BUY, default_account=UUID(int=1)).digest != digest
    assert batch(replace(BUY, note="n")).digest != digest


def test_digest_ignores_when_the_file_was_generated() -> None:
    from datetime import UTC, datetime

    statement = Statement(layout="x", transactions=[BUY], generated_at=datetime(2024, 1, 1, tzinfo=UTC))
    assert prepare(statement).digest == prepare(replace(statement, generated_at=None)).digest


def test_instrument_key_counts_what_identifies() -> None:
    assert instrument_key(ACME) == instrument_key(replace(ACME, name="Acme", multiplier=Decimal(100)))
    assert instrument_key(ACME) != instrument_key(replace(ACME, exchange="XETR"))
    assert len(instrument_key(ACME)) == 32


def test_position_mark_becomes_a_price_once() -> None:
    row = PositionRow(2, "A1", ACME, Decimal(3), date(2024, 1, 5), "USD", None, Decimal("12.5"))
    statement = Statement(layout="generic_positions", positions=[row, replace(row, line=3, account="A2")])
    assert prepare(statement).prices == [f"{instrument_key(ACME)}\t2024-01-05\t12.5\tUSD"]


def test_text_is_escaped_for_copy() -> None:
    cells = batch(replace(BUY, note="a\tb\\c\nd")).transactions[0].cells
    assert cells.endswith("\ta\\tb\\\\c\\nd")
    assert cells.count("\t") == 21


def test_price_beyond_the_column_is_cut_half_even() -> None:
    long = replace(BUY, price=Decimal("0.0000000000000000005"))
    assert "\t0\tUSD\t" in batch(long).transactions[0].cells

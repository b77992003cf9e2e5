import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from ingestion import identity, services, staging
from ingestion.adapters.base import CoverageRow, InstrumentRef, PositionRow, Statement, TransactionRow
from ingestion.models import Source

pytestmark = pytest.mark.django_db
DAY = dt.date(2024, 1, 2)
FULL = TransactionRow(
    line=1,
    account="A\\1",
    kind="buy",
    trade_date=DAY,
    currency="USD",
    instrument=InstrumentRef(symbol="ACME", isin="US0000000001"),
    traded_at=dt.datetime(2024, 1, 2, 9, 30, 15, 120000, dt.UTC),
    local_time="09:30:15",
    settled_on=dt.date(2024, 1, 4),
    reported_on=dt.date(2024, 1, 5),
    quantity=Decimal("10.500000000000000001"),
    price=Decimal("1E+2"),
    fee=Decimal("-0.10"),
    fee_currency="USD",
    tax=Decimal("0.00"),
    cash_amount=Decimal("-1050.1"),
    cash_currency="EUR",
    fx_rate=Decimal("0.91"),
    ratio=Decimal(2),
    external_id="T\\1",
    group="G1",
    leg=3,
    note='back\\slash, "quotes" and ümlauts',
)
BARE = TransactionRow(line=2, account="", kind="fee", trade_date=DAY, currency="USD", external_id="T2")
CHANGES: dict[str, Any] = {
    "kind": "sell",
    "trade_date": dt.date(2024, 1, 3),
    "currency": "CHF",
    "instrument": InstrumentRef(symbol="ACME", isin="US0000000002"),
    "traded_at": dt.datetime(2024, 1, 2, 9, 30, 15, tzinfo=dt.UTC),
    "local_time": "",
    "settled_on": None,
    "reported_on": None,
    "quantity": Decimal("10.5"),
    "price": Decimal("100.01"),
    "fee": None,
    "fee_currency": "EUR",
    "tax": Decimal("0.01"),
    "cash_amount": Decimal("-1050.2"),
    "cash_currency": "USD",
    "fx_rate": None,
    "ratio": Decimal(3),
    "group": "",
    "note": "",
}


@pytest.fixture
def source(owner: User) -> Source:
    return services.create_source(user=owner, kind="csv", name="Bank")


def staged(source: Source, *rows: TransactionRow, **named: Any) -> staging.Counts:
    statement = Statement(layout="generic_transactions", transactions=list(rows), **named)
    return staging.stage(source=source, statement=statement, batch=identity.prepare(statement)).counts


def test_stored_rows_read_back_as_they_were_stated(source: Source) -> None:
    staged(source, FULL, BARE)
    counts = staged(source, replace(FULL, line=7), replace(BARE, line=8), replace(BARE, line=9, external_id="T3"))
    assert (counts.staged, counts.unchanged, counts.updated) == (1, 2, 0)


@pytest.mark.parametrize("name", CHANGES)
def test_row_with_the_same_own_id_and_another_value_is_a_correction(source: Source, name: str) -> None:
    staged(source, FULL, BARE)
    counts = staged(source, replace(FULL, **{name: CHANGES[name]}), BARE)
    assert (counts.staged, counts.unchanged, counts.updated) == (1, 1, 1)


def test_every_value_of_a_row_is_tried() -> None:
    of_identity = {"line", "account", "external_id", "leg"}
    assert set(CHANGES) | of_identity == set(TransactionRow.__dataclass_fields__)


def test_correction_of_a_correction_is_compared_with_what_came_last(source: Source) -> None:
    staged(source, FULL)
    staged(source, replace(FULL, note="second"))
    again = staged(source, FULL, BARE)
    assert (again.staged, again.updated) == (2, 1)


def holdings(day: dt.date, **held: str) -> Statement:
    rows = [
        PositionRow(line, "A1", InstrumentRef(symbol=name), Decimal(quantity), day, "USD")
        for line, (name, quantity) in enumerate(held.items(), start=2)
    ]
    return Statement(
        layout="generic_positions", positions=rows, coverage=[CoverageRow("A1", "positions", day, day, "declared")]
    )


def staged_holdings(source: Source, statement: Statement) -> tuple[int, int, int]:
    """(staged, updated, closed)."""
    counts = staging.stage(source=source, statement=statement, batch=identity.prepare(statement)).counts
    return counts.staged, counts.updated, counts.closed


def test_holdings_that_a_whole_statement_no_longer_lists_are_closed_once(source: Source) -> None:
    assert staged_holdings(source, holdings(DAY, ACME="1", BOLT="2", COG="3")) == (3, 0, 0)
    assert staged_holdings(source, holdings(DAY + dt.timedelta(1), ACME="1", COG="0")) == (2, 2, 2)
    assert staged_holdings(source, holdings(DAY + dt.timedelta(2), ACME="1")) == (1, 1, 0)


def test_statement_of_a_part_closes_nothing(source: Source) -> None:
    staged_holdings(source, holdings(DAY, ACME="1", BOLT="2"))
    part = holdings(DAY + dt.timedelta(1), ACME="1")
    part.coverage = [replace(part.coverage[0], completeness="inferred")]
    assert staged_holdings(source, part) == (1, 1, 0)

"""Brokers' marks from a statement to the figures, and two refreshes of one user at one moment."""

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from federation.services import create_account, reconcile
from federation.tests.factories import ACME, cash_event, covers, make_source, stage, trade, withdraw
from ingestion.adapters.base import PriceRow
from ingestion.models import Source
from ingestion.services import update_source
from portfolio import services
from portfolio.models import BrokerMark, CashBalance, DailyValue, FigureState, Position, ValueSeries
from portfolio.tests.factories import day, make_user, snapshot

D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 31)


@pytest.mark.django_db
def test_a_brokers_mark_values_the_holding_of_its_user_alone(owner: User, stranger: User) -> None:
    marks = [PriceRow(ACME, day("2024-01-30"), D("61.5"), "USD")]
    statements = []
    for user, prices in ((owner, marks), (stranger, [])):
        account = create_account(user=user, name="Main", currency="USD").pk
        statements.append(
            stage(make_source(user), rows=[trade("01-10", "2", "50", account="")], prices=prices,
                  default_account=account)
        )  # fmt: skip
        reconcile(user.pk)
        services.refresh(user_id=user.pk)
    mine, theirs = (Position.objects.get(user=user) for user in (owner, stranger))
    source = statements[0].source_id
    assert (mine.price, mine.price_as_of, mine.market_value) == (D("61.5"), day("2024-01-30"), D(123))
    assert mine.price_provider == f"broker:{source.hex}"
    assert BrokerMark.objects.get().user_id == owner.pk
    assert (theirs.price, theirs.price_provider) == (D(50), "trade")
    stage(statements[0].source, rows=[trade("01-11", "1", "50", account="")], default_account=mine.account_id)
    withdraw(statements[0])
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    left = Position.objects.get(user=owner)
    assert (left.quantity, left.price_provider, BrokerMark.objects.count()) == (D(1), "trade", 0)


@pytest.mark.django_db
def test_marks_that_change_no_row_of_the_ledger_are_valued_and_the_source_believed_most_is_taken(owner: User) -> None:
    account = create_account(user=owner, name="Main", currency="USD").pk
    first, second = make_source(owner, priority=10), make_source(owner, priority=20)

    def price_after(source: Source, close: str) -> Decimal | None:
        row = trade("01-10", "2", "50", account="", line=1)
        stage(source, rows=[row], prices=[PriceRow(ACME, day("2024-01-30"), D(close), "USD")], default_account=account)
        reconcile(owner.pk)
        services.refresh(user_id=owner.pk)
        price: Decimal | None = Position.objects.get(user=owner).price
        return price

    assert [price_after(second, "60"), price_after(first, "61"), price_after(second, "62")] == [D(60), D(61), D(61)]
    assert price_after(first, "63") == D(63)
    marks = list(BrokerMark.objects.order_by("pk").values())
    price_after(first, "63")  # the same statement again
    assert list(BrokerMark.objects.order_by("pk").values()) == marks
    update_source(source=first, values={"priority": 30})
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    assert Position.objects.get(user=owner).price == D(62)


@pytest.mark.django_db(transaction=True)
def test_two_refreshes_at_once_end_as_one() -> None:
    user = make_user()
    account = create_account(user=user, name="Main", currency="USD", cash_mode="tracked").pk
    rows = [cash_event("01-02", "deposit", "1000", account=""), trade("01-10", "2", "50", account="")]
    coverage = [covers("transactions", "01-01", "01-31", account="")]
    stage(make_source(user), rows=rows, coverage=coverage, default_account=account)
    reconcile(user.pk)
    start, failures = threading.Barrier(4), []

    def run() -> None:
        try:
            start.wait(timeout=30)
            services.refresh(user_id=user.pk)
        except Exception as exc:  # noqa: BLE001  # whatever a thread raises is this test's to tell
            failures.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    together = snapshot(Position, CashBalance, DailyValue, ValueSeries, FigureState, user_id=user.pk)
    assert (Position.objects.get().quantity, CashBalance.objects.get().amount) == (D(2), D(900))
    assert not services.refresh(user_id=user.pk)
    services.refresh(user_id=user.pk, everything=True)
    assert snapshot(Position, CashBalance, DailyValue, ValueSeries, FigureState, user_id=user.pk) == together

"""Rows that whole statements lack, and lots that no longer add up: told, worth something, and mended."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.left_out import rows_left_out
from federation.models import BrokerAccount, Transaction
from federation.services import create_account, decide, reconcile
from federation.tests.factories import cash_event, covers, make_source, position, stage, trade, withdraw
from ingestion.models import Source, StagedTransaction
from portfolio import services
from portfolio.models import Finding, Lot, Position

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
JANUARY = covers("transactions", "01-01", "01-31", account="")


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 5)


@pytest.fixture
def account(owner: User) -> BrokerAccount:
    return create_account(user=owner, name="Main", currency="USD")


@pytest.fixture
def source(owner: User) -> Source:
    return make_source(owner, name="Broker")


def told(source: Source, account: BrokerAccount, **facts: Any) -> Any:
    return stage(source, default_account=account.pk, **facts)


def shown(user: User, kind: str) -> list[Finding]:
    reconcile(user.pk)
    services.refresh(user_id=user.pk)
    return list(Finding.objects.filter(user=user, kind=kind).order_by("day"))


WHOLE = trade("01-10", "10", "5", account="")
LOOSE = trade("01-12", "3", "5", account="", fee="0.5", line=7)


def test_a_row_that_a_whole_statement_lacks_is_told_and_booked_by_its_key(
    api: Api, owner: User, source: Source, account: BrokerAccount
) -> None:
    told(source, account, rows=[WHOLE], coverage=[JANUARY], generated="02-01T09:00")
    told(source, account, rows=[LOOSE])
    (found,) = shown(owner, "row_not_booked")
    assert (found.severity, found.account, found.day, found.effect_base) == ("warning", account, LOOSE.trade_date, 15.5)
    assert found.title == "A purchase on 12 Jan 2024 in Main is not booked"
    assert "line 7" in found.detail
    row = next(row for row in found.rows if row["type"] == "row")
    answer = api(owner).post(
        "/api/federation/decisions/", {"kind": "book", "keys": {"key": f"row:{row['id']}"}}, format="json"
    )
    assert answer.status_code == 201
    assert shown(owner, "row_not_booked") == []
    assert Transaction.objects.filter(user=owner).count() == 2
    api(owner).post(f"/api/federation/decisions/{answer.json()['id']}/revoke/")
    assert len(shown(owner, "row_not_booked")) == 1
    decide(user=owner, kind="ignore", keys={"key": f"row:{row['id']}"})
    assert shown(owner, "row_not_booked") == []


def test_what_no_whole_statement_tells_is_no_row_left_out(owner: User, source: Source, account: BrokerAccount) -> None:
    told(source, account, rows=[LOOSE])
    assert shown(owner, "row_not_booked") == []
    whole = told(source, account, rows=[WHOLE, LOOSE], coverage=[JANUARY], generated="02-01T09:00")
    assert shown(owner, "row_not_booked") == []
    withdraw(whole)
    older = told(source, account, rows=[WHOLE, trade("01-13", "1", "5", account="")], coverage=[JANUARY])
    assert len(shown(owner, "row_not_booked")) == 1
    withdraw(older)
    assert shown(owner, "row_not_booked") == []


def test_a_row_that_a_newer_edition_took_back_is_not_told(owner: User, source: Source, account: BrokerAccount) -> None:
    told(source, account, rows=[WHOLE, LOOSE], coverage=[JANUARY], generated="02-01T09:00")
    told(source, account, rows=[WHOLE], coverage=[JANUARY], generated="02-02T09:00")
    assert shown(owner, "row_not_booked") == []
    assert Transaction.objects.filter(user=owner).count() == 1


def test_the_unfinished_last_day_of_a_statement_is_told_by_the_next(
    owner: User, source: Source, account: BrokerAccount
) -> None:
    today = trade("01-31", "2", "5", account="")
    told(source, account, rows=[WHOLE, today], coverage=[JANUARY], generated="01-31T12:00")
    assert shown(owner, "row_not_booked") == []
    told(source, account, rows=[WHOLE], coverage=[JANUARY], generated="02-01T09:00")
    (found,) = shown(owner, "row_not_booked")
    assert found.day == today.trade_date


def test_rows_of_another_account_or_of_a_group_that_is_ignored_are_not_told(
    owner: User, source: Source, account: BrokerAccount
) -> None:
    told(source, account, rows=[WHOLE], coverage=[JANUARY], generated="02-01T09:00")
    stage(source, rows=[trade("01-12", "3", "5", account="A2")])
    legs = [cash_event("01-14", "fx", amount, account="", group="g", leg=leg) for leg, amount in enumerate(("-9", "8"))]
    told(source, account, rows=legs)
    assert len(shown(owner, "row_not_booked")) == 2
    first = StagedTransaction.objects.get(cash_amount=-9)
    decide(user=owner, kind="ignore", keys={"rows": [[str(source.pk), first.identity]]})
    assert shown(owner, "row_not_booked") == []


def test_rows_left_out_cost_the_same_queries_for_many(
    owner: User, source: Source, account: BrokerAccount, django_assert_num_queries: Any
) -> None:
    told(source, account, rows=[WHOLE], coverage=[JANUARY], generated="02-01T09:00")
    told(source, account, rows=[trade(f"01-{day:02d}", "1", str(day), account="") for day in range(2, 22)])
    reconcile(owner.pk)
    with django_assert_num_queries(9):
        assert len(rows_left_out(owner)) == 20
    make_source(owner)
    with django_assert_num_queries(9):
        rows_left_out(owner)


def test_lots_behind_an_opening_make_its_gain_known_until_they_do_not_fit(
    owner: User, source: Source, account: BrokerAccount
) -> None:
    told(source, account, positions=[position("01-31", "6", account="")], rows=[trade("02-10", "1", "9", account="")])
    assert shown(owner, "opening_lots_unfit") == []
    row = Transaction.objects.get(user=owner, kind="adjustment")
    key = f"position:{account.pk}:{row.instrument_id}"
    lots = [
        {"acquired_on": "2020-05-05", "quantity": "4", "cost": "16"},
        {"acquired_on": "2021-05-05", "quantity": "2", "cost": "14"},
    ]
    decide(user=owner, kind="opening_lots", keys={"key": key}, value={"lots": lots})
    assert shown(owner, "opening_lots_unfit") == []
    held = Position.objects.get(user=owner)
    assert (held.cost_basis, held.unrealized_gain) == (39, 7 * 9 - 39)
    assert list(Lot.objects.filter(user=owner).order_by("acquired_on").values_list("quantity", "cost")) == [
        (4, 16), (2, 14), (1, 9),
    ]  # fmt: skip
    told(source, account, rows=[trade("01-10", "2", "5", account="")])
    (found,) = shown(owner, "opening_lots_unfit")
    assert (found.account, found.instrument_id) == (account, row.instrument_id)
    assert found.title == "The lots given for ACME in Main do not add up"
    assert Position.objects.get(user=owner).cost_basis is None

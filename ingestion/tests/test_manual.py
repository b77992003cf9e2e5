from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import User
from ingestion import accounts, selectors, services
from ingestion.adapters.base import InstrumentRef, PositionRow, TransactionRow
from ingestion.errors import RowGone, UnfitNumber, UnknownAccount
from ingestion.identity import instrument_key
from ingestion.models import Content, StagedPosition, StagedTransaction, Withdrawal

pytestmark = pytest.mark.django_db
ACCOUNT = UUID("01890000-0000-7000-8000-000000000001")
GOLD = InstrumentRef(symbol="XAU", kind="commodity", currency="USD")


@pytest.fixture(autouse=True)
def _own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_check", lambda *, user_id, account_id: account_id == ACCOUNT)


def buy(quantity: str = "2", **fields: Any) -> TransactionRow:
    values: dict[str, Any] = {
        "line": 1, "account": "", "kind": "buy", "trade_date": date(2024, 1, 5), "currency": "USD", "instrument": GOLD,
        "quantity": Decimal(quantity), "price": Decimal(1900),
    }  # fmt: skip
    return TransactionRow(**values | fields)


def holding(quantity: str, day: int) -> PositionRow:
    return PositionRow(1, "", GOLD, Decimal(quantity), date(2024, 1, day), "USD", Decimal(1000))


def in_force(user: User) -> list[tuple[UUID, Decimal | None]]:
    contents = Content.objects.filter(source__user=user).in_force()
    return list(StagedTransaction.objects.filter(content__in=contents).values_list("uid", "quantity"))


def test_row_by_hand_is_a_fact_with_a_number(owner: User) -> None:
    made = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    content = Content.objects.get()
    assert (content.digest, content.scope, content.default_account) == (f"manual:{made.uid}:1", "manual", ACCOUNT)
    assert (content.source.name, content.source.kind, content.source_id) == (
        "Entered by hand",
        "manual",
        made.source_id,
    )
    assert made.instrument_key == instrument_key(GOLD)
    assert made.fact_number == User.objects.get(pk=owner.pk).fact_number
    row = StagedTransaction.objects.get()
    assert (row.uid, row.has_own_id, row.external_id, row.account_ref) == (made.uid, True, str(made.uid), "")


def test_equal_rows_by_hand_are_two(owner: User) -> None:
    first = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    second = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    assert first.uid != second.uid
    assert len(in_force(owner)) == 2


def test_edit_keeps_the_uid_and_withdraws_the_older_under_one_number(owner: User) -> None:
    made = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    edited = services.stage_manual_transaction(user=owner, row=buy("3"), account_id=ACCOUNT, uid=made.uid)
    assert edited.uid == made.uid
    assert edited.fact_number == made.fact_number + 1
    assert in_force(owner) == [(made.uid, Decimal(3))]
    assert StagedTransaction.objects.values("identity").distinct().count() == 1
    assert list(Withdrawal.objects.values_list("content", "number")) == [(made.content_id, edited.fact_number)]
    services.stage_manual_transaction(user=owner, row=buy("2"), account_id=ACCOUNT, uid=made.uid)
    assert in_force(owner) == [(made.uid, Decimal(2))]
    assert Content.objects.count() == 3


def test_deleted_row_is_withdrawn_and_cannot_be_edited(owner: User) -> None:
    made = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    number = services.withdraw_manual(user=owner, uid=made.uid)
    assert number == made.fact_number + 1
    assert in_force(owner) == []
    assert StagedTransaction.objects.count() == 1
    with pytest.raises(RowGone):
        services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT, uid=made.uid)
    with pytest.raises(RowGone):
        services.withdraw_manual(user=owner, uid=made.uid)


def test_rows_of_others_are_out_of_reach(owner: User, stranger: User) -> None:
    made = services.stage_manual_transaction(user=owner, row=buy(), account_id=ACCOUNT)
    with pytest.raises(RowGone):
        services.stage_manual_transaction(user=stranger, row=buy("9"), account_id=ACCOUNT, uid=made.uid)
    with pytest.raises(RowGone):
        services.withdraw_manual(user=stranger, uid=made.uid)
    assert in_force(owner) == [(made.uid, Decimal(2))]


def test_foreign_account_and_long_numbers_store_nothing(owner: User) -> None:
    with pytest.raises(UnknownAccount):
        services.stage_manual_transaction(user=owner, row=buy(), account_id=uuid4())
    with pytest.raises(UnfitNumber):
        services.stage_manual_transaction(user=owner, row=buy("0.1234567890123456789"), account_id=ACCOUNT)
    assert not Content.objects.exists()


def test_next_report_of_a_position_adds_and_the_same_day_replaces(owner: User) -> None:
    made = services.stage_manual_position(user=owner, row=holding("5", 5), account_id=ACCOUNT)
    services.stage_manual_position(user=owner, row=holding("6", 9), account_id=ACCOUNT, uid=made.uid)
    services.stage_manual_position(user=owner, row=holding("7", 9), account_id=ACCOUNT, uid=made.uid)
    contents = selectors.manual_contents(user_id=owner.pk, uid=made.uid)
    reports = StagedPosition.objects.filter(content__in=contents).order_by("as_of").values_list("as_of", "quantity")
    assert list(reports) == [(date(2024, 1, 5), Decimal(5)), (date(2024, 1, 9), Decimal(7))]
    services.withdraw_manual(user=owner, uid=made.uid)
    assert not selectors.manual_contents(user_id=owner.pk, uid=made.uid).exists()

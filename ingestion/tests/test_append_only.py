"""What the application's role of the database may not do to facts, and that the product does not need it."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import ProgrammingError, connection, models, transaction

from accounts.models import User
from ingestion import accounts, services
from ingestion.adapters.base import InstrumentRef, TransactionRow
from ingestion.models import (
    Arrival,
    Content,
    ContentUsage,
    Coverage,
    ImportRun,
    SourceSetting,
    StagedCash,
    StagedInstrument,
    StagedPosition,
    StagedPrice,
    StagedRate,
    StagedTransaction,
    Withdrawal,
)
from ingestion.tests.brokers import Broker, broker, source_at, statement, synced
from ingestion.tests.factories import buys, csv, finished
from stackmotive.common.ids import uuid7

pytestmark = pytest.mark.django_db
__all__ = ["broker"]
FACTS: list[type[models.Model]] = [
    Arrival,
    Content,
    ContentUsage,
    Coverage,
    SourceSetting,
    StagedCash,
    StagedInstrument,
    StagedPosition,
    StagedPrice,
    StagedRate,
    StagedTransaction,
    Withdrawal,
]


@pytest.mark.usefixtures("app_role")
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("model", FACTS, ids=lambda model: model.__name__)
def test_application_cannot_change_or_remove_facts(model: type[models.Model], statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():  # noqa: SIM117
        with connection.cursor() as cursor:
            cursor.execute(statement.format(model._meta.db_table))


def test_every_model_of_facts_is_listed() -> None:
    """A new model is a fact, or is named here as a state."""
    from django.apps import apps

    states = {"Source", "ImportProfile", "SyncRun", "SourcePull", "ImportRun", "ImportRow"}
    assert {model.__name__ for model in apps.get_app_config("ingestion").get_models()} == states | {
        model.__name__ for model in FACTS
    }


def test_everything_works_without_those_rights(
    owner: User, broker: Broker, app_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_check", lambda **_: True)
    run = finished(owner, buys(3))
    assert finished(owner, buys(3)).status == "unchanged"
    services.undo_import(run=run)
    assert finished(owner, buys(3)).staged == 3
    finished(owner, csv("A1,2024-13-02,buy,ACME,1,5,USD", "A1,2024-01-02,buy,ACME,1,5,USD"), on_error="skip")
    source = source_at(broker, owner, "One", statement(buys(1, account="B1")), credentials={"token": "x"})
    assert synced(owner, sources=[source]).status == "done"
    services.update_source(source=source, values={"priority": 5, "enabled": False})
    services.retire_source(source=source, keep=False)
    row = TransactionRow(
        1, "", "buy", date(2024, 1, 2), "USD", InstrumentRef(symbol="ACME"), quantity=Decimal(1), price=Decimal(5)
    )
    typed = services.stage_manual_transaction(user=owner, row=row, account_id=uuid7())
    services.stage_manual_transaction(user=owner, row=row, account_id=uuid7(), uid=typed.uid)
    services.withdraw_manual(user=owner, uid=typed.uid)
    services.purge_import(run=ImportRun.objects.filter(user=owner).earliest("created_at"))


def test_owner_role_erases_a_user_whole(owner: User) -> None:
    finished(owner, buys(3))
    owner.delete()
    assert not any(model._default_manager.exists() for model in FACTS)

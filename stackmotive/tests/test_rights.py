"""What the application's role of the database may do with each table: facts are added and read, never changed."""

import pytest
from django.apps import apps
from django.db import connection, models

from stackmotive.embedded.datadir import APP_ROLE

pytestmark = pytest.mark.django_db

FACTS = {
    "accounts": {"FactVersion", "UserSetting"},
    "ingestion": {
        "Arrival", "Content", "ContentUsage", "Coverage", "SourceSetting", "StagedCash", "StagedInstrument", "StagedPosition",
        "StagedPrice", "StagedRate", "StagedTransaction", "Withdrawal",
    },
    "federation": {
        "AccountSetting", "CorporateAction", "CorporateActionWithdrawal", "Decision", "DecisionRevocation",
        "FormerName", "InstrumentAttribute", "LedgerVersion",
    },
    "portfolio": {"FxRate", "Price", "ValuationSetting"},
}  # fmt: skip
DERIVED = {
    "federation": {"Claim", "Conflict", "ReportedBalance", "Transaction", "TransferLink"},
    "portfolio": {
        "BrokerMark", "BrokerRate", "CashBalance", "DailyValue", "FigureState", "Finding", "HoldingStep", "KnownAnswer",
        "Lot", "Position", "PriceSeries", "RealizedGain", "ValueSeries",
    },
}  # fmt: skip
STATES = {
    "admin": {"LogEntry"},
    "auth": {"Group", "Group_permissions", "Permission"},
    "contenttypes": {"ContentType"},
    "sessions": {"Session"},
    "accounts": {
        "IdempotencyRecord", "LoginSession", "RateCounter", "TierGrant", "User", "User_groups", "User_user_permissions",
    },
    "notifications": {"Notification"},
    "portfolio": {"InstrumentNote"},
    "ingestion": {"ImportProfile", "ImportRow", "ImportRun", "Source", "SourcePull", "SyncRun"},
    # names: what they were before is a fact of its own (FormerName)
    "federation": {
        "AccountLink", "BrokerAccount", "Institution", "Instrument", "InstrumentIdentifier", "InstrumentLink",
        "LedgerState", "Listing",
    },
}  # fmt: skip
TABLES = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


def is_one_of(model: type[models.Model], kinds: dict[str, set[str]]) -> bool:
    return model.__name__ in kinds.get(model._meta.app_label, ())


def rights(model: type[models.Model]) -> set[str]:
    asked = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT " + ", ".join("has_table_privilege(%s, %s, %s)" for _ in asked),
            [value for right in asked for value in (APP_ROLE, model._meta.db_table, right)],
        )
        row = cursor.fetchone()
    return {right for right, is_given in zip(asked, row or (), strict=True) if is_given}


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model._meta.label)
def test_each_table_is_a_fact_derived_or_a_state_and_has_the_rights_of_it(model: type[models.Model]) -> None:
    """A new model is named above: as a fact (with `append_only` in its migration), as derived, or as a state."""
    assert [is_one_of(model, kinds) for kinds in (FACTS, DERIVED, STATES)].count(True) == 1
    wanted = {"SELECT", "INSERT"} if is_one_of(model, FACTS) else {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert rights(model) == wanted


def test_no_name_is_listed_that_is_no_table() -> None:
    known = {(model._meta.app_label, model.__name__) for model in TABLES}
    listed = {(app, name) for kinds in (FACTS, DERIVED, STATES) for app, names in kinds.items() for name in names}
    assert listed == known

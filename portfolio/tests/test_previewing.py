"""What a change would do in money is what it then does (DESIGN 7)."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation import services as federation
from federation.models import Conflict, Decision, LedgerVersion, Transaction
from federation.tests.factories import make_source, position, stage, trade
from ingestion import services as ingestion
from ingestion.models import Content, ImportRun, Source
from ingestion.options import ImportOptions
from portfolio import selectors
from portfolio.models import Position
from portfolio.services.previewing import preview_in_money
from portfolio.services.refresh import refresh

pytestmark = pytest.mark.django_db
ADDRESS = "/api/portfolio/preview/"
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 15)


@pytest.fixture
def sources(owner: User) -> tuple[Source, Source]:
    """Two of one account: the second states a sale that the first lacks, and a slightly higher price."""
    account = federation.create_account(user=owner, name="Main", currency="USD", cash_mode="tracked").pk
    broker, file = make_source(owner, "ibkr_flex", name="Broker"), make_source(owner, "csv", name="File")
    told: dict[str, Any] = {"default_account": account}
    stage(broker, rows=[trade("01-10", "10", "100", account="")], **told)
    stage(broker, positions=[position("02-29", "9", account="")], **told)
    stage(file, rows=[trade("01-10", "10", "100.4", account=""), trade("02-05", "-1", "120", account="")], **told)
    federation.reconcile(owner.pk)
    refresh(user_id=owner.pk)
    return broker, file


def seen(user: User) -> dict[str, Any]:
    """What the API answers of a user's money."""
    found = selectors.summary(user=user).as_dict()
    return {name: found[name] for name in ("market_value", "cash", "unrealized_gain", "realized_gain", "total_gain")}


def held(user: User) -> dict[str, tuple[Any, ...]]:
    rows = selectors.positions(user=user)
    return {row.symbol: (row.quantity, row.market_value_base, row.cost_basis_base) for row in rows}


def facts(user: User) -> tuple[int, ...]:
    return (
        Decision.objects.count(), LedgerVersion.objects.count(), Content.objects.count(), ImportRun.objects.count(),
        Transaction.objects.count(), Position.objects.count(), user.fact_versions.count(),
    )  # fmt: skip


def assert_comes_true(user: User, change: federation.Change, act: Callable[[], object]) -> None:
    """Preview `change`, do it by `act`, and compare every figure before and after."""
    before, kept, before_held = seen(user), facts(user), held(user)
    told = preview_in_money(change)
    assert (seen(user), facts(user), held(user)) == (before, kept, before_held)
    act()
    federation.reconcile(user.pk)
    refresh(user_id=user.pk)
    after, after_held = seen(user), held(user)
    assert {name: (told.figures[name].before, told.figures[name].after) for name in before} == {
        name: (before[name], after[name]) for name in before
    }
    moved = {one.symbol: one.figures for one in told.holdings}
    for symbol in before_held.keys() | after_held.keys():
        was, is_now = (side.get(symbol, (D(0),) * 3) for side in (before_held, after_held))
        if was != is_now:
            names = ("quantity", "market_value", "cost_basis")
            assert tuple(moved[symbol][name].before for name in names) == was
            assert tuple(moved[symbol][name].after for name in names) == is_now
    accounts = {one.account: one.figures for one in told.accounts}
    assert sum((one["cash"].change or D(0) for one in accounts.values()), D(0)) == after["cash"] - before["cash"]
    assert (told.row_count > 0) == (before != after)


def test_another_priority_does_in_money_what_its_preview_said(owner: User, sources: tuple[Source, Source]) -> None:
    file = sources[1]
    change = federation.source_change(source=file, priority=1)
    assert_comes_true(owner, change, lambda: ingestion.update_source(source=file, values={"priority": 1}))
    assert held(owner)["ACME"][2] == D("903.6")


def test_a_source_no_longer_believed_does_in_money_what_its_preview_said(
    owner: User, sources: tuple[Source, Source]
) -> None:
    broker = sources[0]
    change = federation.source_change(source=broker, enabled=False)
    assert_comes_true(owner, change, lambda: ingestion.update_source(source=broker, values={"enabled": False}))


def test_a_decision_does_in_money_what_its_preview_said(owner: User, sources: tuple[Source, Source]) -> None:
    conflict = Conflict.objects.filter(user=owner, kind="field").first()
    assert conflict is not None
    said: dict[str, Any] = {
        "kind": "choose", "keys": {"key": conflict.key}, "value": {"source": str(sources[1].pk)},
    }  # fmt: skip
    change = federation.decision_change(user=owner, **said)
    assert_comes_true(owner, change, lambda: federation.decide(user=owner, **said))


def test_a_file_does_in_money_what_the_preview_of_its_dry_run_said_and_its_undo_too(
    owner: User, sources: tuple[Source, Source]
) -> None:
    content = b"account,trade_date,kind,symbol,quantity,price,currency\nB2,2024-02-01,buy,NEWX,3,7,USD\n"

    def run_of(**options: Any) -> ImportRun:
        run = ingestion.open_import(user=owner, content=content, filename="new.csv", options=ImportOptions(**options))
        ingestion.run_import(run_id=run.pk)
        return ImportRun.objects.get(pk=run.pk)

    dry = run_of(dry_run=True)
    assert (dry.status, dry.staged) == ("done", 1)
    assert_comes_true(owner, federation.import_change(run=dry), run_of)
    assert held(owner)["NEWX"][:2] == (3, 21)
    real = ImportRun.objects.exclude(pk=dry.pk).get()
    assert_comes_true(owner, federation.import_change(run=real), lambda: ingestion.undo_import(run=real))
    assert "NEWX" not in held(owner)


def test_figures_of_a_preview_over_the_api(
    api: Callable[..., APIClient], owner: User, stranger: User, sources: tuple[Source, Source]
) -> None:
    body = {"priority": {"source": str(sources[1].pk), "priority": 1}}
    answer = api(owner).post(ADDRESS, body)
    assert answer.status_code == 200, answer.json()
    told = answer.json()
    assert (told["currency"], told["as_of"]) == (owner.base_currency, "2024-03-15")
    assert [(one["account_name"], one["symbol"]) for one in told["holdings"]] == [("Main", "ACME")]
    assert [one["account_name"] for one in told["accounts"]] == ["Main"]
    assert set(told["figures"]["market_value"]) == {"before", "after", "change"}
    assert api(stranger).post(ADDRESS, body).status_code == 400
    assert api(owner).post(ADDRESS, {}).status_code == 400
    assert api(owner).post(ADDRESS, {"priority": {"source": "x", "priority": -1}}).status_code == 400


def test_previews_in_money_are_for_operators_and_cost(
    api: Callable[..., APIClient], make_user: Any, owner: User, sources: tuple[Source, Source], settings: Any
) -> None:
    assert api(make_user(tier=Tier.NAVIGATOR)).post(ADDRESS, {}).status_code == 403
    settings.COSTLY_REQUESTS_PER_MINUTE = 2
    client, body = api(owner), {"enabled": {"source": str(sources[1].pk), "enabled": True}}
    answers = [client.post(ADDRESS, body).status_code for _ in range(3)]
    assert answers == [200, 200, 429]

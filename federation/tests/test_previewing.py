"""A preview says what the change then does, and changes nothing (DESIGN 5.8, 7)."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import Claim, Conflict, Decision, LedgerVersion, ReportedBalance, Transaction
from federation.selectors import withdrawn_rows
from federation.services import Preview, preview_decision, preview_source, reconcile
from federation.services.decisions import decide
from federation.tests.factories import covers, make_source, stage, trade
from federation.tests.test_views import disputed
from ingestion.models import Source
from ingestion.services.sources import update_source

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
ADDRESS = "/api/federation/preview/"
FIELDS = ("quantity", "price", "cash_amount")


def stored(user: User) -> list[list[tuple[object, ...]]]:
    """Every derived row, ids included."""
    return [
        list(Transaction.objects.filter(user=user).order_by("id").values_list()),
        list(Claim.objects.filter(transaction__user=user).order_by("staged").values_list()),
        list(ReportedBalance.objects.filter(user=user).order_by("id").values_list()),
        list(Conflict.objects.filter(user=user).order_by("id").values_list()),
    ]


def told(user: User) -> dict[object, dict[str, Any]]:
    return {row.pk: {name: getattr(row, name) for name in FIELDS} for row in Transaction.objects.filter(user=user)}


def opened(user: User) -> set[str]:
    return set(Conflict.objects.filter(user=user, status="open").values_list("key", flat=True))


def assert_came_true(user: User, found: Preview, before: dict[object, dict[str, Any]], was_open: set[str]) -> None:
    after = told(user)
    assert {row.id for row in found.added} == after.keys() - before.keys()
    assert {row.id for row in found.removed} == before.keys() - after.keys()
    both = before.keys() & after.keys()
    assert {row.id for row in found.changed} >= {key for key in both if before[key] != after[key]}
    for row in found.changed:
        assert {name: row.values.get(name) for name in FIELDS} == after[row.id]
    assert {one.key for one in found.opened} == opened(user) - was_open
    assert {one.key for one in found.closed} == was_open - opened(user)


@pytest.mark.parametrize(("about", "value"), [("priority", 1), ("enabled", False)])
def test_a_source_believed_more_or_not_at_all_does_what_its_preview_said(owner: User, about: str, value: Any) -> None:
    broker, file = disputed(owner)
    changed: Source = file if about == "priority" else broker
    before, was_open, kept = told(owner), opened(owner), stored(owner)
    found = preview_source(source=changed, **{about: value})
    assert stored(owner) == kept
    update_source(source=Source.objects.get(pk=changed.pk), values={about: value})
    reconcile(owner.pk)
    assert found.changed_count + found.added_count + found.removed_count > 0
    assert_came_true(owner, found, before, was_open)


def test_a_decision_does_what_its_preview_said_and_the_preview_nothing(owner: User) -> None:
    _, file = disputed(owner)
    conflict = Conflict.objects.get(user=owner, kind="quantity")
    said: dict[str, Any] = {"kind": "choose", "keys": {"key": conflict.key}, "value": {"source": str(file.pk)}}
    before, was_open, kept = told(owner), opened(owner), stored(owner)
    counts = (Decision.objects.count(), LedgerVersion.objects.count(), owner.fact_versions.count())
    found = preview_decision(user=owner, **said)
    assert (stored(owner), Decision.objects.count()) == (kept, counts[0])
    assert (LedgerVersion.objects.count(), owner.fact_versions.count()) == counts[1:]
    assert [(one.symbol, one.before, one.after) for one in found.positions] == [("ACME", 10, 11)]
    assert [one.key for one in found.closed] == [conflict.key]
    decide(user=owner, **said)
    assert_came_true(owner, found, before, was_open)


def test_a_link_is_previewed_over_the_api(api: Api, owner: User, stranger: User) -> None:
    first, second = make_source(owner), make_source(owner)
    stage(first, rows=[trade("01-10", "10", "5")])
    stage(second, rows=[trade("01-10", "10", "5")])
    reconcile(owner.pk)
    account = first.account_links.get().account_id
    body = {"link": {"source": str(second.pk), "reference": "A1", "account": str(account)}}
    answer = api(owner).post(ADDRESS, body, format="json")
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["added_count"], answer.json()["removed_count"]) == (0, 1)
    assert [(one["before"], one["after"]) for one in answer.json()["positions"]] == [("10", "0")]
    assert Transaction.objects.filter(user=owner).count() == 2
    ignored = api(owner).post(ADDRESS, {"link": body["link"] | {"account": None}}, format="json")
    assert ignored.json()["removed_count"] == 1
    assert api(stranger).post(ADDRESS, body, format="json").status_code == 400
    assert api(owner).post(ADDRESS, {}, format="json").status_code == 400
    assert api(owner).post(ADDRESS, body | {"import": "x"}, format="json").status_code == 400
    assert Decision.objects.count() == 0


def test_rows_that_a_newer_whole_edition_lacks_are_named(owner: User) -> None:
    source = make_source(owner)
    january = [covers("transactions", "01-01", "01-31")]
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-20", "3", "5")], coverage=january, generated="02-01T09:00")
    stage(source, rows=[trade("01-10", "10", "5")], coverage=january, generated="02-05T09:00")
    stage(source, rows=[trade("01-12", "7", "5")])
    reconcile(owner.pk)
    found = withdrawn_rows(owner)
    account = source.account_links.get().account_id
    assert [(row.trade_date.isoformat(), row.quantity, row.account) for row in found] == [
        ("2024-01-20", 3, account),
        ("2024-01-12", 7, account),
    ]

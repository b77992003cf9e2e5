"""The federation API as its callers see it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation import holdings
from federation.errors import AccountClaimed
from federation.models import AccountLink, Conflict, Decision, Transaction
from federation.services import create_account, decide, delete_account, reconcile
from federation.tests.factories import ACME, covers, make_source, make_user, position, stage, trade
from ingestion.models import Source

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
ROOT = "/api/federation/"


def disputed(user: User, count: int = 1) -> tuple[Source, Source]:
    """Two sources of one account that disagree on a position and on `count` trades."""
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    days = [f"01-{number + 1:02d}" for number in range(count)]
    stage(broker, rows=[trade(day, "10", "100") for day in days], positions=[position("02-29", str(10 * count))])
    stage(file, rows=[trade(day, "10", "100.4") for day in days], positions=[position("02-29", str(10 * count + 1))])
    reconcile(user.pk)
    account = broker.account_links.get().account
    decide(user=user, kind="link_account", keys={"reference": [str(file.pk), "A1"]}, value={"account": str(account.pk)})
    return broker, file


def test_conflicts_are_listed_by_effect_and_resolved_by_choosing_a_source(api: Api, owner: User) -> None:
    broker, file = disputed(owner)
    client = api(owner)
    listed = client.get(f"{ROOT}conflicts/").json()["results"]
    assert [(one["kind"], one["effect_base"], one["status"]) for one in listed] == [
        ("quantity", "100", "open"),
        ("field", "4", "settled"),
        ("field", "4", "settled"),
    ]
    first = listed[0]
    assert (first["winner"], first["rule"], first["symbol"]) == (str(broker.pk), "priority", "ACME")
    assert [(one["source"], one["value"], one["as_of"]) for one in first["candidates"]] == [
        (str(broker.pk), "10", "2024-02-29"),
        (str(file.pk), "11", "2024-02-29"),
    ]
    answer = client.post(f"{ROOT}conflicts/{first['id']}/resolve/", {"choose": str(file.pk)}, format="json")
    assert (answer.status_code, answer.json()["kind"], answer.json()["value"]) == (
        200,
        "choose",
        {"source": str(file.pk)},
    )
    after = client.get(f"{ROOT}conflicts/{first['id']}/").json()
    assert (after["status"], after["winner"], after["rule"]) == ("resolved", str(file.pk), "decision")
    revoked = client.post(f"{ROOT}decisions/{answer.json()['id']}/revoke/")
    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert client.get(f"{ROOT}conflicts/{first['id']}/").json()["rule"] == "priority"
    assert client.post(f"{ROOT}decisions/{answer.json()['id']}/revoke/").status_code == 409


def test_ignoring_a_conflict_holds_while_its_evidence_does(api: Api, owner: User) -> None:
    broker, _ = disputed(owner)
    conflict = Conflict.objects.get(user=owner, kind="quantity")
    address = f"{ROOT}conflicts/{conflict.pk}/"
    assert api(owner).post(f"{address}resolve/", {"ignore": True}, format="json").status_code == 200
    assert api(owner).get(address).json()["status"] == "resolved"
    stage(broker, positions=[position("03-01", "9")])
    reconcile(owner.pk)
    assert api(owner).get(address).json()["status"] == "open"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"choose": "x"}, 400),
        ({"book": True, "ignore": True}, 400),
        ({"choose": str(uuid4())}, 422),
        ({"book": True}, 409),
        ([], 400),
    ],
)
def test_a_resolution_that_does_not_fit_changes_nothing(api: Api, owner: User, body: Any, status: int) -> None:
    disputed(owner)
    before = Decision.objects.count()
    conflict = Conflict.objects.get(user=owner, kind="quantity")
    answer = api(owner).post(f"{ROOT}conflicts/{conflict.pk}/resolve/", body, format="json")
    assert answer.status_code == status
    assert Decision.objects.count() == before
    conflict.refresh_from_db()
    assert conflict.status == "open"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "choose", "keys": {"key": "position:x:y"}, "value": {"source": str(uuid4())}},
        {"kind": "choose", "keys": {"key": "nothing"}},
        {"kind": "ignore", "keys": {"rows": [["a", "b", "c"]]}},
        {"kind": "ignore", "keys": {"rows": "ab"}},
        {"kind": "ignore", "keys": {"rows": [[str(uuid4()), "x" * 5000]]}},
        {"kind": "ignore", "keys": {"key": "row:\u0000:\u0000"}},
        {"kind": "link_account", "keys": {"reference": [1, 2]}, "value": {"account": None}},
        {"kind": "book", "keys": {"account": "1e400"}},
        {"kind": "ignore", "keys": {"other": 1}},
    ],
)
def test_a_decision_about_nothing_of_ones_own_is_refused(api: Api, owner: User, body: dict[str, Any]) -> None:
    answer = api(owner).post(f"{ROOT}decisions/", body, format="json")
    assert answer.status_code in (400, 422)
    assert not Decision.objects.exists()
    assert Transaction.objects.count() == 0


def test_a_decision_cannot_name_what_is_another_users(api: Api, owner: User, stranger: User) -> None:
    broker, file = disputed(owner)
    before = Decision.objects.count()
    conflict = Conflict.objects.get(user=owner, kind="quantity")
    row = Transaction.objects.filter(user=owner).first()
    assert row is not None
    for keys, value in (
        ({"key": conflict.key}, {"source": str(file.pk)}),
        ({"key": f"transaction:{row.pk}:price"}, {"source": str(file.pk)}),
        ({"account": str(row.account_id), "currency": "USD"}, {"source": str(file.pk)}),
    ):
        answer = api(stranger).post(
            f"{ROOT}decisions/", {"kind": "choose", "keys": keys, "value": value}, format="json"
        )
        assert answer.status_code == 422
    link = AccountLink.objects.get(source=broker)
    for method, path in (
        ("get", f"conflicts/{conflict.pk}/"),
        ("post", f"conflicts/{conflict.pk}/resolve/"),
        ("post", f"decisions/{Decision.objects.get().pk}/revoke/"),
        ("patch", f"account-links/{link.pk}/"),
        ("get", f"provenance/?transaction={row.pk}"),
        ("get", f"provenance/?position={uuid4()}"),
        ("get", "versions/1/"),
    ):
        body = None if method == "get" else {"state": "ignored"}
        assert getattr(api(stranger), method)(ROOT + path, body).status_code == 404
    assert Decision.objects.count() == before
    assert api(stranger).get(f"{ROOT}conflicts/").json()["results"] == []


def test_a_reference_is_linked_and_ignored_by_hand(api: Api, owner: User) -> None:
    source = make_source(owner)
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-10", "3", "5", account="A2")])
    reconcile(owner.pk)
    client = api(owner)
    first, second = client.get(f"{ROOT}account-links/?ordering=reference").json()["results"]
    answer = client.patch(f"{ROOT}account-links/{second['id']}/", {"account": first["account"]}, format="json")
    assert (answer.status_code, answer.json()["account"], answer.json()["state"]) == (200, first["account"], "linked")
    assert set(Transaction.objects.filter(user=owner).values_list("account_id", flat=True).distinct()) == {
        AccountLink.objects.get(pk=first["id"]).account_id
    }
    answer = client.patch(f"{ROOT}account-links/{second['id']}/", {"state": "ignored"}, format="json")
    assert (answer.json()["account"], answer.json()["state"]) == (None, "ignored")
    assert Transaction.objects.filter(user=owner).count() == 1
    assert client.patch(f"{ROOT}account-links/{second['id']}/", {}, format="json").status_code == 400


def test_provenance_leads_from_a_row_to_the_lines_that_state_it(api: Api, owner: User) -> None:
    broker, file = disputed(owner)
    row = Transaction.objects.get(user=owner, kind="buy")
    body = api(owner).get(f"{ROOT}provenance/?transaction={row.pk}").json()
    assert (body["winner"], body["rule"]) == (str(broker.pk), "priority")
    assert [(one["source"], one["won"], one["rule"]) for one in body["claims"]] == [
        (str(broker.pk), True, "priority"),
        (str(file.pk), False, "close_price"),
    ]
    assert [one["values"]["price"] for one in body["raw_rows"]] == ["100", "100.4"]
    assert len(body["conflicts"]) == 2
    assert api(owner).get(f"{ROOT}provenance/").status_code == 400
    assert api(owner).get(f"{ROOT}provenance/?transaction=%00").status_code == 400


def test_provenance_of_a_position_names_the_report_that_won(
    api: Api, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, _ = disputed(owner)
    row = Transaction.objects.filter(user=owner).earliest("trade_date")
    monkeypatch.setattr(holdings, "_lookup", lambda *, user_id, position_id: (row.account_id, row.instrument_id))
    body = api(owner).get(f"{ROOT}provenance/?position={uuid4()}").json()
    assert (body["winner"], body["rule"]) == (str(broker.pk), "priority")
    assert [(one["value"], one["won"]) for one in body["claims"]] == [("10", True), ("11", False)]
    assert [one["values"]["quantity"] for one in body["raw_rows"]] == ["10", "11"]


def test_versions_are_listed_newest_first(api: Api, owner: User) -> None:
    disputed(owner)
    body = api(owner).get(f"{ROOT}versions/").json()["results"]
    assert [one["number"] for one in body] == [2, 1]
    assert {len(one["content_hash"]) for one in body} == {64}


def test_navigators_look_and_only_operators_decide(api: Api) -> None:
    navigator, observer = make_user(tier=Tier.NAVIGATOR), make_user(tier=Tier.OBSERVER)
    assert api(navigator).get(f"{ROOT}decisions/").status_code == 200
    body = {"kind": "ignore", "keys": {"key": "x"}}
    assert api(navigator).post(f"{ROOT}decisions/", body, format="json").status_code == 403
    assert api(observer).get(f"{ROOT}conflicts/").status_code == 403
    assert APIClient().get(f"{ROOT}conflicts/").status_code == 401


@pytest.mark.parametrize("path", ["conflicts/", "decisions/", "account-links/", "versions/"])
def test_lists_cost_as_many_queries_with_many_rows_as_with_few(api: Api, owner: User, path: str) -> None:
    disputed(owner)
    client = api(owner)
    client.get(ROOT + path)
    with CaptureQueriesContext(connection) as few:
        client.get(ROOT + path)
    disputed(owner, count=8)
    with CaptureQueriesContext(connection) as many:
        client.get(ROOT + path)
    assert len(many) == len(few)


def test_an_account_that_sources_speak_of_is_not_deleted(owner: User) -> None:
    source = make_source(owner)
    stage(source, rows=[trade("01-10", "10", "5", of=ACME)], coverage=[covers("transactions", "01-01", "01-31")])
    reconcile(owner.pk)
    account = source.account_links.get().account
    assert account is not None
    with pytest.raises(AccountClaimed):
        delete_account(account=account)
    empty = create_account(user=owner, name="Drawer", currency="EUR", institution="Under the bed")
    delete_account(account=empty)
    assert list(owner.broker_accounts.all()) == [account]

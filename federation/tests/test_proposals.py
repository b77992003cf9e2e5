"""Accounts proposed with evidence, and accounts that are parts of others (DESIGN 5.4)."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.errors import AccountClaimed
from federation.models import AccountLink, BrokerAccount, Decision, LedgerVersion, Transaction
from federation.services import create_account, decide, delete_account, differences_from_facts, reconcile, revoke
from federation.tests.factories import GLOBEX, make_source, make_user, position, stage, trade
from federation.tests.test_truth import quantities

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


@pytest.fixture
def user() -> User:
    return make_user()


def test_equal_positions_of_a_day_propose_an_account_with_examples(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5"), trade("01-11", "4", "5", of=GLOBEX), trade("02-20", "1", "5")])
    stage(file, positions=[position("01-31", "10", account="D"), position("01-31", "4", of=GLOBEX, account="D")])
    reconcile(user.pk)
    link = file.account_links.get()
    known = broker.account_links.get().account_id
    assert (link.state, link.evidence) == (
        "proposed",
        {
            "rule": "new_account", "account": str(known), "basis": "positions", "matching": "2", "compared": "2",
            "share": "1",
            "examples": [
                {"day": "2024-01-31", "kind": "position", "symbol": "ACME", "value": "10"},
                {"day": "2024-01-31", "kind": "position", "symbol": "GLBX", "value": "4"},
            ],
        },
    )  # fmt: skip
    assert reconcile(user.pk) is None


@pytest.mark.parametrize(
    ("reference", "state"), [("u-12345", "proposed"), ("U12346", "linked"), ("DEPOT", "linked"), ("U1", "linked")]
)
def test_an_equal_number_proposes_an_account(user: User, reference: str, state: str) -> None:
    known = "U12345" if len(reference) > 5 else reference.lower()
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5", account=known)])
    stage(file, rows=[trade("03-10", "3", "5", account=reference)])
    reconcile(user.pk)
    link = file.account_links.get()
    assert link.state == state
    assert link.evidence.get("basis") == ("reference" if state == "proposed" else None)


def test_accounts_of_two_institutions_are_not_proposed_for_their_number(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5", account="U12345")], institution="One")
    stage(file, rows=[trade("03-10", "3", "5", account="U12345")], institution="Two")
    reconcile(user.pk)
    assert file.account_links.get().state == "linked"


def test_a_reference_linked_before_it_arrives_makes_an_account_only_when_that_is_revoked(user: User) -> None:
    source, account = make_source(user), create_account(user=user, name="Main", currency="USD")
    keys = {"reference": [str(source.pk), "A1"]}
    decision = decide(user=user, kind="link_account", keys=keys, value={"account": str(account.pk)})
    stage(source, rows=[trade("01-10", "10", "5")])
    reconcile(user.pk)
    assert list(user.broker_accounts.all()) == [account]
    assert source.account_links.get().automatic is None
    revoke(decision=decision)
    link = source.account_links.get()
    assert (link.account_id, link.account_id == account.pk) == (link.automatic_id, False)
    assert Transaction.objects.get(user=user).account_id == link.automatic_id
    again = decide(user=user, kind="ignore", keys=keys)
    assert source.account_links.get().state == "ignored"
    revoke(decision=again)
    assert source.account_links.get().account_id == link.automatic_id
    assert user.broker_accounts.count() == 2


def test_an_account_becomes_a_part_of_another_and_one_of_its_own_again(api: Api, user: User) -> None:
    first, second = make_source(user), make_source(user)
    stage(first, rows=[trade("01-10", "10", "5")])
    stage(second, rows=[trade("01-10", "10", "5"), trade("01-11", "3", "5")])
    reconcile(user.pk)
    one, other = first.account_links.get().account, second.account_links.get().account
    assert one is not None
    assert other is not None
    body = {"kind": "merge_accounts", "keys": {"account": str(other.pk)}, "value": {"account": str(one.pk)}}
    shown = api(user).post("/api/federation/preview/", {"decision": body}, format="json")
    assert shown.status_code == 200, shown.content
    answer = api(user).post("/api/federation/decisions/", body, format="json")
    assert answer.status_code == 201
    assert quantities(user) == [10, 3]
    assert set(Transaction.objects.filter(user=user).values_list("account", flat=True)) == {one.pk}
    assert second.account_links.get().account_id == one.pk
    listed = api(user).get(f"/api/portfolio/accounts/{other.pk}/").json()
    assert listed["merged_into"] == str(one.pk)
    assert differences_from_facts(user.pk) == []
    for account in (one, other):
        with pytest.raises(AccountClaimed):
            delete_account(account=account)
    stage(second, rows=[trade("02-11", "4", "5")])
    reconcile(user.pk)
    assert quantities(user) == [10, 3, 4]
    assert api(user).post(f"/api/federation/decisions/{answer.json()['id']}/revoke/").status_code == 200
    assert BrokerAccount.objects.get(pk=other.pk).merged_into is None
    assert sorted(quantities(user)) == [3, 4, 10, 10]
    assert differences_from_facts(user.pk) == []


def test_rows_by_hand_of_a_part_count_for_the_whole(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    reconcile(user.pk)
    whole = source.account_links.get().account
    assert whole is not None
    part = create_account(user=user, name="Old name", currency="USD")
    stage(make_source(user), rows=[trade("01-15", "2", "5", account="")], default_account=part.pk)
    reconcile(user.pk)
    before = LedgerVersion.objects.latest("number").content_hash
    keys, value = {"account": str(part.pk)}, {"account": str(whole.pk)}
    merged = decide(user=user, kind="merge_accounts", keys=keys, value=value)
    assert set(Transaction.objects.filter(user=user).values_list("account", flat=True)) == {whole.pk}
    revoke(decision=merged)
    assert LedgerVersion.objects.latest("number").content_hash == before


def test_accounts_of_others_are_never_merged(api: Api, user: User) -> None:
    mine, other = (create_account(user=one, name="Main", currency="USD") for one in (user, make_user()))
    wrong: list[Any] = [
        {"keys": {"account": str(other.pk)}, "value": {"account": str(mine.pk)}},
        {"keys": {"account": str(mine.pk)}, "value": {"account": str(other.pk)}},
        {"keys": {"account": str(mine.pk)}, "value": {"account": str(mine.pk)}},
        {"keys": {"account": str(mine.pk)}, "value": {}},
        {"keys": {"account": str(mine.pk), "currency": "USD"}, "value": {"account": str(mine.pk)}},
    ]
    for body in wrong:
        answer = api(user).post("/api/federation/decisions/", {"kind": "merge_accounts", **body}, format="json")
        assert answer.status_code == 422
    low = make_user(tier=Tier.NAVIGATOR)
    assert api(low).post("/api/federation/decisions/", {"kind": "merge_accounts"}, format="json").status_code == 403
    assert not Decision.objects.exists()
    assert not AccountLink.objects.exists()

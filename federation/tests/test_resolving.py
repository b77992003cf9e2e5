"""Each kind of conflict settled over HTTP: what it takes for an answer, what that does, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.conflict_answers import ANSWERS
from federation.models import Conflict, Decision, LedgerVersion, ReportedBalance, Transaction, TransferLink
from federation.services import differences_from_facts, reconcile
from federation.tests.factories import balance, covers, make_source, make_user, position, stage, trade
from federation.tests.test_truth import one_account, quantities
from ingestion.adapters.base import TransactionRow
from ingestion.models import Source, StagedTransaction

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
JANUARY = covers("transactions", "01-01", "01-31")
EVERY_ACTION = ("choose", "match", "book", "accept", "ignore")


def two_sources(user: User, **fields: Any) -> tuple[Source, Source]:
    return make_source(user, "ibkr_flex", **fields), make_source(user)


def quantity(user: User) -> Conflict:
    broker, file = two_sources(user)
    stage(broker, positions=[position("02-29", "10")])
    stage(file, positions=[position("02-29", "11")])
    one_account(user, broker, file)
    return Conflict.objects.get(user=user)


def cash(user: User) -> Conflict:
    broker, file = two_sources(user)
    stage(broker, cash=[balance("02-29", "100")], cash_mode="tracked")
    stage(file, cash=[balance("02-29", "250")], cash_mode="tracked")
    one_account(user, broker, file)
    return Conflict.objects.get(user=user)


def field(user: User) -> Conflict:
    broker, file = two_sources(user)
    stage(broker, rows=[trade("01-10", "10", "100")])
    stage(file, rows=[trade("01-10", "10", "100.4", cash_amount=None)])
    one_account(user, broker, file)
    return Conflict.objects.get(user=user)


def only_in_one_source(user: User) -> Conflict:
    broker, file = two_sources(user)
    stage(broker, rows=[trade("01-10", "10", "5")], coverage=[JANUARY], generated="02-01T09:00")
    stage(file, rows=[trade("01-12", "9", "5.1")])
    one_account(user, broker, file)
    return Conflict.objects.get(user=user)


def ambiguous(user: User) -> Conflict:
    broker, file = two_sources(user)
    stage(broker, rows=[trade("01-10", "10", "5.10"), trade("01-10", "10", "5.12")])
    stage(file, rows=[trade("01-10", "10", "5.11", cash_amount=None)])
    one_account(user, broker, file)
    return Conflict.objects.get(user=user)


def mass_withdrawal(user: User) -> Conflict:
    source = make_source(user)
    for count, generated in ((12, "02-01T09:00"), (6, "02-05T09:00")):
        rows = [trade(f"01-{day:02d}", str(day), "5") for day in range(1, count + 1)]
        stage(source, rows=rows, coverage=[JANUARY], generated=generated)
    reconcile(user.pk)
    return Conflict.objects.get(user=user)


def moved(when: str, kind: str, units: str, account: str) -> TransactionRow:
    row = trade(when, units, "1", kind=kind, cash_amount=None, account=account)
    return replace(row, price=None)


def transfer(user: User) -> Conflict:
    source = make_source(user)
    stage(source, rows=[trade("01-05", "10", "5"), moved("01-20", "transfer_out", "-4", "A1")])
    stage(source, rows=[moved("01-21", "transfer_in", "4", "A2")])
    stage(source, rows=[moved("01-21", "transfer_in", "4", "A3")])
    reconcile(user.pk)
    return Conflict.objects.get(user=user)


MAKERS = {
    "quantity": quantity,
    "cash": cash,
    "field": field,
    "only_in_one_source": only_in_one_source,
    "ambiguous": ambiguous,
    "mass_withdrawal": mass_withdrawal,
    "transfer": transfer,
}


def body(conflict: Conflict, action: str) -> dict[str, Any]:
    """An answer that names the last thing compared."""
    if action == "choose":
        return {"choose": conflict.candidates[-1]["source"]}
    if action == "match":
        named = conflict.candidates[-1].get("row")
        return {"match": named or str(Transaction.objects.filter(user=conflict.user).latest("trade_date").pk)}
    return {action: True}


def say(api: Api, user: User, conflict: Conflict, said: dict[str, Any]) -> Any:
    return api(user).post(f"/api/federation/conflicts/{conflict.pk}/resolve/", said, format="json")


def held(user: User) -> Decimal:
    value: Decimal = ReportedBalance.objects.filter(user=user).latest("as_of").value
    return value


def status(user: User) -> str | None:
    left = Conflict.objects.filter(user=user).first()
    return left.status if left else None


DONE: dict[tuple[str, str], Callable[[User], object]] = {
    ("quantity", "choose"): lambda user: (held(user), status(user)) == (11, "resolved"),
    ("quantity", "ignore"): lambda user: (held(user), status(user)) == (10, "resolved"),
    ("cash", "choose"): lambda user: (held(user), status(user)) == (250, "resolved"),
    ("cash", "ignore"): lambda user: (held(user), status(user)) == (100, "resolved"),
    ("field", "choose"): lambda user: (
        (Transaction.objects.get(user=user).price, status(user)) == (Decimal("100.4"), "resolved")
    ),
    ("field", "ignore"): lambda user: (Transaction.objects.get(user=user).price, status(user)) == (100, "resolved"),
    ("only_in_one_source", "book"): lambda user: (quantities(user), status(user)) == ([10, 9], None),
    ("only_in_one_source", "match"): lambda user: (quantities(user), status(user)) == ([10], "settled"),
    ("only_in_one_source", "ignore"): lambda user: (quantities(user), status(user)) == ([10], None),
    ("ambiguous", "match"): lambda user: quantities(user) == [10, 10],
    ("ambiguous", "book"): lambda user: (quantities(user), status(user)) == ([10, 10, 10], "resolved"),
    ("ambiguous", "ignore"): lambda user: (quantities(user), status(user)) == ([10, 10], None),
    ("mass_withdrawal", "accept"): lambda user: (len(quantities(user)), status(user)) == (6, None),
    ("mass_withdrawal", "ignore"): lambda user: (len(quantities(user)), status(user)) == (12, "resolved"),
    ("transfer", "match"): lambda user: (TransferLink.objects.get(user=user).rule, status(user)) == ("decision", None),
    ("transfer", "ignore"): lambda user: (TransferLink.objects.filter(user=user).count(), status(user)) == (0, None),
}


@pytest.mark.parametrize(("kind", "action"), list(DONE))
def test_a_conflict_takes_the_answers_of_its_kind(api: Api, owner: User, kind: str, action: str) -> None:
    conflict = MAKERS[kind](owner)
    before = LedgerVersion.objects.filter(user=owner).latest("number").content_hash
    answer = say(api, owner, conflict, body(conflict, action))
    assert answer.status_code == 200, answer.content
    assert DONE[kind, action](owner), (quantities(owner), status(owner))
    assert differences_from_facts(owner.pk) == []
    revoked = api(owner).post(f"/api/federation/decisions/{answer.json()['id']}/revoke/")
    assert revoked.status_code == 200
    assert LedgerVersion.objects.filter(user=owner).latest("number").content_hash == before
    again = Conflict.objects.get(user=owner)
    assert (again.pk, again.status, again.candidates) == (conflict.pk, conflict.status, conflict.candidates)


@pytest.mark.parametrize(
    ("kind", "action"), [(kind, action) for kind in MAKERS for action in EVERY_ACTION if action not in ANSWERS[kind]]
)
def test_a_conflict_says_what_it_takes_instead_of_another_answer(api: Api, owner: User, kind: str, action: str) -> None:
    conflict = MAKERS[kind](owner)
    versions, decisions = LedgerVersion.objects.count(), Decision.objects.count()
    answer = say(api, owner, conflict, body(conflict, action))
    assert answer.status_code == 409
    assert answer.json()["allowed"] == list(ANSWERS[kind])
    assert (LedgerVersion.objects.count(), Decision.objects.count()) == (versions, decisions)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_conflict_lists_its_answers_and_refuses_others_users_and_lower_tiers(
    api: Api, owner: User, kind: str
) -> None:
    conflict = MAKERS[kind](owner)
    shown = api(owner).get(f"/api/federation/conflicts/{conflict.pk}/").json()
    assert shown["answers"] == list(ANSWERS[kind])
    said = body(conflict, ANSWERS[kind][0])
    decisions = Decision.objects.count()
    assert say(api, make_user(), conflict, said).status_code == 404
    assert say(api, make_user(tier=Tier.NAVIGATOR), conflict, said).status_code == 403
    assert Decision.objects.count() == decisions


@pytest.mark.parametrize(("kind", "action"), [("quantity", "choose"), ("field", "choose"), ("ambiguous", "book")])
def test_the_same_answer_twice_is_one_decision(api: Api, owner: User, kind: str, action: str) -> None:
    conflict = MAKERS[kind](owner)
    first = say(api, owner, conflict, body(conflict, action))
    second = say(api, owner, conflict, body(conflict, action))
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(
    ("kind", "action"), [("only_in_one_source", "book"), ("mass_withdrawal", "accept"), ("transfer", "match")]
)
def test_a_conflict_that_was_settled_for_good_is_gone(api: Api, owner: User, kind: str, action: str) -> None:
    conflict = MAKERS[kind](owner)
    said = body(conflict, action)
    assert say(api, owner, conflict, said).status_code == 200
    assert say(api, owner, conflict, said).status_code == 404


def test_a_choice_for_now_ends_with_the_next_report(api: Api, owner: User) -> None:
    conflict = quantity(owner)
    answer = say(api, owner, conflict, body(conflict, "choose") | {"remember": False})
    assert answer.json()["value"]["until"] == "2024-02-29"
    assert held(owner) == 11
    broker, file = owner.sources.order_by("priority")
    stage(broker, positions=[position("03-31", "20")])
    stage(file, positions=[position("03-31", "21")])
    reconcile(owner.pk)
    assert held(owner) == 20


def test_a_row_is_matched_with_a_row_of_the_ledger_of_its_account_alone(api: Api, owner: User) -> None:
    conflict = only_in_one_source(owner)
    other = make_source(owner)
    stage(other, rows=[trade("01-12", "9", "5.2", account="B7")])
    reconcile(owner.pk)
    elsewhere = Transaction.objects.get(user=owner, price=Decimal("5.2"))
    own = StagedTransaction.objects.get(content__source__user=owner, price=Decimal("5.1"))
    for named in (str(elsewhere.pk), str(own.uid), "x", "\x00", conflict.candidates[0]["row"]):
        assert say(api, owner, conflict, {"match": named}).status_code in (400, 422), named
    assert not Decision.objects.filter(kind="same").exists()
    assert say(api, owner, conflict, {"choose": None}).status_code == 400


def test_the_other_side_of_a_transfer_is_one_of_those_compared(api: Api, owner: User) -> None:
    conflict = transfer(owner)
    bought = Transaction.objects.get(user=owner, kind="buy")
    for named in (str(bought.pk), conflict.candidates[0]["row"], "x"):
        assert say(api, owner, conflict, {"match": named}).status_code == 422
    assert not Decision.objects.filter(kind="pair_transfer").exists()

"""Values that the user sets on a source's row, and lots behind an opening balance (DESIGN 5.8, 5.9)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.models import Conflict, Decision, LedgerVersion, Transaction
from federation.opening_lots import OpeningLot, OpeningLots, from_text, to_text
from federation.services import differences_from_facts, reconcile
from federation.set_values import canonical
from federation.tests.factories import day, make_source, make_user, position, stage, trade
from federation.tests.test_decisions import identity, namings
from federation.tests.test_truth import one_account
from ingestion.models import Source, StagedTransaction

Api = Callable[..., APIClient]
D = Decimal
DECISIONS = "/api/federation/decisions/"


@pytest.mark.parametrize(
    ("field", "value", "kind", "stated", "kept"),
    [
        ("price", "5.50", "buy", "5", "5.5"),
        ("price", None, "buy", "5", None),
        ("quantity", "7", "sell", "-5", "-7"),
        ("quantity", "-7", "sell", "-5", "-7"),
        ("quantity", "7", "buy", "5", "7"),
        ("quantity", "-7", "split", None, "-7"),
        ("cash_amount", "12", "withdrawal", "-10", "-12"),
        ("cash_amount", "3", "dividend", "-2", "-3"),  # a reversal stays one
        ("cash_amount", "-1", "sell", "10", "-1"),  # costs ate the proceeds
        ("fee", "-0.5", "buy", None, "-0.5"),
        ("currency", "EUR", "buy", None, "EUR"),
        ("settled_on", "2024-01-12", "buy", None, "2024-01-12"),
        ("note", "", "buy", None, ""),
    ],
)
def test_a_value_is_kept_with_the_direction_of_its_row(
    field: str, value: str | None, kind: str, stated: str | None, kept: str | None
) -> None:
    assert canonical(field, value, kind=kind, stated=None if stated is None else D(stated)) == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "sell"), ("trade_date", "2024-01-01"), ("account", "x"), ("quantity", None), ("quantity", "-1"),
        ("price", 5), ("price", "NaN"), ("price", "1e400"), ("price", "-1"), ("fx_rate", "0"), ("currency", "USDT"),
        ("settled_on", "31.12.2024"), ("note", "x\0"), ("note", "x" * 2001), ("fee_currency", "x" * 13),
        ("price", "0.0000000000000000001"),
    ],
)  # fmt: skip
def test_a_value_that_no_row_can_carry_is_refused_with_a_sentence(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+ .+\."):
        canonical(field, value, kind="buy", stated=D(1))


def test_lots_are_the_opening_only_while_they_add_up_to_it() -> None:
    lots = OpeningLots("USD", (OpeningLot(day("01-05"), D(4), D(40)), OpeningLot(day("01-02"), D(2), None)))
    assert lots.fit(quantity=D("6.0"), day=day("01-05"), currency="USD")
    assert not lots.fit(quantity=D(5), day=day("01-05"), currency="USD")
    assert not lots.fit(quantity=D(6), day=day("01-04"), currency="USD")
    assert not lots.fit(quantity=D(6), day=day("01-05"), currency="EUR")
    text = to_text(lots.lots)
    assert text == '[["2024-01-02","2",null],["2024-01-05","4","40"]]'
    assert from_text(text) == (lots.lots[1], lots.lots[0])
    assert from_text("") == ()


def post(api: Api, user: User, **body: Any) -> Any:
    return api(user).post(DECISIONS, body, format="json")


def bought(user: User) -> tuple[Source, Transaction]:
    source = make_source(user, "ibkr_flex")
    stage(source, rows=[trade("01-10", "10", "5", external_id="T1")])
    reconcile(user.pk)
    return source, Transaction.objects.get(user=user)


@pytest.mark.django_db
def test_a_value_set_on_a_ledger_row_is_shown_on_it_and_in_its_provenance(api: Api, owner: User) -> None:
    _, row = bought(owner)
    before = LedgerVersion.objects.latest("number").content_hash
    answer = post(api, owner, kind="set_value", keys={"key": f"transaction:{row.pk}:fee"}, value={"value": "1.50"})
    assert (answer.status_code, answer.json()["value"]) == (201, {"field": "fee", "value": "1.5"})
    shown = api(owner).get(f"/api/portfolio/transactions/{row.pk}/").json()
    assert (shown["fee"], shown["decided_fields"], shown["is_manual"]) == ("1.5", ["fee"], False)
    listed = api(owner).get("/api/portfolio/transactions/").json()["results"][0]
    assert listed["decided_fields"] == ["fee"]
    came = api(owner).get(f"/api/federation/provenance/?transaction={row.pk}").json()
    assert [(one["kind"], one["id"]) for one in came["decisions"]] == [("set_value", answer.json()["id"])]
    assert "fee" not in came["raw_rows"][0]["values"]  # what was stated stays as it was
    assert api(owner).patch(f"/api/portfolio/transactions/{row.pk}/", {"fee": "2"}, format="json").status_code == 409
    assert differences_from_facts(owner.pk) == []
    assert api(owner).post(f"{DECISIONS}{answer.json()['id']}/revoke/").status_code == 200
    row.refresh_from_db()
    assert (row.fee, row.decided, LedgerVersion.objects.latest("number").content_hash) == (None, "", before)


@pytest.mark.django_db
def test_a_value_outlives_undo_and_another_winner(api: Api, owner: User) -> None:
    broker, file = make_source(owner, "ibkr_flex"), make_source(owner)
    stage(file, rows=[trade("01-10", "10", "100")])
    stage(broker, rows=[trade("01-10", "10", "100.4", cash_amount=None)])
    one_account(owner, broker, file)
    assert Transaction.objects.get(user=owner).source == broker
    rows = [identity(file, "10")]
    assert (
        post(api, owner, kind="set_value", keys={"rows": rows}, value={"field": "price", "value": "99"}).status_code
        == 201
    )
    row = Transaction.objects.get(user=owner)
    assert (row.price, row.source, row.decided) == (99, broker, "price")
    conflict = Conflict.objects.get(user=owner, key=f"transaction:{row.pk}:price")
    assert (conflict.status, conflict.rule, conflict.winner) == ("resolved", "decision", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [
        {"field": "price", "value": "x"},
        {"field": "price"},
        {"field": "kind", "value": "sell"},
        {"field": "price", "value": "6", "until": "2024-01-01"},
        {"field": ["price"], "value": "6"},
        {},
    ],
)
def test_a_value_that_does_not_fit_is_not_recorded(api: Api, owner: User, value: dict[str, Any]) -> None:
    source, _ = bought(owner)
    answer = post(api, owner, kind="set_value", keys={"rows": [identity(source, "10")]}, value=value)
    assert answer.status_code in (400, 422)
    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_nobody_sets_values_on_anothers_row_or_below_operator(api: Api, owner: User, stranger: User) -> None:
    source, row = bought(owner)
    said = {"kind": "set_value", "keys": {"key": f"transaction:{row.pk}:fee"}, "value": {"value": "1"}}
    assert post(api, stranger, **said).status_code == 422
    assert post(api, stranger, **said | {"keys": {"rows": [identity(source, "10")]}}).status_code == 422
    assert post(api, make_user(tier=Tier.NAVIGATOR), **said).status_code == 403
    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_what_a_choice_says_is_checked_before_it_is_recorded(api: Api, owner: User) -> None:
    source, row = bought(owner)
    keys = {"account": str(row.account_id), "currency": "USD"}
    for value in ({"source": str(source.pk), "until": "soon"}, {"source": str(source.pk), "more": 1}, {}):
        assert post(api, owner, kind="choose", keys=keys, value=value).status_code == 422
    assert not Decision.objects.exists()


def opened(user: User) -> Transaction:
    source = make_source(user)
    stage(source, positions=[position("01-31", "6")], rows=[trade("02-10", "1", "9")])
    reconcile(user.pk)
    return Transaction.objects.get(user=user, kind="adjustment")


LOTS = [{"acquired_on": "2020-05-05", "quantity": "6", "cost": "24"}]


@pytest.mark.django_db
def test_lots_make_an_opening_balance_of_known_cost(api: Api, owner: User) -> None:
    row = opened(owner)
    assert row.instrument is not None
    key = f"position:{row.account_id}:{row.instrument_id}"
    answer = post(api, owner, kind="opening_lots", keys={"key": key}, value={"lots": LOTS})
    assert (answer.status_code, answer.json()["value"]) == (201, {"lots": LOTS, "currency": "USD"})
    row.refresh_from_db()
    assert row.lots == '[["2020-05-05","6","24"]]'
    assert differences_from_facts(owner.pk) == []
    came = api(owner).get(f"/api/federation/provenance/?transaction={row.pk}").json()
    assert [one["kind"] for one in came["decisions"]] == ["opening_lots"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "lots",
    [
        [{"acquired_on": "2020-05-05", "quantity": "5", "cost": "24"}],
        [{"acquired_on": "2024-02-01", "quantity": "6", "cost": "24"}],
        [{"acquired_on": "2020-05-05", "quantity": "6", "cost": "-24"}],
        [{"acquired_on": "2020-05-05", "quantity": "7"}, {"acquired_on": "2020-05-05", "quantity": "-1"}],
        [{"acquired_on": "2020-05-05", "quantity": "6", "cost": 24}],
        [{"acquired_on": "soon", "quantity": "6", "cost": "24"}],
        [{"acquired_on": "2020-05-05", "quantity": "6", "price": "4"}],
        ["6"],
        [],
        "6",
        None,
    ],
)
def test_lots_that_are_not_the_opening_balance_are_refused(api: Api, owner: User, lots: Any) -> None:
    row = opened(owner)
    assert row.instrument is not None
    keys = {"account": str(row.account_id), "instruments": namings(row.instrument)}
    answer = post(api, owner, kind="opening_lots", keys=keys, value={"lots": lots})
    assert answer.status_code == 422
    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_a_holding_without_an_opening_balance_takes_no_lots(api: Api, owner: User) -> None:
    _, row = bought(owner)
    assert row.instrument is not None
    assert StagedTransaction.objects.count() == 1
    keys = {"account": str(row.account_id), "instruments": namings(row.instrument)}
    answer = post(api, owner, kind="opening_lots", keys=keys, value={"lots": LOTS})
    assert (answer.status_code, "no opening balance" in answer.json()["detail"]) == (422, True)

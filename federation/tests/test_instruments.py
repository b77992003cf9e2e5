"""A user's own instruments over the API: the queue of those to look at, names, merging and parting."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.models import (
    Instrument,
    InstrumentAttribute,
    InstrumentIdentifier,
    InstrumentLink,
    LedgerVersion,
    Transaction,
)
from federation.services import bring_up_to_date, reconcile
from federation.tests.factories import ACME, make_source, stage, trade, withdraw
from ingestion.adapters.base import InstrumentRef

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
ROOT = "/api/federation/instruments/"
BARE = InstrumentRef(symbol="MYST", kind="equity", currency="USD")


def booked(user: User) -> tuple[Instrument, Instrument]:
    stage(make_source(user), rows=[trade("01-10", "10", "5", of=ACME), trade("01-11", "3", "5", of=BARE)])
    reconcile(user.pk)
    return Instrument.objects.get(user=user, symbol="ACME"), Instrument.objects.get(user=user, symbol="MYST")


def test_what_nothing_identifies_is_listed_and_renamed_for_good(api: Api, owner: User, stranger: User) -> None:
    _, bare = booked(owner)
    client = api(owner)
    assert [one["symbol"] for one in client.get(f"{ROOT}?needs_review=true").json()["results"]] == ["MYST"]
    address = f"{ROOT}{bare.pk}/"
    said = {"symbol": "MYSTERY", "name": "Mystery plc", "valid_from": "2024-01-01"}
    answer = client.patch(address, said, format="json")
    assert (answer.status_code, answer.json()["symbol"], answer.json()["name"]) == (200, "MYSTERY", "Mystery plc")
    assert [(one["key"], one["value"]) for one in answer.json()["history"]] == [
        ("symbol", "MYSTERY"),
        ("name", "Mystery plc"),
    ]
    assert bring_up_to_date(owner.pk, is_full=True).written == 0
    stage(make_source(owner), rows=[trade("01-12", "1", "5", of=BARE)])
    reconcile(owner.pk)
    bare.refresh_from_db()
    assert bare.symbol == "MYSTERY"
    assert api(stranger).patch(address, said, format="json").status_code == 404
    assert client.patch(address, {"country": "usa"}, format="json").status_code == 400
    assert InstrumentAttribute.objects.count() == 2


def test_two_are_merged_and_parted_over_the_api(api: Api, owner: User) -> None:
    acme, bare = booked(owner)
    client = api(owner)
    answer = client.post(f"{ROOT}{bare.pk}/merge/", {"into": str(acme.pk)}, format="json")
    assert answer.status_code == 200
    assert set(Transaction.objects.filter(user=owner).values_list("instrument", flat=True)) == {acme.pk}
    names = client.get(f"{ROOT}{acme.pk}/").json()["namings"]
    assert len(names) == 2
    parted = [[names[1]["source"], names[1]["key"]]]
    assert client.post(f"{ROOT}{acme.pk}/split/", {"namings": parted}, format="json").status_code == 200
    assert Transaction.objects.filter(user=owner).values("instrument").distinct().count() == 2
    assert client.post(f"{ROOT}{acme.pk}/merge/", {"into": str(acme.pk)}, format="json").status_code == 422
    assert client.post(f"{ROOT}{acme.pk}/split/", {"namings": [["x", "y"]]}, format="json").status_code == 422


def content_hash(user: User) -> str:
    return LedgerVersion.objects.filter(user=user).latest("number").content_hash


def test_a_merge_is_for_the_owner_of_both_and_revoking_it_restores_the_very_ledger(
    api: Api, owner: User, stranger: User
) -> None:
    acme, bare = booked(owner)
    _, theirs = booked(stranger)
    client = api(owner)
    before = content_hash(owner)
    address, body = f"{ROOT}{bare.pk}/merge/", {"into": str(acme.pk)}
    assert client.post(address, {"into": str(theirs.pk)}, format="json").status_code == 404
    assert api(stranger).post(address, body, format="json").status_code == 404
    assert client.post(address, {"into": "x"}, format="json").status_code == 400
    assert content_hash(owner) == before
    decision = client.post(address, body, format="json").json()["id"]
    merged = content_hash(owner)
    assert merged != before
    again = client.post(address, body, format="json")
    assert (again.status_code, content_hash(owner)) == (422, merged)  # it has no names of its own any more
    assert client.post(f"/api/federation/decisions/{decision}/revoke/").status_code == 200
    assert content_hash(owner) == before
    assert client.post(f"/api/federation/decisions/{decision}/revoke/").status_code == 409
    assert bring_up_to_date(owner.pk, is_full=True).written == 0


def test_parting_names_is_revoked_to_the_very_ledger(api: Api, owner: User, stranger: User) -> None:
    stage(make_source(owner), rows=[trade("01-10", "10", "5", of=ACME)])
    same = InstrumentRef(symbol="ACME", kind="equity", currency="USD")
    stage(make_source(owner), rows=[trade("01-11", "3", "5", of=same)])
    reconcile(owner.pk)
    (acme,) = Instrument.objects.filter(user=owner)
    before, address = content_hash(owner), f"{ROOT}{acme.pk}/split/"
    client = api(owner)
    names = client.get(f"{ROOT}{acme.pk}/").json()["namings"]
    parted = {"namings": [[names[1]["source"], names[1]["key"]]]}
    assert api(stranger).post(address, parted, format="json").status_code == 404
    whole = {"namings": [[one["source"], one["key"]] for one in names]}
    assert client.post(address, whole, format="json").status_code == 422
    decision = client.post(address, parted, format="json").json()["id"]
    assert Transaction.objects.filter(user=owner).values("instrument").distinct().count() == 2
    assert client.post(address, parted, format="json").status_code == 422
    assert client.post(f"/api/federation/decisions/{decision}/revoke/").status_code == 200
    assert content_hash(owner) == before
    assert set(Transaction.objects.filter(user=owner).values_list("instrument", flat=True)) == {acme.pk}


@pytest.mark.parametrize("tier", [Tier.OBSERVER, Tier.NAVIGATOR])
def test_names_are_read_by_navigators_and_changed_by_operators(api: Api, owner: User, tier: Tier) -> None:
    acme, bare = booked(owner)
    owner.tier = tier
    owner.save(update_fields=["tier"])
    client = api(owner)
    assert client.get(ROOT).status_code == (200 if tier == Tier.NAVIGATOR else 403)
    assert client.patch(f"{ROOT}{bare.pk}/", {"symbol": "X"}, format="json").status_code == 403
    assert client.post(f"{ROOT}{bare.pk}/merge/", {"into": str(acme.pk)}, format="json").status_code == 403
    assert client.post(f"{ROOT}{bare.pk}/split/", {"namings": [["a", "b"]]}, format="json").status_code == 403


def test_a_ticker_given_to_another_company_is_moved_when_its_later_rows_come(owner: User) -> None:
    """A later file changes what earlier rows mean; the incremental ledger is the full one, and an undo restores it."""
    old, new = (InstrumentRef(symbol="XYZ", kind="equity", isin=f"US00000000{n}", currency="USD") for n in (36, 44))
    bare = InstrumentRef(symbol="XYZ", kind="equity", currency="USD")
    source = make_source(owner)
    stage(source, rows=[trade("01-10", "1", "5", of=old), trade("01-12", "4", "5", of=bare),
                        trade("03-12", "8", "5", of=bare)])  # fmt: skip
    reconcile(owner.pk)
    before = content_hash(owner)
    assert Instrument.objects.filter(user=owner).count() == 1
    later = stage(make_source(owner), rows=[trade("03-10", "2", "5", of=new)])
    reconcile(owner.pk)
    held = {isin: sum(Transaction.objects.filter(user=owner, instrument__identifiers__value=isin).values_list(
        "quantity", flat=True)) for isin in (old.isin, new.isin)}  # fmt: skip
    assert held == {old.isin: 5, new.isin: 10}
    ticker = InstrumentIdentifier.objects.filter(instrument__user=owner, scheme="ticker").order_by("valid_from")
    assert [one.valid_from is not None for one in ticker] == [True, True]
    assert bring_up_to_date(owner.pk, is_full=True).written == 0
    withdraw(later)
    reconcile(owner.pk)
    assert content_hash(owner) == before
    assert not InstrumentLink.objects.filter(source__user=owner).exclude(valid_from=None).exists()

"""A user's own instruments over the API: the queue of those to look at, names, merging and parting."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import Instrument, InstrumentAttribute, Transaction
from federation.services import bring_up_to_date, reconcile
from federation.tests.factories import ACME, make_source, stage, trade
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

"""Whom to believe first, in a browser: numbers, switches, syncs."""

import json
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Tier, User
from ingestion.adapters.pulling import PULLERS
from ingestion.models import Source, SourceSetting, SyncRun
from ingestion.tests.brokers import Broker
from ingestion.tests.factories import csv, finished

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
ROW = csv("A1,2024-01-02,buy,ACME,3,10.5,USD")


def source_of(user: User) -> Source:
    finished(user, ROW)
    return Source.objects.get(user=user)


def test_page_lists_sources_with_what_they_brought(browser: Browser, owner: User) -> None:
    source = source_of(owner)
    html = browser(owner).get("/sources/").content.decode()
    assert source.name in html
    assert "1 transaction from 1 file" in html
    assert f'hx-get="/sources/{source.pk}/preview/"' in html
    assert "Sync now" not in html


def test_another_number_is_kept_as_a_fact(browser: Browser, owner: User) -> None:
    source = source_of(owner)
    answer = browser(owner).post(f"/sources/{source.pk}/priority/", {"priority": "7"}, headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["toast:show"]["title"] == "Order changed"
    source.refresh_from_db()
    assert source.priority == 7
    assert SourceSetting.objects.filter(source=source, key="priority", value=7).count() == 1


@pytest.mark.parametrize("number", ["", "-1", "1e3", "99999", "x", "٣"])
def test_number_that_is_none_changes_nothing(browser: Browser, owner: User, number: str) -> None:
    source = source_of(owner)
    assert browser(owner).post(f"/sources/{source.pk}/priority/", {"priority": number}).status_code == 422
    assert browser(owner).get(f"/sources/{source.pk}/preview/", {"priority": number or "x"}).status_code == 422
    source.refresh_from_db()
    assert source.priority == 30


def test_switch_believes_and_disbelieves(browser: Browser, owner: User) -> None:
    source, client = source_of(owner), browser(owner)
    client.post(f"/sources/{source.pk}/enabled/", {})
    source.refresh_from_db()
    assert source.enabled is False
    assert "Not believed" in client.get("/sources/").content.decode()
    client.post(f"/sources/{source.pk}/enabled/", {"enabled": "1"})
    source.refresh_from_db()
    assert source.enabled is True


def test_preview_of_disbelief_changes_nothing(browser: Browser, owner: User) -> None:
    source = source_of(owner)
    html = browser(owner).get(f"/sources/{source.pk}/preview/").content.decode()
    assert "1 row goes." in html
    source.refresh_from_db()
    assert source.enabled is True


def test_source_of_files_cannot_be_synced(browser: Browser, owner: User) -> None:
    source = source_of(owner)
    assert browser(owner).post("/sources/sync/", {"source": str(source.pk)}).status_code == 422
    assert SyncRun.objects.count() == 0


def test_stranger_and_navigator_change_nothing(
    browser: Browser, owner: User, stranger: User, make_user: Callable[..., User]
) -> None:
    source = source_of(owner)
    navigator = make_user(tier=Tier.NAVIGATOR)
    for user, status in ((stranger, 404), (navigator, 403)):
        client = browser(user)
        for address, form in ((f"{source.pk}/priority/", {"priority": "1"}), (f"{source.pk}/enabled/", {})):
            assert client.post(f"/sources/{address}", form).status_code == status
        assert client.get(f"/sources/{source.pk}/preview/", {"priority": "1"}).status_code == status
    source.refresh_from_db()
    assert (source.priority, source.enabled) == (30, True)


def test_good_rows_of_a_refused_file_are_taken_on_demand(browser: Browser, owner: User) -> None:
    run = finished(owner, csv("A1,2024-01-02,buy,ACME,3,10.5,USD", "A1,2024-01-03,buy,ACME,1O,10.5,USD"))
    client = browser(owner)
    assert "Import the good rows only" in client.get(f"/import/{run.pk}/").content.decode()
    assert client.post(f"/import/{run.pk}/skip/")["Location"] == f"/import/{run.pk}/"
    run.refresh_from_db()
    assert (run.status, run.options["on_error"]) == ("queued", "skip")
    assert client.post(f"/import/{run.pk}/skip/").status_code == 409


def test_file_source_is_added_by_name_and_takes_its_first_file(browser: Browser, owner: User) -> None:
    client = browser(owner)
    html = client.get("/sources/add/?kind=csv").content.decode()
    assert 'href="?kind=ibkr_flex"' in html
    assert "kucoin" not in html  # nothing reads or fetches it
    answer = client.post("/sources/add/", {"kind": "csv", "name": "My own list"})
    source = Source.objects.get()
    assert (source.name, source.kind, source.user) == ("My own list", "csv", owner)
    assert answer["Location"] == f"/import/?source={source.pk}"
    html = client.get(f"/import/?source={source.pk}").content.decode()
    assert f'<option value="{source.pk}" selected>' in html
    assert client.post("/sources/add/", {"kind": "csv", "name": " "}).status_code == 422
    assert client.post("/sources/add/", {"kind": "manual", "name": "x"}).status_code == 200
    assert Source.objects.count() == 1


def test_credentials_go_in_and_never_come_out(browser: Browser, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    open_door = Broker()
    open_door.secret_parameters = frozenset({"login"})
    monkeypatch.setitem(PULLERS, "kucoin", open_door)
    client = browser(owner)
    assert 'name="secret:login" type="password"' in client.get("/sources/add/?kind=kucoin").content.decode()
    form = {"kind": "kucoin", "name": "Exchange", "schedule": "daily", "secret:login": "very-secret"}
    client.post("/sources/add/", form)
    source = Source.objects.get()
    assert source.credentials is not None
    assert (source.schedule, source.health) == ("daily", "unverified")
    html = client.get(f"/sources/{source.pk}/").content.decode()
    assert "very-secret" not in html
    assert "Sealed" in html
    before = bytes(source.credentials)
    client.post(f"/sources/{source.pk}/change/", {"name": "Renamed", "schedule": ""})
    source.refresh_from_db()
    assert (source.name, source.schedule, bytes(source.credentials)) == ("Renamed", "", before)
    client.post(f"/sources/{source.pk}/test/")
    source.refresh_from_db()
    assert source.health == "ok"


@pytest.mark.parametrize(("word", "believed"), [("keep", True), ("drop", False)])
def test_retired_source_leaves_the_list_and_counts_as_asked(
    browser: Browser, owner: User, word: str, believed: bool
) -> None:
    source = source_of(owner)
    client = browser(owner)
    html = client.get(f"/sources/{source.pk}/preview/?retire={word}").content.decode()
    assert f'<input type="hidden" name="retire" value="{word}">' in html
    answer = client.post(f"/sources/{source.pk}/retire/", {"retire": word}, headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/sources/")
    source.refresh_from_db()
    assert source.retired_at is not None
    assert source.enabled is believed
    assert client.get(f"/sources/{source.pk}/").status_code == 404


def test_stranger_and_navigator_change_no_source(
    browser: Browser, owner: User, stranger: User, make_user: Callable[..., User]
) -> None:
    source = source_of(owner)
    for path in ("", "change/", "test/", "retire/"):
        address, client = f"/sources/{source.pk}/{path}", browser(stranger)
        assert (client.post(address, {"name": "x"}) if path else client.get(address)).status_code == 404
    navigator = browser(make_user(tier=Tier.NAVIGATOR))
    assert navigator.get("/sources/add/").status_code == 403
    source.refresh_from_db()
    assert (source.name, source.retired_at) == ("Generic CSV files", None)

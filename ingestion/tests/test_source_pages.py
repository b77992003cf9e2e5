"""Whom to believe first, in a browser: numbers, switches, syncs."""

import json
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Tier, User
from ingestion.models import Source, SourceSetting, SyncRun
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

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from ingestion import services, tasks
from ingestion.models import ImportRun
from ingestion.tests.brokers import Broker, broker, source_at, statement
from ingestion.tests.factories import buys, csv, finished, imported

pytestmark = pytest.mark.django_db
__all__ = ["broker"]
Browser = Callable[..., Client]
RUNS = reverse("admin:ingestion_importrun_changelist")


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "wake", lambda run_id: None)


def act(client: Client, name: str, run: ImportRun) -> str:
    answer = client.post(RUNS, {"action": name, "_selected_action": [str(run.pk)]}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_sources_are_shown_without_their_secrets(browser: Browser, staff: User, owner: User) -> None:
    source = services.create_source(user=owner, kind="kucoin", name="Coins", credentials={"key": "k-marked"})
    client = browser(staff)
    listed = client.get(reverse("admin:ingestion_source_changelist"))
    shown = client.get(reverse("admin:ingestion_source_change", args=[source.pk]))
    assert listed.status_code == shown.status_code == 200
    assert b"Coins" in listed.content
    assert b"k-marked" not in listed.content + shown.content
    assert b'name="credentials"' not in shown.content


def test_run_shows_the_rows_left_out(browser: Browser, staff: User, owner: User) -> None:
    run = imported(owner, csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-13-03,buy,ACME,4,6,USD"))
    shown = browser(staff).get(reverse("admin:ingestion_importrun_change", args=[run.pk]))
    assert shown.status_code == 200
    assert b"A1,2024-13-03,buy,ACME,4,6,USD" in shown.content


def test_undo_and_retry_go_through_the_services(browser: Browser, staff: User, owner: User) -> None:
    client = browser(staff)
    run = finished(owner, buys(2))
    assert "is undone" in act(client, "undo", run)
    run.refresh_from_db()
    assert run.undone_at is not None
    assert "It was undone before." in act(client, "undo", run)
    assert "Upload the file again" in act(client, "retry", run)
    failed = imported(owner, csv("A1,2024-13-03,buy,ACME,4,6,USD"))
    assert "is queued again" in act(client, "retry", failed)
    failed.refresh_from_db()
    assert (failed.status, failed.rejected) == ("queued", 0)


def test_users_do_not_get_in(browser: Browser, owner: User) -> None:
    assert browser(owner).get(RUNS).status_code == 302


def test_sync_is_shown_and_cancelled(browser: Browser, staff: User, owner: User, broker: Broker) -> None:
    source_at(broker, owner, "My broker", statement(buys(1)), credentials={"token": "k-marked"})
    run = services.open_sync(user=owner, trigger="api")
    client = browser(staff)
    address = reverse("admin:ingestion_syncrun_changelist")
    shown = client.get(reverse("admin:ingestion_syncrun_change", args=[run.pk]))
    assert shown.status_code == client.get(address).status_code == 200
    assert b"My broker" in shown.content
    assert b"k-marked" not in shown.content
    for expected in ("is cancelled", "It has ended: it is cancelled."):
        answer = client.post(address, {"action": "cancel", "_selected_action": [str(run.pk)]}, follow=True)
        assert expected in answer.content.decode()
    run.refresh_from_db()
    assert run.status == "cancelled"

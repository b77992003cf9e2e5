"""A sync from its start to the figures: what it shows on the way, and when it is done (DESIGN 5.2, 5.12)."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import Conflict
from federation.services import lock_ledger
from ingestion.models import ImportRun, SourcePull, SyncRun
from ingestion.tests.brokers import Broker, away, broker, source_at, statement
from ingestion.tests.factories import buys, csv
from portfolio.models import Position
from stackmotive.tests.test_together import HOLDINGS
from stackmotive.tests.workers import Workers, at_once, run_task, wide_pool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wide_pool")]
__all__ = ["broker", "wide_pool"]
Api = Callable[..., APIClient]
SYNCS = "/api/ingestion/sync-runs/"
PREVIEW = "/api/federation/preview/"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 15)


class SlowWorker:
    """Does one task at a time, when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: list[tuple[str, list[Any]]] = []
        monkeypatch.setattr(
            "celery.app.task.Task.apply_async",
            lambda task, args=(), kwargs=None, **_: self.waiting.append((task.name, list(args))),
        )

    def work(self, name: str) -> None:
        """All that waits of one kind."""
        mine = [one for one in self.waiting if one[0].endswith(name)]
        self.waiting = [one for one in self.waiting if one not in mine]
        assert mine, f"nobody asked for {name}"
        for one in mine:
            run_task(*one)


def test_a_sync_shows_each_stage_and_is_done_only_when_ledger_and_figures_include_it(
    api: Api, owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[dict[str, Any]] = []
    monkeypatch.setattr("notifications.push.progress", lambda **named: frames.append(named))
    worker = SlowWorker(monkeypatch)
    source_at(broker, owner, "One", statement(buys(3)))
    client = api(owner)
    address = client.post(SYNCS, {})["Location"]

    def shown() -> tuple[str, list[tuple[str, str]]]:
        runs = ImportRun.objects.filter(sync_run__isnull=False).values_list("status", "stage")
        return client.get(address).json()["status"], list(runs)

    assert shown() == ("queued", [])
    worker.work("pull_source")
    assert shown() == ("running", [("queued", "")])
    worker.work("run_import")
    assert shown() == ("running", [("running", "reconciling")])
    assert not Position.objects.exists()
    worker.work("reconcile_user")
    assert shown() == ("running", [("running", "valuing")])
    assert not Position.objects.exists()
    worker.work("refresh_user")
    assert shown() == ("done", [("done", "")])
    assert Position.objects.count() == 3
    stages = [(one["status"], one["stage"]) for one in frames if one["job"] == "import"]
    assert list(dict.fromkeys(stages)) == [
        ("running", "parsing"), ("running", "staging"), ("running", "reconciling"), ("running", "valuing"),
        ("done", ""),
    ]  # fmt: skip
    assert [one["status"] for one in frames if one["job"] == "sync"][-1] == "done"


def test_a_held_edition_makes_its_sync_partial_and_closes_nothing(
    api: Api, owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def positions(day: str, count: int) -> bytes:
        return csv(*(f"A1,S{number},5,USD,{day}" for number in range(count)), header=HOLDINGS)

    source_at(broker, owner, "Whole", statement(positions("2024-01-31", 12)))
    source_at(broker, owner, "Good", statement(buys(2, account="B1")))
    client = api(owner)
    with Workers(monkeypatch, 2) as workers:
        first = client.post(SYNCS, {}).json()["id"]
        workers.finish(sweeps=1)
        broker.answers["Whole"] = [statement(positions("2024-02-29", 2))]
        second = client.post(SYNCS, {}).json()["id"]
        workers.finish(sweeps=1)
    told = client.get(f"{SYNCS}{second}/").json()
    assert client.get(f"{SYNCS}{first}/").json()["status"] == "done"
    assert told["status"] == "partial"
    assert {one["name"]: one["status"] for one in told["sources"]} == {"Good": "unchanged", "Whole": "partial"}
    held = Conflict.objects.get(user=owner, kind="mass_withdrawal")
    assert (held.status, held.key in told["stats"]["conflicts"]) == ("open", True)
    assert Position.objects.filter(user=owner, instrument__symbol__startswith="S", quantity=5).count() >= 10


def test_sources_go_on_beside_one_that_fails_and_one_whose_sync_is_cancelled(
    api: Api, owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(owner)

    def cancelled_meanwhile() -> None:
        client.post(f"{SYNCS}{SyncRun.objects.get().pk}/cancel/")

    source_at(broker, owner, "Fails", away())
    source_at(broker, owner, "Slow", statement(buys(2)), cancelled_meanwhile, statement(buys(3, account="C1")))
    with Workers(monkeypatch, 2) as workers:
        run = client.post(SYNCS, {}).json()["id"]
        workers.finish(sweeps=1)
    assert client.get(f"{SYNCS}{run}/").json()["status"] == "cancelled"
    assert not SourcePull.objects.filter(status__in=("queued", "running")).exists()
    assert not ImportRun.objects.exists()  # a worker whose pull was cancelled stores nothing


def test_a_preview_gives_up_soon_where_other_work_holds_the_ledger(
    api: Api, owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery.app.task.Task.apply_async", lambda *_, **__: None)
    source = source_at(broker, owner, "One", statement(buys(1)))
    body = {"priority": {"source": str(source.pk), "priority": 7}}
    client = api(owner)
    number = User.objects.get(pk=owner.pk).fact_number
    assert client.post(PREVIEW, body).status_code == 200
    with transaction.atomic():
        lock_ledger(owner.pk)
        (answer,) = at_once([lambda: client.post(PREVIEW, body)])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/preview_busy")
    assert "Try again in a moment" in answer.json()["detail"]
    assert User.objects.get(pk=owner.pk).fact_number == number
    monkeypatch.setattr("federation.services.previewing.MOST_ROWS", -1)
    refused = client.post(PREVIEW, body)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/preview_too_long")
    connections.close_all()

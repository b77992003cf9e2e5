import datetime as dt
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import Tier, User
from ingestion import services, tasks
from ingestion.models import ImportRun
from ingestion.signals import batch_staged
from ingestion.tests.factories import buys, imported

pytestmark = pytest.mark.django_db


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ids: list[str] = []
    monkeypatch.setattr(tasks.run_import, "delay", ids.append)
    return ids


def test_upload_is_announced_after_commit(
    owner: User, woken: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = tasks.enqueue_import(user=owner, content=buys(1), filename="x.csv")
        assert woken == []
    assert woken == [str(run.pk)]


def test_upload_survives_a_queue_that_is_away(
    owner: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def away(run_id: str) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.run_import, "delay", away)
    with django_capture_on_commit_callbacks(execute=True):
        run = tasks.enqueue_import(user=owner, content=buys(1), filename="x.csv")
    run.refresh_from_db()
    assert run.status == "queued"


def test_sweep_wakes_what_waits_and_what_lost_its_worker(owner: User, woken: list[str]) -> None:
    queued = services.open_import(user=owner, content=buys(1), filename="a.csv")
    dead = services.open_import(user=owner, content=buys(2), filename="b.csv")
    alive = services.open_import(user=owner, content=buys(3), filename="c.csv")
    now = timezone.now()
    ImportRun.objects.filter(pk=dead.pk).update(
        status="running", stage="parsing", lease_until=now - dt.timedelta(seconds=1)
    )
    ImportRun.objects.filter(pk=alive.pk).update(
        status="running", stage="staging", lease_until=now + dt.timedelta(minutes=1)
    )
    imported(owner, buys(4))
    tasks.sweep_imports()
    assert woken == [str(queued.pk), str(dead.pk)]


def test_sweep_announces_facts_that_no_ledger_took_up(owner: User, woken: list[str]) -> None:
    told: list[Any] = []

    def receiver(sender: Any, user_id: Any, **rest: Any) -> None:
        told.append(user_id)

    run = imported(owner, buys(1))
    batch_staged.connect(receiver, weak=False)
    try:
        tasks.sweep_imports()
        assert told == []
        ImportRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - dt.timedelta(minutes=5))
        tasks.sweep_imports()
    finally:
        batch_staged.disconnect(receiver)
    assert told == [owner.pk]
    assert woken == []


def test_job_over_quota_starts_when_one_ends(make_user: Any, woken: list[str]) -> None:
    user = make_user(tier=Tier.OBSERVER)
    first = services.open_import(user=user, content=buys(1), filename="a.csv")
    second = services.open_import(user=user, content=buys(2), filename="b.csv")
    tasks.run_import(str(first.pk))
    assert woken == [str(second.pk)]

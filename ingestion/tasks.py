"""Celery's edge of the import services. A lost message or a dead worker heals by the sweep."""

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from accounts.models import User
from ingestion import selectors, services
from ingestion.adapters.pulling import PULLERS
from ingestion.errors import SyncRunning
from ingestion.models import ImportRun, Source, SourcePull, SyncRun
from ingestion.options import ImportOptions
from ingestion.signals import batch_staged

log = structlog.get_logger(__name__)
FORGOTTEN = dt.timedelta(minutes=2)  # facts that no ledger took up for so long are announced again


@shared_task(acks_late=True, reject_on_worker_lost=True)  # type: ignore[untyped-decorator,unused-ignore]
def run_import(run_id: str) -> None:
    """Read one run, then hand the worker on to what its user has waiting."""
    services.run_import(run_id=UUID(run_id))
    user_id = ImportRun.objects.filter(pk=run_id).values_list("user", flat=True).first()
    if user_id is not None:
        for waiting in selectors.waiting_run_ids(user_id=user_id, count=1):
            if str(waiting) != run_id:
                wake(waiting)
        for pull_id in selectors.waiting_pull_ids(user_id=user_id, count=1):
            wake_pull(pull_id)


@shared_task(acks_late=True, reject_on_worker_lost=True)  # type: ignore[untyped-decorator,unused-ignore]
def pull_source(pull_id: int) -> None:
    """Fetch one source of a sync run, then hand on what it sent and what its user has waiting."""
    try:
        services.pull_source(pull_id=pull_id)
    except SoftTimeLimitExceeded:
        services.fail_pull(pull_id=pull_id, code="too_slow", detail="It took longer than ten minutes to answer.")
    user_id = SourcePull.objects.filter(pk=pull_id).values_list("sync_run__user", flat=True).first()
    if user_id is not None:
        for run_id in selectors.waiting_run_ids(user_id=user_id):
            wake(run_id)
        for waiting in selectors.waiting_pull_ids(user_id=user_id, count=1):
            wake_pull(waiting)


@shared_task  # type: ignore[untyped-decorator,unused-ignore]
def sweep_syncs() -> None:
    """Start again what lost its message or its worker, end what only was not told so, give up what is stuck."""
    for pull_id in selectors.waiting_pull_ids():
        wake_pull(pull_id)
    for user_id in selectors.unsettled_sync_user_ids():
        services.settle_sync(user_id=user_id)
        services.give_up_sync(user_id=user_id)


@shared_task  # type: ignore[untyped-decorator,unused-ignore]
def start_due_syncs() -> None:
    """Sync the sources whose schedule says so. A user whose sync is running is looked at again at the next beat."""
    due = selectors.due_sources(now=timezone.now(), kinds=PULLERS)
    for user in User.objects.filter(pk__in=due):
        if services.may_sync(user):
            with suppress(SyncRunning):
                enqueue_sync(user=user, sources=due[user.pk], trigger=SyncRun.Trigger.SCHEDULED)


@shared_task  # type: ignore[untyped-decorator,unused-ignore]
def sweep_imports() -> None:
    """Start again whatever stays claimable: its message was lost, or its worker died."""
    for run_id in selectors.waiting_run_ids():
        wake(run_id)
    for user_id in selectors.unreconciled_user_ids(older_than=FORGOTTEN):
        batch_staged.send_robust(sender=Source, user_id=user_id)


def wake(run_id: UUID) -> None:
    """Ask a worker for one run. With the queue away the run stays queued and the sweep finds it."""
    try:
        run_import.delay(str(run_id))
    except BrokerAway as exc:
        log.warning("import_not_announced", run=str(run_id), error=type(exc).__name__)


def wake_pull(pull_id: int) -> None:
    """Ask a worker for one pull. With the queue away the sweep finds it."""
    try:
        pull_source.delay(pull_id)
    except BrokerAway as exc:
        log.warning("pull_not_announced", pull=pull_id, error=type(exc).__name__)


def enqueue_sync(*, user: User, trigger: str, sources: Sequence[Source] | None = None) -> SyncRun:
    """`services.open_sync` and a worker for each source: the one call of view, page and schedule."""
    run = services.open_sync(user=user, sources=sources, trigger=trigger)
    for pull_id in run.pulls.filter(status=SourcePull.Status.QUEUED).order_by("pk").values_list("pk", flat=True):
        transaction.on_commit(partial(wake_pull, pull_id), robust=True)
    return run


def wake_on_commit(run: ImportRun) -> ImportRun:
    transaction.on_commit(partial(wake, run.pk), robust=True)
    return run


def enqueue_import(**named: Any) -> ImportRun:
    """`services.open_import` and a worker for it: the one call of view, page and schedule."""
    return wake_on_commit(services.open_import(**named))


def enqueue_answers(*, run: ImportRun, answers: dict[str, Any]) -> ImportRun:
    """Go on with a run that asked. answers: fields of ImportOptions."""
    ImportOptions.from_json(run.options | answers)
    return wake_on_commit(services.answer_import(run=run, answers=answers))


def enqueue_retry(*, run: ImportRun, answers: dict[str, Any] | None = None) -> ImportRun:
    return wake_on_commit(services.retry_import(run=run, answers=answers))

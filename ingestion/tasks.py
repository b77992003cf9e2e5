"""Celery's edge of the import services. A lost message or a dead worker heals by the sweep."""

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerAway

from ingestion import selectors, services
from ingestion.models import ImportRun, Source
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


def enqueue_retry(*, run: ImportRun) -> ImportRun:
    return wake_on_commit(services.retry_import(run=run))

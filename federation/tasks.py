"""Celery's edge of reconciliation. The durable queue is the difference between a user's facts and their
ledger's.
"""

from uuid import UUID

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError as BrokerAway

from federation import selectors, services

log = structlog.get_logger(__name__)


@shared_task(acks_late=True, reject_on_worker_lost=True)  # type: ignore[untyped-decorator,unused-ignore]
def reconcile_user(user_id: str) -> None:
    """Make the ledger include all facts of a user. Does little where it does already."""
    if selectors.is_behind(UUID(user_id)):
        services.reconcile(UUID(user_id))


@shared_task  # type: ignore[untyped-decorator,unused-ignore]
def sweep_ledgers() -> None:
    """Wake every ledger that is behind its facts: its message was lost, or its worker died."""
    for user_id in selectors.users_behind():
        wake(user_id)


def wake(user_id: UUID) -> None:
    """Ask a worker for one user. With the queue away the sweep finds it."""
    try:
        reconcile_user.delay(str(user_id))
    except BrokerAway as exc:
        log.warning("reconciliation_not_announced", user=str(user_id), error=type(exc).__name__)

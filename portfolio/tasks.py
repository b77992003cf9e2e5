"""The worker's edges of figures."""

from uuid import UUID

from celery import shared_task
from django.db.models import F, Q

from accounts.facts import market_number
from accounts.models import User
from federation.models import LedgerState
from portfolio import services
from portfolio.models import FigureState
from portfolio.valuation_day import valuation_day

SWEEP_AT_ONCE = 100


@shared_task(soft_time_limit=600)
def refresh_user(user_id: str) -> None:
    """Bring one user's figures up to their ledger; safe twice."""
    services.refresh(user_id=UUID(user_id))


def enqueue_refresh(*, user_id: UUID) -> None:
    """Start a refresh once the current transaction is committed."""
    refresh_user.delay_on_commit(str(user_id))


@shared_task(soft_time_limit=60)
def sweep_figures() -> None:
    """Start what signals lost: figures behind their ledger, behind shared prices or of a day that is over."""
    behind = set(
        LedgerState.objects.filter(Q(dirty_from__isnull=False) | Q(valued_version__lt=F("ledger_version"))).values_list(
            "pk", flat=True
        )[:SWEEP_AT_ONCE]
    )
    market = market_number()
    users = User.objects.filter(is_active=True, ledger_state__isnull=False)
    valued = dict(FigureState.objects.filter(user__in=users).values_list("pk", "valued_on"))
    behind |= set(FigureState.objects.filter(user__in=users, market_number__lt=market).values_list("pk", flat=True))
    for user in users.only("timezone"):
        if valued.get(user.pk) != valuation_day(user):
            behind.add(user.pk)
    for user_id in list(behind)[:SWEEP_AT_ONCE]:
        refresh_user.delay(str(user_id))

"""The worker's edges of figures."""

from uuid import UUID

from celery import shared_task
from django.db.models import F, Q

from accounts.facts import market_number
from accounts.models import User
from federation.models import LedgerState
from ingestion.selectors import unvalued_user_ids
from portfolio import services
from portfolio.models import FigureState, KnownAnswer
from portfolio.replay import instruments_asked, replay
from portfolio.services import past
from portfolio.services.changes import changes
from portfolio.valuation_day import valuation_day
from stackmotive.common.rendering import to_json

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
    """Start what signals lost: figures behind their ledger, behind shared prices, of a day that is over or in another
    currency, and imports whose worker died between their figures and their end.
    """
    behind = set(
        LedgerState.objects.filter(Q(dirty_from__isnull=False) | Q(valued_version__lt=F("ledger_version"))).values_list(
            "pk", flat=True
        )[:SWEEP_AT_ONCE]
    )
    behind |= set(unvalued_user_ids()[:SWEEP_AT_ONCE])
    market = market_number()
    users = User.objects.filter(is_active=True, ledger_state__isnull=False)
    told = FigureState.objects.filter(user__in=users, facts_number__lt=F("user__ledger_state__facts_version"))
    behind |= set(told.values_list("pk", flat=True)[:SWEEP_AT_ONCE])
    states = FigureState.objects.filter(user__in=users).values_list("pk", "valued_on", "base_currency")
    valued = {pk: (day, currency) for pk, day, currency in states}
    behind |= set(FigureState.objects.filter(user__in=users, market_number__lt=market).values_list("pk", flat=True))
    for user in users.only("timezone", "base_currency"):
        if valued.get(user.pk) != (valuation_day(user), user.base_currency):
            behind.add(user.pk)
    for user_id in list(behind)[:SWEEP_AT_ONCE]:
        refresh_user.delay(str(user_id))


@shared_task(soft_time_limit=600)
def answer_known(answer_id: str) -> None:
    """Answer one question about an earlier time; a second delivery does nothing."""
    row = past.claim(answer_id=UUID(answer_id))
    if row is None:
        return
    moments = past.moments_of(row)
    if len(moments) == 2:
        code, body = 200, to_json(changes(since=moments[0], until=moments[1]))
    else:
        with past.figures_then(moments[0], also=instruments_asked(row.query)) as user:
            code, body = replay(path=row.path, query=row.query, user=user)
    past.keep(answer_id=row.pk, status_code=code, body=body)


@shared_task(soft_time_limit=60)
def sweep_known() -> None:
    """Start questions whose message or worker was lost."""
    for answer_id in past.waiting(limit=SWEEP_AT_ONCE):
        answer_known.delay(str(answer_id))


def enqueue_answer(*, user: User, asked: past.Question) -> KnownAnswer:
    """The answer to a question, kept or under way."""
    row, is_new = past.ask(user=user, asked=asked)
    if is_new:
        answer_known.delay_on_commit(str(row.pk))
    return row

"""Figures as they followed from what was known at a time, and the answers given then (docs/decisions/known-at.md).

Nothing is stored twice: ledger and figures are computed from the facts of that time on temporary tables, the same views
answer from them as ever, and only their answers are kept.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from psycopg import sql

from accounts.models import User
from federation.models import Instrument, InstrumentLink, Listing
from federation.services.versions import Moment, known, moment_at, truth_then, user_then
from ingestion.models import Source
from portfolio.models import (
    BrokerMark,
    BrokerRate,
    CashBalance,
    DailyValue,
    FigureState,
    FxRate,
    HoldingStep,
    KnownAnswer,
    Lot,
    Position,
    Price,
    PriceSeries,
    RealizedGain,
    ValuationSetting,
    ValueSeries,
)
from portfolio.services.figures import compute
from portfolio.services.marks import derive_broker_marks
from portfolio.services.prices import rebuild_price_series
from portfolio.services.touched import find_touched
from portfolio.services.writing import write
from portfolio.valuation_day import valuation_day, valued_at
from stackmotive.common.shadows import real, shadow_table, shadow_view

MARKED = (BrokerMark, BrokerRate)  # derived again from the contents in force then
COMPUTED = (*MARKED, Position, CashBalance, Lot, RealizedGain, ValueSeries, HoldingStep, DailyValue, FigureState)
LEASE = dt.timedelta(minutes=12)  # longer than a task's time limit
DELIVERIES = 3
UNASKED = ("known_at", "format")  # parameters that do not change what is answered


@contextmanager
def figures_then(moment: Moment, *, also: Collection[UUID] = ()) -> Iterator[User]:
    """Inside, every read of ledger, prices and figures answers as of `moment`, today included.

    also: instruments whose prices are wanted though the user has no facts of them. Gives the user of that time.
    """
    with truth_then(moment) as user, valued_at(moment.at):
        _shadow_observations(moment, also)
        derive_broker_marks(user_id=user.pk)
        today = valuation_day(user)
        done = FigureState.objects.create(pk=user.pk)
        touched = find_touched(user=user, today=today, done=done, everything=True)
        write(compute(user=user, today=today, touched=touched))
        FigureState.objects.filter(pk=user.pk).update(
            valued_on=today, base_currency=user.base_currency, market_number=moment.market_number
        )
        yield user


def _shadow_observations(moment: Moment, also: Collection[UUID]) -> None:
    owner = sql.Literal(moment.user_id)
    named = sql.SQL(
        "t.listing_id IN (SELECT l.id FROM {listings} l JOIN {instruments} i ON i.id = l.instrument_id"
        " WHERE i.user_id = {owner} OR i.id = ANY({also}) OR i.id IN (SELECT k.instrument_id FROM {links} k"
        " JOIN {sources} s ON s.id = k.source_id WHERE s.user_id = {owner}))"
    ).format(
        listings=real(Listing), instruments=real(Instrument), links=real(InstrumentLink), sources=real(Source),
        owner=owner, also=sql.Literal(list(also)),
    )  # fmt: skip
    shadow_table(Price, where=sql.SQL("{} AND {}").format(named, known(Price, moment)))
    shadow_table(FxRate, where=known(FxRate, moment))
    shadow_view(ValuationSetting, where=known(ValuationSetting, moment))
    # A packed series still holds where nothing was observed since; otherwise it is packed again.
    shared = sql.SQL(
        "t.user_id IS NULL AND {named} AND NOT EXISTS (SELECT 1 FROM {prices} p"
        " WHERE p.listing_id = t.listing_id AND p.user_id IS NULL AND p.number > {market})"
    ).format(named=named, prices=real(Price), market=sql.Literal(moment.market_number))
    shadow_table(PriceSeries, where=shared)
    kept = PriceSeries.objects.values("listing")
    observed = Price.objects.filter(user=None).exclude(listing__in=kept).values_list("listing", flat=True)
    rebuild_price_series(user_id=None, listing_ids=set(observed))
    own = Price.objects.filter(user=moment.user_id).values_list("listing", flat=True)
    rebuild_price_series(user_id=moment.user_id, listing_ids=set(own))
    for model in COMPUTED:
        shadow_table(model)


# --- asking and answering ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A GET of the API and the moments whose facts answer it: one, or two to be compared."""

    path: str
    query: str
    moments: tuple[Moment, ...]


def question(*, user: User, path: str, query: str, at: dt.datetime) -> Question:
    return Question(path, _asked(query), (moment_at(user_id=user.pk, at=at),))


def comparison(*, user: User, path: str, since: Moment, until: dt.datetime) -> Question:
    """What changed from `since` to `until`."""
    return Question(path, "", (since, moment_at(user_id=user.pk, at=until)))


def _asked(query: str) -> str:
    """The query in one spelling, without what does not change the answer."""
    return urlencode(sorted(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in UNASKED))


def ask(*, user: User, asked: Question) -> tuple[KnownAnswer, bool]:
    """(the answer, kept or to come, whether a worker has to be told). Equal questions have one answer."""
    parts = [_told(moment) for moment in asked.moments]
    digest = hashlib.sha256(json.dumps([asked.path, asked.query, parts]).encode()).hexdigest()
    row, is_new = KnownAnswer.objects.get_or_create(
        user=user,
        digest=digest,
        defaults={"path": asked.path, "query": asked.query, "moments": [_stored(one) for one in asked.moments]},
    )
    if row.status == KnownAnswer.Status.FAILED:
        again = KnownAnswer.objects.filter(pk=row.pk, status=KnownAnswer.Status.FAILED)
        is_new = bool(again.update(status=KnownAnswer.Status.QUEUED, deliveries=0))
        row.status = KnownAnswer.Status.QUEUED
    return row, is_new


def _told(moment: Moment) -> list[Any]:
    """What makes two moments of a user answer alike."""
    user = user_then(moment)
    with valued_at(moment.at):
        day = valuation_day(user)
    return [moment.fact_number, moment.market_number, moment.ledger_version, day.isoformat()]


def _stored(moment: Moment) -> dict[str, Any]:
    return {
        "at": moment.at.isoformat(),
        "fact_number": moment.fact_number,
        "market_number": moment.market_number,
        "ledger_version": moment.ledger_version,
    }


def moments_of(row: KnownAnswer) -> tuple[Moment, ...]:
    return tuple(
        Moment(
            row.user_id, dt.datetime.fromisoformat(one["at"]), one["fact_number"], one["market_number"],
            one["ledger_version"],
        )
        for one in row.moments
    )  # fmt: skip


def claim(*, answer_id: UUID) -> KnownAnswer | None:
    """Take a question that no living worker has; None where there is nothing to do."""
    now = timezone.now()
    free = KnownAnswer.objects.filter(pk=answer_id).filter(
        Q(status=KnownAnswer.Status.QUEUED) | Q(status=KnownAnswer.Status.RUNNING, lease_until__lt=now)
    )
    row = free.first()
    if row is None:
        return None
    if row.deliveries >= DELIVERIES:
        fail(answer_id=row.pk)
        return None
    taken = free.filter(deliveries=row.deliveries).update(
        status=KnownAnswer.Status.RUNNING, lease_until=now + LEASE, deliveries=row.deliveries + 1
    )
    return row if taken else None


def keep(*, answer_id: UUID, status_code: int, body: bytes) -> None:
    """The answer, as it would have been sent."""
    KnownAnswer.objects.filter(pk=answer_id).update(
        status=KnownAnswer.Status.DONE,
        status_code=status_code,
        answer=body.decode(),
        finished_at=timezone.now(),
        lease_until=None,
    )


def fail(*, answer_id: UUID) -> None:
    """No worker could answer it; asking once more tries again."""
    KnownAnswer.objects.filter(pk=answer_id).update(
        status=KnownAnswer.Status.FAILED, finished_at=timezone.now(), lease_until=None
    )


@transaction.atomic
def waiting(*, limit: int) -> list[UUID]:
    """Questions whose message or worker was lost, oldest first."""
    now = timezone.now()
    stale = Q(status=KnownAnswer.Status.QUEUED, created_at__lt=now - dt.timedelta(seconds=30))
    stale |= Q(status=KnownAnswer.Status.RUNNING, lease_until__lt=now)
    return list(KnownAnswer.objects.filter(stale).order_by("created_at").values_list("pk", flat=True)[:limit])

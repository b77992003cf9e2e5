"""Bringing a user's figures up to their ledger: lots, positions, cash, daily series and values, written where they
differ.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import numpy as np
from django.db import connection, transaction
from django.db.models import F, Q

from accounts.facts import market_number
from accounts.models import User
from federation.models import Conflict, LedgerState
from federation.services.reconciliation import without_collection
from federation.services.versions import take_market_version
from ingestion.models import Content
from ingestion.services import finish_runs
from notifications import push
from portfolio.models import (
    FigureState,
)
from portfolio.services.drafts import Figures
from portfolio.services.figures import compute
from portfolio.services.findings import write_findings
from portfolio.services.marks import derive_broker_marks
from portfolio.services.touched import find_touched
from portfolio.services.writing import write
from portfolio.valuation_day import valuation_day

ZERO = Decimal(0)
REFRESH_LOCK = 7_302  # class of advisory locks; the object is the user


def refresh(*, user_id: UUID, everything: bool = False) -> bool:
    """Bring the figures of one user up to their ledger, prices, rates and the day. True if anything was behind.

    One at a time for each user: a second call returns at once, and the first looks again before it ends.
    """
    worked = False
    while True:
        with without_collection():
            since, version, done = refresh_once(user_id=user_id, everything=everything)
        if not done:
            break
        worked, everything = True, False
        push.portfolio(user_id=user_id, ledger_version=version, since=since.isoformat() if since else None)
    end_runs(user_id=user_id)
    return worked


def end_runs(*, user_id: UUID) -> None:
    """End the imports whose facts ledger and figures now include."""
    state = LedgerState.objects.filter(pk=user_id).first()
    if state is None or state.valued_version < state.ledger_version or state.dirty_from is not None:
        return
    held = Conflict.objects.filter(user_id=user_id, kind="mass_withdrawal", status=Conflict.Status.OPEN)
    contents = Content.objects.filter(
        source__user_id=user_id,
        coverage__in=[int(key) for key in map(_last_part, held.values_list("key", flat=True)) if key],
    )
    finish_runs(
        user_id=user_id,
        fact_number=state.facts_version,
        ledger_version=state.valued_version,
        held_contents=set(contents.values_list("pk", flat=True)) if held else (),
    )


def _last_part(key: str) -> str:
    """The coverage id of `coverage:<id>`."""
    name = key.rpartition(":")[2]
    return name if name.isascii() and name.isdigit() else ""


@transaction.atomic
def refresh_once(*, user_id: UUID, everything: bool = False) -> tuple[dt.date | None, int, bool]:
    """(first day that was behind, ledger version included, whether anything was done). Tells nobody."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [REFRESH_LOCK, str(user_id)])
        row = cursor.fetchone()
    state = LedgerState.objects.filter(pk=user_id).first()
    if row is None or not row[0] or state is None:
        return None, 0, False
    user = User.objects.get(pk=user_id)
    today, market = valuation_day(user), market_number()
    done, _created = FigureState.objects.get_or_create(pk=user_id)
    marks_moved = done.facts_number < state.facts_version and derive_broker_marks(user_id=user_id)
    is_behind = (
        everything
        or marks_moved
        or state.dirty_from is not None
        or state.valued_version < state.ledger_version
        or done.valued_on != today
        or done.base_currency != user.base_currency
        or done.market_number < market
    )
    if not is_behind:
        if done.facts_number < state.facts_version:
            write_findings(user=user, today=today)
            FigureState.objects.filter(pk=user_id).update(facts_number=state.facts_version)
        return None, 0, False
    touched = find_touched(
        user=user,
        today=today,
        done=done,
        everything=everything,
        versions=(state.valued_version, state.ledger_version),
    )
    figures = compute(user=user, today=today, touched=touched)
    write(figures)
    write_findings(user=user, today=today)
    FigureState.objects.filter(pk=user_id).update(
        valued_on=today,
        base_currency=user.base_currency,
        market_number=market,
        facts_number=state.facts_version,
        inputs=touched.inputs | {"unvalued": _unvalued(figures)},
    )
    version = state.ledger_version
    if done.market_number < market and (touched.is_all or touched.since or touched.instruments):
        version = take_market_version(user_id=user_id, read=version, market_number=market) or version
    LedgerState.objects.filter(pk=user_id).update(valued_version=version, market_version=market)
    # Whatever became dirty while this ran stays so.
    LedgerState.objects.filter(Q(dirty_since=state.dirty_since), pk=user_id, ledger_version=F("valued_version")).update(
        dirty_from=None, dirty_since=None
    )
    return state.dirty_from, version, True


def _unvalued(figures: Figures) -> list[str]:
    """Instruments that have no value on some day: their flows at that border are computed anew with their accounts."""
    before = () if figures.touched.is_all else figures.touched.inputs["unvalued"]
    kept = {key for key in before if UUID(key) not in figures.touched.instruments}
    found = {
        str(holding.instrument)
        for holding, series in figures.series.items()
        if holding.instrument and np.isnan(series.value).any()
    }
    return sorted(kept | found)

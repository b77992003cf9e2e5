"""Closes as a user sees them: one for each listing and day."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from psycopg import Cursor, sql

from federation.models import InstrumentKind
from portfolio.models import PriceSeries, ValuationSetting
from portfolio.series import Floats, unpack

OWN = "own"
TRADE = "trade"
DEMO = "demo"
SHARED_PROVIDERS = (DEMO,)  # by priority; others follow
HORIZONS = {
    InstrumentKind.FUND: 45,
    InstrumentKind.BOND: 45,
    InstrumentKind.PROPERTY: 400,
    InstrumentKind.OTHER: 400,
}
LISTED_HORIZON = 7

# One close for each listing and day: own, shared by the provider's priority, then a broker's mark by the source's.
# Adjusted closes are left out, but the demo's: its ledger holds no splits and no dividends of those instruments.
IN_FORCE = """
    SELECT DISTINCT ON (c.listing_id, c.date) c.listing_id, c.date, c.close, c.provider
    FROM (
      SELECT p.listing_id, p.date, p.close, p.provider::text, p.number, p.id,
        CASE WHEN p.provider = 'own' THEN 0 ELSE 1 END AS rank,
        COALESCE(array_position(%(shared)s, p.provider::text), 1000) AS priority
      FROM portfolio_price p
      WHERE {of} AND (p.user_id IS NULL OR p.user_id = %(user)s)
        AND (p.basis = 'traded' OR p.provider = 'demo') AND (%(until)s::date IS NULL OR p.date <= %(until)s::date)
      UNION ALL
      SELECT p.listing_id, p.date, p.close, 'broker:' || replace(p.source_id::text, '-', ''), 0, 0, 2, p.priority
      FROM portfolio_brokermark p
      WHERE {of} AND p.user_id = %(user)s AND (%(until)s::date IS NULL OR p.date <= %(until)s::date)
    ) c
    ORDER BY c.listing_id, c.date {direction}, c.rank, c.priority, c.number DESC, c.id DESC, c.provider
"""
OF_LISTINGS = "p.listing_id = ANY(%(listings)s)"
OF_DAYS = "(p.listing_id, p.date) IN (SELECT * FROM unnest(%(listings)s::uuid[], %(days)s::date[]))"


@dataclass(frozen=True, slots=True)
class Close:
    """A close in force and where it came from."""

    date: dt.date
    close: Decimal
    provider: str


def horizon(kind: str) -> int:
    """Days for which a close of an instrument of this kind counts as fresh."""
    return HORIZONS.get(InstrumentKind(kind), LISTED_HORIZON)


def closes_in_force(*, user_id: UUID | None, listing_ids: Collection[UUID]) -> dict[UUID, list[Close]]:
    """All closes in force by listing, ascending. user_id None: the shared ones only."""
    found: dict[UUID, list[Close]] = {}
    for listing, date, close, provider in _in_force(user_id, listing_ids, None, "ASC"):
        found.setdefault(listing, []).append(Close(date, close, provider))
    return found


def last_closes(*, user_id: UUID, listing_ids: Collection[UUID], day: dt.date) -> dict[UUID, Close]:
    """The last close in force on or before `day` of each listing that has one."""
    found: dict[UUID, Close] = {}
    closes = IN_FORCE.format(of=OF_LISTINGS, direction="DESC")
    statement = f"SELECT DISTINCT ON (listing_id) * FROM ({closes}) t ORDER BY listing_id, date DESC"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(user_id, listing_ids, day))
        for listing, date, close, provider in cursor.fetchall():
            found[listing] = Close(date, close, provider)
    return found


def _in_force(
    user_id: UUID | None, listing_ids: Collection[UUID], until: dt.date | None, direction: str
) -> list[tuple[UUID, dt.date, Decimal, str]]:
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE.format(of=OF_LISTINGS, direction=direction), _parameters(user_id, listing_ids, until))
        rows: list[tuple[UUID, dt.date, Decimal, str]] = cursor.fetchall()
        return rows


def _parameters(user_id: UUID | None, listing_ids: Collection[UUID], until: dt.date | None) -> dict[str, Any]:
    return {"listings": list(listing_ids), "user": user_id, "until": until, "shared": list(SHARED_PROVIDERS)}


@dataclass(frozen=True, slots=True)
class PackedCloses:
    """closes: one for each day from first_day, NaN where none was observed. number: grows with every change."""

    first_day: dt.date
    closes: Floats
    number: int


def packed_closes(*, user_id: UUID, listing_ids: Collection[UUID]) -> dict[UUID, PackedCloses]:
    """The kept series of each listing: the user's where they have prices of their own, else the shared one."""
    statement = sql.SQL(
        "SELECT DISTINCT ON (listing_id) listing_id, first_day, closes, number FROM {}"
        " WHERE listing_id = ANY(%s) AND (user_id IS NULL OR user_id = %s) ORDER BY listing_id, user_id NULLS LAST"
    ).format(sql.Identifier(PriceSeries._meta.db_table))
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:  # Django's own cannot fetch megabytes as they are, only as digits
        cursor.execute(statement, [list(listing_ids), user_id], binary=True)
        return {
            listing: PackedCloses(first_day, unpack(closes), number)
            for listing, first_day, closes, number in cursor.fetchall()
        }


def newest_closes(*, user_id: UUID, packed: Mapping[UUID, PackedCloses], day: dt.date) -> dict[UUID, Close]:
    """As `last_closes`, of listings whose series are at hand: those tell the day of each, which is looked up alone."""
    listings, days = [], []
    for listing, kept in packed.items():
        reaching = kept.closes[: max((day - kept.first_day).days + 1, 0)]
        known = np.flatnonzero(~np.isnan(reaching))
        if known.size:
            listings.append(listing)
            days.append(kept.first_day + dt.timedelta(days=int(known[-1])))
    found: dict[UUID, Close] = {}
    parameters = _parameters(user_id, listings, None) | {"days": days}
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE.format(of=OF_DAYS, direction="ASC"), parameters)
        for listing, date, close, provider in cursor.fetchall():
            found[listing] = Close(date, close, provider)
    return found


def uses_trade_prices(*, user_id: UUID) -> bool:
    """Whether a holding without a quote is valued at its last trade; on unless the user turned it off."""
    newest = (
        ValuationSetting.objects.filter(user_id=user_id, key=ValuationSetting.Key.TRADE_PRICES)
        .order_by("-number", "-id")
        .values_list("value", flat=True)
        .first()
    )
    return True if newest is None else bool(newest)

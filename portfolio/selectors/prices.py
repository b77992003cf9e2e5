"""Closes as a user sees them: one for each listing and day."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

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

# One close for each listing and day: own, shared by the provider's priority, then a broker's mark. Adjusted closes are
# left out, but the demo's: its ledger holds no splits and no dividends of those instruments.
IN_FORCE = """
    SELECT DISTINCT ON (p.listing_id, p.date) p.listing_id, p.date, p.close, p.provider, p.number
    FROM portfolio_price p
    WHERE p.listing_id = ANY(%(listings)s) AND (p.user_id IS NULL OR p.user_id = %(user)s)
      AND (p.basis = 'traded' OR p.provider = 'demo') AND (%(until)s::date IS NULL OR p.date <= %(until)s::date)
    ORDER BY p.listing_id, p.date {direction},
      CASE WHEN p.provider = 'own' THEN 0 WHEN p.user_id IS NULL THEN 1 ELSE 2 END,
      COALESCE(array_position(%(shared)s, p.provider::text), 1000), p.number DESC, p.id DESC
"""


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
    for listing, date, close, provider, _number in _in_force(user_id, listing_ids, None, "ASC"):
        found.setdefault(listing, []).append(Close(date, close, provider))
    return found


def last_closes(*, user_id: UUID, listing_ids: Collection[UUID], day: dt.date) -> dict[UUID, Close]:
    """The last close in force on or before `day` of each listing that has one."""
    found: dict[UUID, Close] = {}
    statement = (
        f"SELECT DISTINCT ON (listing_id) * FROM ({IN_FORCE.format(direction='DESC')}) t ORDER BY listing_id, date DESC"  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(user_id, listing_ids, day))
        for listing, date, close, provider, _number in cursor.fetchall():
            found[listing] = Close(date, close, provider)
    return found


def _in_force(
    user_id: UUID | None, listing_ids: Collection[UUID], until: dt.date | None, direction: str
) -> list[tuple[UUID, dt.date, Decimal, str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE.format(direction=direction), _parameters(user_id, listing_ids, until))
        rows: list[tuple[UUID, dt.date, Decimal, str, int]] = cursor.fetchall()
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
    found: dict[UUID, PackedCloses] = {}
    rows = PriceSeries.objects.filter(listing_id__in=listing_ids)
    shared_first = rows.filter(user=None).union(rows.filter(user_id=user_id), all=True)
    for row in sorted(shared_first, key=lambda row: row.user_id is not None):
        found[row.listing_id] = PackedCloses(row.first_day, unpack(row.closes), row.number)
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

"""Prices and rates that the user's brokers stated, derived from their contents in force."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import F

from federation.models import InstrumentLink, Listing
from ingestion.models import Content, StagedPrice, StagedRate
from portfolio.models import BrokerMark, BrokerRate
from portfolio.services.prices import listing_for, rebuild_price_series


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A content in force: the number of its last arrival, and whose it is."""

    number: int
    source: UUID
    priority: int


def derive_broker_marks(*, user_id: UUID) -> bool:
    """Make the user's prices and rates from brokers equal to what their sources in force say; whether any differed."""
    in_force = Content.objects.in_force().filter(source__user_id=user_id, source__enabled=True)
    contents = {
        content.pk: _Arrival(content.arrived_number, content.source_id, content.source.priority)  # type: ignore[attr-defined]  # an annotation
        for content in in_force.select_related("source")
    }
    have_moved = _derive_prices(user_id, contents)
    return _derive_rates(user_id, contents) or have_moved


def _derive_prices(user_id: UUID, contents: Mapping[int, _Arrival]) -> bool:
    stored = InstrumentLink.objects.filter(source__user_id=user_id).order_by(F("valid_from").desc(nulls_last=True))
    links: dict[tuple[UUID, str], list[tuple[dt.date | None, UUID, UUID | None]]] = defaultdict(list)  # latest first
    columns = ("source_id", "key", "valid_from", "instrument_id", "listing_id")
    for source, key, since, instrument, listing in stored.values_list(*columns):
        links[source, key].append((since, instrument, listing))
    by_instrument: dict[UUID, list[tuple[UUID, str, str]]] = defaultdict(list)
    meant = {instrument for meanings in links.values() for _, instrument, _ in meanings}
    for listing, instrument, currency, unit in (
        Listing.objects.filter(instrument_id__in=meant)
        .order_by("pk")
        .values_list("pk", "instrument_id", "currency", "quote_unit")
    ):
        by_instrument[instrument].append((listing, currency, unit))
    wanted: dict[tuple[UUID, UUID, dt.date], tuple[_Arrival, Decimal]] = {}
    staged = StagedPrice.objects.filter(content_id__in=contents).order_by("pk")
    for content, key, day, close, currency in staged.values_list(
        "content_id", "instrument_key", "day", "close", "currency"
    ):
        arrival = contents[content]
        meanings = links.get((arrival.source, key), ())
        link = next((one for one in meanings if one[0] is None or one[0] <= day), None)
        if link is None:
            continue
        marked = listing_for(by_instrument[link[1]], link[2], currency)
        if marked is None:
            continue
        place = (marked[0], arrival.source, day)
        if place not in wanted or wanted[place][0].number < arrival.number:
            wanted[place] = (arrival, close * marked[1])
    rows = {
        place: BrokerMark(
            user_id=user_id, listing_id=place[0], source_id=place[1], date=place[2], close=close,
            priority=arrival.priority,
        )
        for place, (arrival, close) in wanted.items()
    }  # fmt: skip
    known = {(row.listing_id, row.source_id, row.date): row for row in BrokerMark.objects.filter(user_id=user_id)}
    gone = [row for place, row in known.items() if not _is_equal(row, rows.get(place), "close")]
    new = [row for place, row in rows.items() if not _is_equal(row, known.get(place), "close")]
    BrokerMark.objects.filter(pk__in=[row.pk for row in gone]).delete()
    BrokerMark.objects.bulk_create(new, batch_size=1000)
    rebuild_price_series(user_id=user_id, listing_ids={row.listing_id for row in (*gone, *new)})
    return bool(gone or new)


def _derive_rates(user_id: UUID, contents: Mapping[int, _Arrival]) -> bool:
    wanted: dict[tuple[UUID, str, str, dt.date], tuple[_Arrival, Decimal]] = {}
    staged = StagedRate.objects.filter(content_id__in=contents).order_by("pk")
    for content, base, quote, day, rate in staged.values_list("content_id", "base", "quote", "day", "rate"):
        arrival = contents[content]
        place = (arrival.source, base, quote, day)
        if rate > 0 and base != quote and (place not in wanted or wanted[place][0].number < arrival.number):
            wanted[place] = (arrival, rate)
    rows = {
        place: BrokerRate(
            user_id=user_id, source_id=place[0], base=place[1], quote=place[2], date=place[3], rate=rate,
            priority=arrival.priority,
        )
        for place, (arrival, rate) in wanted.items()
    }  # fmt: skip
    known = {(row.source_id, row.base, row.quote, row.date): row for row in BrokerRate.objects.filter(user_id=user_id)}
    gone = [row.pk for place, row in known.items() if not _is_equal(row, rows.get(place), "rate")]
    new = [row for place, row in rows.items() if not _is_equal(row, known.get(place), "rate")]
    BrokerRate.objects.filter(pk__in=gone).delete()
    BrokerRate.objects.bulk_create(new, batch_size=1000)
    return bool(gone or new)


def _is_equal(row: BrokerMark | BrokerRate, other: BrokerMark | BrokerRate | None, name: str) -> bool:
    return other is not None and (getattr(row, name), row.priority) == (getattr(other, name), other.priority)

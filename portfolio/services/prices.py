"""Recording closes, and keeping the packed series of each listing."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from uuid import UUID

import numpy as np
from django.db import connection, transaction

from accounts.facts import next_fact_number, next_market_number
from accounts.models import User
from federation.models import Instrument, Listing, Transaction
from federation.selectors import instruments
from federation.services import ensure_instrument
from ingestion.adapters.base import InstrumentRef
from portfolio.models import Price, PriceSeries, ValuationSetting
from portfolio.observations import StatedPrice, instruments_named
from portfolio.selectors.prices import OWN, closes_in_force
from portfolio.series import pack
from portfolio.services.dirt import mark_dirty, wake
from stackmotive.common.currencies import quote_unit
from stackmotive.common.problems import BadRequest, FieldError


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """A close as its listing quotes it."""

    listing_id: UUID
    date: dt.date
    close: Decimal


@transaction.atomic
def record_prices(*, user_id: UUID, prices: Sequence[OwnPrice]) -> int:
    """Keep the user's own closes, before all other sources for them; the fact number they took."""
    number = next_fact_number(user_id=user_id, cause="prices")
    Price.objects.bulk_create(
        [
            Price(
                listing_id=row.listing_id, user_id=user_id, date=row.date, close=row.close, provider=OWN, number=number
            )
            for row in prices
        ],
        batch_size=1000,
    )
    if prices:
        rebuild_price_series(user_id=user_id, listing_ids={row.listing_id for row in prices})
        mark_dirty(user_id=user_id, since=min(row.date for row in prices))
        transaction.on_commit(partial(wake, user_id))
    return number


@transaction.atomic
def load_shared_prices(*, rows: Iterable[tuple[UUID, dt.date, Decimal]], provider: str, basis: str) -> int:
    """Take over closes (listing, day, close) for all users where they differ from what is known; how many were
    recorded.
    """
    number = next_market_number(cause="prices")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE new_prices (listing uuid, day date, close numeric) ON COMMIT DROP")
        with cursor.copy("COPY new_prices FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            """
            INSERT INTO portfolio_price (listing_id, date, close, basis, provider, number, recorded_at)
            SELECT n.listing, n.day, n.close, %(basis)s, %(provider)s, %(number)s, now()
            FROM new_prices n
            LEFT JOIN (
              SELECT DISTINCT ON (listing_id, date) listing_id, date, close FROM portfolio_price
              WHERE user_id IS NULL AND provider = %(provider)s ORDER BY listing_id, date, number DESC, id DESC
            ) known ON known.listing_id = n.listing AND known.date = n.day
            WHERE known.close IS DISTINCT FROM n.close
            RETURNING listing_id
            """,
            {"basis": basis, "provider": provider, "number": number},
        )
        listings = {row[0] for row in cursor.fetchall()}
        count: int = cursor.rowcount
        cursor.execute("DROP TABLE new_prices")
    rebuild_price_series(user_id=None, listing_ids=listings)
    for kept in PriceSeries.objects.filter(listing_id__in=listings, user__isnull=False).only("user_id", "listing_id"):
        rebuild_price_series(user_id=kept.user_id, listing_ids={kept.listing_id})
    return count


def rebuild_price_series(*, user_id: UUID | None, listing_ids: Collection[UUID]) -> None:
    """Pack the closes in force of listings again, for one user or (None) as all share them."""
    found = closes_in_force(user_id=user_id, listing_ids=listing_ids)
    kept = (
        PriceSeries.objects.filter(user__isnull=True)
        if user_id is None
        else PriceSeries.objects.filter(user_id=user_id)
    )
    kept.filter(listing_id__in=set(listing_ids) - found.keys()).delete()
    for listing_id, closes in found.items():
        first = closes[0].date
        column = np.full((closes[-1].date - first).days + 1, np.nan)
        column[[(close.date - first).days for close in closes]] = [float(close.close) for close in closes]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO portfolio_priceseries AS s (listing_id, user_id, first_day, closes, number)
                VALUES (%s, %s, %s, %s, 1)
                ON CONFLICT (listing_id, user_id) DO UPDATE
                SET first_day = EXCLUDED.first_day, closes = EXCLUDED.closes, number = s.number + 1
                WHERE (s.first_day, s.closes) IS DISTINCT FROM (EXCLUDED.first_day, EXCLUDED.closes)
                """,
                [listing_id, user_id, first, pack(column)],
            )


def listing_for(
    listings: Sequence[tuple[UUID, str, str]], preferred: UUID | None, quoted: str
) -> tuple[UUID, Decimal] | None:
    """The listing that a mark quoted in `quoted` belongs to, and what turns it into that listing's quote unit."""
    currency, unit = quote_unit(quoted)
    for listing, listed_in, listed_unit in sorted(listings, key=lambda row: row[0] != preferred):
        if listed_in == currency:
            return listing, unit / (quote_unit(listed_unit)[1] if listed_unit else Decimal(1))
    return None


@transaction.atomic
def set_trade_prices(*, user_id: UUID, enabled: bool) -> None:
    """Whether a holding that no source quotes is valued at its last trade."""
    number = next_fact_number(user_id=user_id, cause="valuation_settings")
    ValuationSetting.objects.create(
        user_id=user_id, key=ValuationSetting.Key.TRADE_PRICES, value=enabled, number=number
    )
    mark_dirty(user_id=user_id, since=dt.date.min)
    transaction.on_commit(partial(wake, user_id))


def record_stated_prices(*, user: User, rows: Sequence[StatedPrice]) -> int:
    """Keep the user's own closes of instruments they name; the fact number. Raises BadRequest naming unknown ids."""
    with transaction.atomic():
        listings = {named: _own_listing(user, *named) for named in instruments_named(rows)}
        unknown = [place for place, row in enumerate(rows) if listings[row.instrument, row.currency] is None]
        if unknown:
            raise BadRequest(
                "Nothing of yours has this id.",
                errors=[
                    FieldError(f"#/{place}/instrument", "Nothing of yours has this id.", "does_not_exist")
                    for place in unknown[:100]
                ],
            )
        prices = []
        for row in rows:
            found = listings[row.instrument, row.currency]
            if found is not None:
                listing, factor = found
                prices.append(OwnPrice(listing, row.date, row.close * factor))
        return record_prices(user_id=user.pk, prices=prices)


def _own_listing(user: User, named: UUID | InstrumentRef, currency: str) -> tuple[UUID, Decimal] | None:
    """The listing that a price belongs to and what turns its quote into the listing's unit; None for a foreign id."""
    if isinstance(named, UUID):
        instrument = instruments(user).filter(pk=named).first()
        if instrument is None:
            return None
    else:
        instrument, _listing = ensure_instrument(user=user, named=named)
    quoted_in, unit = quote_unit(currency)
    known = [
        (row.pk, row.currency, row.quote_unit) for row in instrument.listings.filter(currency=quoted_in).order_by("pk")
    ]
    if not known:
        made, _ = Listing.objects.get_or_create(
            instrument=instrument,
            exchange="",
            currency=quoted_in,
            defaults={"quote_unit": currency if unit != 1 else ""},
        )
        known = [(made.pk, made.currency, made.quote_unit)]
    return listing_for(known, _traded_listing(user, instrument), currency)


def _traded_listing(user: User, instrument: Instrument) -> UUID | None:
    """The listing that the user last traded the instrument on."""
    rows = Transaction.objects.visible_to(user).filter(instrument=instrument, listing__isnull=False)
    found: UUID | None = rows.order_by("-trade_date", "-position").values_list("listing_id", flat=True).first()
    return found

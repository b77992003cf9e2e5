"""Why an instrument is worth what it is on a day: the close or trade in force, and the splits since."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from federation.models import Listing
from portfolio.explain.sight import Sight
from portfolio.explain.tree import ZERO, Node, Ref, given, over, row_ref, times
from portfolio.ledger_rows import LedgerRow
from portfolio.selectors.prices import Close, horizon, last_closes, uses_trade_prices
from stackmotive.common.currencies import quote_unit


@dataclass(frozen=True, slots=True)
class Quote:
    """price: of one unit in `currency`, after splits. observed_on: the day of the close or trade."""

    price: Node
    currency: str
    multiplier: Decimal
    observed_on: dt.date | None


def quote_on(sight: Sight, instrument: UUID, day: dt.date, *, listing: UUID | None = None) -> Quote | None:
    """The price of an instrument on a day; None where it has no listing."""
    listings = {
        one.pk: one for one in Listing.objects.filter(instrument=instrument).select_related("instrument").order_by("pk")
    }
    if not listings:
        return None
    closes = last_closes(user_id=sight.user.pk, listing_ids=listings, day=day)
    chosen = listings.get(listing) if listing else None
    if chosen is None:
        chosen = listings[min(listings, key=lambda pk: (pk not in closes, str(pk)))]
    rows = [row for row in sight.rows if row.instrument == instrument and row.day <= day]
    price, observed_on = _price(sight, chosen, closes.get(chosen.pk), rows, day)
    return Quote(price, chosen.currency, chosen.instrument.multiplier, observed_on)


def _price(
    sight: Sight, listing: Listing, close: Close | None, rows: Sequence[LedgerRow], day: dt.date
) -> tuple[Node, dt.date | None]:
    unit = quote_unit(listing.quote_unit)[1] if listing.quote_unit else Decimal(1)
    trade = _last_trade(sight, listing, close, rows)
    if trade is not None and trade.price is not None:
        observed_on, label = trade.day, f"Price of the user's own trade on {trade.day.isoformat()}"
        quoted = given(label, trade.price, listing.currency, ref=row_ref(trade.id), on=trade.day)
    elif close is not None:
        observed_on = close.date
        ref = Ref(
            "price", detail={"listing": str(listing.pk), "date": close.date.isoformat(), "provider": close.provider}
        )
        quoted = given(f"Close of {close.date.isoformat()}", close.close, listing.currency, ref=ref, on=close.date)
        if unit != 1:
            own = given("Of the currency for one quote unit", unit, "ratio")
            quoted = times("Close in the currency's own unit", listing.currency, [quoted, own])
    else:
        return given("Price", None, listing.currency, reason="no_price"), None
    for on, ratio in split_ratios(rows):
        if observed_on < on <= day:
            divisor = given(f"Split on {on.isoformat()}: new for one old", ratio, "ratio", on=on)
            quoted = over("Price after the split", listing.currency, quoted, divisor)
    return quoted, observed_on


def _last_trade(sight: Sight, listing: Listing, close: Close | None, rows: Sequence[LedgerRow]) -> LedgerRow | None:
    """The trade that stands in where no close was observed within the horizon before it."""
    if not uses_trade_prices(user_id=sight.user.pk):
        return None
    limit = horizon(listing.instrument.kind)
    trades = [
        row
        for row in rows
        if row.kind in ("buy", "sell")
        and row.price
        and row.price > 0
        and row.currency == listing.currency
        and (close is None or (row.day - close.date).days > limit)
    ]
    return trades[-1] if trades else None


def split_ratios(rows: Sequence[LedgerRow]) -> list[tuple[dt.date, Decimal]]:
    """New units for one old by day, as any account's row states it."""
    ratios: dict[dt.date, Decimal] = {}
    held: dict[UUID, Decimal] = {}
    for row in rows:
        before = held.get(row.account, ZERO)
        if row.kind == "split" and row.ratio:
            ratios.setdefault(row.day, row.ratio)
        elif row.kind == "split" and row.quantity and before and (before + row.quantity) / before > 0:
            ratios.setdefault(row.day, (before + row.quantity) / before)
        change = (
            before * (row.ratio - 1) if row.kind == "split" and row.quantity is None and row.ratio else row.quantity
        )
        held[row.account] = before + (change or ZERO)
    return sorted(ratios.items())

"""What instruments are quoted at: latest closes, candles and figures of their own prices."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import Instrument, InstrumentKind, Listing
from federation.selectors import instruments
from portfolio import returns
from portfolio.models import Position
from portfolio.returns import Figure
from portfolio.selectors.prices import Close, closes_in_force, horizon
from portfolio.valuation_day import valuation_day
from stackmotive.common.currencies import quote_unit
from stackmotive.common.page_filters import start_of

PLACES = Decimal(1).scaleb(-10)
Interval = Literal["1d", "1w", "1mo"]
INTERVALS: Final = ("1d", "1w", "1mo")
MOST_CANDLES: Final = 6000
SPANS: Final = ("1w", "1m", "3m", "6m", "ytd", "1y", "5y")


@dataclass(frozen=True, slots=True)
class Quote:
    """The last close in force. change: since the close before it, None where there is none."""

    instrument: UUID
    symbol: str
    name: str
    listing: UUID
    exchange: str
    currency: str
    price: Decimal
    as_of: dt.date
    provider: str
    age_days: int
    is_stale: bool
    change: Decimal | None
    change_ratio: Decimal | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candle:
    """Of the closes of an interval: its first day, the first, highest, lowest and last close."""

    date: dt.date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    count: int


@dataclass(frozen=True, slots=True)
class InstrumentFigures:
    """Of an instrument's own closes, in its currency, without dividends. changes: by span. Null has its reason."""

    instrument: UUID
    listing: UUID | None
    currency: str
    price: Decimal | None
    as_of: dt.date | None
    changes: dict[str, Decimal | None]
    high_1y: Decimal | None
    low_1y: Decimal | None
    volatility_1y: Decimal | None
    max_drawdown_1y: Decimal | None
    n_obs: int
    basis: str = "price"
    reasons: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def own_and_watched(user: User) -> set[UUID]:
    """Instruments the user holds."""
    return set(Position.objects.visible_to(user).values_list("instrument_id", flat=True))


def latest_quotes(*, user: User, wanted: Collection[UUID]) -> list[Quote]:
    """By symbol; instruments without a close are left out. Four queries, however many."""
    found: dict[UUID, Instrument] = {one.pk: one for one in instruments(user).filter(pk__in=wanted)}
    listings = list(Listing.objects.filter(instrument__in=found).order_by("pk"))
    closes = closes_in_force(user_id=user.pk, listing_ids=[one.pk for one in listings])
    today = valuation_day(user)
    quotes: dict[UUID, Quote] = {}
    for listing in listings:
        known = [close for close in closes.get(listing.pk, ()) if close.date <= today]
        if known:
            quote = _quote(found[listing.instrument_id], listing, known, today)
            other = quotes.get(listing.instrument_id)
            if other is None or other.as_of < quote.as_of:
                quotes[listing.instrument_id] = quote
    return sorted(quotes.values(), key=lambda one: (one.symbol, str(one.instrument)))


def _quote(instrument: Instrument, listing: Listing, known: list[Close], today: dt.date) -> Quote:
    unit = quote_unit(listing.quote_unit)[1] if listing.quote_unit else Decimal(1)
    last = known[-1].close * unit
    before = known[-2].close * unit if len(known) > 1 else None
    age = (today - known[-1].date).days
    return Quote(
        instrument=instrument.pk,
        symbol=instrument.symbol,
        name=instrument.name,
        listing=listing.pk,
        exchange=listing.exchange,
        currency=listing.currency,
        price=last,
        as_of=known[-1].date,
        provider=known[-1].provider,
        age_days=age,
        is_stale=age > horizon(instrument.kind),
        change=None if before is None else last - before,
        change_ratio=None if not before else ((last - before) / before).quantize(PLACES),
    )


def movers(*, user: User, most: int = 10) -> list[Quote]:
    """What the user holds, the largest moves first; only closes that are fresh count as a move of the day."""
    quotes = latest_quotes(user=user, wanted=own_and_watched(user))
    moving = [one for one in quotes if one.change_ratio is not None and not one.is_stale]
    moving.sort(key=lambda one: (-abs(one.change_ratio or Decimal(0)), one.symbol))
    return moving[:most]


def candles(
    *,
    user: User,
    instrument: Instrument,
    interval: Interval = "1d",
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> list[Candle]:
    """Ascending; of the listing with the newest close. Only closes are known, so a day's four are one."""
    listing, closes = _closes(user, instrument)
    if listing is None:
        return []
    unit = quote_unit(listing.quote_unit)[1] if listing.quote_unit else Decimal(1)
    kept = [one for one in closes if (start is None or one.date >= start) and (end is None or one.date <= end)]
    groups: dict[dt.date, list[Decimal]] = {}
    for one in kept:
        groups.setdefault(_opening(one.date, interval), []).append(one.close * unit)
    found = [Candle(day, worth[0], max(worth), min(worth), worth[-1], len(worth)) for day, worth in groups.items()]
    return found[-MOST_CANDLES:]


def _opening(day: dt.date, interval: Interval) -> dt.date:
    if interval == "1w":
        return day - dt.timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "1mo" else day


def _closes(user: User, instrument: Instrument) -> tuple[Listing | None, list[Close]]:
    listings = list(Listing.objects.filter(instrument=instrument).order_by("pk"))
    found = closes_in_force(user_id=user.pk, listing_ids=[one.pk for one in listings])
    today = valuation_day(user)
    known = {pk: [one for one in closes if one.date <= today] for pk, closes in found.items()}
    held = [one for one in listings if known.get(one.pk)]
    if not held:
        return None, []
    chosen = max(held, key=lambda one: (known[one.pk][-1].date, len(known[one.pk])))
    return chosen, known[chosen.pk]


def instrument_figures(*, user: User, instrument: Instrument) -> InstrumentFigures:
    listing, closes = _closes(user, instrument)
    today = valuation_day(user)
    if listing is None:
        names = (*SPANS, "price", "high_1y", "low_1y", "volatility_1y", "max_drawdown_1y")
        return InstrumentFigures(
            instrument.pk, None, "", None, None, dict.fromkeys(SPANS), None, None, None, None, 0,
            reasons=dict.fromkeys(names, "no_price"),
        )  # fmt: skip
    unit = quote_unit(listing.quote_unit)[1] if listing.quote_unit else Decimal(1)
    reasons: dict[str, str] = {}
    last = closes[-1]
    changes: dict[str, Decimal | None] = {}
    for span in SPANS:
        since = start_of(span, today)
        opened = next((one for one in reversed(closes) if since is not None and one.date <= since), None)
        if opened is None or not opened.close or (since and (since - opened.date).days > horizon(instrument.kind)):
            changes[span], reasons[span] = None, "too_few_observations"
        else:
            changes[span] = (last.close / opened.close - 1).quantize(PLACES)
    year = start_of("1y", today)
    recent = [one for one in closes if year is None or one.date >= year]
    moved = _moves(recent)
    share = 1.0 if instrument.kind == InstrumentKind.CRYPTO else 0.0
    observed, periods = returns.statistics_returns([one.date for one in recent[1:]], moved, crypto_ratio=share)

    def figure(name: str, found: Figure[float]) -> Decimal | None:
        if found.value is None:
            reasons[name] = found.reason
            return None
        return Decimal(repr(found.value)).quantize(PLACES)

    return InstrumentFigures(
        instrument=instrument.pk,
        listing=listing.pk,
        currency=listing.currency,
        price=last.close * unit,
        as_of=last.date,
        changes=changes,
        high_1y=max((one.close * unit for one in recent), default=None),
        low_1y=min((one.close * unit for one in recent), default=None),
        volatility_1y=figure("volatility_1y", returns.volatility(observed, periods_per_year=periods)),
        max_drawdown_1y=figure("max_drawdown_1y", returns.max_drawdown(observed)),
        n_obs=int(observed.size),
        reasons=reasons,
    )


def _moves(closes: Iterable[Close]) -> list[float]:
    worth = np.array([float(one.close) for one in closes])
    with np.errstate(divide="ignore", invalid="ignore"):
        moved: list[float] = (worth[1:] / worth[:-1] - 1).tolist()
    return [one if np.isfinite(one) else float("nan") for one in moved]

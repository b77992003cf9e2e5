"""Which instrument and listing each naming means: found or made, and stored (DESIGN 5.5)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from federation.authority import source_rank
from federation.components import components
from federation.known_instruments import KnownInstruments
from federation.models import (
    Instrument,
    InstrumentIdentifier,
    InstrumentKind,
    InstrumentLink,
    Listing,
)
from federation.namings import STRONG, Days, InstrumentRuling, Named, Naming
from federation.rows import SourceInfo
from stackmotive.common.currencies import quote_unit
from stackmotive.common.ids import uuid7

KNOWN_BY_NAME = frozenset({"crypto", "property", "commodity", "other", ""})

ONE = Decimal(1)

Meaning = tuple[UUID, UUID | None]
"""(instrument, listing)"""
_unit = lru_cache(maxsize=1024)(quote_unit)


@dataclass(slots=True)
class InstrumentPlan:
    """What namings mean, with what is not stored yet. later: (from which day, what it means then), ascending."""

    namings: dict[Naming, Meaning] = field(default_factory=dict)
    later: dict[Naming, list[tuple[date, Meaning]]] = field(default_factory=dict)
    multipliers: dict[UUID, Decimal] = field(default_factory=dict)
    new_instruments: list[Instrument] = field(default_factory=list)
    changed_instruments: list[Instrument] = field(default_factory=list)
    new_listings: list[Listing] = field(default_factory=list)
    new_links: list[InstrumentLink] = field(default_factory=list)
    changed_links: list[InstrumentLink] = field(default_factory=list)
    new_identifiers: list[InstrumentIdentifier] = field(default_factory=list)
    gone_identifiers: list[int] = field(default_factory=list)
    gone_links: list[int] = field(default_factory=list)

    @property
    def is_moved(self) -> bool:
        """Whether a naming that rows had before means something else, or is called something else."""
        cut = self.gone_links or any(link.valid_from is not None for link in self.new_links)
        return bool(self.changed_links or self.changed_instruments or cut)

    def meaning(self, naming: Naming, day: date) -> Meaning | None:
        """What a naming means on a day; null for one that no source uses."""
        meant = self.namings.get(naming)
        for since, then in self.later.get(naming, ()):
            if day >= since:
                meant = then
        return meant

    def meanings(self, naming: Naming) -> list[Meaning]:
        """All that a naming means, whenever."""
        first = [self.namings[naming]] if naming in self.namings else []
        return first + [then for _, then in self.later.get(naming, ())]


def plan_instruments(
    names: Sequence[Named],
    *,
    user_id: UUID,
    sources: Mapping[UUID, SourceInfo],
    known: KnownInstruments,
    rulings: Sequence[InstrumentRuling] = (),
) -> InstrumentPlan:
    """Find or make the instrument and listing of every naming. Writes nothing."""
    plan = InstrumentPlan()
    together, unclear = components(names, rulings)
    settled = {naming for ruling in rulings for naming in ruling.namings}
    ranked = sorted(sources.values(), key=source_rank)
    ranks = {one.id: (place, one.by_hand) for place, one in enumerate(ranked)}
    work = _Planning(plan, user_id, ranks, known)
    work.find_reused(together)
    for component in together:
        work.place(
            component,
            is_unclear=bool(unclear) and any(one.naming in unclear for one in component),
            is_settled=bool(settled) and any(one.naming in settled for one in component),
        )
    pieces = {(naming, since) for naming, meanings in plan.later.items() for since, _ in meanings}
    dated = [link for link in known.links.values() if link.valid_from is not None]
    for link in dated:
        naming = (link.source_id, link.key)
        if naming in plan.namings and (naming, link.valid_from) not in pieces:
            plan.gone_links.append(link.pk)
    for meanings in plan.later.values():
        meanings.sort(key=lambda one: one[0])
    return plan


class _Planning:
    def __init__(
        self, plan: InstrumentPlan, user_id: UUID, ranks: Mapping[UUID, tuple[int, bool]], known: KnownInstruments
    ) -> None:
        self.plan, self.user_id, self.ranks, self.known = plan, user_id, ranks, known
        self.claimed: set[UUID] = set()
        linked = {link.instrument_id for link in known.links.values()} | {link.own_id for link in known.links.values()}
        made = (one for key, one in known.instruments.items() if one.user_id is not None and key not in linked)
        self.by_hand = sorted(made, key=lambda one: one.id)  # made by hand, named by no source so far
        self.reused: set[str] = set()

    def find_reused(self, together: Sequence[Sequence[Named]]) -> None:
        """Tickers that several things go by: those have days."""
        seen: dict[str, int] = {}
        for number, component in enumerate(together):
            for one in component:
                if one.symbol and seen.setdefault(one.ticker, number) != number:
                    self.reused.add(one.ticker)

    def place(self, component: Sequence[Named], *, is_unclear: bool, is_settled: bool) -> None:
        plan, known, ranks = self.plan, self.known, self.ranks
        believed = sorted(component, key=lambda one: (ranks[one.source][0], one.key)) if component[1:] else component
        links = [known.links.get(one.piece) for one in component] if known.links else [None] * len(component)
        instrument = self.catalog_instrument(component) or self.own_instrument(component, believed, links)
        is_new = instrument is None
        if instrument is None:
            instrument = Instrument(id=uuid7(), user_id=self.user_id)
            plan.new_instruments.append(instrument)
        pk = instrument.id
        self.claimed.add(pk)
        if instrument.user_id is not None:
            is_known = is_settled or self.is_known(component)
            is_changed = _describe(
                instrument,
                believed,
                known.said.get(pk, {}),
                needs_review=not is_known or (is_unclear and not is_settled),
            )
            if is_changed and not is_new:
                plan.changed_instruments.append(instrument)
            self.plan_identifiers(pk, component)
        plan.multipliers[pk] = instrument.multiplier
        listings = _plan_listings(plan, instrument, component, known)
        for one, listing, link in zip(component, listings, links, strict=True):
            self.plan_link(one, link, pk, listing, owns=is_new and one is component[0])

    def is_known(self, component: Sequence[Named]) -> bool:
        """Whether anything but a bare ticker says what it is."""
        kind = ""
        for one in component:
            if one.isin or one.exchange or one.figi or one.conid or one.cusip:
                return True
            kind = kind or one.kind
        return kind in KNOWN_BY_NAME or all(self.ranks[one.source][1] for one in component)

    def catalog_instrument(self, component: Sequence[Named]) -> Instrument | None:
        catalog = self.known.catalog
        if not catalog:
            return None
        for one in component:
            for scheme in ("isin", "figi"):
                found = catalog.get((scheme, getattr(one, scheme)), set())
                if len(found) == 1:
                    return self.known.instruments[next(iter(found))]
        for one in component:
            if one.symbol and (one.exchange or one.kind == "crypto"):
                found = catalog.get(("ticker", f"{one.ticker}@{one.exchange.upper()}"), set())
                if len(found) == 1:
                    return self.known.instruments[next(iter(found))]
        return None

    def own_instrument(
        self, component: Sequence[Named], believed: Sequence[Named], stored: Sequence[InstrumentLink | None]
    ) -> Instrument | None:
        """What was made for one of the namings, else what one of them meant before, else one made by hand that
        fits.
        """
        known = self.known
        links = [link for link in stored if link is not None]
        for wanted in [link.own_id for link in links if link.own_id] + [link.instrument_id for link in links]:
            if wanted not in self.claimed and known.instruments[wanted].user_id is not None:
                return known.instruments[wanted]
        first = believed[0]
        for instrument in self.by_hand:
            if instrument.id in self.claimed:
                continue
            identifiers = known.identifiers.get(instrument.id, ())
            if any(
                getattr(one, known_as.scheme, None) == known_as.value for one in component for known_as in identifiers
            ):
                return instrument
            has_strong = any(one.scheme in STRONG for one in identifiers)
            currencies = {listing.currency for listing in known.listings.get(instrument.id, ())}
            if (
                not has_strong
                and instrument.symbol.upper() == first.ticker
                and instrument.kind == (first.kind or InstrumentKind.OTHER)
                and (not currencies or (first.currency or first.row_currency) in currencies)
            ):
                return instrument
        return None

    def plan_identifiers(self, instrument: UUID, component: Sequence[Named]) -> None:
        wanted: dict[tuple[str, str], Days | None] = {}
        values: dict[str, int] = {}
        for one in component:
            for scheme, value in (
                ("isin", one.isin),
                ("figi", one.figi),
                ("conid", one.conid),
                ("cusip", one.cusip),
                ("ticker", f"{one.ticker}@{one.exchange.upper()}" if one.symbol else ""),
            ):
                if value and (scheme, value[:100]) not in wanted:
                    wanted[scheme, value[:100]] = None
                    values[scheme] = values.get(scheme, 0) + 1
        if values.get("isin", 0) > 1 or (self.reused and any(one.ticker in self.reused for one in component)):
            for scheme, value in wanted:
                if scheme == "ticker" or values[scheme] > 1:
                    wanted[scheme, value] = _days_of(component, scheme, value)
        stored = {
            (one.scheme, one.value): (one.id, one.valid_from, one.valid_to)
            for one in self.known.identifiers.get(instrument, ())
        }
        kept = set()
        for (scheme, value), days in wanted.items():
            first, last = days or (None, None)
            if (had := stored.get((scheme, value))) is not None and had[1:] == (first, last):
                kept.add((scheme, value))
                continue
            self.plan.new_identifiers.append(
                InstrumentIdentifier(
                    instrument_id=instrument, scheme=scheme, value=value, valid_from=first, valid_to=last
                )
            )
        self.plan.gone_identifiers += [had[0] for name, had in stored.items() if name not in kept]

    def plan_link(
        self, one: Named, link: InstrumentLink | None, instrument: UUID, listing: UUID | None, *, owns: bool
    ) -> None:
        plan = self.plan
        if one.since is None:
            plan.namings[one.naming] = (instrument, listing)
        else:
            plan.later.setdefault(one.naming, []).append((one.since, (instrument, listing)))
        own = instrument if owns else None
        if link is None:
            plan.new_links.append(
                InstrumentLink(
                    source_id=one.source,
                    key=one.key,
                    instrument_id=instrument,
                    listing_id=listing,
                    own_id=own,
                    valid_from=one.since,
                )
            )
        elif link.instrument_id != instrument or link.listing_id != listing or (own and link.own_id is None):
            link.instrument_id, link.listing_id, link.own_id = instrument, listing, link.own_id or own
            plan.changed_links.append(link)


def _days_of(component: Sequence[Named], scheme: str, value: str) -> Days | None:
    """When a component was seen under a value; null where that is not known."""
    found = [
        one.days
        for one in component
        if (f"{one.ticker}@{one.exchange.upper()}" if scheme == "ticker" else getattr(one, scheme)) == value
    ]
    known = [days for days in found if days is not None]
    return (min(first for first, _ in known), max(last for _, last in known)) if known else None


def _describe(
    instrument: Instrument,
    believed: Sequence[Named],
    said: Mapping[str, str],
    *,
    needs_review: bool,
) -> bool:
    """Set the columns to what the user says, else the most believed source; whether anything changed."""
    symbol = name = kind = ""
    multiplier = ONE
    for one in believed:
        symbol, name, kind = symbol or one.symbol, name or one.name, kind or one.kind
        if multiplier == ONE:
            multiplier = one.multiplier
    if not symbol:
        symbol = _told(believed, "isin") or name[:60] or _told(believed, "conid")
    values = {
        "symbol": symbol,
        "name": name,
        "kind": kind or InstrumentKind.OTHER.value,
        "multiplier": multiplier,
        "needs_review": needs_review,
    }
    if said:
        values |= said
    changed = [name for name, value in values.items() if getattr(instrument, name) != value]
    for name in changed:
        setattr(instrument, name, values[name])
    return bool(changed)


def _told(believed: Sequence[Named], name: str) -> str:
    return next((value for one in believed if (value := getattr(one, name))), "")


def _plan_listings(
    plan: InstrumentPlan, instrument: Instrument, component: Sequence[Named], known: KnownInstruments
) -> list[UUID | None]:
    """The listing of each naming: stated exchange and currency, or the only one of that currency."""
    listings = known.listings.get(instrument.id, ())
    stored = {(one.exchange.upper(), one.currency): one.id for one in listings}
    exchanges: dict[str, set[str]] = defaultdict(set)
    for exchange, currency in stored if instrument.user_id is None else ():
        exchanges[currency].add(exchange)
    for one in component:
        if one.exchange:
            exchanges[_unit(one.currency or one.row_currency)[0]].add(one.exchange.upper())
    chosen: list[UUID | None] = []
    for one in component:
        code = one.currency or one.row_currency
        currency, factor = _unit(code)
        if not currency:
            chosen.append(None)
            continue
        exchange = one.exchange.upper()
        if not exchange and len(exchanges[currency]) == 1:
            exchange = next(iter(exchanges[currency]))
        listing = stored.get((exchange, currency))
        if listing is None:
            listing = uuid7()
            unit = code if factor != 1 else ""
            plan.new_listings.append(
                Listing(id=listing, instrument_id=instrument.id, exchange=exchange, currency=currency, quote_unit=unit)
            )
            stored[(exchange, currency)] = listing
        chosen.append(listing)
    return chosen


def store_instruments(plan: InstrumentPlan) -> None:
    """Write what `plan_instruments` found missing. Call under the user's ledger lock."""
    Instrument.objects.bulk_create(plan.new_instruments, batch_size=1000)
    if plan.changed_instruments:
        described = ["symbol", "name", "kind", "multiplier", "sector", "country", "needs_review"]
        Instrument.objects.bulk_update(plan.changed_instruments, described, batch_size=1000)
    Listing.objects.bulk_create(plan.new_listings, batch_size=1000)
    InstrumentIdentifier.objects.filter(pk__in=plan.gone_identifiers).delete()
    InstrumentLink.objects.filter(pk__in=plan.gone_links).delete()
    InstrumentIdentifier.objects.bulk_create(plan.new_identifiers, batch_size=1000)
    InstrumentLink.objects.bulk_create(plan.new_links, batch_size=1000)
    if plan.changed_links:
        InstrumentLink.objects.bulk_update(plan.changed_links, ["instrument", "listing", "own"], batch_size=1000)

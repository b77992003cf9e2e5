"""Which names mean the same instrument (DESIGN 5.5; docs/decisions/instruments.md says why each rule is as it
is).

A naming is how one source names an instrument; an instrument is a connected component of namings.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from federation.authority import source_rank
from federation.models import (
    Instrument,
    InstrumentAttribute,
    InstrumentIdentifier,
    InstrumentKind,
    InstrumentLink,
    Listing,
)
from federation.rows import SourceInfo
from stackmotive.common.currencies import quote_unit
from stackmotive.common.ids import uuid7

STRONG = ("isin", "figi", "conid", "cusip")  # strongest first
SHARES = frozenset({"equity", "etf", "fund"})  # sources do not agree which of these a thing is
KNOWN_BY_NAME = frozenset({"crypto", "property", "commodity", "other", ""})

Naming = tuple[UUID, str]
"""(source, key of StagedInstrument)"""


@dataclass(frozen=True, slots=True)
class Named:
    """What a source says of an instrument under one key; `first` = smallest staged id, `accounts` where it is
    used.
    """

    source: UUID
    key: str
    first: int
    symbol: str
    name: str
    kind: str
    isin: str
    figi: str
    cusip: str
    conid: str
    exchange: str
    currency: str
    multiplier: Decimal
    accounts: frozenset[UUID] = frozenset()
    row_currency: str = ""  # what most of its rows are priced in: chooses a listing where none is stated

    @property
    def naming(self) -> Naming:
        return (self.source, self.key)

    @property
    def ticker(self) -> str:
        return self.symbol.upper()


@dataclass(frozen=True, slots=True)
class InstrumentRuling:
    """What the user says of namings: that they are one instrument, or one apart from all others."""

    is_merge: bool
    namings: frozenset[Naming]


def components(
    names: Sequence[Named], rulings: Sequence[InstrumentRuling] = ()
) -> tuple[list[list[Named]], set[Naming]]:
    """(components in the order first recorded, namings whose ticker alone fits several instruments).

    rulings: in the order they were made; they come before every rule, and a later one before an earlier one.
    """
    forest = _Forest(sorted(names, key=lambda one: (one.first, one.source, one.key)))
    forest.obey(rulings)
    for level, scheme in enumerate(STRONG):
        forest.join_equal(lambda one, scheme=scheme: getattr(one, scheme) or None, level)  # type: ignore[misc]
    forest.join_equal(
        lambda one: (one.ticker, one.exchange.upper(), _family(one)) if one.exchange and one.symbol else None
    )
    forest.join_equal(lambda one: one.ticker if one.kind == "crypto" and one.symbol else None)
    unclear = forest.join_bare_tickers()
    return forest.components(), unclear


class _Forest:
    """Namings joined step by step; a component knows every value it has of each strong scheme."""

    def __init__(self, names: Sequence[Named]) -> None:
        self.names = names
        self.root = list(range(len(names)))
        self.members = {number: [number] for number in self.root}
        self.values = {number: {s: {v} for s in STRONG if (v := getattr(names[number], s))} for number in self.root}
        self.apart: dict[int, int] = {}  # number -> the split that set it apart; roots are asked

    def obey(self, rulings: Sequence[InstrumentRuling]) -> None:
        """Set apart and join what the user says."""
        group = dict.fromkeys(range(len(self.names)), 0)  # 0 = where the rules put it
        joined: dict[int, int] = {}  # number -> the merge that holds it
        for order, ruling in enumerate(rulings, start=1):
            numbers = [number for number, one in enumerate(self.names) if one.naming in ruling.namings]
            if ruling.is_merge:
                place = group[numbers[0]] if numbers else 0
                joined.update(dict.fromkeys(numbers, order))
                group.update(dict.fromkeys(numbers, place))
            else:
                for number in numbers:
                    joined.pop(number, None)
                group.update(dict.fromkeys(numbers, order))
        together: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, order in joined.items():
            together[("merged", order)].append(number)
        for number, order in group.items():
            if order:
                together[("parted", order)].append(number)
        for numbers in together.values():
            for number in numbers[1:]:
                self.join(numbers[0], number)
        self.apart = {number: order for number, order in group.items() if order}

    def find(self, number: int) -> int:
        while self.root[number] != number:
            self.root[number] = self.root[self.root[number]]
            number = self.root[number]
        return number

    def contradict(self, first: int, second: int, level: int = len(STRONG)) -> bool:
        """Whether two components have different values in a scheme stronger than the one at `level`."""
        if self._parted(first) != self._parted(second):
            return True
        one, other = self.values[self.find(first)], self.values[self.find(second)]
        return any(s in one and s in other and not one[s] & other[s] for s in STRONG[:level])

    def _parted(self, number: int) -> int:
        return self.apart.get(self.find(number), 0) if self.apart else 0

    def join(self, first: int, second: int) -> None:
        one, other = sorted((self.find(first), self.find(second)))
        if one == other:
            return
        self.root[other] = one
        self.members[one] += self.members.pop(other)
        for scheme, values in self.values.pop(other).items():
            self.values[one].setdefault(scheme, set()).update(values)

    def join_equal(self, key: "KeyOf", level: int = len(STRONG)) -> None:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for number, one in enumerate(self.names):
            if (value := key(one)) is not None:
                groups[value].append(number)
        for numbers in groups.values():
            roots = list(dict.fromkeys(self.find(number) for number in numbers))
            for position, root in enumerate(roots):
                for earlier in roots[:position]:
                    if not self.contradict(earlier, root, level):
                        self.join(earlier, root)
                        break

    def join_bare_tickers(self) -> set[Naming]:
        """A ticker without an exchange joins the one instrument it can mean; what fits several stays apart."""
        by_ticker: dict[str, list[int]] = defaultdict(list)
        for number, one in enumerate(self.names):
            if one.symbol and one.kind != "crypto":
                by_ticker[one.ticker].append(number)
        unclear: set[Naming] = set()
        for numbers in by_ticker.values():
            bare = [number for number in numbers if not self.names[number].exchange]
            anchored = [number for number in numbers if self._is_anchored(number)]
            for number in bare:
                mine = self.find(number)
                fits = {
                    self.find(one)
                    for one in anchored
                    if self.find(one) != mine and self._fits(number, one) and not self.contradict(number, one)
                }
                if len(fits) > 1:
                    near = {root for root in fits if self._is_near(number, root)}
                    fits = near or fits
                if len(fits) == 1:
                    self.join(mine, fits.pop())
                elif fits:
                    unclear.add(self.names[number].naming)
            loose = [number for number in bare if not self._is_anchored(number)]
            for position, number in enumerate(loose):
                partner = next(
                    (one for one in loose[:position] if self._fits(number, one) and not self.contradict(number, one)),
                    None,
                )
                if partner is not None and self.names[number].naming not in unclear:
                    self.join(partner, number)
        return unclear

    def _is_anchored(self, number: int) -> bool:
        root = self.find(number)
        return bool(self.values[root]) or any(self.names[one].exchange for one in self.members[root])

    def _fits(self, first: int, second: int) -> bool:
        one, other = self.names[first], self.names[second]
        same_kind = not one.kind or not other.kind or _family(one) == _family(other)
        return same_kind and (not one.currency or not other.currency or one.currency == other.currency)

    def _is_near(self, number: int, root: int) -> bool:
        one = self.names[number]
        others = [self.names[member] for member in self.members[root]]
        return any(one.source == other.source or one.accounts & other.accounts for other in others)

    def components(self) -> list[list[Named]]:
        return [[self.names[number] for number in sorted(self.members[root])] for root in sorted(self.members)]


KeyOf = Callable[[Named], Hashable | None]
"""What `join_equal` groups namings by; null = not by this."""


def _family(one: Named) -> str:
    return "share" if one.kind in SHARES else one.kind


@dataclass(slots=True)
class InstrumentPlan:
    """Naming -> (instrument, listing), with what is not stored yet."""

    namings: dict[Naming, tuple[UUID, UUID | None]] = field(default_factory=dict)
    multipliers: dict[UUID, Decimal] = field(default_factory=dict)
    new_instruments: list[Instrument] = field(default_factory=list)
    changed_instruments: list[Instrument] = field(default_factory=list)
    new_listings: list[Listing] = field(default_factory=list)
    new_links: list[InstrumentLink] = field(default_factory=list)
    changed_links: list[InstrumentLink] = field(default_factory=list)
    new_identifiers: list[InstrumentIdentifier] = field(default_factory=list)
    gone_identifiers: list[int] = field(default_factory=list)


@dataclass(slots=True)
class KnownInstruments:
    """What is stored: the user's instruments and links, and the catalog's that their identifiers name."""

    instruments: dict[UUID, Instrument]
    listings: dict[UUID, list[Listing]]
    identifiers: dict[UUID, list[InstrumentIdentifier]]
    links: dict[Naming, InstrumentLink]
    catalog: dict[tuple[str, str], set[UUID]]  # (scheme, value) -> instruments
    said: dict[UUID, dict[str, str]] = field(default_factory=dict)  # instrument -> what its user calls it


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
    linked = {link.instrument_id for link in known.links.values()} | {link.own_id for link in known.links.values()}
    claimed: set[UUID] = set()
    for component in together:
        believed = sorted(component, key=lambda one: (source_rank(sources[one.source]), one.key))
        instrument = _catalog_instrument(component, known) or _own_instrument(
            component, believed, known, claimed, linked
        )
        is_new = instrument is None
        if instrument is None:
            instrument = Instrument(id=uuid7(), user_id=user_id)
            plan.new_instruments.append(instrument)
        claimed.add(instrument.pk)
        if instrument.user_id is not None:
            is_unclear = any(one.naming in unclear for one in component)
            is_settled = any(one.naming in settled for one in component)
            said = known.said.get(instrument.pk, {})
            if (
                _describe(instrument, believed, sources, said, is_unclear=is_unclear, is_settled=is_settled)
                and not is_new
            ):
                plan.changed_instruments.append(instrument)
            _plan_identifiers(plan, instrument, component, known)
        plan.multipliers[instrument.pk] = instrument.multiplier
        listings = _plan_listings(plan, instrument, component, known)
        for one in component:
            _plan_link(plan, one, instrument, listings.get(one.naming), known, owns=is_new and one is component[0])
    return plan


def _catalog_instrument(component: Sequence[Named], known: KnownInstruments) -> Instrument | None:
    for one in component:
        for scheme in ("isin", "figi"):
            found = known.catalog.get((scheme, getattr(one, scheme)), set())
            if len(found) == 1:
                return known.instruments[next(iter(found))]
    for one in component:
        if one.symbol and (one.exchange or one.kind == "crypto"):
            found = known.catalog.get(("ticker", f"{one.ticker}@{one.exchange.upper()}"), set())
            if len(found) == 1:
                return known.instruments[next(iter(found))]
    return None


def _own_instrument(
    component: Sequence[Named],
    believed: Sequence[Named],
    known: KnownInstruments,
    claimed: set[UUID],
    linked: set[UUID | None],
) -> Instrument | None:
    """What was made for one of the namings, else what one of them meant before, else one made by hand that
    fits.
    """
    links = [link for one in component if (link := known.links.get(one.naming))]
    for wanted in [link.own_id for link in links] + [link.instrument_id for link in links]:
        if wanted and wanted not in claimed and known.instruments[wanted].user_id is not None:
            return known.instruments[wanted]
    first = believed[0]
    for instrument in sorted(known.instruments.values(), key=lambda one: one.pk):
        if instrument.user_id is None or instrument.pk in linked or instrument.pk in claimed:
            continue
        if any(
            getattr(one, identifier.scheme, None) == identifier.value
            for one in component
            for identifier in known.identifiers.get(instrument.pk, ())
        ):
            return instrument
        has_strong = any(one.scheme in STRONG for one in known.identifiers.get(instrument.pk, ()))
        currencies = {listing.currency for listing in known.listings.get(instrument.pk, ())}
        if (
            not has_strong
            and instrument.symbol.upper() == first.ticker
            and instrument.kind == (first.kind or InstrumentKind.OTHER)
            and (not currencies or (first.currency or first.row_currency) in currencies)
        ):
            return instrument
    return None


def _describe(
    instrument: Instrument,
    believed: Sequence[Named],
    sources: Mapping[UUID, SourceInfo],
    said: Mapping[str, str],
    *,
    is_unclear: bool,
    is_settled: bool,
) -> bool:
    """Set the columns to what the user says, else the most believed source; whether anything changed."""

    def told(name: str) -> str:
        return next((value for one in believed if (value := getattr(one, name))), "")

    is_identified = any(getattr(one, scheme) for one in believed for scheme in STRONG)
    by_hand = all(sources[one.source].by_hand for one in believed)
    values = {
        "symbol": told("symbol") or told("isin") or told("name")[:60] or told("conid"),
        "name": told("name"),
        "kind": told("kind") or InstrumentKind.OTHER,
        "multiplier": next((one.multiplier for one in believed if one.multiplier != 1), Decimal(1)),
        "needs_review": not is_settled
        and (is_unclear or not (is_identified or by_hand or told("kind") in KNOWN_BY_NAME or told("exchange"))),
    } | dict(said)
    changed = [name for name, value in values.items() if getattr(instrument, name) != value]
    for name in changed:
        setattr(instrument, name, values[name])
    return bool(changed)


def _plan_identifiers(
    plan: InstrumentPlan, instrument: Instrument, component: Sequence[Named], known: KnownInstruments
) -> None:
    wanted = {(scheme, value) for one in component for scheme in STRONG if (value := getattr(one, scheme))}
    wanted |= {("ticker", f"{one.ticker}@{one.exchange.upper()}") for one in component if one.symbol}
    stored = {(one.scheme, one.value): one.pk for one in known.identifiers.get(instrument.pk, ())}
    plan.new_identifiers += [
        InstrumentIdentifier(instrument_id=instrument.pk, scheme=scheme, value=value[:100])
        for scheme, value in sorted(wanted - stored.keys())
    ]
    plan.gone_identifiers += [stored[one] for one in stored.keys() - wanted]


def _plan_listings(
    plan: InstrumentPlan, instrument: Instrument, component: Sequence[Named], known: KnownInstruments
) -> dict[Naming, UUID]:
    """The listing of each naming: stated exchange and currency, or the only one of that currency."""
    stored = {(one.exchange.upper(), one.currency): one for one in known.listings.get(instrument.pk, ())}
    exchanges: dict[str, set[str]] = defaultdict(set)
    for exchange, currency in stored if instrument.user_id is None else ():
        exchanges[currency].add(exchange)
    for one in component:
        if one.exchange:
            exchanges[quote_unit(one.currency or one.row_currency)[0]].add(one.exchange.upper())
    chosen: dict[Naming, UUID] = {}
    for one in component:
        code = one.currency or one.row_currency
        currency, factor = quote_unit(code)
        if not currency:
            continue
        exchange = one.exchange.upper()
        if not exchange and len(exchanges[currency]) == 1:
            exchange = next(iter(exchanges[currency]))
        listing = stored.get((exchange, currency))
        if listing is None:
            unit = code if factor != 1 else ""
            listing = Listing(
                id=uuid7(), instrument_id=instrument.pk, exchange=exchange, currency=currency, quote_unit=unit
            )
            stored[(exchange, currency)] = listing
            plan.new_listings.append(listing)
        chosen[one.naming] = listing.pk
    return chosen


def _plan_link(
    plan: InstrumentPlan,
    one: Named,
    instrument: Instrument,
    listing: UUID | None,
    known: KnownInstruments,
    *,
    owns: bool,
) -> None:
    plan.namings[one.naming] = (instrument.pk, listing)
    own = instrument.pk if owns else None
    link = known.links.get(one.naming)
    if link is None:
        plan.new_links.append(
            InstrumentLink(
                source_id=one.source, key=one.key, instrument_id=instrument.pk, listing_id=listing, own_id=own
            )
        )
    elif (link.instrument_id, link.listing_id) != (instrument.pk, listing) or (own and link.own_id is None):
        link.instrument_id, link.listing_id, link.own_id = instrument.pk, listing, link.own_id or own
        plan.changed_links.append(link)


def store_instruments(plan: InstrumentPlan) -> None:
    """Write what `plan_instruments` found missing. Call under the user's ledger lock."""
    Instrument.objects.bulk_create(plan.new_instruments, batch_size=1000)
    if plan.changed_instruments:
        described = ["symbol", "name", "kind", "multiplier", "sector", "country", "needs_review"]
        Instrument.objects.bulk_update(plan.changed_instruments, described, batch_size=1000)
    Listing.objects.bulk_create(plan.new_listings, batch_size=1000)
    InstrumentIdentifier.objects.filter(pk__in=plan.gone_identifiers).delete()
    InstrumentIdentifier.objects.bulk_create(plan.new_identifiers, batch_size=1000)
    InstrumentLink.objects.bulk_create(plan.new_links, batch_size=1000)
    if plan.changed_links:
        InstrumentLink.objects.bulk_update(plan.changed_links, ["instrument", "listing", "own"], batch_size=1000)


def known_instruments(user_id: UUID, names: Iterable[Named]) -> KnownInstruments:
    """Load what `plan_instruments` compares with, in a constant number of queries."""
    names = list(names)
    values = {getattr(one, scheme) for one in names for scheme in ("isin", "figi")} - {""}
    values |= {f"{one.ticker}@{one.exchange.upper()}" for one in names if one.symbol}
    catalog: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    stated = InstrumentIdentifier.objects.filter(instrument__user=None, value__in=values)
    for scheme, value, instrument in stated.values_list("scheme", "value", "instrument"):
        catalog[(scheme, value)].add(instrument)
    shared = {instrument for found in catalog.values() for instrument in found}
    instruments = {one.pk: one for one in Instrument.objects.filter(user=user_id)}
    links = {(link.source_id, link.key): link for link in InstrumentLink.objects.filter(source__user=user_id)}
    shared |= {link.instrument_id for link in links.values() if link.instrument_id not in instruments}
    instruments.update(Instrument.objects.in_bulk(shared))
    listings: dict[UUID, list[Listing]] = defaultdict(list)
    for listing in Listing.objects.filter(instrument__in=list(instruments)).order_by("pk"):
        listings[listing.instrument_id].append(listing)
    identifiers: dict[UUID, list[InstrumentIdentifier]] = defaultdict(list)
    for identifier in InstrumentIdentifier.objects.filter(instrument__user=user_id):
        identifiers[identifier.instrument_id].append(identifier)
    said: dict[UUID, dict[str, str]] = defaultdict(dict)
    facts = InstrumentAttribute.objects.filter(instrument__user=user_id).order_by("number", "pk")
    for instrument_id, key, value in facts.values_list("instrument", "key", "value"):
        said[instrument_id][key] = value
    return KnownInstruments(instruments, listings, identifiers, links, catalog, said)

"""The instruments that are stored, as planning what namings mean compares with them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from federation.models import Instrument, InstrumentAttribute, InstrumentIdentifier, InstrumentLink, Listing
from federation.namings import Named, Piece


@dataclass(slots=True)
class KnownInstruments:
    """What is stored: the user's instruments and links, and the catalog's that their identifiers name."""

    instruments: dict[UUID, Instrument]
    listings: dict[UUID, list[Listing]]
    identifiers: dict[UUID, list[InstrumentIdentifier]]
    links: dict[Piece, InstrumentLink]
    catalog: dict[tuple[str, str], set[UUID]]  # (scheme, value) -> instruments
    said: dict[UUID, dict[str, str]] = field(default_factory=dict)  # instrument -> what its user calls it


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
    links = {
        (link.source_id, link.key, link.valid_from): link
        for link in InstrumentLink.objects.filter(source__user=user_id)
    }
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

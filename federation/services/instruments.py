"""Instruments by hand: what a user names outside any staged row, calls by another name, merges and parts."""

from collections.abc import Sequence
from datetime import date

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import User
from federation import selectors
from federation.errors import UnfitDecision, UnknownInstrument
from federation.models import (
    Decision,
    Instrument,
    InstrumentAttribute,
    InstrumentIdentifier,
    InstrumentKind,
    InstrumentLink,
    Listing,
)
from federation.namings import STRONG
from federation.services.decisions import decide
from federation.services.reconciliation import lock_ledger, reconcile
from ingestion.adapters.base import InstrumentRef
from stackmotive.common.currencies import quote_unit


@transaction.atomic
def ensure_instrument(*, user: User, named: InstrumentRef) -> tuple[Instrument, Listing]:
    """What `named` means to the user, made as a private instrument where nothing is known by it.

    A source that names it later takes it up. Raises AmbiguousInstrument. `named.currency` is required.
    """
    lock_ledger(user.pk)
    try:
        instrument, listing = selectors.resolve_instrument(user, named)
    except UnknownInstrument:
        instrument = Instrument.objects.create(
            user=user,
            kind=named.kind or InstrumentKind.OTHER,
            symbol=named.symbol or named.isin or named.name[:60],
            name=named.name,
            multiplier=named.multiplier,
        )
        InstrumentIdentifier.objects.bulk_create(
            InstrumentIdentifier(instrument=instrument, scheme=scheme, value=value)
            for scheme in STRONG
            if (value := getattr(named, scheme))
        )
        listing = None
    if listing is None:
        currency, factor = quote_unit(named.currency)
        unit = named.currency if factor != 1 else ""
        listing, _ = Listing.objects.get_or_create(
            instrument=instrument, exchange=named.exchange.upper(), currency=currency, defaults={"quote_unit": unit}
        )
    return instrument, listing


CAUSE = "instrument"


def describe_instrument(*, instrument: Instrument, valid_from: date | None = None, **values: str) -> Instrument:
    """Call an instrument of the user's own something else, from a day on. values: symbol, name, kind, sector, country.

    What it was called before stays in its history; every later sync keeps what is said here.
    """
    owner = instrument.user_id
    assert owner is not None  # noqa: S101  # the catalog is nobody's to change
    with transaction.atomic():
        instrument = Instrument.objects.select_for_update().get(pk=instrument.pk)
        changed = {name: value for name, value in values.items() if getattr(instrument, name) != value}
        if changed:
            number = next_fact_number(user_id=owner, cause=CAUSE)
            InstrumentAttribute.objects.bulk_create(
                InstrumentAttribute(instrument=instrument, key=name, value=value, valid_from=valid_from, number=number)
                for name, value in changed.items()
            )
            for name, value in changed.items():
                setattr(instrument, name, value)
            instrument.save(update_fields=list(changed))
    if changed:
        reconcile(owner, cause=CAUSE)
    return instrument


def merge_instruments(*, instrument: Instrument, into: Instrument) -> Decision:
    """Say that two of the user's instruments are one. Raises UnfitDecision."""
    assert instrument.user is not None  # noqa: S101
    if instrument == into:
        raise UnfitDecision("Name two different instruments.")
    first, second = _namings(into), _namings(instrument)
    if not first or not second:
        raise UnfitDecision("Only instruments that sources name can be merged.")
    keys = {"instruments": [*first, *second]}
    return decide(user=instrument.user, kind=Decision.Kind.MERGE_INSTRUMENTS, keys=keys)


def split_instrument(*, instrument: Instrument, namings: Sequence[Sequence[str]]) -> Decision:
    """Say that some of the ways in which sources name an instrument mean another one. Raises UnfitDecision."""
    assert instrument.user is not None  # noqa: S101
    known = _namings(instrument)
    wanted = [list(one) for one in namings]
    if not wanted or any(one not in known for one in wanted) or len(wanted) == len(known):
        raise UnfitDecision("Name some of its namings, not all.", namings=known)
    return decide(user=instrument.user, kind=Decision.Kind.SPLIT_INSTRUMENT, keys={"instruments": wanted})


def _namings(instrument: Instrument) -> list[list[str]]:
    links = InstrumentLink.objects.filter(source__user=instrument.user_id, instrument=instrument).order_by("pk")
    return [[str(source), key] for source, key in links.values_list("source", "key")]

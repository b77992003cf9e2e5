"""Instruments that a user names outside any staged row: for their own prices and lists."""

from django.db import transaction

from accounts.models import User
from federation import selectors
from federation.errors import UnknownInstrument
from federation.instruments import STRONG
from federation.models import Instrument, InstrumentIdentifier, InstrumentKind, Listing
from federation.services.reconciliation import lock_ledger
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

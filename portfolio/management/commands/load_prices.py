"""`manage.py load_prices FILE`: closes that all users share, for instruments of the catalog."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from federation.models import Listing
from ingestion.adapters.base import InstrumentRef
from portfolio import services
from portfolio.observations import StatedPrice, instruments_named, prices_of, read_csv
from stackmotive.common.currencies import quote_unit
from stackmotive.common.problems import BadRequest

MOST_BYTES = 20 * 1024 * 1024


class Command(BaseCommand):
    help = "Load shared closes from a CSV: symbol or isin, exchange (optional), date, close, currency; as traded."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--provider", default="file", help="what the prices are called; 40 characters at most")

    def handle(self, *args: Any, file: Path, provider: str, **options: Any) -> None:
        try:
            if file.stat().st_size > MOST_BYTES:
                raise CommandError(f"{file} is larger than 20 MB: split it.")
            rows = prices_of(
                read_csv(file.read_text("utf-8-sig"), required=("symbol|isin", "date", "close", "currency"))
            )
        except (OSError, UnicodeDecodeError) as exc:
            raise CommandError(f"{file} cannot be read: {exc}") from exc
        except BadRequest as exc:
            told = "; ".join(f"{error.pointer[2:]}: {error.detail}" for error in exc.errors[:5])
            raise CommandError(f"{exc.detail} ({told})") from exc
        listings = {named: shared_listing(*named) for named in instruments_named(rows)}
        count = services.load_shared_prices(
            rows=[(listings[row.instrument, row.currency], row.date, quoted(row)) for row in rows],
            provider=provider[:40],
            basis="traded",
        )
        self.stdout.write(f"{count} of {len(rows)} closes were new.")


def quoted(row: StatedPrice) -> Any:
    return row.close * quote_unit(row.currency)[1]


def shared_listing(named: UUID | InstrumentRef, currency: str) -> UUID:
    """The catalog's listing in the currency's unit. Raises CommandError where it is not known or not the only one."""
    if isinstance(named, UUID):
        raise CommandError("Name instruments by symbol or ISIN.")
    found = Listing.objects.filter(instrument__user=None, currency=quote_unit(currency)[0], quote_unit="")
    if named.isin:
        found = found.filter(instrument__identifiers__scheme="isin", instrument__identifiers__value=named.isin)
    else:
        found = found.filter(instrument__symbol__iexact=named.symbol)
    if named.exchange:
        found = found.filter(exchange__iexact=named.exchange)
    listings = list(found.distinct()[:2])
    word = named.isin or named.symbol
    if not listings:
        raise CommandError(f"The catalog has no listing of {word} in {currency}.")
    if len(listings) > 1:
        raise CommandError(f"{word} has several listings in {currency}: add the column exchange.")
    return listings[0].pk

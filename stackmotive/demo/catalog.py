"""What the demo trades: shared catalog rows with their listings, and the closes of the price table on them."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from federation.models import Instrument, InstrumentIdentifier, InstrumentKind, Listing
from portfolio.services import load_shared_prices
from stackmotive.demo.prices import PriceTable

PROVIDER = "demo"
CURRENCY = "USD"
BENCHMARK = "SP500"


@dataclass(frozen=True, slots=True)
class Known:
    """A listed share, fund or index."""

    symbol: str
    name: str
    isin: str
    exchange: str
    sector: str = ""
    kind: str = InstrumentKind.EQUITY


KNOWN = {
    one.symbol: one
    for one in (
        Known("AAPL", "Apple Inc.", "US0378331005", "NASDAQ", "Information Technology"),
        Known("AMD", "Advanced Micro Devices Inc.", "US0079031078", "NASDAQ", "Information Technology"),
        Known("BAC", "Bank of America Corp.", "US0605051046", "NYSE", "Financials"),
        Known("BBY", "Best Buy Co. Inc.", "US0865161014", "NYSE", "Consumer Discretionary"),
        Known("CVX", "Chevron Corp.", "US1667641005", "NYSE", "Energy"),
        Known("GE", "General Electric Co.", "US3696041033", "NYSE", "Industrials"),
        Known("HD", "Home Depot Inc.", "US4370761029", "NYSE", "Consumer Discretionary"),
        Known("JNJ", "Johnson & Johnson", "US4781601046", "NYSE", "Health Care"),
        Known("JPM", "JPMorgan Chase & Co.", "US46625H1005", "NYSE", "Financials"),
        Known("KO", "Coca-Cola Co.", "US1912161007", "NYSE", "Consumer Staples"),
        Known("LLY", "Eli Lilly & Co.", "US5324571083", "NYSE", "Health Care"),
        Known("MRK", "Merck & Co. Inc.", "US58933Y1055", "NYSE", "Health Care"),
        Known("MSFT", "Microsoft Corp.", "US5949181045", "NASDAQ", "Information Technology"),
        Known("PEP", "PepsiCo Inc.", "US7134481081", "NASDAQ", "Consumer Staples"),
        Known("PFE", "Pfizer Inc.", "US7170811035", "NYSE", "Health Care"),
        Known("PG", "Procter & Gamble Co.", "US7427181091", "NYSE", "Consumer Staples"),
        Known("RRC", "Range Resources Corp.", "US75281A1097", "NYSE", "Energy"),
        Known("UNH", "UnitedHealth Group Inc.", "US91324P1021", "NYSE", "Health Care"),
        Known("WMT", "Walmart Inc.", "US9311421039", "NYSE", "Consumer Staples"),
        Known("XOM", "Exxon Mobil Corp.", "US30231G1022", "NYSE", "Energy"),
        Known("MTUM", "iShares MSCI USA Momentum Factor ETF", "US46432F3964", "BATS", kind=InstrumentKind.ETF),
        Known("QUAL", "iShares MSCI USA Quality Factor ETF", "US46432F3394", "BATS", kind=InstrumentKind.ETF),
        Known("SIZE", "iShares MSCI USA Size Factor ETF", "US46432F3709", "BATS", kind=InstrumentKind.ETF),
        Known("USMV", "iShares MSCI USA Min Vol Factor ETF", "US46429B6974", "BATS", kind=InstrumentKind.ETF),
        Known("VLUE", "iShares MSCI USA Value Factor ETF", "US46432F3881", "BATS", kind=InstrumentKind.ETF),
        Known(BENCHMARK, "S&P 500 index", "", "INDEX", kind=InstrumentKind.OTHER),
    )
}
CONIDS = {symbol: str(900_000_000 + number) for number, symbol in enumerate(KNOWN, start=1)}
"""Made up, like the account that holds them."""


@transaction.atomic
def load_catalog(table: PriceTable) -> int:
    """Make what is missing of the catalog, and take over the closes of `table`; how many were new."""
    listings = {symbol: listing_of(KNOWN[symbol]) for symbol in table.closes if symbol in KNOWN}

    def rows() -> Iterator[tuple[UUID, dt.date, Decimal]]:
        for symbol, listing in listings.items():
            for day, close in table.closes[symbol].items():
                yield listing, day, close

    return load_shared_prices(rows=rows(), provider=PROVIDER, basis="total_return")


def listing_of(known: Known) -> UUID:
    """The listing of a catalog instrument, made on first use."""
    names = {"isin": known.isin} if known.isin else {"ticker": f"{known.symbol}@{known.exchange}"}
    [(scheme, value)] = names.items()
    found = InstrumentIdentifier.objects.filter(instrument__user=None, scheme=scheme, value=value).first()
    if found is None:
        instrument = Instrument.objects.create(
            kind=known.kind, symbol=known.symbol, name=known.name, sector=known.sector, country="US"
        )
        tickers = {("ticker", f"{known.symbol}@{known.exchange}"), (scheme, value)}
        InstrumentIdentifier.objects.bulk_create(
            InstrumentIdentifier(instrument=instrument, scheme=name, value=text) for name, text in sorted(tickers)
        )
        found = InstrumentIdentifier.objects.get(instrument=instrument, scheme=scheme)
    listing, _ = Listing.objects.get_or_create(
        instrument_id=found.instrument_id, exchange=known.exchange, currency=CURRENCY
    )
    return listing.pk

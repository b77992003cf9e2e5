"""The ECB's rates as the demo's brokers used them."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal

from portfolio.ecb import read_rates
from portfolio.fx import RateTable
from portfolio.services.rates import bundled_rates
from stackmotive.demo.story import RateOn

STATED = Decimal("0.00001")


def ecb_dollars() -> RateOn:
    """US dollars for one euro or pound on a day."""
    observed: dict[tuple[str, str], list[tuple[dt.date, Decimal]]] = {("EUR", "USD"): [], ("EUR", "GBP"): []}
    for day, currency, rate in read_rates(bundled_rates()):
        if ("EUR", currency) in observed:
            observed["EUR", currency].append((day, rate))
    table = RateTable(observed)

    def dollars_on(currency: str, day: dt.date) -> Decimal:
        found = table.rate(currency, "USD", day)
        assert found is not None  # noqa: S101  # both are in the table since 1999
        return found.value.quantize(STATED, ROUND_HALF_EVEN)

    return dollars_on

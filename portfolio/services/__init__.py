"""Use cases of figures: recording prices and rates, and refreshing what is computed."""

from portfolio.services.findings import dismiss_finding, restore_finding
from portfolio.services.prices import (
    OwnPrice,
    load_shared_prices,
    record_prices,
    record_stated_prices,
    set_trade_prices,
)
from portfolio.services.rates import OwnRate, load_ecb_rates, record_rates
from portfolio.services.refresh import refresh

__all__ = [
    "OwnPrice",
    "OwnRate",
    "dismiss_finding",
    "load_ecb_rates",
    "load_shared_prices",
    "record_prices",
    "record_rates",
    "record_stated_prices",
    "refresh",
    "restore_finding",
    "set_trade_prices",
]

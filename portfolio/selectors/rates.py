"""Rates of exchange as a user sees them: their own, then the ECB's, then their brokers'."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from django.db.models import Max, Q

from portfolio.fx import HUBS, RateTable
from portfolio.models import BrokerRate, FxRate

Pair = tuple[str, str]
OWN = "own"
ECB = "ecb"


def rate_table(*, user_id: UUID, currencies: Collection[str]) -> RateTable:
    """All rates between `currencies` that count for the user."""
    wanted = frozenset(currencies) | set(HUBS)
    named, columns = Q(base__in=wanted) | Q(quote__in=wanted), ("base", "quote", "date", "rate")
    typed = list(FxRate.objects.filter(named, user_id=user_id).order_by("number", "id").values_list(*columns))
    brokers = BrokerRate.objects.filter(named, user_id=user_id).order_by("-priority", "-source")  # the believed last
    stated = list(brokers.values_list(*columns))
    if not typed and not stated:
        return _shared_table(wanted, shared_rates_number())
    own: dict[Pair, dict[dt.date, Decimal]] = defaultdict(dict)
    market: dict[Pair, dict[dt.date, Decimal]] = defaultdict(dict)
    for base, quote, date, rate in typed:  # one pair written both ways is one pair, the later word counts
        own[quote, base].pop(date, None)
        own[base, quote][date] = rate
    for base, quote, date, rate in stated:
        market[base, quote][date] = rate
    # RateTable lets the later of two spellings of a pair win: brokers first, then the ECB over them.
    merged: dict[Pair, dict[dt.date, Decimal]] = dict(market)
    for pair, observed in _shared_rates(wanted, shared_rates_number()).items():
        turned = merged.get((pair[1], pair[0]), {})
        for date in observed.keys() & turned.keys():
            del turned[date]
        merged[pair] = merged.get(pair, {}) | observed
    return RateTable(
        {pair: list(observed.items()) for pair, observed in merged.items()},
        {pair: list(observed.items()) for pair, observed in own.items()},
    )


def shared_rates_number() -> int:
    """Grows whenever shared rates are loaded."""
    newest: int | None = FxRate.objects.filter(user=None).aggregate(newest=Max("id"))["newest"]
    return newest or 0


def newest_rate_on() -> dt.date | None:
    """The last day of shared rates."""
    newest: dt.date | None = FxRate.objects.filter(user=None).aggregate(newest=Max("date"))["newest"]
    return newest


@lru_cache(maxsize=8)
def _shared_rates(wanted: frozenset[str], number: int) -> dict[Pair, dict[dt.date, Decimal]]:
    found: dict[Pair, dict[dt.date, Decimal]] = defaultdict(dict)
    rows = FxRate.objects.filter(user=None, base__in=wanted, quote__in=wanted).order_by("number", "id")
    for base, quote, date, rate in rows.values_list("base", "quote", "date", "rate").iterator(chunk_size=5000):
        found[base, quote][date] = rate
    return dict(found)


@lru_cache(maxsize=8)
def _shared_table(wanted: frozenset[str], number: int) -> RateTable:
    return RateTable({pair: list(observed.items()) for pair, observed in _shared_rates(wanted, number).items()})

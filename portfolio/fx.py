"""Rates of exchange on plain observations: exact for one day, float64 for a range of days.

A rate is units of the quote currency for one of the base currency. It is looked up on the pair itself where
it was observed, else through EUR where both legs were, else through USD; of the pair and the way through a
hub the newer observation counts, the pair's own first. What was never observed is unknown (None, NaN), never
1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stackmotive.common.currencies import quote_unit

Floats = NDArray[np.float64]
Observations = Mapping[tuple[str, str], Iterable[tuple[date, Decimal]]]

DIGITS: Final = 60
HUBS: Final = ("EUR", "USD")


@dataclass(frozen=True, slots=True)
class Rate:
    """as_of: the day of the older observation it rests on. path: the currencies passed, ends included."""

    value: Decimal
    as_of: date
    path: tuple[str, ...]


class _Pair:
    """Observations of one pair in the order of days, each as (units of the second for one of the first)."""

    __slots__ = ("days", "floats", "ordinals", "rates")

    def __init__(self, observed: Mapping[date, Decimal]) -> None:
        self.days = sorted(observed)
        self.rates = [observed[day] for day in self.days]
        self.ordinals = np.array([day.toordinal() for day in self.days], dtype=np.int64)
        self.floats = np.array([float(rate) for rate in self.rates], dtype=np.float64)


class RateTable:
    """All observed rates that a valuation may use.

    market: observations of providers by (base, quote). own: the user's, which replace the market's of the
    same pair and day. Rates must be above 0.
    """

    def __init__(self, market: Observations, own: Observations | None = None) -> None:
        merged: dict[tuple[str, str], dict[date, Decimal]] = {}
        with localcontext(prec=DIGITS):
            for observations in (market, own or {}):
                for (base, quote), observed in observations.items():
                    is_turned = base > quote
                    column = merged.setdefault((quote, base) if is_turned else (base, quote), {})
                    column.update((day, 1 / rate if is_turned else rate) for day, rate in observed)
        self._pairs = {pair: _Pair(observed) for pair, observed in merged.items() if observed}

    def rate(self, base: str, quote: str, day: date) -> Rate | None:
        """The last rate on or before `day`; None where one was never observed. Quote units (GBX) are
        currencies here.
        """
        (base_currency, base_factor), (quote_currency, quote_factor) = quote_unit(base), quote_unit(quote)
        with localcontext(prec=DIGITS):
            found = self._currency_rate(base_currency, quote_currency, day)
            if found is None or base_factor == quote_factor:
                return found
            return Rate(found.value * base_factor / quote_factor, found.as_of, found.path)

    def column(self, base: str, quote: str, first_day: date, last_day: date) -> Floats:
        """The rate of each calendar day from first_day to last_day, both included; NaN before the first
        observation.
        """
        (base_currency, base_factor), (quote_currency, quote_factor) = quote_unit(base), quote_unit(quote)
        days = np.arange(first_day.toordinal(), last_day.toordinal() + 1)
        rates = self._currency_column(base_currency, quote_currency, days)
        return rates if base_factor == quote_factor else rates * float(base_factor / quote_factor)

    def _hub(self, base: str, quote: str) -> str | None:
        for hub in HUBS:
            if hub not in (base, quote) and self._leg(base, hub) and self._leg(hub, quote):
                return hub
        return None

    def _leg(self, base: str, quote: str) -> bool:
        return (min(base, quote), max(base, quote)) in self._pairs

    def _currency_rate(self, base: str, quote: str, day: date) -> Rate | None:
        if base == quote:
            return Rate(Decimal(1), day, (base,))
        direct = self._observed(base, quote, day)
        hub = self._hub(base, quote)
        if hub is None:
            return direct
        first, second = self._observed(base, hub, day), self._observed(hub, quote, day)
        if first is None or second is None:
            return direct
        as_of = min(first.as_of, second.as_of)
        if direct is not None and direct.as_of >= as_of:
            return direct
        return Rate(first.value * second.value, as_of, (base, hub, quote))

    def _observed(self, base: str, quote: str, day: date) -> Rate | None:
        pair = self._pairs.get((min(base, quote), max(base, quote)))
        place = bisect_right(pair.days, day) if pair else 0
        if pair is None or place == 0:
            return None
        value = pair.rates[place - 1]
        return Rate(value if base < quote else 1 / value, pair.days[place - 1], (base, quote))

    def _currency_column(self, base: str, quote: str, days: NDArray[np.int64]) -> Floats:
        if base == quote:
            return np.ones(days.size)
        direct, direct_as_of = self._observed_column(base, quote, days)
        hub = self._hub(base, quote)
        if hub is None:
            return direct
        first, first_as_of = self._observed_column(base, hub, days)
        second, second_as_of = self._observed_column(hub, quote, days)
        through = first * second
        is_newer = ~np.isnan(through) & (np.minimum(first_as_of, second_as_of) > direct_as_of)
        return np.where(is_newer, through, direct)

    def _observed_column(self, base: str, quote: str, days: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        """Rates and the days they were observed on; NaN and 0 before the first."""
        rates, as_of = np.full(days.size, np.nan), np.zeros(days.size, dtype=np.int64)
        pair = self._pairs.get((min(base, quote), max(base, quote)))
        if pair is not None:
            place = np.searchsorted(pair.ordinals, days, side="right") - 1
            known = place >= 0
            rates[known], as_of[known] = pair.floats[place[known]], pair.ordinals[place[known]]
        return (rates if base < quote else 1 / rates), as_of

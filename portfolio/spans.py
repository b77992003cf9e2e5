"""A growth index cut into months, windows and falls: plain sequences in, fractions out (0.1 is +10 %)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

import numpy as np

from portfolio.returns import DIGITS, Floats, statistics_returns


@dataclass(frozen=True, slots=True)
class Month:
    """Growth from the close before the month, or the opening, to its last close. is_whole: all its days are there."""

    year: int
    month: int
    change: Decimal
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall from a peak until it is reached again. value at or below 0; recovered_on None: not yet."""

    value: float
    peak_on: date
    trough_on: date
    recovered_on: date | None


@dataclass(frozen=True, slots=True)
class Rolling:
    """Figures of the window of days that ends on `date`. sharpe None where the returns do not move."""

    date: date
    change: float
    volatility: float
    sharpe: float | None


def months(days: Sequence[date], index: Sequence[Decimal]) -> list[Month]:
    """days, index: ascending, the first is the opening. Linked, all months make the growth of the whole."""
    found: list[Month] = []
    with localcontext(prec=DIGITS):
        for place in range(1, len(days)):
            day = days[place]
            is_last = place + 1 == len(days) or (days[place + 1].year, days[place + 1].month) != (day.year, day.month)
            if not is_last:
                continue
            first = next(one for one in range(place, 0, -1) if one == 1 or days[one - 1].month != day.month)
            opened, closed = index[first - 1], index[place]
            is_whole = days[first].day == 1 and (date.fromordinal(day.toordinal() + 1).month != day.month)
            found.append(Month(day.year, day.month, closed / opened - 1 if opened else Decimal(0), is_whole))
    return found


def falls(days: Sequence[date], index: Sequence[Decimal], *, most: int) -> list[Fall]:
    """The deepest falls of a growth index, the deepest first; none overlaps another."""
    values = np.array([float(value) for value in index])
    found: list[Fall] = []
    peak = 0
    for place in range(1, values.size + 1):
        is_end = place == values.size
        if not is_end and values[place] < values[peak]:
            continue
        if place - peak > 1:
            trough = peak + int(values[peak:place].argmin())
            depth = float(values[trough] / values[peak] - 1) if values[peak] > 0 else 0.0
            if depth < 0:
                found.append(Fall(depth, days[peak], days[trough], None if is_end else days[place]))
        peak = place
    return sorted(found, key=lambda fall: (fall.value, fall.peak_on))[:most]


def rolling(
    days: Sequence[date], returns: Sequence[float | Decimal | None], *, window: int, crypto_ratio: float
) -> list[Rolling]:
    """One entry for each statistics day with a full window of `window` observations before and on it.

    days: of each return. Volatility and sharpe are a year's.
    """
    kept = [day for day in days if crypto_ratio > 0.5 or day.weekday() < 5]
    observed, periods = statistics_returns(days, returns, crypto_ratio=crypto_ratio)
    if observed.size < window or window < 2:
        return []
    kept = kept[-observed.size :]
    if len(kept) < observed.size:
        return []
    frames: Floats = np.lib.stride_tricks.sliding_window_view(observed, window)
    changes = np.prod(1 + frames, axis=1) - 1
    deviations = frames.std(axis=1, ddof=1)
    means = frames.mean(axis=1)
    found = []
    for place, (change, deviation, mean) in enumerate(zip(changes, deviations, means, strict=True)):
        ratio = None if deviation <= 1e-15 else float(mean / deviation * np.sqrt(periods))
        found.append(Rolling(kept[place + window - 1], float(change), float(deviation * np.sqrt(periods)), ratio))
    return found

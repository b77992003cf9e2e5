"""One holding's closes with what the ledger knows about them: last trades where nobody quotes, splits of its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from portfolio.series import Closes, Floats

NO_CLOSES = np.array([], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Quoted:
    """closes: one for each day from the first observation to the last day asked for, repeated and adjusted for splits
    since. trades: days whose observation is a trade of the user's.
    """

    closes: Closes
    trades: dict[date, Decimal]
    observed_on: date  # the last observation on or before the last day
    ratio: Decimal  # by which splits since then divide it


def quoted(
    *,
    first_day: date | None,
    closes: Floats,
    trades: Sequence[tuple[date, Decimal]],
    splits: Sequence[tuple[date, Decimal]],
    until: date,
    horizon: int,
) -> Quoted | None:
    """closes: one a day from first_day, NaN where none was observed. trades: (day, price in the closes' unit),
    ascending.

    A trade counts only where no close was observed within the horizon before it, and never at a price of 0. A close
    carried over a split is divided by its ratio. None where nothing was ever observed up to `until`.
    """
    known_trades = {day: price for day, price in trades if price > 0 and day <= until}
    starts = [day for day in (first_day, min(known_trades, default=None)) if day is not None]
    if not starts or min(starts) > until:
        return None
    start = min(starts)
    days = (until - start).days + 1
    column = np.full(days, np.nan)
    if first_day is not None:
        offset = (first_day - start).days
        taken = closes[: max(days - offset, 0)]
        column[offset : offset + taken.size] = taken
    plain = Closes.observed(start, column)
    used: dict[date, Decimal] = {}
    for day, price in known_trades.items():
        place = (day - start).days
        if np.isnan(plain.values[place]) or plain.ages[place] > horizon:
            column[place] = float(price)
            used[day] = price
    places = np.flatnonzero(~np.isnan(column))
    if not places.size:
        return None
    filled = Closes.observed(start, column)
    values, ratio = filled.values.copy(), Decimal(1)
    last = int(places[-1])
    for day, split in splits:
        place = (day - start).days
        if split <= 0 or place >= days or place < 0:
            continue
        following = places[places >= place]
        end = int(following[0]) if following.size else days
        values[place:end] /= float(split)
        if not following.size:
            ratio *= split
    return Quoted(Closes(start, values, filled.ages), used, date.fromordinal(start.toordinal() + last), ratio)

"""Daily series in float64: quantities as they stand at the close of each day, times closes.

Days are calendar days, columns run from a first to a last day, both included. NaN is an unknown value: a holding
without a close yet. 0 is only what is not held.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RUNS: Final = b"\x01"  # begins what `pack_runs` made, whose length is never one of whole doubles


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes as traded, one for each calendar day from first_day, each repeated until the next was observed.

    ages: days since the observation. values: NaN before the first one.
    """

    first_day: date
    values: Floats
    ages: NDArray[np.int32]

    @classmethod
    def observed(cls, first_day: date, closes: Floats) -> Closes:
        """From one close for each calendar day, NaN where none was observed (what `pack` keeps)."""
        places = np.flatnonzero(~np.isnan(closes))
        values, ages = np.full(closes.size, np.nan), np.zeros(closes.size, dtype=np.int32)
        if places.size:
            runs = np.diff(np.append(places, closes.size))
            values[places[0] :] = np.repeat(closes[places], runs)
            ages[places[0] :] = np.arange(places[0], closes.size, dtype=np.int32)
            ages[places[0] :] -= np.repeat(places.astype(np.int32), runs)
        return cls(first_day, values, ages)


def stepped(steps: Iterable[tuple[date, Decimal]], *, first_day: date, last_day: date) -> Floats:
    """On each day the level of the last step on or before it, 0 before the first. steps: in the order of days."""
    first, size = first_day.toordinal(), last_day.toordinal() - first_day.toordinal() + 1
    rows = list(steps)
    places = np.array([max(day.toordinal() - first, 0) for day, _ in rows], dtype=np.int64)
    levels = np.array([float(level) for _, level in rows], dtype=np.float64)
    column = np.zeros(size)
    if places.size:
        column[places[0] :] = np.repeat(levels, np.diff(places, append=size))
    return column


def worth(
    quantity: Floats, closes: Closes | None, *, first_day: date, factor: float, horizon: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """What units are worth at the close of each day from first_day, in the quotes' currency, and whether the close is
    inside its horizon of days. Unknown is NaN; nothing held is worth nothing, priced or not. factor: multiplier times
    quote unit.
    """
    value, is_fresh = np.empty(quantity.size), np.ones(quantity.size, dtype=np.bool_)
    _place_closes(closes, first_day, value, is_fresh, factor=factor, horizon=horizon)
    value *= quantity
    is_idle = quantity == 0
    value[is_idle] = 0.0
    return value, is_fresh | is_idle


def _place_closes(
    closes: Closes | None, first_day: date, prices: Floats, is_fresh: NDArray[np.bool_], *, factor: float, horizon: int
) -> None:
    """Write closes into a row of prices; the last one is repeated at any age."""
    if closes is None or not closes.values.size:
        prices[:], is_fresh[:] = np.nan, False
        return
    offset = closes.first_day.toordinal() - first_day.toordinal()
    start, end = max(offset, 0), min(max(offset + closes.values.size, 0), prices.size)
    prices[:start], is_fresh[:start] = np.nan, False
    if start < end:
        taken = slice(start - offset, end - offset)
        np.multiply(closes.values[taken], factor, out=prices[start:end])
        is_fresh[start:end] = closes.ages[taken] <= horizon
    after = max(start, end)
    if after < prices.size:
        prices[after:] = closes.values[-1] * factor
        since = np.arange(after, prices.size) - (offset + closes.values.size - 1)
        is_fresh[after:] = since + closes.ages[-1] <= horizon


# Kept series


def pack(values: Floats) -> bytes:
    """Doubles, little-endian, one for each day."""
    return values.astype("<f8").tobytes()


def pack_runs(values: Floats) -> bytes:
    """The same days shorter, where a value mostly is that of the day before: RUNS, how many days there are, on which
    of them a run of equal doubles begins (both as 4 bytes, little-endian), and the runs' doubles. `pack` where that
    is no longer. The bytes follow from the doubles alone.
    """
    bits = np.ascontiguousarray(values, dtype="<f8").view("<i8")  # so that NaN equals itself
    starts = np.append([0] * (values.size > 0), np.flatnonzero(bits[1:] != bits[:-1]) + 1).astype(np.int64)
    if 5 + 12 * starts.size >= 8 * values.size:
        return pack(values)
    head = np.array([values.size], dtype="<u4").tobytes()
    return RUNS + head + starts.astype("<u4").tobytes() + bits[starts].tobytes()


def unpack(packed: bytes | memoryview) -> Floats:
    """What `pack` or `pack_runs` made; read-only. Raises ValueError for what neither made."""
    if len(packed) % 8 == 0:
        return np.frombuffer(packed, dtype="<f8").astype(np.float64, copy=False)
    count, rest = divmod(len(packed) - 5, 12)
    if rest or count < 1 or bytes(packed[:1]) != RUNS:
        raise ValueError("These bytes are no packed series.")
    size = int(np.frombuffer(packed, dtype="<u4", count=1, offset=1)[0])
    starts = np.frombuffer(packed, dtype="<u4", count=count, offset=5).astype(np.int64)
    values = np.frombuffer(packed, dtype="<f8", count=count, offset=5 + 4 * count)
    column = np.repeat(values, np.diff(starts, append=size)).astype(np.float64, copy=False)
    column.flags.writeable = False
    return column


def window(values: Floats, *, stored_from: date, first_day: date, last_day: date) -> Floats:
    """The days asked for of a stored column; NaN for those outside it."""
    offset = stored_from.toordinal() - first_day.toordinal()
    column = np.full(last_day.toordinal() - first_day.toordinal() + 1, np.nan)
    start, end = max(offset, 0), min(offset + values.size, column.size)
    if start < end:
        column[start:end] = values[start - offset : end - offset]
    return column


def chart_places(values: Floats, *, points: int) -> Integers:
    """Which elements a chart of at most `points` shows: first, last, and each bucket's least and greatest."""
    if points < 2:
        raise ValueError("a chart needs at least 2 points")
    if values.size <= points:
        return np.arange(values.size)
    buckets = (points - 2) // 2
    places = {0, values.size - 1}
    edges = np.linspace(1, values.size - 1, buckets + 1).astype(np.int64)
    for start, end in pairwise(edges.tolist() if buckets else []):
        bucket = values[start:end]
        if bucket.size and not np.isnan(bucket).all():
            places |= {start + int(np.nanargmin(bucket)), start + int(np.nanargmax(bucket))}
        elif bucket.size:
            places.add(start)  # a bucket of unknown values stays a gap in the chart
    return np.array(sorted(places), dtype=np.int64)

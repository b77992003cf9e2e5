"""Daily value series in float64: quantities summed over days, times closes, times rates.

Days are calendar days, columns run from a first to a last day, both included. Money is in the holding's own
currency until it is totaled in base. NaN is an unknown value: a holding without a close yet, a currency
without a rate. A total sums what is known and says how much of it rests on fresh prices; 0 is only what is
not held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
FlowKind = Literal["external", "internal", "income", "fees"]

MAX_CELLS: Final = 32_000_000  # of one block of holdings x days: 256 MB a matrix
RUNS: Final = b"\x01"  # begins what `pack_runs` made, whose length is never one of whole doubles
DUST: Final = 1e-13  # what float sums of equal ins and outs leave, beside all units that moved


@dataclass(frozen=True, slots=True)
class Events:
    """Dated amounts in any order; several of one day add up. days are ordinals (`date.toordinal`)."""

    days: Integers
    amounts: Floats

    @classmethod
    def of(cls, dated: Iterable[tuple[date, Decimal | float]]) -> Events:
        rows = list(dated)
        return cls(
            np.array([day.toordinal() for day, _ in rows], dtype=np.int64),
            np.array([float(amount) for _, amount in rows], dtype=np.float64),
        )

    def column(self, first_day: date, last_day: date) -> Floats:
        """Their sum on each day of the range."""
        first = first_day.toordinal()
        column = np.zeros(last_day.toordinal() - first + 1)
        inside = (self.days >= first) & (self.days < first + column.size)
        np.add.at(column, self.days[inside] - first, self.amounts[inside])
        return column


NO_EVENTS: Final = Events(np.array([], dtype=np.int64), np.array([], dtype=np.float64))


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

    @classmethod
    def of(cls, dated: Iterable[tuple[date, Decimal | float]]) -> Closes | None:
        """From single observations; None for none."""
        rows = {day.toordinal(): float(close) for day, close in dated}
        if not rows:
            return None
        first = min(rows)
        closes = np.full(max(rows) - first + 1, np.nan)
        closes[np.array(list(rows)) - first] = list(rows.values())
        return cls.observed(date.fromordinal(first), closes)


@dataclass(frozen=True, slots=True)
class Holding:
    """One instrument or cash currency in one account.

    currency: of its value and flows. quantity: signed changes. opening_quantity: held before the first day
    asked for; None sums the earlier changes, a number replaces them (to go on from a stored series). splits:
    new units for one old at the start of the day, only those that `quantity` does not hold as a change.
    closes: None for an instrument never priced. factor: multiplier times quote unit. horizon: days for which
    a close counts as fresh. external: flows over the portfolio's border, + into the holding. internal:
    between holdings of the portfolio, + into this one (a purchase). income, fees: positive.
    """

    account: str
    asset: str
    currency: str
    quantity: Events
    closes: Closes | None = None
    is_cash: bool = False
    opening_quantity: float | None = None
    splits: Events = NO_EVENTS
    factor: float = 1.0
    horizon: int = 7
    flows: Mapping[FlowKind, Events] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Series of some holdings: matrices of holdings x days. value: in each holding's currency, NaN unknown.

    is_fresh: the close of the day is inside the holding's horizon (True for cash and where nothing is held).
    """

    holdings: tuple[Holding, ...]
    first_day: date
    last_day: date
    quantity: Floats
    value: Floats
    is_fresh: NDArray[np.bool_]

    def flow(self, row: int, kind: FlowKind) -> Floats:
        """The daily flow of one holding in its currency."""
        return self.holdings[row].flows.get(kind, NO_EVENTS).column(self.first_day, self.last_day)


@dataclass(frozen=True, slots=True)
class Totals:
    """Daily sums of holdings in base currency; one element a day.

    value: of what is known, NaN where something is held and nothing known. inflow, outflow: external, both
    positive. border: signed flow between what is measured and holdings of unknown value: what was paid into
    them leaves, their first known value enters; returns count it as external. coverage: known value with a
    fresh price over all known value (sizes, so that shorts do not cancel); 1 where nothing is held, NaN where
    nothing is known. unknown: how many holdings have no value that day. unpriced: (account, asset) of those
    without a value on the last day.
    """

    first_day: date
    value: Floats
    inflow: Floats
    outflow: Floats
    border: Floats
    internal: Floats
    income: Floats
    fees: Floats
    coverage: Floats
    unknown: Integers
    unpriced: tuple[tuple[str, str], ...]


def build_blocks(
    holdings: Sequence[Holding], *, first_day: date, last_day: date, max_cells: int = MAX_CELLS
) -> Iterator[Block]:
    """Quantity and value of every holding on every day, in blocks of at most `max_cells` cells."""
    days = last_day.toordinal() - first_day.toordinal() + 1
    size = max(1, max_cells // max(1, days))
    for start in range(0, len(holdings), size):
        yield _block(tuple(holdings[start : start + size]), first_day, last_day)


def _block(holdings: tuple[Holding, ...], first_day: date, last_day: date) -> Block:
    quantity = _quantities(holdings, first_day, last_day)
    prices = np.ones(quantity.shape)
    is_fresh = np.ones(quantity.shape, dtype=np.bool_)
    for row, holding in enumerate(holdings):
        if not holding.is_cash:
            _place_closes(holding, first_day, prices[row], is_fresh[row])
    prices *= quantity
    is_idle = quantity == 0
    prices[is_idle] = 0.0  # nothing held is worth nothing, priced or not
    is_fresh |= is_idle
    return Block(holdings, first_day, last_day, quantity, prices, is_fresh)


def _quantities(holdings: tuple[Holding, ...], first_day: date, last_day: date) -> Floats:
    """Units at the close of each day. A split counts before the day's other changes."""
    first, days = first_day.toordinal(), last_day.toordinal() - first_day.toordinal() + 1
    counts = [holding.quantity.days.size for holding in holdings]
    rows = np.repeat(np.arange(len(holdings)), counts)
    moved_on = np.concatenate([NO_EVENTS.days, *(holding.quantity.days for holding in holdings)]) - first
    amounts = np.concatenate([NO_EVENTS.amounts, *(holding.quantity.amounts for holding in holdings)])
    quantity = np.zeros((len(holdings), days))
    inside = (moved_on >= 0) & (moved_on < days)
    np.add.at(quantity, (rows[inside], moved_on[inside]), amounts[inside])
    moved = np.zeros(len(holdings))
    np.add.at(moved, rows, np.abs(amounts))
    for row, holding in enumerate(holdings):
        opening = holding.opening_quantity
        if opening is None:
            opening = _held_before(holding, first)
        if holding.splits.days.size:
            ratio = np.ones(days)
            on = holding.splits.days - first
            within = (on >= 0) & (on < days)
            np.multiply.at(ratio, on[within], holding.splits.amounts[within])
            units = np.cumprod(ratio)
            quantity[row] = (opening + np.cumsum(quantity[row] / units)) * units
            moved[row] *= units.max()
        else:
            quantity[row, 0] += opening
            np.cumsum(quantity[row], out=quantity[row])
        moved[row] += abs(opening)
    quantity[np.abs(quantity) <= DUST * moved[:, None]] = 0.0
    return quantity


def _held_before(holding: Holding, first: int) -> float:
    """Units held before the day `first`, in units of the day before it."""
    earlier = holding.quantity.days < first
    days, amounts = holding.quantity.days[earlier], holding.quantity.amounts[earlier]
    held = amounts.copy()
    for day, ratio in zip(holding.splits.days, holding.splits.amounts, strict=True):
        if day < first:
            held[days < day] *= ratio
    return float(held.sum())


def _place_closes(holding: Holding, first_day: date, prices: Floats, is_fresh: NDArray[np.bool_]) -> None:
    """Write the holding's closes into its row of prices; the last one is repeated at any age."""
    closes = holding.closes
    if closes is None or not closes.values.size:
        prices[:], is_fresh[:] = np.nan, False
        return
    offset = closes.first_day.toordinal() - first_day.toordinal()
    start, end = max(offset, 0), min(max(offset + closes.values.size, 0), prices.size)
    prices[:start], is_fresh[:start] = np.nan, False
    if start < end:
        taken = slice(start - offset, end - offset)
        np.multiply(closes.values[taken], holding.factor, out=prices[start:end])
        is_fresh[start:end] = closes.ages[taken] <= holding.horizon
    after = max(start, end)
    if after < prices.size:
        prices[after:] = closes.values[-1] * holding.factor
        since = np.arange(after, prices.size) - (offset + closes.values.size - 1)
        is_fresh[after:] = since + closes.ages[-1] <= holding.horizon


def daily_totals(blocks: Iterable[Block], *, rates: Mapping[str, Floats], first_day: date, last_day: date) -> Totals:
    """Sum holdings in base. rates: base currency for one unit of each currency, a column over the same days.

    To total from a day on, begin one day earlier and drop that first element: whether a value was known the
    day before decides `border`.
    """
    days = last_day.toordinal() - first_day.toordinal() + 1
    value, size, fresh_size, border = np.zeros(days), np.zeros(days), np.zeros(days), np.zeros(days)
    flows = {name: np.zeros(days) for name in ("inflow", "outflow", "internal", "income", "fees")}
    unknown = np.zeros(days, dtype=np.int64)
    unpriced: list[tuple[str, str]] = []
    for block in blocks:
        for currency in sorted({holding.currency for holding in block.holdings}):
            rate = rates[currency]
            has_rate = ~np.isnan(rate)
            known_rate = np.where(has_rate, rate, 0.0)
            rows = [row for row, holding in enumerate(block.holdings) if holding.currency == currency]
            values = block.value if len(rows) == len(block.holdings) else block.value[rows]
            sizes = np.abs(values)
            fresh = block.is_fresh if len(rows) == len(block.holdings) else block.is_fresh[rows]
            row_sums = values.sum(axis=1)
            gaps = np.flatnonzero(np.isnan(row_sums)) if has_rate.all() else np.arange(len(rows))
            if gaps.size:
                values = np.nan_to_num(values, nan=0.0)
                sizes = np.abs(values)
            value += values.sum(axis=0) * known_rate
            size += sizes.sum(axis=0) * known_rate
            fresh_size += np.einsum("ij,ij->j", sizes, fresh) * known_rate
            for place in gaps:
                row = rows[place]
                is_unknown = np.isnan(block.value[row]) | ~has_rate & (block.quantity[row] != 0)
                unknown += is_unknown
                border += _border(block, row, is_unknown) * known_rate
                if is_unknown[-1]:
                    unpriced.append((block.holdings[row].account, block.holdings[row].asset))
            for row in rows:
                _add_flows(block, row, known_rate, flows)
    is_known = (unknown == 0) | (size > 0)
    coverage = np.divide(fresh_size, size, out=np.where(unknown == 0, 1.0, np.nan), where=size > 0)
    return Totals(
        first_day=first_day,
        value=np.where(is_known, value, np.nan),
        border=border,
        coverage=np.minimum(coverage, 1.0),
        unknown=unknown,
        unpriced=tuple(sorted(unpriced)),
        **flows,
    )


def _border(block: Block, row: int, is_unknown: NDArray[np.bool_]) -> Floats:
    """What crosses into and out of the measured portfolio because of one holding of unknown value."""
    entering = block.flow(row, "internal") + block.flow(row, "external")
    border = np.where(is_unknown, -entering, 0.0)
    first_known = np.flatnonzero(is_unknown[:-1] & ~is_unknown[1:]) + 1
    border[first_known] = block.value[row, first_known] - entering[first_known]
    return border


def _add_flows(block: Block, row: int, rate: Floats, flows: Mapping[str, Floats]) -> None:
    for kind in block.holdings[row].flows:
        amounts = block.flow(row, kind) * rate
        if kind == "external":
            flows["inflow"][:] += np.maximum(amounts, 0)
            flows["outflow"][:] += np.maximum(-amounts, 0)
        else:
            flows[kind][:] += amounts


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
    starts = np.append(0, np.flatnonzero(bits[1:] != bits[:-1]) + 1) if values.size else NO_EVENTS.days
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


def spliced(values: Floats, *, stored_from: date, fresh: Floats, fresh_from: date) -> Floats:
    """A stored column with everything from fresh_from on replaced. Raises ValueError for a gap between the
    two.
    """
    kept = fresh_from.toordinal() - stored_from.toordinal()
    if not 0 <= kept <= values.size:
        raise ValueError(f"the series stored from {stored_from} does not reach {fresh_from}")
    return np.concatenate([values[:kept], fresh])


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

"""How each instrument did over a period, from the packed series: its line for a small chart, and its return."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import numpy as np

from accounts.models import User
from portfolio.models import ValueSeries
from portfolio.selectors.scope import account_filter
from portfolio.series import Floats, unpack, window

LINE_POINTS = 40


@dataclass(frozen=True, slots=True)
class HoldingReturn:
    """In base currency, flows at the end of their day, splits included. change: a fraction. line: growth of 1."""

    change: Decimal
    line: tuple[Decimal, ...]


def holding_returns(
    *, user: User, start: dt.date | None, end: dt.date, account: UUID | None = None
) -> dict[UUID, HoldingReturn]:
    """By instrument, summed over accounts; none for one without a value in the period."""
    stored = ValueSeries.objects.visible_to(user).filter(instrument__isnull=False, **account_filter(account))
    rows = list(stored.only("instrument_id", "first_day", "value", "external_flow", "internal_flow"))
    if not rows:
        return {}
    first = start or min(row.first_day for row in rows)
    if first >= end:
        return {}
    days = (end - first).days + 1
    values: dict[UUID, Floats] = defaultdict(lambda: np.zeros(days))
    flows: dict[UUID, Floats] = defaultdict(lambda: np.zeros(days))
    for row in rows:
        if row.instrument_id is None:
            continue

        def part(packed: bytes, stored_from: dt.date = row.first_day) -> Floats:
            return window(unpack(packed), stored_from=stored_from, first_day=first, last_day=end)

        worth = part(row.value)
        before = (row.first_day - first).days
        worth[: max(0, before)] = 0.0  # not held yet, which is known
        values[row.instrument_id] = values[row.instrument_id] + worth
        for packed in (row.external_flow, row.internal_flow):
            flows[row.instrument_id] = flows[row.instrument_id] + np.nan_to_num(part(packed))
    found = {}
    for instrument, worth in values.items():
        grown = growth(worth, flows[instrument])
        if grown is not None:
            places = np.linspace(0, days - 1, min(LINE_POINTS, days)).astype(int)
            line = tuple(Decimal(repr(float(grown[place]))) for place in places)
            found[instrument] = HoldingReturn(Decimal(repr(float(grown[-1]))) - 1, line)
    return found


def growth(values: Floats, flows: Floats) -> Floats | None:
    """Growth of 1 day by day; a day that opens at nothing or is unknown changes nothing. None where none counts."""
    opened, closed = values[:-1], values[1:] - flows[1:]
    counts = ~np.isnan(opened) & ~np.isnan(closed) & (opened > 0)
    if not counts.any():
        return None
    factors = np.ones(values.size)
    np.divide(closed, opened, out=factors[1:], where=counts)
    return np.cumprod(factors).astype(np.float64)

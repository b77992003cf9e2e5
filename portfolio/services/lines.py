"""Holdings with how they are quoted and what they were worth on each day."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import numpy as np

from federation.models import Listing
from portfolio.ledger_rows import Holding, LedgerRow
from portfolio.selectors.prices import (
    TRADE,
    Close,
    PackedCloses,
    horizon,
    newest_closes,
    packed_closes,
    uses_trade_prices,
)
from portfolio.series import Floats, stepped, worth
from portfolio.services.drafts import Figures, Line, Series
from portfolio.valued import NO_CLOSES, quoted
from stackmotive.common.currencies import quote_unit

ZERO = Decimal(0)


def add_lines(
    figures: Figures, listings: Mapping[Holding, UUID], by_instrument: Mapping[UUID, Sequence[Listing]]
) -> None:
    """How each holding that is computed is quoted."""
    holdings = {
        Holding(UUID(account), instrument) for instrument, found in figures.held.items() for account in found.steps
    }
    holdings |= {one for one in figures.flows.by_holding if one.instrument is not None}
    every_listing = {listing.pk for found in by_instrument.values() for listing in found}
    packed = packed_closes(user_id=figures.user.pk, listing_ids=every_listing)
    last = newest_closes(user_id=figures.user.pk, packed=packed, day=figures.today)
    uses_trades = uses_trade_prices(user_id=figures.user.pk)
    rows_of: dict[UUID, list[LedgerRow]] = defaultdict(list)
    for row in figures.rows:
        if row.instrument:
            rows_of[row.instrument].append(row)
    for holding in holdings:
        if holding.instrument is not None:
            figures.lines[holding] = _line(
                figures, holding, listings.get(holding), by_instrument.get(holding.instrument, ()), packed, last,
                rows_of[holding.instrument], uses_trades=uses_trades,
            )  # fmt: skip


def _line(
    figures: Figures,
    holding: Holding,
    preferred: UUID | None,
    listings: Sequence[Listing],
    packed: Mapping[UUID, PackedCloses],
    last: Mapping[UUID, Close],
    rows: Sequence[LedgerRow],
    *,
    uses_trades: bool,
) -> Line:
    own = [row for row in rows if row.account == holding.account]
    # The listing it was traded on; one that has prices goes before one that has none.
    ranked = sorted(listings, key=lambda one: (one.pk not in last, one.pk != preferred))
    chosen = ranked[0] if ranked else None
    if chosen is not None and chosen.pk not in last and preferred:
        chosen = next((one for one in ranked if one.pk == preferred), chosen)
    kind = chosen.instrument.kind if chosen else "other"
    currency = chosen.currency if chosen else (own or list(rows))[-1].currency
    unit = quote_unit(chosen.quote_unit)[1] if chosen and chosen.quote_unit else Decimal(1)
    fresh_for = horizon(kind)
    trades = [
        (row.day, row.price / unit)
        for row in rows
        if uses_trades and row.kind in ("buy", "sell") and row.price and row.currency == currency
    ]
    kept = packed.get(chosen.pk) if chosen else None
    found = quoted(
        first_day=kept.first_day if kept else None,
        closes=kept.closes if kept else NO_CLOSES,
        trades=trades,
        splits=_splits(figures, holding, rows),
        until=figures.today,
        horizon=fresh_for,
    )
    close = None
    if found is not None:
        trade = found.trades.get(found.observed_on)
        stored = last.get(chosen.pk) if chosen else None
        price, provider = (
            (trade, TRADE) if trade is not None else (stored.close, stored.provider) if stored else (None, "")
        )
        if price is not None:
            close = Close(found.observed_on, price * unit / found.ratio, provider)
    return Line(
        holding, kind, chosen.pk if chosen else None, currency, rows[0].multiplier if rows else Decimal(1), unit, found,
        close, fresh_for,
    )  # fmt: skip


def _splits(figures: Figures, holding: Holding, rows: Sequence[LedgerRow]) -> list[tuple[dt.date, Decimal]]:
    """New units for one old by day, as any account's row states it."""
    ratios: dict[dt.date, Decimal] = {}
    for row in rows:
        if row.kind != "split":
            continue
        if row.ratio:
            ratios.setdefault(row.day, row.ratio)
        elif row.day not in ratios and row.quantity and row.instrument:
            steps = figures.held[row.instrument].steps.get(str(row.account), [])
            before = [step.quantity for step in steps if step.day < row.day]
            if before and before[-1] and (before[-1] + row.quantity) / before[-1] > 0:
                ratios[row.day] = (before[-1] + row.quantity) / before[-1]
    return sorted(ratios.items())


def add_series(figures: Figures) -> None:
    """The days of every line that has none yet, each from the first on which something happened to it."""
    columns: dict[str, Floats] = {}
    first_day = min((row.day for row in figures.rows), default=figures.today)
    for line in figures.lines.values():
        if line.holding in figures.series or line.holding.instrument is None:
            continue
        if line.currency not in columns:
            columns[line.currency] = figures.rates.column(line.currency, figures.base, first_day, figures.today)
        start = first_day_of(figures, line.holding)
        rates = columns[line.currency][(start - first_day).days :]
        figures.series[line.holding] = _series(figures, line, start, rates)


def _series(figures: Figures, line: Line, start: dt.date, rates: Floats) -> Series:
    steps = figures.steps(line.holding)
    quantity = stepped([(step.day, step.quantity) for step in steps], first_day=start, last_day=figures.today)
    value, is_fresh = worth(
        quantity,
        line.quoted.closes if line.quoted else None,
        first_day=start,
        factor=float(line.factor),
        horizon=line.horizon,
    )
    in_base = np.where(quantity == 0, 0.0, value * rates)
    return Series(line, start, quantity, in_base, is_fresh & ~np.isnan(in_base))


def first_day_of(figures: Figures, holding: Holding) -> dt.date:
    days = [step.day for step in figures.steps(holding)[:1]]
    days += [min(dated) for dated in figures.flows.by_holding.get(holding, {}).values() if dated]
    days += [day for day, *_ in figures.flows.in_kind.get(holding, [])]
    return min(days, default=figures.today)


def add_in_kind_flows(figures: Figures) -> None:
    """Units that crossed the border, valued at the close of their day; nothing where it had none."""
    for holding, crossings in figures.flows.in_kind.items():
        line = figures.lines.get(holding)
        if line is None or line.quoted is None:
            continue
        closes = line.quoted.closes
        for day, units, kind, is_paired in crossings:
            place = (day - closes.first_day).days
            rate = figures.rate(line.currency, day)
            if place < 0 or rate is None or np.isnan(closes.values[place]):
                continue
            # repr gives the shortest decimal that is this double: the recorded close, where it has 15 digits or fewer.
            worth = units * Decimal(repr(float(closes.values[place]))) * line.factor * rate
            figures.flows.add(holding, kind, day, worth)
            if is_paired:
                figures.flows.add(holding, "transfer", day, worth)


def add_borders(figures: Figures, holdings: Iterable[Holding]) -> None:
    """What crosses to and from holdings without a value: money paid in leaves, the first value enters."""
    for holding in holdings:
        series = figures.series[holding]
        is_unknown = np.isnan(series.value)
        if not is_unknown.any():
            continue
        flows = figures.flows.by_holding.get(holding, {})
        entering: dict[dt.date, Decimal] = defaultdict(Decimal)
        for kind in ("internal", "external"):
            for day, amount in flows.get(kind, {}).items():
                entering[day] += amount
        for day, amount in entering.items():
            place = (day - series.first_day).days
            if place >= 0 and is_unknown[place]:
                series.border[day] = -amount
        for first in np.flatnonzero(is_unknown[:-1] & ~is_unknown[1:]) + 1:
            day = series.first_day + dt.timedelta(days=int(first))
            value = Decimal(repr(float(series.value[first])))
            series.border[day] = value - entering.get(day, ZERO)

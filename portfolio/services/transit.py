"""What is on its way between two accounts of a user: in neither of them, but in the total (DESIGN 5.10).

Each leg of a linked transfer carries its units, with the other sign, from its day until the last leg's: what left is
in transit until it arrives, and what arrived a day early is taken off until it leaves. Over all accounts that is what
is on its way, valued at the close of each day.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import numpy as np

from portfolio.ledger_rows import Holding, LedgerRow, cash_moves
from portfolio.services.drafts import Figures

ONE_DAY = dt.timedelta(days=1)


def in_transit(figures: Figures, account: UUID) -> dict[dt.date, Decimal]:
    """Day -> base value of what legs of `account` have on its way at the close; without what has no price or rate."""
    found: dict[dt.date, Decimal] = defaultdict(Decimal)
    until = figures.touched.until
    for row in figures.rows:
        if row.account == account and row.id in until and row.day < until[row.id]:
            for day, worth in _worths(figures, row, until[row.id]):
                found[day] += worth
    return found


def _worths(figures: Figures, row: LedgerRow, until: dt.date) -> Iterator[tuple[dt.date, Decimal]]:
    for day in (row.day + ONE_DAY * offset for offset in range((min(until, figures.today + ONE_DAY) - row.day).days)):
        if row.instrument is None:
            amounts = _crossing(row) if row.is_tracked else {}
            rates = [(amount, figures.rate(currency, day)) for currency, amount in amounts.items()]
            yield day, -sum((amount * rate for amount, rate in rates if rate is not None), Decimal(0))
            continue
        line = figures.lines.get(Holding(row.account, row.instrument))
        rate = figures.rate(line.currency, day) if line is not None else None
        if line is None or line.quoted is None or rate is None or row.quantity is None:
            continue
        closes = line.quoted.closes
        place = min((day - closes.first_day).days, closes.values.size - 1)
        if place >= 0 and not np.isnan(closes.values[place]):
            yield day, -row.quantity * Decimal(repr(float(closes.values[place]))) * line.factor * rate


def _crossing(row: LedgerRow) -> dict[str, Decimal]:
    """Money of a leg by currency, before its fee and tax."""
    moves = cash_moves(row)
    if row.fee_currency in moves:
        moves[row.fee_currency] += row.fee
    if row.currency in moves:
        moves[row.currency] += row.tax
    return moves

"""What a refresh computes before it is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import BrokerAccount
from portfolio.fx import RateTable
from portfolio.holding_steps import Held, Step
from portfolio.ledger_rows import Flows, Holding, LedgerRow
from portfolio.selectors.prices import Close
from portfolio.series import Floats
from portfolio.services.touched import Touched
from portfolio.valued import Quoted

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Line:
    """A holding with how it is quoted. factor: multiplier times quote unit; currency: of its value."""

    holding: Holding
    kind: str
    listing: UUID | None
    currency: str
    multiplier: Decimal
    unit: Decimal  # of the listing's quotes
    quoted: Quoted | None
    close: Close | None  # the last one, in `currency`, after splits
    horizon: int

    @property
    def factor(self) -> Decimal:
        return self.multiplier * self.unit


@dataclass(slots=True)
class Series:
    """Daily columns of one line from first_day to the valuation day, in base but `quantity`. NaN is unknown."""

    line: Line
    first_day: dt.date
    quantity: Floats
    value: Floats
    is_fresh: np.ndarray[Any, np.dtype[np.bool_]]
    border: dict[dt.date, Decimal] = field(default_factory=dict)
    kept: Mapping[str, Floats] = field(default_factory=dict)  # column -> its first days as stored, not computed anew

    def flow(self, name: str, dated: Mapping[dt.date, Decimal]) -> Floats:
        """Dated amounts as the column `name` of the series' days."""
        values = np.zeros(self.value.size)
        for day, amount in dated.items():
            place = (day - self.first_day).days
            if 0 <= place < values.size:
                values[place] += float(amount)
        kept = self.kept.get(name)
        if kept is not None:
            values[: kept.size] = kept
        return values


@dataclass(slots=True)
class Figures:
    """What a refresh writes."""

    user: User
    today: dt.date
    base: str
    touched: Touched
    accounts: dict[UUID, BrokerAccount]
    rates: RateTable
    rows: list[LedgerRow]
    held: dict[UUID, Held]  # by instrument
    flows: Flows
    lines: dict[Holding, Line] = field(default_factory=dict)
    series: dict[Holding, Series] = field(default_factory=dict)
    unexplained: dict[Holding, Decimal] = field(default_factory=dict)
    reported: dict[Holding, dt.date] = field(default_factory=dict)
    opening: dict[Holding, Step] = field(default_factory=dict)  # of balances that are not computed from their first day
    _cash_steps: dict[Holding, list[Step]] = field(default_factory=dict)

    def rate(self, currency: str, day: dt.date) -> Decimal | None:
        """Base currency for one unit of `currency`."""
        found = self.rates.rate(currency, self.base, day)
        return None if found is None else found.value

    def worth(self, line: Line) -> Decimal | None:
        """Today's value of a line in base; None where no close or rate is known."""
        steps, rate = self.steps(line.holding), self.rate(line.currency, self.today)
        if not steps or rate is None:
            return None
        if line.holding.instrument is None:
            return steps[-1].quantity * rate
        return None if line.close is None else steps[-1].quantity * line.close.close * line.multiplier * rate

    def starts(self, account: UUID) -> dt.date:
        """The first of an account's days that is computed."""
        return self.touched.since.get(account, dt.date.min)

    def cash_steps(self, line: Holding) -> list[Step]:
        """The running balance at the end of each computed day on which it moved, after the one it opens with."""
        steps = self._cash_steps.get(line)
        if steps is None:
            opening, since = self.opening.get(line), self.starts(line.account)
            balance = opening.quantity if opening else ZERO
            steps = self._cash_steps[line] = [opening] if opening else []
            for day, amount in sorted(self.flows.cash.get(line, {}).items()):
                if day >= since:
                    balance += amount
                    steps.append(Step(day, balance, line.currency, None, None))
        return steps

    def steps(self, line: Holding) -> list[Step]:
        if line.instrument is None:
            return self.cash_steps(line)
        held = self.held.get(line.instrument)  # none where only income came of it
        return held.steps.get(str(line.account), []) if held else []

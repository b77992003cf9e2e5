"""What each holding added to the return of a period."""

import datetime as dt
from collections import defaultdict
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import Instrument
from portfolio.models import ValueSeries
from portfolio.selectors.measured import Measured, measured
from portfolio.selectors.scope import account_filter, standing
from portfolio.series import Floats, unpack, window

PLACES = Decimal(1).scaleb(-10)


@dataclass(frozen=True, slots=True)
class Contributor:
    """instrument None: cash of a currency. gain: in the currency asked for; contribution: its part of the return."""

    instrument: UUID | None
    symbol: str
    name: str
    gain: Decimal
    contribution: Decimal


@dataclass(frozen=True, slots=True)
class Contributions:
    """Each day's gain over the value before it, grown by the return up to then: so all parts add up to the
    time-weighted return, `unattributed` included (days that open at nothing, and what has no value of its own).
    """

    currency: str
    start: dt.date | None
    end: dt.date | None
    twr: Decimal | None
    unattributed: Decimal | None
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    results: list[Contributor]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def contributions(
    *,
    user: User,
    account: UUID | None = None,
    currency: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Contributions:
    now = standing(user=user)
    over = measured(user=user, account=account, currency=currency, start=start, end=end)
    gains = _daily_gains(user, account, over) if len(over.days) > 1 else {}
    weights = _weights(over)
    names = {
        pk: (symbol, name)
        for pk, symbol, name in Instrument.objects.filter(pk__in=[key for key in gains if isinstance(key, UUID)])
        .values_list("pk", "symbol", "name")
    }  # fmt: skip
    found = []
    for key, column in gains.items():
        symbol, name = names.get(key, ("", "")) if isinstance(key, UUID) else (key, f"Cash in {key}")
        found.append(
            Contributor(
                key if isinstance(key, UUID) else None,
                symbol,
                name,
                _decimal(float(column.sum())),
                _decimal(float((column * weights).sum())),
            )
        )
    found.sort(key=lambda one: (-abs(one.contribution), one.symbol, str(one.instrument)))
    twr = over.index[-1] - 1 if over.index else None
    return Contributions(
        currency=over.rate.currency,
        start=over.days[0].day if over.days else start,
        end=over.days[-1].day if over.days else end,
        twr=None if twr is None else twr.quantize(PLACES),
        unattributed=None
        if twr is None
        else (twr - sum((one.contribution for one in found), Decimal(0))).quantize(PLACES),
        as_of=now.valued_on,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        results=found,
    )


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(PLACES)


def _weights(over: Measured) -> Floats:
    """Growth up to the day before over the value then: what a gain of one unit adds to the return; 0 on the opening and
    where there was no capital.
    """
    weights = np.zeros(len(over.days))
    for place in range(1, len(over.days)):
        before = over.days[place - 1].value
        if before is not None and before > 0:
            weights[place] = float(over.index[place - 1] / before)
    return weights


def _daily_gains(user: User, account: UUID | None, over: Measured) -> dict[UUID | str, Floats]:
    """By instrument or currency of cash: change of value less what went in, each day of the period."""
    first, last = over.days[0].day, over.days[-1].day
    count = (last - first).days + 1
    rates = np.ones(count)
    if over.rate.table is not None:
        rates = over.rate.table.column(over.rate.base, over.rate.currency, first, last)
    values: dict[UUID | str, Floats] = defaultdict(lambda: np.zeros(count))
    flows: dict[UUID | str, Floats] = defaultdict(lambda: np.zeros(count))
    stored = ValueSeries.objects.visible_to(user).filter(**account_filter(account)).order_by("pk")
    for row in stored.only("instrument_id", "currency", "first_day", "value", "external_flow", "internal_flow"):
        key: UUID | str = row.instrument_id or row.currency

        def part(packed: bytes, stored_from: dt.date = row.first_day) -> Floats:
            return np.nan_to_num(window(unpack(packed), stored_from=stored_from, first_day=first, last_day=last))

        values[key] = values[key] + part(row.value)
        for packed in (row.external_flow, row.internal_flow):
            flows[key] = flows[key] + part(packed)
    gains: dict[UUID | str, Floats] = {}
    for key, worth in values.items():
        converted = np.nan_to_num(worth * rates)
        gain = np.zeros(count)
        gain[1:] = np.diff(converted) - np.nan_to_num(flows[key] * rates)[1:]
        if np.abs(gain).max(initial=0.0) > 0:
            gains[key] = gain
    return gains

"""A period measured once: its days, the growth of each, and the returns that statistics take."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import numpy as np

from accounts.models import User
from federation.models import InstrumentKind
from portfolio import returns
from portfolio.models import ValueSeries
from portfolio.returns import DayValue
from portfolio.selectors.scope import Exchange, account_filter, exchange
from portfolio.selectors.value_series import day_values
from portfolio.series import Floats, unpack, window


@dataclass(frozen=True, slots=True)
class Measured:
    """days: the first is the opening. moved: the return of each day after it, None where unknown. index: growth of one
    unit of money, 1 on the first. observed: what statistics take, `periods` of them a year. span: calendar days.
    """

    rate: Exchange
    days: list[DayValue]
    moved: list[Decimal | None]
    index: list[Decimal]
    observed: Floats
    periods: int
    crypto_ratio: float

    @property
    def span(self) -> int:
        return (self.days[-1].day - self.days[0].day).days if self.days else 0


def measured(
    *,
    user: User,
    account: UUID | None = None,
    currency: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    instrument: UUID | None = None,
) -> Measured:
    rate = exchange(user=user, currency=currency)
    days = day_values(user=user, account=account, start=start, end=end, rate=rate, instrument=instrument)
    moved = [one.value for one in returns.daily_returns(days)]
    share = _crypto_ratio(user, account, days)
    observed, periods = returns.statistics_returns([one.day for one in days[1:]], moved, crypto_ratio=share)
    return Measured(rate, days, moved, returns.growth_index(days), observed, periods, share)


def _crypto_ratio(user: User, account: UUID | None, days: Sequence[DayValue]) -> float:
    """Share of crypto in the mean value of the period, in base currency."""
    if not days:
        return 0.0
    first, last = days[0].day, days[-1].day
    crypto = ValueSeries.objects.visible_to(user).filter(
        instrument__kind=InstrumentKind.CRYPTO, **account_filter(account)
    )
    total = np.zeros((last - first).days + 1)
    for stored_from, packed in crypto.values_list("first_day", "value"):
        total += np.nan_to_num(window(unpack(packed), stored_from=stored_from, first_day=first, last_day=last))
    if not total.any():
        return 0.0
    worth = np.array([0.0 if one.value is None else float(one.value) for one in days])
    mean = float(worth.mean())
    return float(total.mean()) / mean if mean > 0 else 0.0

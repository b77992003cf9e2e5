"""Growth by calendar month and year."""

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from portfolio.selectors.measured import measured
from portfolio.selectors.scope import standing
from portfolio.spans import Month, months

PLACES = Decimal(1).scaleb(-10)


@dataclass(frozen=True, slots=True)
class Year:
    year: int
    change: Decimal
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Monthly:
    """Time-weighted; linked, the months are the whole."""

    currency: str
    start: dt.date | None
    end: dt.date | None
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    months: list[Month]
    years: list[Year]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def monthly(
    *,
    user: User,
    account: UUID | None = None,
    currency: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Monthly:
    now = standing(user=user)
    over = measured(user=user, account=account, currency=currency, start=start, end=end)
    found = months([one.day for one in over.days], over.index)
    years = []
    for year in sorted({one.year for one in found}):
        growth, its_months = Decimal(1), [one for one in found if one.year == year]
        for one in its_months:
            growth *= 1 + one.change
        is_whole = len(its_months) == 12 and all(one.is_whole for one in its_months)
        years.append(Year(year, (growth - 1).quantize(PLACES), is_whole))
    return Monthly(
        currency=over.rate.currency,
        start=over.days[0].day if over.days else start,
        end=over.days[-1].day if over.days else end,
        as_of=now.valued_on,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        months=[Month(one.year, one.month, one.change.quantize(PLACES), one.is_whole) for one in found],
        years=years,
    )

"""How much the figures can be relied on, and what would mend them."""

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from portfolio.models import CashBalance
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.scope import account_filter
from portfolio.selectors.summary import Summary, summary


@dataclass(frozen=True, slots=True)
class Quality:
    """Lists hold position rows as `positions` gives them. oldest_price: the oldest close in use."""

    as_of: dt.date
    ledger_version: int
    is_stale: bool
    coverage: Decimal | None
    coverage_by_cost: Decimal | None
    open_conflicts: int
    unpriced: list[dict[str, Any]]
    stale: list[PositionRow]
    unexplained: list[PositionRow]
    missing: list[PositionRow]
    cost_unknown: list[PositionRow]
    negative_cash: list[dict[str, Any]]
    oldest_price: dt.date | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def quality(*, user: User, account: UUID | None = None, known: Summary | None = None) -> Quality:
    """known: a summary of the same scope, where the caller has one already."""
    headline = known or summary(user=user, account=account)
    rows = positions(user=user, account=account)
    below = CashBalance.objects.visible_to(user).filter(amount__lt=0, **account_filter(account))
    return Quality(
        as_of=headline.as_of,
        ledger_version=headline.ledger_version,
        is_stale=headline.is_stale,
        coverage=headline.coverage,
        coverage_by_cost=headline.coverage_by_cost,
        open_conflicts=headline.open_conflicts,
        unpriced=headline.unpriced,
        stale=[row for row in rows if row.is_stale],
        unexplained=[row for row in rows if row.unexplained_quantity],
        missing=[row for row in rows if row.missing_quantity],
        cost_unknown=[row for row in rows if row.cost_basis_base is None],
        negative_cash=list(below.values("account_id", "account__name", "currency", "amount")),
        oldest_price=min((row.price_as_of for row in rows if row.price_as_of), default=None),
    )

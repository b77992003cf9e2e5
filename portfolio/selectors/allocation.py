"""How the known value splits by kind, currency, account, sector or country."""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from accounts.models import User
from federation.models import BrokerAccount
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.scope import exchange, standing
from portfolio.selectors.summary import cash_rows
from stackmotive.common.money import MONEY_QUANTUM, to_money

ZERO = Decimal(0)
UNKNOWN = "unknown"
BREAKDOWNS: Final[dict[str, Callable[[PositionRow], str]]] = {
    "kind": lambda row: row.kind,
    "currency": lambda row: row.currency,
    "account": lambda row: str(row.account),
    "sector": lambda row: row.sector or UNKNOWN,
    "country": lambda row: row.country or UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Slice:
    """key: the kind, currency, account id, sector or country; "cash" and "unknown" where that is what it is."""

    key: str
    label: str
    value: Decimal
    share: Decimal | None
    count: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares are of the sum of sizes and add up to 1. left_out: holdings without a value."""

    by: str
    currency: str
    as_of: dt.date
    ledger_version: int
    is_stale: bool
    total: Decimal
    left_out: int
    slices: list[Slice]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def allocation(
    *,
    user: User,
    by: str,
    account: UUID | None = None,
    currency: str | None = None,
    as_of: dt.date | None = None,
) -> Allocation:
    """by: a key of BREAKDOWNS. Largest slice first."""
    now = standing(user=user)
    rate = exchange(user=user, currency=currency)
    day = min(as_of, now.valued_on) if as_of else now.valued_on
    values: dict[str, Decimal] = {}
    counts: dict[str, int] = {}
    left_out = 0

    def add(key: str, value: Decimal | None) -> None:
        nonlocal left_out
        if value is None:
            left_out += 1
            return
        values[key] = values.get(key, ZERO) + value
        counts[key] = counts.get(key, 0) + 1

    for row in positions(user=user, account=account, as_of=day, currency=currency):
        add(BREAKDOWNS[by](row), row.market_value_base)
    for cash in cash_rows(user=user, account=account, day=day, rate=rate, is_today=day >= now.valued_on):
        if cash.amount:
            add({"currency": cash.currency, "account": str(cash.account)}.get(by, "cash"), cash.amount_base)
    labels = _labels(user, by)
    size = sum((abs(value) for value in values.values()), ZERO)
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    shares = _shares([abs(value) for _, value in ordered], size)
    return Allocation(
        by=by,
        currency=rate.currency,
        as_of=day,
        ledger_version=now.ledger_version,
        is_stale=now.is_stale,
        total=to_money(sum(values.values(), ZERO)),
        left_out=left_out,
        slices=[
            Slice(key, labels.get(key, key), to_money(value), share, counts[key])
            for (key, value), share in zip(ordered, shares, strict=True)
        ],
    )


def _labels(user: User, by: str) -> dict[str, str]:
    if by != "account":
        return {}
    return {str(pk): name for pk, name in BrokerAccount.objects.visible_to(user).values_list("pk", "name")}


def _shares(sizes: list[Decimal], total: Decimal) -> list[Decimal | None]:
    """Rounded half-even so that they add up to 1: the largest takes the rest."""
    if not total:
        return [None] * len(sizes)
    shares = [(size / total).quantize(MONEY_QUANTUM) for size in sizes]
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    shares[largest] += 1 - sum(shares, ZERO)
    return list(shares)

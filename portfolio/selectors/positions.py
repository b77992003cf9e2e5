"""Holdings with cost and value, of today from stored rows, of a past day from steps and series."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import numpy as np
from django.db.models import F

from accounts.models import User
from portfolio.models import HoldingStep, Lot, Position, ValueSeries
from portfolio.selectors.rates import rate_table
from portfolio.selectors.scope import Exchange, account_filter, exchange, standing
from portfolio.series import unpack
from stackmotive.common.money import MONEY_QUANTUM, to_money

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """Money in `currency` unless `_base`, which is in `base_currency` (the one asked for). None is unknown: see reason.

    account is None where a row sums several; then account_name counts them.
    """

    id: UUID | None
    account: UUID | None
    account_name: str
    instrument: UUID
    symbol: str
    name: str
    kind: str
    sector: str
    country: str
    quantity: Decimal
    currency: str
    average_cost: Decimal | None
    cost_basis: Decimal | None
    cost_basis_base: Decimal | None
    price: Decimal | None
    price_as_of: dt.date | None
    price_provider: str
    market_value: Decimal | None
    market_value_base: Decimal | None
    unrealized_gain: Decimal | None
    unrealized_gain_base: Decimal | None
    realized_gain_base: Decimal | None
    income_base: Decimal | None
    day_change_base: Decimal | None
    weight: Decimal | None
    unexplained_quantity: Decimal
    reported_as_of: dt.date | None
    missing_quantity: Decimal
    is_stale: bool
    reason: str
    base_currency: str
    as_of: dt.date

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


FIELDS = [
    "id",
    "instrument_id",
    "account_id",
    "quantity",
    "currency",
    "average_cost",
    "cost_basis",
    "cost_basis_base",
    "price",
    "price_as_of",
    "price_provider",
    "market_value",
    "market_value_base",
    "unrealized_gain",
    "unrealized_gain_base",
    "realized_gain_base",
    "income_base",
    "day_change_base",
    "unexplained_quantity",
    "reported_as_of",
    "missing_quantity",
    "is_stale",
    "reason",
    "as_of",
]


def positions(
    *,
    user: User,
    account: UUID | None = None,
    group_by: Literal["instrument"] | None = None,
    as_of: dt.date | None = None,
    currency: str | None = None,
) -> list[PositionRow]:
    """What is held at the close of `as_of` (today), largest value first; one row per account and instrument, or per
    instrument.
    """
    now = standing(user=user)
    rate = exchange(user=user, currency=currency)
    day = as_of or now.valued_on
    rows = _current(user, account, rate, day) if day >= now.valued_on else _past(user, account, rate, day)
    rows.sort(key=lambda row: (str(row.account), str(row.instrument)))  # so that equal values keep one order
    if group_by == "instrument":
        rows = _grouped(rows)
    rows = _weighted(rows)
    return sorted(rows, key=lambda row: (row.market_value_base is None, -(row.market_value_base or ZERO), row.symbol))


def _current(user: User, account: UUID | None, rate: Exchange, day: dt.date) -> list[PositionRow]:
    found = Position.objects.visible_to(user).filter(**account_filter(account))
    rows = found.values(
        *FIELDS,
        account_name=F("account__name"),
        symbol=F("instrument__symbol"),
        name=F("instrument__name"),
        kind=F("instrument__kind"),
        sector=F("instrument__sector"),
        country=F("instrument__country"),
    )
    converted = None if rate.table is None else _lot_costs(user, account, rate)
    return [_row(values, rate, converted) for values in rows]


def _row(values: dict[str, Any], rate: Exchange, costs: dict[tuple[UUID, UUID], Decimal | None] | None) -> PositionRow:
    values["account"], values["instrument"] = values.pop("account_id"), values.pop("instrument_id")
    row = PositionRow(**values, weight=None, base_currency=rate.currency)
    if costs is None:
        return row
    assert row.account is not None  # noqa: S101  # only grouped rows have none
    cost = costs.get((row.account, row.instrument), ZERO) if row.cost_basis_base is not None else None
    value = _money(rate.convert(row.market_value_base, row.as_of))
    return replace(
        row,
        cost_basis_base=_money(cost),
        market_value_base=value,
        unrealized_gain_base=None if value is None or cost is None else to_money(value - cost),
        realized_gain_base=_money(rate.convert(row.realized_gain_base, row.as_of)),
        income_base=_money(rate.convert(row.income_base, row.as_of)),
        day_change_base=_money(rate.convert(row.day_change_base, row.as_of)),
        reason=row.reason or ("no_rate" if value is None and row.market_value_base is not None else ""),
    )


def _money(value: Decimal | None) -> Decimal | None:
    return None if value is None else to_money(value)


def _lot_costs(user: User, account: UUID | None, rate: Exchange) -> dict[tuple[UUID, UUID], Decimal | None]:
    """Cost of each holding with every lot at the rate of the day it was acquired."""
    costs: dict[tuple[UUID, UUID], Decimal | None] = {}
    lots = Lot.objects.visible_to(user).filter(**account_filter(account))
    for holder, instrument, day, cost in lots.values_list("account_id", "instrument_id", "acquired_on", "cost_base"):
        before, amount = costs.get((holder, instrument), ZERO), rate.convert(cost, day)
        costs[holder, instrument] = None if before is None or amount is None else before + amount
    return costs


def _past(user: User, account: UUID | None, rate: Exchange, day: dt.date) -> list[PositionRow]:
    """Quantities and costs are exact; values come from the daily series, which are doubles."""
    steps = (
        HoldingStep.objects.visible_to(user)
        .filter(instrument__isnull=False, day__lte=day, **account_filter(account))
        .select_related("instrument", "account")
        .order_by("account_id", "instrument_id", "-day")
        .distinct("account_id", "instrument_id")
    )
    held = [step for step in steps if step.quantity]
    series = {
        (row.account_id, row.instrument_id): row
        for row in ValueSeries.objects.visible_to(user)
        .filter(instrument__in={step.instrument_id for step in held}, **account_filter(account))
        .only("account_id", "instrument_id", "first_day", "value", "is_fresh")
    }
    listed = dict(
        ((account_id, instrument_id), currency)
        for account_id, instrument_id, currency in Position.objects.visible_to(user).values_list(
            "account_id", "instrument_id", "currency"
        )
    )
    currencies = {step.currency for step in held} | set(listed.values()) | {rate.base}
    table = rate_table(user_id=user.pk, currencies=currencies - {""})
    rows = []
    for step in held:
        assert step.instrument is not None and step.instrument_id is not None  # noqa: PT018, S101  # filtered above
        stored = series.get((step.account_id, step.instrument_id))
        value, is_fresh = _value_on(stored, day)
        currency = listed.get((step.account_id, step.instrument_id)) or step.currency or user.base_currency
        listed_rate = table.rate(rate.base, currency, day)
        own_value = None if value is None or listed_rate is None else value * listed_rate.value
        units = step.quantity * step.instrument.multiplier
        cost = step.cost if step.currency == currency else None
        cost_base = rate.convert(step.cost_base, day)
        worth = rate.convert(value, day)
        rows.append(
            PositionRow(
                id=None,
                account=step.account_id,
                account_name=step.account.name,
                instrument=step.instrument_id,
                symbol=step.instrument.symbol,
                name=step.instrument.name,
                kind=step.instrument.kind,
                sector=step.instrument.sector,
                country=step.instrument.country,
                quantity=step.quantity,
                currency=currency,
                average_cost=None if cost is None else cost / step.quantity,
                cost_basis=_money(cost),
                cost_basis_base=_money(cost_base),
                price=None if own_value is None else (own_value / units).quantize(MONEY_QUANTUM),
                price_as_of=None,
                price_provider="",
                market_value=_money(own_value),
                market_value_base=_money(worth),
                unrealized_gain=None if own_value is None or cost is None else to_money(own_value - cost),
                unrealized_gain_base=None if worth is None or cost_base is None else to_money(worth - cost_base),
                realized_gain_base=None,
                income_base=None,
                day_change_base=None,
                weight=None,
                unexplained_quantity=ZERO,
                reported_as_of=None,
                missing_quantity=ZERO,
                is_stale=not is_fresh and value is not None,
                reason="no_price" if value is None else "cost_unknown" if cost_base is None else "",
                base_currency=rate.currency,
                as_of=day,
            )
        )
    return rows


def _value_on(series: ValueSeries | None, day: dt.date) -> tuple[Decimal | None, bool]:
    if series is None:
        return None, False
    place = (day - series.first_day).days
    values = unpack(series.value)
    if not 0 <= place < values.size or np.isnan(values[place]):
        return None, False
    return Decimal(repr(float(values[place]))), bool(bytes(series.is_fresh)[place])


def _grouped(rows: Iterable[PositionRow]) -> list[PositionRow]:
    """One row per instrument. Sums over accounts keep a null only where nothing is known of the part."""
    groups: dict[UUID, list[PositionRow]] = {}
    for row in rows:
        groups.setdefault(row.instrument, []).append(row)
    return [_sum(members) if len(members) > 1 else members[0] for members in groups.values()]


def _sum(rows: list[PositionRow]) -> PositionRow:
    def add(name: str) -> Decimal | None:
        values = [getattr(row, name) for row in rows]
        return None if any(value is None for value in values) else sum(values, ZERO)

    first = rows[0]
    one_currency = all(row.currency == first.currency for row in rows)
    quantity = sum((row.quantity for row in rows), ZERO)
    cost = add("cost_basis") if one_currency else None
    return replace(
        first,
        id=None,
        account=None,
        account_name=f"{len(rows)} accounts",
        quantity=quantity,
        average_cost=cost / quantity if cost is not None and quantity else None,
        cost_basis=cost,
        market_value=add("market_value") if one_currency else None,
        unrealized_gain=add("unrealized_gain") if one_currency else None,
        cost_basis_base=add("cost_basis_base"),
        market_value_base=add("market_value_base"),
        unrealized_gain_base=add("unrealized_gain_base"),
        realized_gain_base=add("realized_gain_base"),
        income_base=add("income_base"),
        day_change_base=add("day_change_base"),
        unexplained_quantity=sum((row.unexplained_quantity for row in rows), ZERO),
        missing_quantity=sum((row.missing_quantity for row in rows), ZERO),
        reported_as_of=None,
        is_stale=any(row.is_stale for row in rows),
        reason=next((row.reason for row in rows if row.reason), ""),
    )


def _weighted(rows: list[PositionRow]) -> list[PositionRow]:
    """Weights among the rows shown: of the sizes, so that shorts do not cancel."""
    size = sum((abs(row.market_value_base) for row in rows if row.market_value_base is not None), ZERO)
    return [
        replace(
            row,
            weight=None
            if row.market_value_base is None or not size
            else (row.market_value_base / size).quantize(MONEY_QUANTUM),
        )
        for row in rows
    ]

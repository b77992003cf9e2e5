"""The days of accounts: what is stored of their untouched holdings, and what was computed anew, summed."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

import numpy as np

from portfolio.ledger_rows import FlowKind, Holding
from portfolio.models import Position
from portfolio.series import Floats
from portfolio.services.drafts import Figures
from portfolio.services.stored_series import stored_values
from portfolio.services.transit import in_transit
from stackmotive.common.money import MONEY_QUANTUM

ZERO = Decimal(0)
KINDS: tuple[FlowKind, ...] = ("external", "transfer", "payments", "dividends", "interest", "income", "fees", "taxes")


@dataclass(frozen=True, slots=True)
class Member:
    """A line of an account with its values in base."""

    holding: Holding
    first_day: dt.date
    value: Floats


@dataclass(frozen=True, slots=True)
class Day:
    """amounts: value, cash, external, transfer, border, in transit, payments, dividends, interest, income, fees, taxes;
    None is unknown.
    """

    account: UUID
    date: dt.date
    amounts: tuple[Decimal | None, ...]
    unpriced_count: int


def daily_values(figures: Figures) -> Iterator[Day]:
    """The computed days of accounts, in Decimal; today's value is the sum of its rounded parts."""
    lines: dict[UUID, list[Holding]] = defaultdict(list)
    for holding in figures.lines:
        lines[holding.account].append(holding)
    for account in sorted(figures.touched.since):
        members = _members(figures, account, lines[account])
        if members:
            yield from _account_days(figures, account, members, lines[account])


def _members(figures: Figures, account: UUID, lines: list[Holding]) -> list[Member]:
    """In one order whether computed or stored, so that doubles add up to the same."""
    since = figures.starts(account)
    members = []
    for holding in lines:
        series = figures.series[holding]
        skipped = max((since - series.first_day).days, 0)
        members.append(Member(holding, series.first_day + dt.timedelta(days=skipped), series.value[skipped:]))
    if not figures.touched.is_all:
        members += [Member(*stored) for stored in stored_values(figures, account)]
    return sorted(members, key=lambda one: (str(one.holding.instrument or ""), one.holding.currency))


def _account_days(figures: Figures, account: UUID, members: list[Member], lines: list[Holding]) -> Iterator[Day]:
    first = min(member.first_day for member in members)
    days = (figures.today - first).days + 1
    value, cash, size = np.zeros(days), np.zeros(days), np.zeros(days)
    unknown = np.zeros(days, dtype=np.int64)
    for member in members:
        start = (member.first_day - first).days
        known = np.nan_to_num(member.value, nan=0.0)
        value[start:] += known
        size[start:] += np.abs(known)
        if member.holding.instrument is None:
            cash[start:] += known
        unknown[start:] += np.isnan(member.value)
    flows, transit = _flows(figures, account), in_transit(figures, account)
    exact = _todays_value(figures, account, lines)
    values, cashes = value.tolist(), cash.tolist()
    nothing: dict[str, Decimal] = {}
    for place in range(days):
        day = first + dt.timedelta(days=place)
        worth: Decimal | None = Decimal(repr(values[place]))
        if unknown[place] and not size[place]:
            worth = None
        elif place == days - 1:
            worth = exact
        moved = flows.get(day, nothing)
        yield Day(
            account,
            day,
            (
                worth, Decimal(repr(cashes[place])), moved.get("external", ZERO), moved.get("transfer", ZERO),
                moved.get("border", ZERO), transit.get(day, ZERO), moved.get("payments", ZERO),
                moved.get("dividends", ZERO), moved.get("interest", ZERO), moved.get("income", ZERO),
                moved.get("fees", ZERO), moved.get("taxes", ZERO),
            ),
            int(unknown[place]),
        )  # fmt: skip


def _flows(figures: Figures, account: UUID) -> dict[dt.date, dict[str, Decimal]]:
    flows: dict[dt.date, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for holding, by_kind in figures.flows.by_holding.items():
        if holding.account == account:
            for kind in KINDS:
                for day, amount in by_kind.get(kind, {}).items():
                    flows[day][kind] += amount
    for holding, series in figures.series.items():
        if holding.account == account:
            for day, amount in series.border.items():
                flows[day]["border"] += amount
    return flows


def _todays_value(figures: Figures, account: UUID, lines: list[Holding]) -> Decimal:
    """The sum of what positions and balances show."""
    total = ZERO
    for holding in lines:
        worth = figures.worth(figures.lines[holding])
        if worth is not None:
            total += worth.quantize(MONEY_QUANTUM, rounding=ROUND_HALF_EVEN)
    if not figures.touched.is_all:
        others = Position.objects.filter(account=account, market_value_base__isnull=False)
        others = others.exclude(instrument__in=figures.touched.instruments)
        total += sum(others.values_list("market_value_base", flat=True), ZERO)
    return total

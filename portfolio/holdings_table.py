"""What the holdings page shows: rows in groups, sorted, with sums that are the headline's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from accounts.models import User
from portfolio import selectors
from portfolio.holding_rows import KIND_LABELS, HoldingRow, cash_row, merged_cash, position_row
from portfolio.selectors.scope import exchange
from portfolio.selectors.summary import cash_rows
from stackmotive.common.page_filters import Filters

GroupBy = Literal["instrument", "account", "kind"]
GROUPS: dict[str, str] = {"instrument": "Together", "account": "Account", "kind": "Kind"}
COLUMNS: dict[str, tuple[str, str, Callable[[HoldingRow], Any]]] = {
    "name": ("Holding", "", lambda row: row.name.casefold()),
    "quantity": ("Quantity", "n", lambda row: row.quantity),
    "price": ("Price", "n", lambda row: row.price),
    "value": ("Value", "n", lambda row: row.value_base),
    "weight": ("Weight", "", lambda row: row.weight),
    "gain": ("Gain", "n", lambda row: row.gain_base),
}
DEFAULT_SORT = "-value"


@dataclass(frozen=True, slots=True)
class ColumnShown:
    """sorted: ascending, descending or "". next: the sort that a click asks for."""

    label: str
    css: str
    sorted: str
    next: str


@dataclass(frozen=True, slots=True)
class GroupShown:
    """label "" = the table has no groups. Sums are of what is known."""

    label: str
    rows: tuple[HoldingRow, ...]
    value: Decimal | None
    weight: Decimal | None
    gain: Decimal | None


@dataclass(frozen=True, slots=True)
class HoldingsTable:
    groups: tuple[GroupShown, ...]
    columns: tuple[ColumnShown, ...]
    group_by: str
    count: int
    as_of: date
    currency: str
    total_value: Decimal | None
    total_gain: Decimal | None
    left_out: str


def holdings_table(
    *, user: User, filters: Filters, account_names: dict[UUID, str], group_by: str, sort: str
) -> HoldingsTable:
    """group_by: a key of GROUPS. sort: a column, "-" before it for descending; anything else sorts by value."""
    scope: dict[str, Any] = {"user": user, "account": filters.account_id, "currency": filters.currency}
    day = filters.period.end
    summary = selectors.summary(**scope, as_of=day)
    together = group_by == "instrument"
    held = selectors.positions(**scope, as_of=day, group_by="instrument" if together else None)
    rate = exchange(user=user, currency=filters.currency)
    now = selectors.standing(user=user)
    cash = cash_rows(
        user=user, account=filters.account_id, day=min(day, now.valued_on), rate=rate, is_today=day >= now.valued_on
    )
    cash = [row for row in cash if row.amount]
    if together:
        cash = merged_cash(cash)
    name_it = group_by != "account"
    rows = [position_row(row, names_account=name_it) for row in held]
    rows += [
        cash_row(row, account_name="" if together else account_names.get(row.account, ""), names_account=name_it)
        for row in cash
    ]
    column, is_descending = sorting(sort)
    rows = ordered(rows, column, is_descending=is_descending)
    unpriced = len(summary.unpriced)
    return HoldingsTable(
        groups=grouped(rows, group_by),
        columns=columns_shown(column, is_descending=is_descending),
        group_by=group_by,
        count=len(held),
        as_of=summary.as_of,
        currency=summary.currency,
        total_value=summary.total_value,
        total_gain=summary.unrealized_gain,
        left_out=f"without {unpriced} of unknown value" if unpriced else "",
    )


def sorting(sort: str) -> tuple[str, bool]:
    column = sort.removeprefix("-")
    return (column, sort.startswith("-")) if column in COLUMNS else ("value", True)


def ordered(rows: list[HoldingRow], column: str, *, is_descending: bool) -> list[HoldingRow]:
    """Unknown last, whichever way; equal ones by name."""
    key = COLUMNS[column][2]
    by_name = sorted(rows, key=lambda row: row.name.casefold())
    known = [row for row in by_name if key(row) is not None]
    return sorted(known, key=key, reverse=is_descending) + [row for row in by_name if key(row) is None]


def columns_shown(column: str, *, is_descending: bool) -> tuple[ColumnShown, ...]:
    shown = []
    for code, (label, css, _) in COLUMNS.items():
        state = ("descending" if is_descending else "ascending") if code == column else ""
        starts_up = code == "name"
        following = (code if is_descending else f"-{code}") if code == column else (code if starts_up else f"-{code}")
        shown.append(ColumnShown(label, css, state, following))
    return tuple(shown)


def grouped(rows: list[HoldingRow], group_by: str) -> tuple[GroupShown, ...]:
    """Groups by value, the largest first."""
    if not rows:
        return ()
    if group_by == "instrument":
        return (group_shown("", rows),)
    members: dict[str, list[HoldingRow]] = {}
    for row in rows:
        label = row.account_name if group_by == "account" else KIND_LABELS.get(row.kind, row.kind)
        members.setdefault(label, []).append(row)
    groups = [group_shown(label, part) for label, part in members.items()]
    return tuple(sorted(groups, key=lambda group: (group.value is None, -(group.value or 0))))


def group_shown(label: str, rows: list[HoldingRow]) -> GroupShown:
    return GroupShown(
        label=label,
        rows=tuple(rows),
        value=known_sum([row.value_base for row in rows]),
        weight=known_sum([row.weight for row in rows]),
        gain=known_sum([row.gain_base for row in rows]),
    )


def known_sum(values: list[Decimal | None]) -> Decimal | None:
    """The sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None

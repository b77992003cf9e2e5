"""Writing what follows from the facts: only rows that differ are touched, so an unchanged run writes none
(DESIGN 5.12).

Rows are compared in memory with what is stored and go in by COPY. Call under the user's ledger lock.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from psycopg import sql
from psycopg.types.json import Jsonb

from federation.rows import LedgerRow
from stackmotive.common.money import plain

TRANSACTION_COLUMNS = tuple(
    {
        "user": "user_id",
        "account": "account_id",
        "instrument": "instrument_id",
        "listing": "listing_id",
        "source": "source_id",
    }.get(field.name, field.name)
    for field in fields(LedgerRow)
)
CLAIM_COLUMNS = ("transaction_id", "staged_id", "source_id", "won", "rule")
BALANCE_COLUMNS = (
    "user_id", "account_id", "instrument_id", "currency", "as_of", "value", "cost_basis", "source_id", "rule",
    "candidates",
)  # fmt: skip
CONFLICT_COLUMNS = (
    "id", "user_id", "kind", "key", "account_id", "instrument_id", "candidates", "winner", "rule", "status",
    "difference", "difference_currency", "effect_base",
)  # fmt: skip
HASH_MODULUS = 1 << 256
ROW_DAY = TRANSACTION_COLUMNS.index("trade_date")

Row = tuple[Any, ...]


@dataclass(slots=True)
class Difference:
    """What a table lacked: rows by key. `gone` and `old` are as stored, `new` as computed."""

    inserted: dict[Hashable, Row]
    changed: dict[Hashable, Row]
    gone: dict[Hashable, Row]
    old: dict[Hashable, Row]  # of `changed`

    def __bool__(self) -> bool:
        return bool(self.inserted or self.changed or self.gone)

    @property
    def size(self) -> int:
        return len(self.inserted) + len(self.changed) + len(self.gone)

    def all_rows(self) -> Iterable[Row]:
        for rows in (self.inserted, self.changed, self.gone, self.old):
            yield from rows.values()


@dataclass(frozen=True, slots=True)
class Table:
    """A derived table. `scope`: the column whose values say which rows a run computed; `key`: columns that
    identify a row.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    scope: str
    json: tuple[str, ...] = ()
    nullable: tuple[str, ...] = ()  # of key
    joined: str = ""


TRANSACTIONS = Table("federation_transaction", TRANSACTION_COLUMNS, ("id",), "account_id")
CLAIMS = Table(
    "federation_claim",
    CLAIM_COLUMNS,
    ("staged_id",),
    "t.account_id",
    joined="JOIN federation_transaction t ON t.id = x.transaction_id",
)
BALANCES = Table(
    "federation_reportedbalance",
    BALANCE_COLUMNS,
    ("account_id", "instrument_id", "currency", "as_of"),
    "account_id",
    json=("candidates",),
    nullable=("instrument_id",),
)
CONFLICTS = Table("federation_conflict", CONFLICT_COLUMNS, ("id",), "account_id", json=("candidates",))


@dataclass(frozen=True, slots=True)
class Scope:
    """Which stored rows a run stands for: all of `accounts`, and single rows of other accounts of `user`.

    conflicts: their keys.
    """

    user: UUID
    accounts: Collection[UUID] = ()
    transactions: Collection[UUID] = ()
    staged: Collection[int] = ()
    balances: Collection[tuple[UUID, UUID | None, str]] = ()  # account and holding
    conflicts: Collection[str] = ()


def joined_scope(scopes: Iterable[Scope], *, user: UUID) -> Scope:
    """All that `scopes` stand for."""
    listed = list(scopes)
    return Scope(
        user,
        {account for one in listed for account in one.accounts},
        {row for one in listed for row in one.transactions},
        {row for one in listed for row in one.staged},
        {holding for one in listed for holding in one.balances},
        {key for one in listed for key in one.conflicts},
    )


def stored_rows(table: Table, scope: Scope) -> dict[Hashable, Row]:
    """The rows in `scope` as they stand."""
    rows: list[Row] = []
    if scope.accounts:
        account = table.scope if "." in table.scope else f"x.{table.scope}"
        rows += _read(table, sql.SQL("{} WHERE {} = ANY(%s)").format(sql.SQL(table.joined), sql.SQL(account)),
                      [list(scope.accounts)])  # fmt: skip
    if table is TRANSACTIONS and scope.transactions:
        rows += _read(table, sql.SQL("WHERE x.id = ANY(%s)"), [list(scope.transactions)])
    elif table is CLAIMS and scope.staged:
        rows += _read(table, sql.SQL("WHERE x.staged_id = ANY(%s)"), [list(scope.staged)])
    elif table is CONFLICTS and scope.conflicts:
        rows += _read(table, sql.SQL("WHERE x.user_id = %s AND x.key = ANY(%s)"), [scope.user, list(scope.conflicts)])
    elif table is BALANCES and scope.balances:
        accounts, instruments, currencies = map(list, zip(*scope.balances, strict=True))
        of_holdings = sql.SQL(
            "JOIN unnest(%s::uuid[], %s::uuid[], %s::text[]) AS k(account, instrument, currency)"
            " ON x.account_id = k.account AND x.currency = k.currency"
            " AND x.instrument_id IS NOT DISTINCT FROM k.instrument"
        )
        rows += _read(table, of_holdings, [accounts, instruments, currencies])
    rows = rows_with_json(table, rows)
    key = _key(table)
    return {key(row): row for row in rows}


def rows_with_json(table: Table, rows: list[Row]) -> list[Row]:
    """Rows as they were read, their JSON parsed."""
    numbers = [table.columns.index(name) for name in table.json]
    if not numbers:
        return rows
    return [
        tuple(
            json.loads(cell) if number in numbers and isinstance(cell, str) else cell for number, cell in enumerate(row)
        )
        for row in rows
    ]


def _read(table: Table, condition: sql.Composable, values: list[Any]) -> list[Row]:
    columns = sql.SQL(", ").join(sql.SQL("x.{}").format(sql.Identifier(name)) for name in table.columns)
    statement = sql.SQL("SELECT {} FROM {} x ").format(columns, sql.Identifier(table.name))
    with connection.cursor() as cursor:
        cursor.execute(statement + condition, values)
        rows: list[Row] = cursor.fetchall()
    return rows


def compare(table: Table, rows: Iterable[Row], scope: Scope) -> Difference:
    """What has to be written so that the stored rows in `scope` are `rows`."""
    key = _key(table)
    before = stored_rows(table, scope)
    wanted = {key(row): row for row in rows}
    inserted = {name: row for name, row in wanted.items() if name not in before}
    changed = {name: row for name, row in wanted.items() if name in before and before[name] != row}
    gone = {name: row for name, row in before.items() if name not in wanted}
    return Difference(inserted, changed, gone, {name: before[name] for name in changed})


def apply(table: Table, difference: Difference) -> None:
    """Delete, update, insert: in that order, so that no unique key is taken twice."""
    if difference.gone:
        _delete(table, list(difference.gone.values()))
    if difference.changed:
        _update(table, list(difference.changed.values()))
    if difference.inserted:
        _copy(table, sql.Identifier(table.name), list(difference.inserted.values()))


def _key(table: Table) -> Callable[[Row], Hashable]:
    numbers = [table.columns.index(name) for name in table.key]
    if len(numbers) == 1:
        only = numbers[0]
        return lambda row: row[only]
    return lambda row: tuple(row[number] for number in numbers)


def _copy(table: Table, into: sql.Composable, rows: Sequence[Row]) -> None:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in table.columns)
    numbers = {table.columns.index(name) for name in table.json}
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(into, names)) as copy:
        for row in rows:
            copy.write_row(
                [Jsonb(cell) if number in numbers else cell for number, cell in enumerate(row)] if numbers else row
            )


def _update(table: Table, rows: Sequence[Row]) -> None:
    target, scratch = sql.Identifier(table.name), sql.Identifier(f"changed_{table.name}")
    assigned = sql.SQL(", ").join(
        sql.SQL("{0} = c.{0}").format(sql.Identifier(name)) for name in table.columns if name not in table.key
    )
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(scratch, target))
        cursor.execute(
            sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(scratch, sql.Identifier(_surrogate(table)))
        )
    _copy(table, scratch, rows)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("UPDATE {} x SET {} FROM {} c WHERE {}").format(target, assigned, scratch, _same(table)))
        cursor.execute(sql.SQL("DROP TABLE {}").format(scratch))


def _delete(table: Table, rows: Sequence[Row]) -> None:
    scratch = sql.Identifier(f"gone_{table.name}")
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(scratch, sql.Identifier(table.name))
        )
        cursor.execute(
            sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(scratch, sql.Identifier(_surrogate(table)))
        )
    _copy(table, scratch, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} x USING {} c WHERE {}").format(sql.Identifier(table.name), scratch, _same(table))
        )
        cursor.execute(sql.SQL("DROP TABLE {}").format(scratch))


def _surrogate(table: Table) -> str:
    """The generated key that a copy of the table must not ask for."""
    return "no such column" if "id" in table.columns else "id"


def _same(table: Table) -> sql.Composable:
    """Equal keys. Columns that may be null are compared last: the others let the planner hash."""
    equal = [sql.SQL("x.{0} = c.{0}").format(sql.Identifier(name)) for name in table.key if name not in table.nullable]
    alike = [sql.SQL("x.{0} IS NOT DISTINCT FROM c.{0}").format(sql.Identifier(name)) for name in table.nullable]
    return sql.SQL(" AND ").join(equal + alike)


def transaction_rows(rows: Iterable[LedgerRow]) -> list[Row]:
    return list(map(attrgetter(*(field.name for field in fields(LedgerRow))), rows))


# --- what a ledger says, whatever its ids ----------------------------------------------------------


class Fingerprint:
    """A hash of ledger rows that does not depend on their ids or order and can be moved on by a difference.

    The sum of the SHA-256 of each row, modulo 2**256: the same rows give the same one, however they came
    about.
    """

    def __init__(self, start: str = "0") -> None:
        self._sum = int(start, 16)

    def add(self, rows: Iterable[Row], sign: int = 1) -> None:
        for row in rows:
            told = "\x1f".join(_text(row[number]) for number in _HASHED)
            told += "".join(f"\x1f{row[number]}" for number in _HASHED_IF_SAID if row[number])
            digest = int.from_bytes(hashlib.sha256(told.encode()).digest())
            self._sum = (self._sum + sign * digest) % HASH_MODULUS

    def move(self, difference: Difference) -> None:
        """From the rows that were stored to those that are."""
        self.add(difference.gone.values(), -1)
        self.add(difference.old.values(), -1)
        self.add(difference.changed.values())
        self.add(difference.inserted.values())

    def hex(self) -> str:
        return f"{self._sum:064x}"


_UNHASHED = {"id", "user_id", "listing_id", "group", "source_id"}
_BY_DECISION = ("decided", "lots")
_HASHED = tuple(
    number for number, name in enumerate(TRANSACTION_COLUMNS) if name not in _UNHASHED and name not in _BY_DECISION
)
_HASHED_IF_SAID = tuple(TRANSACTION_COLUMNS.index(name) for name in _BY_DECISION)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    return str(value)


MOST_TOLD = 500  # holdings that one version names


def holdings_touched(moved: Difference, reports: Difference) -> list[list[Any]] | None:
    """What a difference of transactions and one of reports changed: [account, instrument or null, its currencies,
    first day] for each holding and for each account's money. None for more than MOST_TOLD of them.
    """
    names = ("account_id", "instrument_id", "trade_date", "currency", "cash_currency", "fee_currency")
    account, instrument, day, *currencies = (TRANSACTION_COLUMNS.index(name) for name in names)
    told = ("account_id", "instrument_id", "as_of", "currency")
    reported, reported_of, as_of, of_currency = (BALANCE_COLUMNS.index(name) for name in told)
    since: dict[tuple[UUID, UUID | None], date] = {}
    used: dict[tuple[UUID, UUID | None], set[str]] = defaultdict(set)
    stated = [
        ((row[account], row[instrument]), row[day], {row[number] for number in currencies}) for row in moved.all_rows()
    ]
    stated += [((row[reported], row[reported_of]), row[as_of], {row[of_currency]}) for row in reports.all_rows()]
    for place, on, codes in stated:
        since[place] = min(on, since.get(place, on))
        used[place] |= codes
    if len(since) > MOST_TOLD:
        return None
    return [
        [str(place[0]), str(place[1]) if place[1] else None, sorted(used[place] - {""}), on.isoformat()]
        for place, on in since.items()
    ]


def first_day(differences: Iterable[Difference]) -> date | None:
    """The earliest day that any changed row of the ledger speaks of."""
    return min((row[ROW_DAY] for difference in differences for row in difference.all_rows()), default=None)

"""Daily series as they are stored: their columns, where new ones differ from them, and parts of them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import numpy as np
from django.db import connection
from psycopg import Cursor, sql

from portfolio.ledger_rows import FlowKind, Holding
from portfolio.models import ValueSeries
from portfolio.series import Floats, pack, pack_runs, unpack
from portfolio.services.drafts import Figures, Series

FLOWS: dict[str, FlowKind] = {
    "external_flow": "external", "internal_flow": "internal", "transfer_flow": "transfer", "income": "income",
    "fees": "fees",
}  # fmt: skip
"""Columns and the kind of flow that each is."""
ACCOUNTED = ("value", "external_flow", "transfer_flow", "border_flow", "income", "fees")
"""Columns that the days of an account are summed from."""


class Columns(NamedTuple):
    """In the order of the table."""

    quantity: bytes
    value: bytes
    external_flow: bytes
    internal_flow: bytes
    transfer_flow: bytes
    border_flow: bytes
    income: bytes
    fees: bytes
    is_fresh: bytes


def columns_of(figures: Figures, series: Series) -> Columns:
    flows = figures.flows.by_holding.get(series.line.holding, {})
    packed = {name: pack_runs(series.flow(name, flows.get(kind, {}))) for name, kind in FLOWS.items()}
    return Columns(
        quantity=pack_runs(series.quantity),
        value=pack(series.value),
        border_flow=pack_runs(series.flow("border_flow", series.border)),
        is_fresh=series.is_fresh.astype("u1").tobytes(),
        **packed,
    )


def digest_of(first_day: dt.date, columns: Columns) -> str:
    """Equal series have equal ones, and are not written again."""
    return hashlib.sha256(first_day.isoformat().encode() + b"".join(columns)).hexdigest()


def first_differences(figures: Figures) -> Iterator[tuple[UUID, dt.date]]:
    """(account, day): the first day on which a computed holding is not what is stored of it."""
    computed = {holding: series for holding, series in figures.series.items() if holding.instrument is not None}
    stored = ValueSeries.objects.filter(user=figures.user, instrument__in=figures.touched.instruments)
    for row in stored:
        holding = Holding(row.account_id, row.instrument_id)
        series = computed.pop(holding, None)
        if series is None or series.first_day != row.first_day:
            yield row.account_id, min(row.first_day, series.first_day if series else row.first_day)
            continue
        columns = columns_of(figures, series)
        if digest_of(series.first_day, columns) != row.digest:
            places = [_first_place(getattr(columns, name), getattr(row, name)) for name in ACCOUNTED]
            known = [place for place in places if place is not None]
            if known:
                yield row.account_id, row.first_day + dt.timedelta(days=min(known))
    for holding, series in computed.items():
        yield holding.account, series.first_day


def _first_place(new: bytes, stored: bytes | memoryview) -> int | None:
    """The first element in which two packed columns differ to the bit; None for none."""
    left, right = unpack(new).view(np.int64), unpack(stored).view(np.int64)
    size = min(left.size, right.size)
    places = np.flatnonzero(left[:size] != right[:size])
    if places.size:
        return int(places[0])
    return size if left.size != right.size else None


def kept_columns(figures: Figures) -> dict[Holding, tuple[dt.date, dict[str, Floats]]]:
    """Of each cash series of the touched accounts: its first day, and its columns before the first computed day."""
    stored = ValueSeries.objects.filter(user=figures.user, account__in=figures.touched.since, instrument=None)
    found: dict[Holding, tuple[dt.date, dict[str, Floats]]] = {}
    for row in stored:
        days = (figures.starts(row.account_id) - row.first_day).days
        if days > 0:
            columns = {name: unpack(getattr(row, name))[:days] for name in Columns._fields if name != "is_fresh"} | {
                "is_fresh": np.frombuffer(row.is_fresh, dtype="u1")[:days].astype(np.float64)
            }
            found[Holding(row.account_id, None, row.currency)] = (row.first_day, columns)
    return found


def stored_values(figures: Figures, account: UUID) -> Iterator[tuple[Holding, dt.date, Floats]]:
    """Holdings of an account that are not computed: the first of the computed days on which they are, and their values
    from it on. Only that part of a series is read.
    """
    since = figures.starts(account)
    statement = sql.SQL(
        "SELECT instrument_id, GREATEST(first_day, %s), substring(value FROM GREATEST(%s - first_day, 0) * 8 + 1)"
        " FROM {} WHERE account_id = %s AND instrument_id IS NOT NULL AND NOT instrument_id = ANY(%s)"
    ).format(sql.Identifier(ValueSeries._meta.db_table))
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:  # bytes come as they are, not as digits
        cursor.execute(statement, [since, since, account, list(figures.touched.instruments)], binary=True)
        for instrument, first_day, values in cursor.fetchall():
            yield Holding(account, instrument), first_day, unpack(values)

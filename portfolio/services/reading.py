"""Rows of the ledger as figures read them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q

from accounts.models import User
from federation.models import BrokerAccount, Listing, Transaction
from portfolio.ledger_rows import Holding, LedgerRow
from portfolio.services.touched import Touched

ZERO, ONE = Decimal(0), Decimal(1)


def read_ledger(
    *,
    user: User,
    accounts: Mapping[UUID, BrokerAccount],
    until: dt.date,
    touched: Touched,
    which: Q | None = None,
) -> tuple[list[LedgerRow], dict[Holding, UUID]]:
    """The ledger, or those of its rows, in its order, and the listing that each holding was last traded on."""
    rows: list[LedgerRow] = []
    listings: dict[Holding, UUID] = {}
    tracked = {pk: account.cash_mode == BrokerAccount.CashMode.TRACKED for pk, account in accounts.items()}
    same: dict[UUID, UUID] = {}  # one object for each account and instrument: equal keys are found at once
    for (
        pk, account, instrument, multiplier, listing, kind, day, position, leg, quantity, price, currency, fee,
        fee_currency, tax, cash_amount, cash_currency, fx_rate, ratio, group, lots,
    ) in _select(user, until, which or Q()):  # fmt: skip
        account = same.setdefault(account, account)
        if instrument is not None:
            instrument = same.setdefault(instrument, instrument)
            if listing is not None:
                listings[Holding(account, instrument)] = listing
        rows.append(
            LedgerRow(
                pk, account, tracked[account], instrument, multiplier if multiplier is not None else ONE,
                _meant(kind, instrument, touched.beyond.get(pk)), day, position, leg, quantity, price, currency,
                fee or ZERO, fee_currency or currency, tax or ZERO, cash_amount, cash_currency or currency, fx_rate,
                ratio, group, pk in touched.paired, touched.paired.get(pk), lots,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: row.order), listings


def _select(user: User, until: dt.date, which: Q) -> list[tuple[Any, ...]]:
    rows = Transaction.objects.filter(which, user=user, trade_date__lte=until)
    columns = rows.order_by("trade_date", "position", "pk").values_list(
        "pk", "account_id", "instrument_id", "instrument__multiplier", "listing_id", "kind", "trade_date", "position",
        "leg", "quantity", "price", "currency", "fee", "fee_currency", "tax", "cash_amount", "cash_currency", "fx_rate",
        "ratio", "group", "lots",
    )  # fmt: skip
    try:
        statement, parameters = columns.query.sql_with_params()
    except EmptyResultSet:  # one of no instruments is asked for
        return []
    with connection.cursor() as cursor:  # the ORM would look at each cell again
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _meant(kind: str, instrument: UUID | None, beyond: str | None) -> str:
    """What a row counts as: income where the user called it so; a payment leaves like any withdrawal, and is told."""
    if beyond == "income":
        return "reward" if instrument else "interest"
    return kind


def listings_of(rows: Sequence[LedgerRow]) -> dict[UUID, list[Listing]]:
    by_instrument: dict[UUID, list[Listing]] = defaultdict(list)
    held_ids = {row.instrument for row in rows if row.instrument}
    for listing in Listing.objects.filter(instrument_id__in=held_ids).select_related("instrument").order_by("pk"):
        by_instrument[listing.instrument_id].append(listing)
    return by_instrument

"""Lots, gains and steps of instruments from their rows in all accounts."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.models import AccountSetting, BrokerAccount, Listing
from portfolio.holding_steps import Held
from portfolio.ledger_rows import LedgerRow, RateOn, lot_entries, lot_entry
from portfolio.lot_events import Terms, Worths, held_together
from portfolio.lots import Entry, Method
from portfolio.selectors.prices import last_closes
from stackmotive.common.currencies import ISO_4217, quote_unit

ZERO = Decimal(0)


def held_by_instrument(
    rows: Sequence[LedgerRow],
    accounts: Mapping[UUID, BrokerAccount],
    base: str,
    rate_on: RateOn,
    *,
    terms: Sequence[Terms],
    worths: Worths,
) -> dict[UUID, Held]:
    methods = _methods(accounts)
    shorts = {str(pk) for pk, account in accounts.items() if account.allows_short}

    def method(account: str, day: dt.date) -> Method:
        dated = methods[account]
        return dated[0][1] if len(dated) == 1 else [name for since, name in dated if since <= day][-1]

    symbols = _coin_symbols(rows)
    entries: list[tuple[str, Entry]] = []
    for row in rows:
        if row.instrument and (row.moves_units or row.kind == "return_of_capital" or row.pays_for_event):
            entries.extend((str(row.instrument), one) for one in lot_entries(row, base=base, rate_on=rate_on))
        if row.fee and row.fee_currency not in ISO_4217:
            coin = symbols.get((row.account, row.fee_currency.upper()))
            if coin is not None:
                entries.append((str(coin), _coin_fee(row, coin, base, rate_on)))
    found = held_together(
        entries, method=method, allows_short=lambda account: account in shorts, terms=terms, worths=worths
    )
    return {UUID(instrument): one for instrument, one in found.items()}


def _methods(accounts: Mapping[UUID, BrokerAccount]) -> dict[str, list[tuple[dt.date, Method]]]:
    """By account, from which day which method relieves lots."""
    methods: dict[str, list[tuple[dt.date, Method]]] = {}
    dated = AccountSetting.objects.filter(account__in=accounts, key="cost_basis_method", valid_from__isnull=False)
    later: dict[UUID, list[tuple[dt.date, Method]]] = defaultdict(list)
    for account, day, value in dated.order_by("valid_from", "number").values_list("account_id", "valid_from", "value"):
        if day is not None:
            later[account].append((day, value))
    for account_id, one in accounts.items():
        current: Any = one.cost_basis_method
        dates = later.get(account_id, [])
        methods[str(account_id)] = [(dt.date.min, "fifo" if dates else current), *dates]
    return methods


class ClosesNear:
    """Closes on the day of an event or soon after, when all of its instruments have one."""

    LATEST = 5  # days after it until a new instrument trades

    def __init__(self, user: User, base: str, rate_on: RateOn, listings: Mapping[UUID, Sequence[Listing]]) -> None:
        self.user, self.base, self.rate_on, self.listings = user, base, rate_on, listings

    def __call__(self, instruments: Collection[str], day: dt.date) -> dict[str, Decimal] | None:
        asked = {one.pk: one for name in instruments for one in self.listings.get(UUID(name), ())}
        for offset in range(self.LATEST + 1):
            on = day + dt.timedelta(days=offset)
            worth: dict[str, Decimal] = {}
            for listing, close in last_closes(user_id=self.user.pk, listing_ids=asked, day=on).items():
                one = asked[listing]
                rate = self.rate_on(one.currency, self.base, on)
                if close.date == on and rate is not None:
                    unit = quote_unit(one.quote_unit)[1] if one.quote_unit else Decimal(1)
                    worth[str(one.instrument_id)] = close.close * unit * one.instrument.multiplier * rate
            if worth.keys() >= set(instruments):
                return worth
        return None


def _coin_symbols(rows: Sequence[LedgerRow]) -> dict[tuple[UUID, str], UUID]:
    """(account, symbol) -> the instrument held there under which a fee paid in units leaves."""
    if all(row.fee_currency in ISO_4217 for row in rows if row.fee):
        return {}
    held_in = {(row.account, row.instrument) for row in rows if row.instrument}
    symbols = dict(
        Listing.objects.filter(instrument_id__in={instrument for _, instrument in held_in}).values_list(
            "instrument_id", "instrument__symbol"
        )
    )
    return {
        (account, symbols[instrument].upper()): instrument
        for account, instrument in held_in
        if instrument is not None and instrument in symbols
    }


def _coin_fee(row: LedgerRow, coin: UUID, base: str, rate_on: RateOn) -> Entry:
    entry = lot_entry(row, base=base, rate_on=rate_on)
    worth = row.fee * row.price if coin == row.instrument and row.price is not None else None
    return replace(
        entry, id=f"{row.id}:fee", kind="fee", quantity=-row.fee, gross=worth, fee=ZERO, tax=ZERO, cash_amount=None,
        ratio=None, transfer_group=None, event_group=None,
    )  # fmt: skip

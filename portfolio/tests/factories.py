"""Ledgers for tests: rows as federation writes them."""

import datetime as dt
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.models import BrokerAccount, Instrument, LedgerState, Listing, Transaction
from portfolio.models import FxRate
from stackmotive.common.ids import uuid7


def make_user(email: str = "owner@example.org", base: str = "USD") -> User:
    return User.objects.create_user(email, "a long enough password", base_currency=base)


def make_account(user: User, *, cash_mode: str = "tracked", **fields: Any) -> BrokerAccount:
    defaults = {"name": "Main", "currency": user.base_currency}
    return BrokerAccount.objects.create(user=user, cash_mode=cash_mode, **(defaults | fields))


def make_instrument(user: User | None, symbol: str = "X", currency: str = "USD", **fields: Any) -> Listing:
    """A share with one listing; the listing."""
    defaults = {"kind": "equity", "name": symbol}
    instrument = Instrument.objects.create(user=user, symbol=symbol, **(defaults | fields))
    return Listing.objects.create(instrument=instrument, currency=currency)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


class Ledger:
    """Writes rows of one account in the order they are called, and says that figures are behind."""

    def __init__(self, account: BrokerAccount) -> None:
        self.account, self.position = account, 0

    def row(self, kind: str, on: str, listing: Listing | None = None, **fields: Any) -> Transaction:
        self.position += 1
        numbers = {
            name: Decimal(value)
            if isinstance(value, str) and name not in ("currency", "fee_currency", "cash_currency", "note")
            else value
            for name, value in fields.items()
        }
        defaults: dict[str, Any] = {"currency": listing.currency if listing else self.account.currency}
        row = Transaction.objects.create(
            id=uuid7(), user=self.account.user, account=self.account, kind=kind, trade_date=day(on), listing=listing,
            instrument=listing.instrument if listing else None, position=self.position, **(defaults | numbers),
        )  # fmt: skip
        self.changed(on)
        return row

    def changed(self, since: str) -> None:
        state, _ = LedgerState.objects.get_or_create(user=self.account.user)
        state.ledger_version += 1
        state.dirty_from = min(filter(None, (state.dirty_from, day(since))))
        state.save()


def make_rate(base: str, quote: str, on: str, rate: str, user: User | None = None) -> None:
    FxRate.objects.create(
        base=base, quote=quote, date=day(on), rate=Decimal(rate), user=user, provider="own" if user else "ecb", number=1
    )


def snapshot(*models: Any, user_id: UUID) -> list[list[tuple[Any, ...]]]:
    """Every column of every computed row of a user, database ids left out."""
    tables = []
    for model in models:
        names = [field.attname for field in model._meta.fields if field.get_internal_type() != "BigAutoField"]
        rows = [
            tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
            for row in model.objects.filter(user_id=user_id).values_list(*names)
        ]
        tables.append(sorted(rows, key=repr))
    return tables

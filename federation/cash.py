"""What a ledger row does to cash, where its source states the amount and where it only implies it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Protocol

from stackmotive.common.currencies import ISO_4217

CASH_FROM_PRICE = frozenset({"buy", "sell"})
IN_KIND = frozenset(
    {"adjustment", "transfer_in", "transfer_out", "split", "spinoff", "stock_dividend", "symbol_change"}
)
"""Kinds that move units and, unless an amount is stated, no cash for them."""


class MovesCash(Protocol):
    """A staged row, a ledger row or a Transaction."""

    kind: str
    quantity: Decimal | None
    price: Decimal | None
    currency: str
    fee: Decimal | None
    fee_currency: str
    tax: Decimal | None
    cash_amount: Decimal | None
    cash_currency: str
    fx_rate: Decimal | None


def cash_effects(row: MovesCash, multiplier: Decimal = Decimal(1)) -> Iterator[tuple[str, Decimal]]:
    """(currency, signed amount) for each currency that `row` moves.

    The stated amount is authoritative and net of fee and tax in its own currency; a fee in another currency
    moves that one. A trade that states none moves quantity x price x multiplier, less fee and tax, in
    `currency`.
    """
    currency = row.cash_currency or row.currency
    fee_currency = row.fee_currency or currency
    if row.cash_amount is not None:
        yield currency, row.cash_amount
        if row.fee and fee_currency != currency and fee_currency in ISO_4217:
            yield fee_currency, -row.fee
        return
    amount = Decimal(0)
    if row.kind in CASH_FROM_PRICE and row.quantity is not None and row.price is not None:
        amount = -row.quantity * row.price * multiplier
        if currency != row.currency and row.fx_rate is not None:
            amount *= row.fx_rate
        elif currency != row.currency:
            currency = row.currency
    amount -= row.tax or 0
    if row.fee and fee_currency in (currency, ""):
        amount -= row.fee
    elif row.fee and fee_currency in ISO_4217:
        yield fee_currency, -row.fee
    if amount:
        yield currency, amount

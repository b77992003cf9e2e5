"""The other side of a transfer whose source knows only one: booked by hand in an own account, and paired with it."""

from dataclasses import replace
from uuid import UUID

from django.db import transaction

from accounts.models import User
from federation import services as federation
from federation.errors import UnfitDecision
from federation.models import BrokerAccount, Decision, Transaction
from federation.selectors import reference_to
from portfolio.services import manual
from portfolio.services.manual import book_transaction, transaction_row
from stackmotive.common.money import plain


@transaction.atomic
def book_far_side(*, user: User, row: Transaction, account: BrokerAccount) -> tuple[UUID, Decision]:
    """Book what arrived (or left) in `account`, the same day and amount, as one transfer with `row`.

    Raises UnfitDecision, NotATransfer.
    """
    moved = row.quantity if row.instrument_id else row.cash_amount
    if not moved or row.account_id == account.pk:
        raise UnfitDecision("The other side of a transfer lies in another account.")
    is_cash = row.instrument_id is None
    kind = ("deposit" if moved < 0 else "withdrawal") if is_cash else ("transfer_in" if moved < 0 else "transfer_out")
    currency = row.cash_currency or row.currency
    fields = {
        "kind": kind,
        "trade_date": row.trade_date.isoformat(),
        "currency": currency if is_cash else row.currency,
        "cash_amount" if is_cash else "quantity": plain(-moved),
    }
    named = None
    if row.instrument is not None:
        named = reference_to(row.instrument, row.listing)
        named = named if named.currency else replace(named, currency=row.currency)
    booked = book_transaction(user=user, account=account, row=transaction_row(fields=fields, instrument=named))
    federation.reconcile(user.pk)
    other = Transaction.objects.visible_to(user).filter(pk=booked.id or booked.uid).first()
    if other is None or manual.uid_of(other) != booked.uid:
        raise UnfitDecision("The account has this row already: pair the two.")
    return other.pk, federation.pair_by_hand(user=user, rows=[row, other])


__all__ = ["book_far_side"]

"""Rows typed by hand: staged, reconciled and answered in one request."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from federation import services as federation
from federation.models import BrokerAccount, Claim, Instrument, LedgerState, Transaction
from federation.selectors import listing_for, reference_to
from ingestion import services as ingestion
from ingestion.adapters.base import InstrumentRef, PositionRow, TransactionRow
from ingestion.adapters.generic_transactions import RULES
from ingestion.adapters.rows import RowProblem
from ingestion.adapters.transaction_cells import TransactionCells
from ingestion.models import StagedPosition
from portfolio.errors import NotByHand
from portfolio.selectors.manual_positions import ManualPosition
from stackmotive.common.problems import BadRequest, FieldError


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of a row by hand. id: of the ledger row; None while a worker still reconciles.

    matched_with: the row of another source that it joined. possible_duplicate_of: an equal row by hand.
    """

    id: UUID | None
    uid: UUID
    ledger_version: int
    matched_with: UUID | None = None
    possible_duplicate_of: UUID | None = None


def transaction_row(*, fields: Mapping[str, str], instrument: InstrumentRef | None) -> TransactionRow:
    """The row that `fields` (as the generic CSV names them) describe, by the rules of a file. Raises BadRequest."""
    named = dict(fields)
    if instrument is not None:
        named |= {
            "symbol": instrument.symbol or instrument.name[:60] or "-",
            "isin": instrument.isin,
            "instrument_kind": instrument.kind,
            "exchange": instrument.exchange,
            "multiplier": format(instrument.multiplier, "f"),
        }
    columns = {name: place for place, name in enumerate(named)}
    try:
        row = TransactionCells(columns, RULES).row(1, [*named.values(), ""])
    except RowProblem as problem:
        field = {"fx_currency": "cash_currency", "symbol": "instrument"}.get(problem.field, problem.field)
        raise BadRequest(problem.detail, errors=[FieldError(f"#/{field}", problem.detail, problem.code)]) from problem
    return row if instrument is None else replace(row, instrument=instrument)


def named_instrument(*, user: User, instrument: Instrument, currency: str) -> InstrumentRef:
    """How a row by hand names an instrument that the user picked by its id."""
    return reference_to(instrument, listing_for(instrument, "", currency))


def book_transaction(*, user: User, account: BrokerAccount, row: TransactionRow, uid: UUID | None = None) -> Booked:
    """Record a row by hand, or the next version of `uid`, and bring the ledger up to it."""
    staged = ingestion.stage_manual_transaction(user=user, row=row, account_id=account.pk, uid=uid)
    done = federation.apply_now(user.pk, accounts=[account.pk])
    version = _ledger_version(user)
    if done is None:
        return Booked(None, staged.uid, version)
    claim = Claim.objects.filter(staged__content_id=staged.content_id).first()
    booked = claim.transaction_id if claim else None
    joined = booked if booked is not None and booked != staged.uid else None
    return Booked(booked, staged.uid, version, joined, None if joined else _equal_row(user, booked))


def _ledger_version(user: User) -> int:
    return LedgerState.objects.filter(pk=user.pk).values_list("ledger_version", flat=True).first() or 0


def _equal_row(user: User, booked: UUID | None) -> UUID | None:
    """Another ledger row that says the same."""
    row = Transaction.objects.filter(pk=booked).first() if booked else None
    if row is None:
        return None
    same = ("account", "instrument", "kind", "trade_date", "quantity", "price", "currency", "cash_amount")
    equal = (
        Transaction.objects.visible_to(user).filter(**{name: getattr(row, name) for name in same}).exclude(pk=row.pk)
    )
    found: UUID | None = equal.order_by("pk").values_list("pk", flat=True).first()
    return found


def delete_transaction(*, user: User, row: Transaction) -> None:
    """Take back a row typed by hand. Raises NotByHand."""
    uid = uid_of(row)
    ingestion.withdraw_manual(user=user, uid=uid)
    federation.apply_now(user.pk, accounts=[row.account_id])


def uid_of(row: Transaction) -> UUID:
    """The name of a row by hand. Raises NotByHand for any other."""
    if not row.is_manual:
        raise NotByHand("A broker's row stays as its source states it: ignore it or set a value by a decision.")
    claim = Claim.objects.filter(transaction=row).select_related("staged").order_by("-won", "pk").first()
    if claim is None:
        raise NotByHand("This row follows from other rows: change those.")
    uid: UUID = claim.staged.uid
    return uid


def book_position(
    *,
    user: User,
    account: BrokerAccount,
    instrument: InstrumentRef,
    quantity: Decimal,
    as_of: dt.date,
    currency: str,
    cost_basis: Decimal | None = None,
    uid: UUID | None = None,
) -> UUID:
    """Record what an account holds by the user's own word, or the next report of `uid`."""
    row = PositionRow(
        line=1,
        account="",
        instrument=instrument,
        quantity=quantity,
        as_of=as_of,
        currency=currency,
        cost_basis=cost_basis,
    )
    staged = ingestion.stage_manual_position(user=user, row=row, account_id=account.pk, uid=uid)
    federation.apply_now(user.pk, accounts=[account.pk])
    return staged.uid


def close_position(*, user: User, position: ManualPosition, closed_on: dt.date) -> None:
    """A report of nothing held from that day on."""
    book_position(
        user=user,
        account=BrokerAccount.objects.visible_to(user).get(pk=position.account),
        instrument=staged_reference(position.staged_id),
        quantity=Decimal(0),
        as_of=closed_on,
        currency=position.currency,
        uid=position.id,
    )


def staged_reference(staged_id: int) -> InstrumentRef:
    """How an earlier report by hand named its instrument."""
    staged = StagedPosition.objects.select_related("content").get(pk=staged_id)
    named = staged.content.instruments.get(key=staged.instrument_key)
    return InstrumentRef(
        symbol=named.symbol, name=named.name, kind=named.kind, isin=named.isin, figi=named.figi, cusip=named.cusip,
        conid=named.conid, exchange=named.exchange, currency=named.currency, multiplier=named.multiplier,
    )  # fmt: skip


def delete_position(*, user: User, position: ManualPosition) -> None:
    """It never was."""
    ingestion.withdraw_manual(user=user, uid=position.id)
    federation.apply_now(user.pk, accounts=[position.account])

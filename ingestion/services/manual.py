"""Rows typed by hand: each is a content of its own in the user's manual source, named by a uid that edits keep.

An edit is a newer content of the same uid; a deletion withdraws all of them. Nothing is ever changed in place.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import User
from ingestion import accounts, identity, selectors, staging
from ingestion.adapters.base import CoverageRow, PositionRow, Section, Statement, TransactionRow
from ingestion.errors import RowGone, UnfitNumber, UnknownAccount
from ingestion.identity import instrument_key
from ingestion.models import Arrival, Content, Source, SourceKind, Withdrawal
from ingestion.services.sources import announce_facts, default_source
from stackmotive.common.ids import uuid7
from stackmotive.common.money import fits_recorded

SCOPE = "manual"


@dataclass(frozen=True, slots=True)
class StagedManual:
    """uid: the row's name for good. instrument_key: how the manual source names its instrument, "" for none."""

    uid: UUID
    fact_number: int
    source_id: UUID
    content_id: int
    instrument_key: str


def stage_manual_transaction(
    *, user: User, row: TransactionRow, account_id: UUID, uid: UUID | None = None
) -> StagedManual:
    """Record one row by hand, or the new version of `uid`. The reference of `row` is not used: account_id says where.

    Raises UnknownAccount, UnfitNumber, RowGone (uid is not a row in force of this user).
    """
    numbers = (row.quantity, row.fee, row.tax, row.cash_amount)
    if any(value is not None and not fits_recorded(value) for value in numbers):
        raise UnfitNumber("Write numbers with at most 20 digits before the point and 18 after it.")
    statement = Statement(layout="manual", transactions=[row])
    statement.coverage.append(_coverage("transactions", row))
    key = instrument_key(row.instrument) if row.instrument else ""
    return _stage(user=user, statement=statement, account_id=account_id, uid=uid, key=key, replaces_all=True)


def stage_manual_position(*, user: User, row: PositionRow, account_id: UUID, uid: UUID | None = None) -> StagedManual:
    """Record a holding stated by hand, or the next report of `uid`: the same day replaces, another day adds.

    Raises UnknownAccount, UnfitNumber, RowGone.
    """
    if any(value is not None and not fits_recorded(value) for value in (row.quantity, row.cost_basis)):
        raise UnfitNumber("Write numbers with at most 20 digits before the point and 18 after it.")
    statement = Statement(layout="manual", positions=[row])
    statement.coverage.append(_coverage("positions", row))
    key = instrument_key(row.instrument)
    return _stage(user=user, statement=statement, account_id=account_id, uid=uid, key=key, replaces_all=False)


@transaction.atomic
def withdraw_manual(*, user: User, uid: UUID) -> int:
    """Delete a row typed by hand: it never was. Returns the number of the fact. Raises RowGone."""
    source = default_source(user=user, kind=SourceKind.MANUAL, layout="")
    staging.lock_source(source.pk)
    contents = list(selectors.manual_contents(user_id=user.pk, uid=uid))
    if not contents:
        raise RowGone
    number = next_fact_number(user_id=user.pk, cause="manual")
    Withdrawal.objects.bulk_create(Withdrawal(content=content, number=number) for content in contents)
    announce_facts(user_id=user.pk)
    return number


@transaction.atomic
def _stage(
    *, user: User, statement: Statement, account_id: UUID, uid: UUID | None, key: str, replaces_all: bool
) -> StagedManual:
    if not accounts.is_own(user_id=user.pk, account_id=account_id):
        raise UnknownAccount("Choose one of your accounts.", account=str(account_id))
    source = default_source(user=user, kind=SourceKind.MANUAL, layout="")
    staging.lock_source(source.pk)
    older = list(selectors.manual_contents(user_id=user.pk, uid=uid)) if uid else []
    if uid is not None and not older:
        raise RowGone
    if not replaces_all:
        days = [row.as_of for row in statement.positions]
        older = [content for content in older if content.positions.filter(as_of__in=days).exists()]
    uid = uid or uuid7()
    content = _write(source, statement, account_id, uid)
    number = next_fact_number(user_id=user.pk, cause="manual")
    Arrival.objects.create(content=content, number=number)
    Withdrawal.objects.bulk_create(Withdrawal(content=old, number=number) for old in older)
    announce_facts(user_id=user.pk)
    return StagedManual(uid, number, source.pk, content.pk, key)


def _write(source: Source, statement: Statement, account_id: UUID, uid: UUID) -> Content:
    """Call with the source locked: the versions of a uid are counted."""
    version = Content.objects.filter(source=source, scope=SCOPE, digest__startswith=f"manual:{uid}:").count() + 1
    content = Content.objects.create(
        source=source, scope=SCOPE, digest=f"manual:{uid}:{version}", layout="manual", default_account=account_id
    )
    unnamed = Statement(
        layout="manual",
        transactions=[replace(row, account="", external_id=str(uid)) for row in statement.transactions],
        positions=[replace(row, account="") for row in statement.positions],
        coverage=statement.coverage,
    )
    batch = identity.prepare(unnamed)  # identity of its own id alone, so that an edit may move it to another account
    staging.write(content_id=content.pk, batch=batch, uids={leg.identity: uid for leg in batch.transactions})
    return content


def _coverage(section: Section, row: TransactionRow | PositionRow) -> CoverageRow:
    """By hand nothing is whole: a row adds and never withdraws."""
    day = row.trade_date if isinstance(row, TransactionRow) else row.as_of
    return CoverageRow("", section, day, day, "inferred")

"""Importing a sample as its user would, and reading back what the ledger made of it. Nothing of it stays."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from accounts.models import Tier, User
from federation.cash import cash_effects
from federation.models import Claim, InstrumentIdentifier, Transaction
from federation.services import reconcile
from ingestion.adapters.base import FileAdapter
from ingestion.adapters.detection import detect, read_head
from ingestion.models import ImportRun, JobStatus, StagedInstrument
from ingestion.services import open_import, run_import
from stackmotive.common.ids import uuid7
from stackmotive.sample_files import Holding, Outcome, Row

FLEX_ENVELOPE = b"<FlexStatementResponse"


class ImportFailed(Exception):
    """The file was not imported; the message says why."""


def adapter_for(content: bytes, filename: str) -> FileAdapter | None:
    """The registered layout of a file, None where it has none or is a service's reply and no statement."""
    head = read_head(content, filename)
    if FLEX_ENVELOPE in head.first_bytes.replace(b"\x00", b""):
        return None
    return detect(head)


def import_sample(content: bytes, filename: str) -> tuple[Outcome, list[str]]:
    """(what the ledger holds, the rows that were rejected) after the file came in as a fresh user's first one.

    The user and all that is theirs are gone afterwards. Raises ImportFailed.
    """
    with transaction.atomic():
        user = User.objects.create(email=f"{uuid7()}@samples.invalid", tier=Tier.SOVEREIGN)
        run = open_import(user=user, content=content, filename=filename)
        run_import(run_id=run.pk)
        run = ImportRun.objects.defer("raw").get(pk=run.pk)
        left_out = run.left_out.filter(verdict="rejected").order_by("line", "pk")
        rejected = [f"line {row.line}: {row.detail}" for row in left_out]
        if run.status not in (JobStatus.RUNNING, JobStatus.DONE, JobStatus.PARTIAL):
            told = (run.error or {}).get("detail") or run.questions or ""
            raise ImportFailed(" ".join([f"{run.status}: {told}", *rejected]))  # and the transaction is rolled back
        reconcile(user.pk)
        outcome = outcome_of(user.pk)
        transaction.set_rollback(True)
    return outcome, rejected


def outcome_of(user_id: UUID) -> Outcome:
    """The user's ledger in the words of a manifest."""
    transactions = list(
        Transaction.objects.filter(user=user_id).select_related("instrument").order_by("trade_date", "position", "pk")
    )
    names = _names(user_id, transactions)
    identifiers = _identifiers(transactions)
    rows: list[Row] = []
    cash: dict[str, Decimal] = defaultdict(Decimal)
    by_kind: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    quantities: dict[UUID, Decimal] = defaultdict(Decimal)
    changes: dict[UUID, Decimal] = defaultdict(Decimal)
    called: dict[UUID, set[str]] = defaultdict(set)
    for one in transactions:
        is_stated = one.source_id is not None
        if one.instrument_id is not None:
            _move(one, quantities)
            called[one.instrument_id] |= names[one.pk]
            if is_stated:
                _move(one, changes)
        if not is_stated:
            continue
        effects = list(cash_effects(one, one.instrument.multiplier if one.instrument else Decimal(1)))
        for currency, amount in effects:
            cash[currency] += amount
            by_kind[one.kind, currency] += amount
        rows.append(_row(one, names[one.pk], dict(effects)))
    holdings = [
        Holding(
            frozenset(called[pk]) | identifiers[pk, "isin"],
            identifiers[pk, "conid"],
            quantity,
            changes.get(pk, Decimal(0)),
        )
        for pk, quantity in quantities.items()
    ]
    return Outcome(rows, holdings, dict(cash), dict(by_kind))


def _move(one: Transaction, held: dict[UUID, Decimal]) -> None:
    """A split known by its ratio alone multiplies what is held."""
    assert one.instrument_id is not None  # noqa: S101  # the caller looked
    if one.quantity is not None:
        held[one.instrument_id] += one.quantity
    elif one.kind == "split" and one.ratio is not None:
        held[one.instrument_id] *= one.ratio


def _row(one: Transaction, names: frozenset[str], effects: dict[str, Decimal]) -> Row:
    currency = one.cash_currency or one.currency
    return Row(
        names=names,
        date=one.trade_date.isoformat(),
        type=one.kind,
        quantity=one.quantity,
        price=one.price,
        fee=one.fee,
        fee_currency=one.fee_currency or currency,
        currency=currency,
        cash=effects.get(currency),
    )


def _names(user_id: UUID, transactions: Iterable[Transaction]) -> dict[UUID, frozenset[str]]:
    """What each row's own statement calls its instrument, and what the ledger does, upper case."""
    known: dict[UUID, set[str]] = {one.pk: {one.instrument.symbol} if one.instrument else set() for one in transactions}
    claims = Claim.objects.filter(transaction__user=user_id, won=True)
    stated = StagedInstrument.objects.filter(content__source__user=user_id)
    told = {(row.content_id, row.key): {row.symbol, row.isin} for row in stated}
    for pk, content, key in claims.values_list("transaction", "staged__content", "staged__instrument_key"):
        known[pk] |= told.get((content, key), set())
    return {pk: frozenset(name.upper() for name in names if name) for pk, names in known.items()}


def _identifiers(transactions: Iterable[Transaction]) -> dict[tuple[UUID, str], frozenset[str]]:
    wanted = {one.instrument_id for one in transactions if one.instrument_id is not None}
    found: dict[tuple[UUID, str], frozenset[str]] = defaultdict(frozenset)
    for pk, scheme, value in InstrumentIdentifier.objects.filter(instrument__in=wanted).values_list(
        "instrument", "scheme", "value"
    ):
        found[pk, scheme] |= {value}
    return found

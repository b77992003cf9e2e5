"""Bringing the ledger up to date with the facts (DESIGN 5.1, 5.12)."""

import gc
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.utils import timezone

from accounts.facts import market_number
from accounts.models import User
from federation import ledger
from federation.accounts import propose_accounts, store_accounts
from federation.changes import Change, changes_since
from federation.effects import Mark, Valuer, is_small
from federation.errors import LedgerBusy
from federation.facts import Resolved, load, resolve, rows_of, rows_to_read
from federation.instruments import store_instruments
from federation.models import Conflict, LedgerState, LedgerVersion
from federation.rows import DERIVED, Balance, Disagreement, LedgerRow
from federation.services.linking import Linked, link_transfers
from federation.signals import ledger_changed
from federation.truth import RULES_VERSION, Facts, Truth, compute
from ingestion.services import advance_runs
from stackmotive.common.money import RECORDED_QUANTUM, plain

ATTEMPTS = 8
REBUILD = "rebuild"  # cause of a version that started from empty tables
MOST_ROWS_NOW = 15_000  # staged rows that are read, computed and compared well within 2 s

MARKS = """
SELECT DISTINCT ON (c.source_id, p.instrument_key) c.source_id, p.instrument_key, p.day, p.close, p.currency
FROM ingestion_stagedprice p JOIN ingestion_content c ON c.id = p.content_id WHERE p.content_id = ANY(%(contents)s)
ORDER BY c.source_id, p.instrument_key, p.day DESC, p.id DESC
"""
RATES = """
SELECT DISTINCT ON (base, quote) base, quote, rate FROM ingestion_stagedrate WHERE content_id = ANY(%(contents)s)
ORDER BY base, quote, day DESC, id DESC
"""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run did. `written`: rows written or deleted in all derived tables."""

    version: LedgerVersion | None
    facts_version: int
    written: int
    dirty_from: date | None
    differences: Sequence[ledger.Difference] = ()  # in the order of TABLES


def reconcile(user_id: UUID, *, accounts: Collection[UUID] | None = None, cause: str = "facts") -> LedgerVersion | None:
    """Make the user's ledger include all facts committed so far. Returns the new version, null where no row
    changed.

    accounts: what to compute instead of finding it out; the caller knows that nothing else was touched.
    Raises LedgerBusy where the facts change faster than they are read.
    """
    return bring_up_to_date(user_id, accounts=accounts, cause=cause).version


def bring_up_to_date(
    user_id: UUID, *, accounts: Collection[UUID] | None = None, cause: str = "facts", is_full: bool = False
) -> Reconciled:
    """`reconcile`, telling what it wrote. is_full: compute every account, whatever was touched."""
    for _ in range(ATTEMPTS):
        state = LedgerState.objects.filter(user=user_id).first() or LedgerState(user_id=user_id)
        resolved = resolve(user_id)
        touched = None if is_full else changes_since(resolved, since=state.facts_version)
        if touched is not None and accounts is not None:
            touched |= {account: Change(is_whole=True) for account in accounts if account not in touched}
        with without_collection():
            facts = load(resolved, touched)
            draft = _draft(resolved, facts, compute(facts))
            done = _apply(resolved, facts, draft, state, cause)
        if done is not None:
            return done
    raise LedgerBusy("Try again in a moment: new facts came in while the ledger was computed.")


@contextmanager
def without_collection() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: hundreds of thousands of live rows, none in a cycle, cost a third of
    the time to walk again and again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def apply_now(user_id: UUID, *, accounts: Collection[UUID]) -> Reconciled | None:
    """Include an edit by hand in the request that made it; null where it would take too long and a worker
    does it.

    accounts: those that the edit touched.
    """
    state = LedgerState.objects.filter(user=user_id).first() or LedgerState(user_id=user_id)
    resolved = resolve(user_id)
    touched = changes_since(resolved, since=state.facts_version)
    if rows_to_read(resolved, None if touched is None else touched.keys() | set(accounts)) > MOST_ROWS_NOW:
        return None
    return bring_up_to_date(user_id, accounts=accounts, cause="manual")


@dataclass(slots=True)
class Draft:
    """The derived rows of the computed accounts, ready to be compared with the tables."""

    transactions: list[ledger.Row]
    claims: list[ledger.Row]
    balances: list[ledger.Row]
    conflicts: list[ledger.Row]


TABLES = (ledger.TRANSACTIONS, ledger.CLAIMS, ledger.BALANCES, ledger.CONFLICTS)


def draft_of(user_id: UUID) -> tuple[Resolved, Facts, Draft]:
    """What the ledger would be by the facts alone, all accounts. Writes nothing."""
    resolved = resolve(user_id)
    facts = load(resolved)
    return resolved, facts, _draft(resolved, facts, compute(facts))


def differences(draft: Draft, accounts: Collection[UUID]) -> list[ledger.Difference]:
    """Draft against tables, in the order of TABLES."""
    drafted = (draft.transactions, draft.claims, draft.balances, draft.conflicts)
    return [ledger.compare(table, rows, accounts) for table, rows in zip(TABLES, drafted, strict=True)]


def write_draft(resolved: Resolved, facts: Facts, draft: Draft) -> list[ledger.Difference]:
    """Make names and derived rows of the computed accounts what was found; what that changed, in the order of
    TABLES. Call under the user's ledger lock.
    """
    store_accounts(resolved.accounts)
    store_instruments(resolved.instruments)
    found = differences(draft, [about.account.id for about in facts.accounts])
    for table, difference in zip(TABLES, found, strict=True):
        ledger.apply(table, difference)
    return found


def _draft(resolved: Resolved, facts: Facts, truth: Truth) -> Draft:
    return Draft(
        transactions=ledger.transaction_rows(truth.rows),
        claims=[tuple(claim) for claim in truth.claims],
        balances=[
            _balance_row(facts.user, account, balance) for account, kept in truth.balances.items() for balance in kept
        ],
        conflicts=_conflict_rows(resolved, facts, truth),
    )


def _balance_row(user: UUID, account: UUID, balance: Balance) -> ledger.Row:
    candidates = [
        {"source": str(one.source), "value": plain(_recorded(one.value)), "as_of": one.as_of.isoformat()}
        | ({} if one.cost_basis is None else {"cost_basis": plain(one.cost_basis)})
        for one in balance.candidates
    ]
    cost = None if balance.cost_basis is None else _recorded(balance.cost_basis)
    return (
        user, account, balance.key.instrument, balance.key.currency, balance.as_of, _recorded(balance.value), cost,
        balance.source, balance.rule, candidates,
    )  # fmt: skip


def _recorded(value: Decimal) -> Decimal:
    return value.quantize(RECORDED_QUANTUM, ROUND_HALF_EVEN)


def _conflict_rows(resolved: Resolved, facts: Facts, truth: Truth) -> list[ledger.Row]:
    if not truth.disagreements:
        return []
    valuer = _valuer(resolved, facts, truth.rows)
    values: dict[UUID, Decimal] = {}
    for account in {one.account for one in truth.disagreements}:
        rows = [row for row in truth.rows if row.account == account]
        values[account] = valuer.account_value(truth.balances.get(account, ()), rows)
    dismissed = facts.rulings.dismissed
    return [
        _conflict_row(
            facts.user,
            one,
            valuer.effect(one),
            values[one.account],
            is_dismissed=dismissed.get(one.key) == evidence_of(one.candidates),
        )
        for one in truth.disagreements
    ]


def evidence_of(candidates: Sequence[dict[str, str]]) -> str:
    """A digest of what a conflict compares: a dismissal holds while it is the same."""
    told = sorted((one["source"], one["value"], one.get("as_of", "")) for one in candidates)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _conflict_row(
    user: UUID, one: Disagreement, effect: Decimal | None, account_value: Decimal, *, is_dismissed: bool
) -> ledger.Row:
    status = Conflict.Status.OPEN
    if one.decided or is_dismissed:
        status = Conflict.Status.RESOLVED
    elif one.settled and is_small(effect, account_value):
        status = Conflict.Status.SETTLED
    difference = None if one.difference is None else _recorded(one.difference)
    return (
        uuid5(DERIVED, f"conflict:{user}:{one.key}"), user, one.kind, one.key, one.account, one.instrument,
        one.candidates, one.winner, one.rule, status.value, difference, effect,
    )  # fmt: skip


def _valuer(resolved: Resolved, facts: Facts, rows: Sequence[LedgerRow]) -> Valuer:
    contents = list(resolved.contents)
    valuer = Valuer(resolved.user.base_currency, facts.multipliers)
    valuer.learn_trades(rows)
    for source, key, day, close, currency in rows_of(MARKS, contents=contents):
        if (meant := resolved.instruments.meaning((source, key), day)) is not None:
            known = valuer.marks.get(meant[0])
            if known is None or known.day <= day:
                valuer.marks[meant[0]] = Mark(day, close, currency)
    valuer.rates = {(base, quote): rate for base, quote, rate in rows_of(RATES, contents=contents)}
    return valuer


# --- applying ----------------------------------------------------------


@transaction.atomic
def _apply(resolved: Resolved, facts: Facts, draft: Draft, read: LedgerState, cause: str) -> Reconciled | None:
    """Write the difference if what was read still holds; null where it does not."""
    user_id = facts.user
    lock_ledger(user_id)
    LedgerState.objects.get_or_create(user_id=user_id)
    state = LedgerState.objects.select_for_update().get(user=user_id)
    number = User.objects.values_list("fact_number", flat=True).get(pk=user_id)
    if number != facts.number or (state.facts_version, state.ledger_version) != (
        read.facts_version,
        read.ledger_version,
    ):
        return None
    found = write_draft(resolved, facts, draft)
    moved = found[0]
    if moved or resolved.number != state.facts_version:
        propose_accounts(user_id, [about.account.id for about in facts.accounts])
    linked = Linked(0, None)
    if any(found) or resolved.number != state.facts_version:
        linked = link_transfers(user_id, resolved.decisions)
    days = (ledger.first_day([moved]), _first_report(found[2]), linked.first_day)
    changed_days = [day for day in days if day is not None]
    dirty_from = min(changed_days, default=None)
    version = None
    if any(found) or linked.written:
        version = _next_version(state, facts, moved, cause)
        state.ledger_version = version.number
    if dirty_from is not None:
        state.dirty_from = min(dirty_from, state.dirty_from or dirty_from)
        state.dirty_since = state.dirty_since or timezone.now()
    state.facts_version = facts.number
    state.save(update_fields=["facts_version", "ledger_version", "dirty_from", "dirty_since"])
    advance_runs(user_id=user_id, stage="valuing")
    transaction.on_commit(partial(ledger_changed.send_robust, sender=LedgerState, user_id=user_id), robust=True)
    return Reconciled(version, facts.number, sum(one.size for one in found) + linked.written, dirty_from, found)


def lock_ledger(user_id: UUID) -> None:
    """Hold the user's ledger until commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"federation:ledger:{user_id}"])


def _first_report(difference: ledger.Difference) -> date | None:
    column = ledger.BALANCE_COLUMNS.index("as_of")
    return min((row[column] for row in difference.all_rows()), default=None)


def _next_version(state: LedgerState, facts: Facts, moved: ledger.Difference, cause: str) -> LedgerVersion:
    before = LedgerVersion.objects.filter(user=facts.user, number=state.ledger_version).first()
    content = ledger.Fingerprint(before.content_hash if before and cause != REBUILD else "0")
    content.move(moved)
    return LedgerVersion.objects.create(
        user_id=facts.user,
        number=state.ledger_version + 1,
        fact_number=facts.number,
        market_number=market_number(),
        rules_version=RULES_VERSION,
        content_hash=content.hex(),
        cause=cause,
    )

"""Bringing the ledger up to date with the facts (DESIGN 5.1, 5.12)."""

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts.facts import market_number
from accounts.models import User
from federation import ledger
from federation.accounts import store_accounts
from federation.changes import Changes, changes_since
from federation.errors import LedgerBusy
from federation.facts import Resolved, load, resolve, rows_to_read
from federation.instruments import store_instruments
from federation.ledger import Scope, joined_scope
from federation.models import LedgerState, LedgerVersion
from federation.neighbors import TooFar
from federation.parts import Part, compute_part
from federation.proposals import propose_accounts
from federation.rows import Balance, Disagreement
from federation.services.linking import Linked, link_transfers
from federation.signals import ledger_changed
from federation.truth import RULES_VERSION, Facts, Truth, compute
from federation.weighing import conflict_rows, weigh, weights_of_draft
from ingestion.services import advance_runs
from stackmotive.common.money import RECORDED_QUANTUM, plain

ATTEMPTS = 8
REBUILD = "rebuild"  # cause of a version that started from empty tables
MOST_ROWS_NOW = 15_000  # staged rows that are read, computed and compared well within 2 s


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run did. written: rows written or deleted in all derived tables. read: staged transactions that were read.
    wholes: accounts that were computed as a whole.
    """

    version: LedgerVersion | None
    facts_version: int
    written: int
    dirty_from: date | None
    differences: Sequence[ledger.Difference] = ()  # in the order of TABLES
    read: int = 0
    wholes: int = 0


def reconcile(user_id: UUID, *, accounts: Collection[UUID] | None = None, cause: str = "facts") -> LedgerVersion | None:
    """Make the user's ledger include all facts committed so far. Returns the new version, null where no row
    changed.

    accounts: what to compute instead of finding it out; the caller knows that nothing else was touched.
    Raises LedgerBusy where the facts change faster than they are read.
    """
    return bring_up_to_date(user_id, accounts=accounts, cause=cause).version


def bring_up_to_date(
    user_id: UUID,
    *,
    accounts: Collection[UUID] | None = None,
    cause: str = "facts",
    is_full: bool = False,
    most_rows: int | None = None,
) -> Reconciled:
    """`reconcile`, telling what it wrote. is_full: compute every account, whatever was touched.

    most_rows: raise TooManyRows where accounts are to be computed whole that have more staged rows.
    """
    for _ in range(ATTEMPTS):
        state = LedgerState.objects.filter(user=user_id).first() or LedgerState(user_id=user_id)
        with without_collection():
            resolved = resolve(user_id)
            changes = None if is_full else changes_since(resolved, since=state.facts_version)
            facts, draft = _computed(resolved, changes, accounts or (), most_rows)
            contents = changes.contents if changes is not None else ()
            done = _apply(resolved, facts, draft, state, cause, contents)
        if done is not None:
            return done
    raise LedgerBusy("Try again in a moment: new facts came in while the ledger was computed.")


class TooManyRows(Exception):
    """It would take longer than a request may."""


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
    try:
        return bring_up_to_date(user_id, accounts=accounts, cause="manual", most_rows=MOST_ROWS_NOW)
    except TooManyRows:
        return None


@dataclass(slots=True)
class Draft:
    """The derived rows of what was computed, ready to be compared with the tables' rows in `scope`."""

    transactions: list[ledger.Row]
    claims: list[ledger.Row]
    balances: list[ledger.Row]
    disagreements: list[Disagreement]
    scope: Scope
    accounts: set[UUID]  # that were computed, as a whole or in part
    read: int  # staged transactions


WRITTEN_FIRST = (ledger.TRANSACTIONS, ledger.CLAIMS, ledger.BALANCES)
TABLES = (*WRITTEN_FIRST, ledger.CONFLICTS)


def draft_of(user_id: UUID) -> tuple[Resolved, Facts, Draft]:
    """What the ledger would be by the facts alone, all accounts. Writes nothing."""
    resolved = resolve(user_id)
    facts = load(resolved)
    return resolved, facts, _draft(facts, compute(facts), ())


def differences(resolved: Resolved, facts: Facts, draft: Draft, accounts: Collection[UUID]) -> list[ledger.Difference]:
    """A draft of all accounts against the tables' rows of `accounts`, in the order of TABLES. Writes nothing."""
    scope = Scope(facts.user, accounts)
    drafted = (draft.transactions, draft.claims, draft.balances)
    found = [ledger.compare(table, rows, scope) for table, rows in zip(WRITTEN_FIRST, drafted, strict=True)]
    weights = weights_of_draft(resolved, facts.multipliers, transactions=draft.transactions, balances=draft.balances)
    conflicts = conflict_rows(facts, draft.disagreements, weights)
    return [*found, ledger.compare(ledger.CONFLICTS, conflicts, scope)]


def write_draft(
    resolved: Resolved, facts: Facts, draft: Draft, *, contents: Collection[int] = ()
) -> list[ledger.Difference]:
    """Make names and derived rows what was found; what that changed, in the order of TABLES. Call under the user's
    ledger lock.

    contents: that arrived or were withdrawn since the ledger was written, where not all accounts are computed.
    """
    store_accounts(resolved.accounts)
    store_instruments(resolved.instruments)
    drafted = (draft.transactions, draft.claims, draft.balances)
    found = [ledger.compare(table, rows, draft.scope) for table, rows in zip(WRITTEN_FIRST, drafted, strict=True)]
    for table, difference in zip(WRITTEN_FIRST, found, strict=True):
        ledger.apply(table, difference)
    weighed = weigh(resolved, facts, draft.disagreements, scope=draft.scope, moved=found[0], contents=contents)
    ledger.apply(ledger.CONFLICTS, weighed)
    return [*found, weighed]


def _draft(facts: Facts, truth: Truth, parts: Sequence[Part]) -> Draft:
    """Of the accounts in `facts` as a whole, and of parts of others."""
    whole = Scope(facts.user, [about.account.id for about in facts.accounts])
    return Draft(
        transactions=ledger.transaction_rows([*truth.rows, *(row for part in parts for row in part.rows)]),
        claims=[tuple(claim) for claim in (*truth.claims, *(claim for part in parts for claim in part.claims))],
        balances=[
            _balance_row(facts.user, account, balance) for account, kept in truth.balances.items() for balance in kept
        ],
        disagreements=[*truth.disagreements, *(one for part in parts for one in part.disagreements)],
        scope=joined_scope([whole, *(part.scope for part in parts)], user=facts.user),
        accounts={*whole.accounts, *(part.account for part in parts)},
        read=sum(len(one.rows) for about in facts.accounts for one in about.stated) + sum(part.read for part in parts),
    )


def _computed(
    resolved: Resolved, changes: Changes | None, accounts: Collection[UUID], most_rows: int | None
) -> tuple[Facts, Draft]:
    """What follows for what changed: parts of accounts where that is enough, else whole ones. null = all of them."""
    if changes is None:
        _refuse_many(resolved, None, most_rows)
        facts = load(resolved)
        return facts, _draft(facts, compute(facts), ())
    whole = set(accounts) - changes.accounts.keys()
    parts: list[Part] = []
    facts = load(resolved, ())
    for account, change in changes.accounts.items():
        try:
            parts.append(compute_part(resolved, facts, account=account, change=change))
        except TooFar:
            whole.add(account)
    if whole:
        _refuse_many(resolved, whole, most_rows)
        facts = load(resolved, whole)
    return facts, _draft(facts, compute(facts), parts)


def _refuse_many(resolved: Resolved, accounts: Collection[UUID] | None, most_rows: int | None) -> None:
    if most_rows is not None and rows_to_read(resolved, accounts) > most_rows:
        raise TooManyRows


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


# --- applying ----------------------------------------------------------


@transaction.atomic
def _apply(
    resolved: Resolved, facts: Facts, draft: Draft, read: LedgerState, cause: str, contents: Collection[int]
) -> Reconciled | None:
    """Write the difference if what was read still holds; null where it does not. contents: as write_draft asks."""
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
    found = write_draft(resolved, facts, draft, contents=contents)
    moved = found[0]
    if moved or resolved.number != state.facts_version:
        propose_accounts(user_id, draft.accounts)
    linked = Linked(0, None)
    if any(found) or resolved.number != state.facts_version:
        linked = link_transfers(user_id, resolved.decisions)
    days = (ledger.first_day([moved]), _first_report(found[2]), linked.first_day)
    changed_days = [day for day in days if day is not None]
    dirty_from = min(changed_days, default=None)
    version = None
    if any(found) or linked.written:
        version = _next_version(state, facts, found, cause, told=not linked.written)
        state.ledger_version = version.number
    if dirty_from is not None:
        state.dirty_from = min(dirty_from, state.dirty_from or dirty_from)
        state.dirty_since = state.dirty_since or timezone.now()
    state.facts_version = facts.number
    state.save(update_fields=["facts_version", "ledger_version", "dirty_from", "dirty_since"])
    advance_runs(user_id=user_id, stage="valuing")
    transaction.on_commit(partial(ledger_changed.send_robust, sender=LedgerState, user_id=user_id), robust=True)
    written = sum(one.size for one in found) + linked.written
    return Reconciled(
        version, facts.number, written, dirty_from, found, read=draft.read, wholes=len(draft.scope.accounts)
    )


def lock_ledger(user_id: UUID) -> None:
    """Hold the user's ledger until commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"federation:ledger:{user_id}"])


def _first_report(difference: ledger.Difference) -> date | None:
    column = ledger.BALANCE_COLUMNS.index("as_of")
    return min((row[column] for row in difference.all_rows()), default=None)


def _next_version(
    state: LedgerState, facts: Facts, found: Sequence[ledger.Difference], cause: str, *, told: bool
) -> LedgerVersion:
    """found: in the order of TABLES. told: they are all that figures could notice."""
    moved, _claims, reports, _conflicts = found
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
        touched=ledger.holdings_touched(moved, reports) if told and cause != REBUILD else None,
    )

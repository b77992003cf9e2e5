"""What the ledger would be if: the facts of a change are recorded, the ledger follows, and all of it is rolled back.

The preview runs what the change itself runs, so that it cannot say anything else. Nothing of it is ever committed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable, QueryCanceled

from accounts.models import User
from federation import ledger, selectors
from federation.changes import changes_since
from federation.errors import PreviewBusy, PreviewTooLong, UnfitDecision
from federation.facts import resolve, rows_to_read
from federation.models import BrokerAccount, Conflict, Decision, Instrument, LedgerState, Transaction
from federation.positions import Movements
from federation.services.decisions import record_decision
from federation.services.reconciliation import Reconciled, bring_up_to_date
from ingestion.models import ImportRun, Source
from ingestion.options import ImportOptions
from ingestion.services.runs import run_import
from ingestion.services.sources import update_source
from ingestion.services.undo import undo_import
from ingestion.services.uploads import open_import, raw_bytes

MOST_SHOWN = 200
MOST_ROWS = 120_000  # staged rows of the accounts that a change touches: ten seconds' work where all are computed
LONGEST_WAIT_MS, LONGEST_STATEMENT_MS = 900, 10_000
TOO_LONG = (
    "So much hangs on this that a preview would hold up your other work. Make the change: it can be taken back, "
    "and the ledger is then as before."
)
SHOWN = (
    "kind", "trade_date", "quantity", "price", "currency", "fee", "tax", "cash_amount", "cash_currency", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """A ledger row that would be there, be gone, or be different: then `before` holds the fields that differ."""

    id: UUID
    account: UUID
    account_name: str
    instrument: UUID | None
    symbol: str
    values: dict[str, Any]  # of SHOWN, nulls left out
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreviewedPosition:
    account: UUID
    account_name: str
    instrument: UUID
    symbol: str
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class PreviewedConflict:
    kind: str
    key: str
    status: str
    effect_base: Decimal | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do. The rows are the first MOST_SHOWN by day; the counts are of all."""

    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0
    added: list[PreviewedRow] = field(default_factory=list)
    removed: list[PreviewedRow] = field(default_factory=list)
    changed: list[PreviewedRow] = field(default_factory=list)
    positions: list[PreviewedPosition] = field(default_factory=list)
    opened: list[PreviewedConflict] = field(default_factory=list)
    closed: list[PreviewedConflict] = field(default_factory=list)

    @property
    def moves_figures(self) -> bool:
        return bool(self.added_count or self.removed_count or self.changed_count)


@dataclass(frozen=True, slots=True)
class Change:
    """Something a user could do, not done yet. make: what does it."""

    user: User
    make: Callable[[], object]


def decision_change(*, user: User, kind: str, keys: dict[str, Any], value: dict[str, Any] | None = None) -> Change:
    return Change(user, lambda: record_decision(user=user, kind=kind, keys=keys, value=value))


def link_change(*, user: User, source: Source, reference: str, account: BrokerAccount | None) -> Change:
    """Linking a reference to `account`; null = ignoring it."""
    keys = {"reference": [str(source.pk), reference]}
    if account is None:
        return decision_change(user=user, kind=Decision.Kind.IGNORE, keys=keys)
    value = {"account": str(account.pk)}
    return decision_change(user=user, kind=Decision.Kind.LINK_ACCOUNT, keys=keys, value=value)


def source_change(*, source: Source, **values: Any) -> Change:
    """Another priority of `source`, or believing it or not (enabled)."""
    return Change(source.user, lambda: update_source(source=source, values=values))


def import_change(*, run: ImportRun) -> Change:
    """Bringing in the file of a dry run; of any other run, its undo.

    Making it raises UnfitDecision where the file cannot be brought in, NotUndoable.
    """
    if ImportOptions.from_json(run.options).dry_run:
        return Change(run.user, lambda: _bring_in(run))
    return Change(run.user, lambda: undo_import(run=run))


def preview_decision(*, user: User, kind: str, keys: dict[str, Any], value: dict[str, Any] | None = None) -> Preview:
    """What a decision would do. Raises UnfitDecision, and what `preview` does."""
    return preview(decision_change(user=user, kind=kind, keys=keys, value=value))


def preview_link(*, user: User, source: Source, reference: str, account: BrokerAccount | None) -> Preview:
    """What linking a reference to `account` would do; null = ignoring it."""
    return preview(link_change(user=user, source=source, reference=reference, account=account))


def preview_source(*, source: Source, **values: Any) -> Preview:
    """What another priority of `source`, or believing it or not (enabled), would do."""
    return preview(source_change(source=source, **values))


def preview_import(*, run: ImportRun) -> Preview:
    """What bringing in the file of a dry run would do; of any other run, what its undo would do.

    Raises UnfitDecision where the file cannot be brought in, NotUndoable.
    """
    return preview(import_change(run=run))


def _bring_in(dry: ImportRun) -> None:
    said = {name: value for name, value in dry.options.items() if name != "dry_run"}
    run = open_import(
        user=dry.user,
        content=raw_bytes(dry),
        filename=dry.filename,
        source=dry.source,
        options=ImportOptions.from_json(said),
    )
    run_import(run_id=run.pk)
    run.refresh_from_db(fields=["status", "error", "fact_number"])
    if run.fact_number is None:
        error: dict[str, str] = run.error or {}
        detail = error.get("detail", "Other work of yours runs first, or it has open questions.")
        raise UnfitDecision(f"The file cannot be brought in as it is. {detail}")


def preview(change: Change) -> Preview:
    """What `change` would do to the ledger. Raises PreviewBusy, PreviewTooLong, and what making it raises."""
    with trial(change.user):
        done = try_out(change)
        found = _described(done)
        touched = _holdings(done)
        after = _quantities(touched)
        symbols = dict(Instrument.objects.filter(pk__in={one for _, one in touched}).values_list("pk", "symbol"))
        names = dict(BrokerAccount.objects.filter(pk__in={one for one, _ in touched}).values_list("pk", "name"))
    before = _quantities(touched)
    found.positions.extend(
        PreviewedPosition(account, names[account], one, symbols[one], before[account, one], after[account, one])
        for account, one in sorted(touched, key=lambda key: (names[key[0]], symbols[key[1]], key))
        if before[account, one] != after[account, one]
    )
    return found


@contextmanager
def trial(user: User) -> Iterator[None]:
    """A transaction in which changes are made to see what follows, and which is always rolled back.

    It holds what a change holds, so nobody of this user writes a fact meanwhile: it waits for others a moment only,
    and never long. Raises PreviewBusy, PreviewTooLong.
    """
    try:
        if selectors.is_behind(user.pk):
            _refuse_long_ones(user)
            bring_up_to_date(user.pk)
        with transaction.atomic():
            with connection.cursor() as cursor:  # shorter than the wait after which PostgreSQL looks for deadlocks
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LONGEST_WAIT_MS}"])
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LONGEST_STATEMENT_MS}"])
            yield
            transaction.set_rollback(True)
    except OperationalError as exc:
        if isinstance(exc.__cause__, LockNotAvailable):
            raise PreviewBusy("Other work of yours is being stored. Try again in a moment.") from exc
        if isinstance(exc.__cause__, QueryCanceled):
            raise PreviewTooLong(TOO_LONG) from exc
        raise


def try_out(change: Change) -> Reconciled:
    """Make `change` and let the ledger follow. Call inside `trial`."""
    change.make()
    _refuse_long_ones(change.user)
    return bring_up_to_date(change.user.pk)


def _refuse_long_ones(user: User) -> None:
    state = LedgerState.objects.filter(user=user).first() or LedgerState(user=user)
    resolved = resolve(user.pk)
    changes = changes_since(resolved, since=state.facts_version)
    if rows_to_read(resolved, None if changes is None else changes.accounts.keys()) > MOST_ROWS:
        raise PreviewTooLong(TOO_LONG)


def _described(done: Reconciled) -> Preview:
    """The written differences in names, while the accounts and instruments they name are there."""
    if not done.differences:
        return Preview()
    rows, _, _, conflicts = done.differences
    account, instrument = (ledger.TRANSACTION_COLUMNS.index(name) for name in ("account_id", "instrument_id"))
    everything = list(rows.all_rows())
    names = dict(BrokerAccount.objects.filter(pk__in={row[account] for row in everything}).values_list("pk", "name"))
    wanted = {row[instrument] for row in everything} - {None}
    symbols = dict(Instrument.objects.filter(pk__in=wanted).values_list("pk", "symbol"))
    numbers = [(name, ledger.TRANSACTION_COLUMNS.index(name)) for name in SHOWN]

    def shown(row: ledger.Row, old: ledger.Row | None = None) -> PreviewedRow:
        values = {name: row[number] for name, number in numbers if row[number] not in (None, "")}
        before = {} if old is None else {name: old[n] for name, n in numbers if old[n] != row[n]}
        symbol = symbols.get(row[instrument], "")
        return PreviewedRow(row[0], row[account], names[row[account]], row[instrument], symbol, values, before)

    def first(some: Iterable[ledger.Row]) -> list[ledger.Row]:
        return sorted(some, key=lambda row: (row[ledger.ROW_DAY], str(row[0])))[:MOST_SHOWN]

    visible = [row for key, row in rows.changed.items() if shown(row, rows.old[key]).before]
    return Preview(
        len(rows.inserted),
        len(rows.gone),
        len(visible),
        [shown(row) for row in first(rows.inserted.values())],
        [shown(row) for row in first(rows.gone.values())],
        [shown(row, rows.old[row[0]]) for row in first(visible)],
        opened=_conflicts([*conflicts.inserted.values(), *conflicts.changed.values()], conflicts.old),
        closed=_conflicts(
            [*conflicts.gone.values(), *conflicts.old.values()],
            conflicts.changed,
        ),
    )


def _conflicts(rows: Sequence[ledger.Row], others: Mapping[Any, ledger.Row]) -> list[PreviewedConflict]:
    """Of `rows` those that are open and are not among `others` as open ones."""
    kind, key, status, effect = (ledger.CONFLICT_COLUMNS.index(n) for n in ("kind", "key", "status", "effect_base"))
    is_open = Conflict.Status.OPEN
    found = [
        PreviewedConflict(row[kind], row[key], row[status], row[effect])
        for row in rows
        if row[status] == is_open and not (row[0] in others and others[row[0]][status] == is_open)
    ]
    return sorted(found, key=lambda one: one.key)


def _holdings(done: Reconciled) -> set[tuple[UUID, UUID]]:
    """(account, instrument) of every ledger row that differs."""
    account, instrument = (ledger.TRANSACTION_COLUMNS.index(name) for name in ("account_id", "instrument_id"))
    rows = done.differences[0].all_rows() if done.differences else ()
    return {(row[account], row[instrument]) for row in rows if row[instrument] is not None}


def _quantities(holdings: set[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Decimal]:
    """Units held by the stored ledger at its end; a split that states its ratio alone multiplies."""
    changes: dict[tuple[UUID, UUID], list[Any]] = defaultdict(list)
    ratios: dict[tuple[UUID, UUID], list[Any]] = defaultdict(list)
    rows = Transaction.objects.filter(
        account__in={account for account, _ in holdings}, instrument__in={one for _, one in holdings}
    )
    for account, one, kind, day, quantity, ratio in rows.values_list(
        "account", "instrument", "kind", "trade_date", "quantity", "ratio"
    ):
        if kind == "split" and quantity is None and ratio:
            ratios[account, one].append((day, ratio))
        elif quantity:
            changes[account, one].append((day, quantity))
    return {key: Movements(changes[key], ratios[key]).held() for key in holdings}

"""Staged facts into PostgreSQL: one lock per source, rows by COPY, a content once per digest (DESIGN 5.3, 5.6).

Call `stage` inside the transaction that also ends the run: facts, their number and the arrival commit together.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, models, transaction
from psycopg import sql

from accounts.facts import next_fact_number
from ingestion import identity
from ingestion.adapters.base import Ignored, Problem, Statement
from ingestion.identity import Batch, Leg, Report, blake
from ingestion.models import (
    Arrival,
    Content,
    Coverage,
    ImportRow,
    ImportRun,
    Source,
    StagedCash,
    StagedInstrument,
    StagedPosition,
    StagedPrice,
    StagedRate,
    StagedTransaction,
)
from stackmotive.common.ids import uuid7
from stackmotive.common.money import plain

FILE_REFUSED = "file_refused"
_LEG_COLUMNS = ("content_id", "uid", "identity", "ordinal", "has_own_id", *identity.TRANSACTION_COLUMNS)
_IMPORT_ROW_COLUMNS = ("run_id", "verdict", "line", "count", "code", "detail", "field", "raw")
_RAW_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the data rows of a file; the four add up to `rows`. A row of several legs counts once."""

    staged: int = 0
    unchanged: int = 0
    rejected: int = 0
    ignored: int = 0

    @property
    def rows(self) -> int:
        return self.staged + self.unchanged + self.rejected + self.ignored

    def columns(self) -> dict[str, int]:
        """As ImportRun's columns."""
        return {
            "rows": self.rows,
            "staged": self.staged,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What the source said before: the uid of each identity it ever used, and the claims in force."""

    uids: Mapping[str, UUID]
    in_force: Collection[str]  # identities of transactions, keys of positions and cash


@dataclass(frozen=True, slots=True)
class Staged:
    content: Content
    counts: Counts
    fact_number: int
    changes_nothing: bool  # the content is in force, and nothing newer of its source speaks of the same days


def lock_source(source_id: UUID) -> None:
    """Hold the source until commit, so that parallel files give one uid per identity."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ingestion:source:{source_id}"])


def stage(
    *,
    source: Source,
    statement: Statement,
    batch: Batch,
    default_account: UUID | None = None,
    run: ImportRun | None = None,
    cause: str = "import",
) -> Staged:
    """Store what `statement` said as one content of `source` and let it arrive. Call inside a transaction.

    batch: `identity.prepare(statement, ...)` with the same default account. A known content is not written again; its
    new arrival is a fact all the same.
    """
    assert transaction.get_connection().in_atomic_block  # noqa: S101  # the lock is the transaction's
    lock_source(source.pk)
    content, is_new = Content.objects.get_or_create(  # two workers at once: the constraint decides
        source=source,
        scope="file",
        digest=batch.digest,
        defaults={
            "layout": statement.layout,
            "institution": statement.institution,
            "references_issued": statement.references_issued,
            "generated_at": statement.generated_at,
            "default_account": default_account,
            "cash_mode": statement.cash_mode,
            "time_order": statement.time_order,
            "base_currencies": statement.base_currencies,
        },
    )
    arrived = None if is_new else arrived_number(content)
    known = known_rows(source_id=source.pk, batch=batch) if arrived is None else Known({}, claims_of(batch))
    if is_new:
        write(content_id=content.pk, batch=batch, uids=known.uids)
    changes_nothing = arrived is not None and is_newest(content, arrived)
    number = next_fact_number(user_id=source.user_id, cause=cause)
    Arrival.objects.create(content=content, run=run, number=number)
    return Staged(content, count(batch=batch, statement=statement, known=known), number, changes_nothing)


def claims_of(batch: Batch) -> frozenset[str]:
    """Everything that `batch` says: what is known of it while its own content is in force."""
    reports = (report.key for report in (*batch.positions, *batch.cash))
    return frozenset((*(leg.identity for leg in batch.transactions), *reports))


def known_rows(*, source_id: UUID | None, batch: Batch) -> Known:
    """What `source_id` said before of the rows of `batch`; nothing for a source not made yet."""
    if source_id is None:
        return Known({}, frozenset())
    in_force = list(Content.objects.filter(source=source_id).in_force().values_list("pk", flat=True))
    uids: dict[str, UUID] = {}
    claims: set[str] = set()
    if batch.transactions:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT t.identity, (array_agg(t.uid ORDER BY t.id))[1], bool_or(t.content_id = ANY(%s))
                FROM ingestion_stagedtransaction t JOIN ingestion_content c ON c.id = t.content_id
                WHERE c.source_id = %s AND t.identity = ANY(%s) GROUP BY t.identity
                """,
                [in_force, source_id, [leg.identity for leg in batch.transactions]],
            )
            for name, uid, stands in cursor.fetchall():
                uids[name] = uid
                if stands:
                    claims.add(name)
    if in_force and (batch.positions or batch.cash):
        claims |= _reports_in_force(in_force)
    return Known(uids, claims)


def _reports_in_force(contents: Collection[int]) -> set[str]:
    """Keys of the position and cash rows of `contents`, as identity.prepare() makes them."""
    keys: set[str] = set()
    positions = StagedPosition.objects.filter(content__in=contents).values_list(
        "account_ref", "content__default_account", "instrument_key", "quantity", "cost_basis", "currency", "as_of"
    )
    for account, default, instrument, quantity, cost, currency, as_of in positions.iterator():
        cells = (
            instrument,
            plain(quantity),
            identity.NULL if cost is None else plain(cost),
            currency,
            as_of.isoformat(),
        )
        keys.add(blake("position", account or str(default or ""), *cells))
    cash = StagedCash.objects.filter(content__in=contents).values_list(
        "account_ref", "content__default_account", "currency", "balance", "as_of"
    )
    for account, default, currency, balance, as_of in cash.iterator():
        keys.add(blake("cash", account or str(default or ""), currency, plain(balance), as_of.isoformat()))
    return keys


def count(*, batch: Batch, statement: Statement, known: Known) -> Counts:
    """Rows by what became of them; a line counts as staged where any leg of it is new, as rejected where a part was."""
    rejected = {problem.line for problem in statement.problems}
    is_new: dict[int, bool] = {}
    for leg in batch.transactions:
        is_new[leg.line] = is_new.get(leg.line, False) or leg.identity not in known.in_force
    for report in (*batch.positions, *batch.cash):
        is_new[report.line] = is_new.get(report.line, False) or report.key not in known.in_force
    taken = [new for line, new in is_new.items() if line not in rejected]
    ignored = sum(row.count for row in (*statement.ignored, *batch.repeated) if row.line not in rejected)
    return Counts(staged=sum(taken), unchanged=len(taken) - sum(taken), rejected=len(rejected), ignored=ignored)


def refused(*, batch: Batch, statement: Statement) -> tuple[Counts, list[Ignored]]:
    """The counts of a file that is refused for its bad rows, and its good rows as ignored ones."""
    counts = count(batch=batch, statement=statement, known=Known({}, frozenset()))
    rejected = {problem.line for problem in statement.problems}
    rows: tuple[Leg | Report, ...] = (*batch.transactions, *batch.positions, *batch.cash)
    good = sorted({row.line for row in rows} - rejected)
    left_out = [Ignored(line, FILE_REFUSED) for line in good]
    return Counts(rejected=counts.rejected, ignored=counts.ignored + counts.staged), left_out


def arrived_number(content: Content) -> int | None:
    """The number of the newest arrival of a content in force; None for one that is not."""
    in_force = Content.objects.filter(pk=content.pk).in_force()
    return in_force.values_list("arrived_number", flat=True).first()  # type: ignore[misc]  # annotated


def is_newest(content: Content, arrived: int) -> bool:
    """Whether nothing later speaks of the days of `content`: then its new arrival changes nothing."""
    others = Content.objects.filter(source=content.source_id).exclude(pk=content.pk).in_force()
    later = others.filter(arrived_number__gt=arrived)  # type: ignore[misc]  # annotated
    overlaps = Coverage.objects.filter(content__in=later.values("pk"))
    windows = models.Q(pk__in=())
    for own in content.coverage.all():
        window = models.Q(section=own.section, account_ref=own.account_ref, start__lte=own.end, end__gte=own.start)
        if not own.account_ref:
            window &= models.Q(content__default_account=content.default_account)
        windows |= window
    return not overlaps.filter(windows).exists()


# --- writing ----


def write(
    *,
    content_id: int,
    batch: Batch,
    uids: Mapping[str, UUID],
) -> None:
    """COPY the rows of a new content. uids: of identities the source used before; others are given one here."""
    prefix = f"{content_id}\t"
    _copy(
        StagedInstrument,
        ("content_id", *identity.INSTRUMENT_COLUMNS),
        (prefix + row for row in batch.instruments.values()),
    )
    legs = (
        f"{prefix}{uids.get(leg.identity) or uuid7()}\t{leg.identity}\t{leg.ordinal}\t{'t' if leg.has_own_id else 'f'}"
        f"\t{leg.line}\t{leg.cells}"
        for leg in batch.transactions
    )
    _copy(StagedTransaction, _LEG_COLUMNS, legs)
    sections: tuple[tuple[type[models.Model], tuple[str, ...], Iterable[str]], ...] = (
        (StagedPosition, identity.POSITION_COLUMNS, (f"{row.line}\t{row.cells}" for row in batch.positions)),
        (StagedCash, identity.CASH_COLUMNS, (f"{row.line}\t{row.cells}" for row in batch.cash)),
        (StagedPrice, identity.PRICE_COLUMNS, batch.prices),
        (StagedRate, identity.RATE_COLUMNS, batch.rates),
        (Coverage, identity.COVERAGE_COLUMNS, batch.coverage),
    )
    for model, columns, lines in sections:
        _copy(model, ("content_id", *columns), (prefix + line for line in lines))


def write_left_out(*, run_id: UUID, problems: Iterable[Problem], ignored: Iterable[Ignored]) -> None:
    """List every row of a file that was not staged, with its line and reason."""
    text = identity.copy_text
    rejected = (
        f"{run_id}\trejected\t{row.line}\t1\t{row.code}\t{text(row.detail)}\t{text(row.field[:60])}\t{text(row.raw[:_RAW_CHARACTERS])}"
        for row in problems
    )
    passed_over = (
        f"{run_id}\tignored\t{row.line}\t{row.count}\t{text(row.rule[:40])}\t{IGNORED_BECAUSE.get(row.rule, '')}\t\t"
        for row in ignored
    )
    _copy(ImportRow, _IMPORT_ROW_COLUMNS, (*rejected, *passed_over))


IGNORED_BECAUSE = {
    FILE_REFUSED: "The row is good. Nothing of the file was stored because other rows of it are not.",
    "repeated_row": "The file states this row, with the same id of its own, more than once.",
}


def _copy(model: type[models.Model], columns: Collection[str], lines: Iterable[str]) -> None:
    """Stream `lines` (COPY text, without line ends) into the table of `model`."""
    body = "\n".join(lines)
    if not body:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(model._meta.db_table), sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(body + "\n")

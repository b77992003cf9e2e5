"""Staged facts into PostgreSQL: one lock per source, rows by COPY, a content once per digest (DESIGN 5.3, 5.6).

Call `stage` inside the transaction that also ends the run: facts, their number and the arrival commit together.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, models, transaction
from django.utils import timezone
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
    """What became of the data rows of a file; the first four add up to `rows`. A row of several legs counts once.

    updated: how many of the staged ones say anew what the source said before. closed: holdings no longer listed.
    """

    staged: int = 0
    unchanged: int = 0
    rejected: int = 0
    ignored: int = 0
    updated: int = 0
    closed: int = 0

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
            "updated": self.updated,
            "closed": self.closed,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What the source said before: the uid of each identity it ever used, and the claims in force."""

    uids: Mapping[str, UUID] = field(default_factory=dict)
    in_force: Collection[str] = frozenset()  # identities of transactions, keys of positions and cash
    corrected: Collection[str] = frozenset()  # of those, identities (the source's own ids) that now say something else
    places: Collection[str] = frozenset()  # holdings and balances it reported
    held: Collection[str] = frozenset()  # holdings other than zero in its latest report of each account


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
    arrived_at: dt.datetime | None = None,
) -> Staged:
    """Store what `statement` said as one content of `source` and let it arrive. Call inside a transaction.

    batch: `identity.prepare(statement, ...)` with the same default account. A known content is not written again; its
    new arrival is a fact all the same. arrived_at: when it first came, where it only is read anew.
    """
    assert transaction.get_connection().in_atomic_block  # noqa: S101  # the lock is the transaction's
    lock_source(source.pk)
    content, is_new = Content.objects.get_or_create(  # two workers at once: the constraint decides
        source=source,
        scope="file",
        digest=batch.digest,
        defaults={
            "layout": statement.layout,
            "parser_version": statement.parser_version,
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
    known = known_rows(source_id=source.pk, batch=batch) if arrived is None else Known(in_force=claims_of(batch))
    if is_new:
        write(content_id=content.pk, batch=batch, uids=known.uids)
    changes_nothing = arrived is not None and is_newest(content, arrived)
    number = next_fact_number(user_id=source.user_id, cause=cause)
    Arrival.objects.create(
        content=content, run=run, number=number, generated_at=statement.generated_at,
        arrived_at=arrived_at or timezone.now(),
    )  # fmt: skip
    return Staged(content, count(batch=batch, statement=statement, known=known), number, changes_nothing)


def claims_of(batch: Batch) -> frozenset[str]:
    """Everything that `batch` says: what is known of it while its own content is in force."""
    reports = (report.key for report in (*batch.positions, *batch.cash))
    return frozenset((*(leg.identity for leg in batch.transactions), *reports))


def known_rows(*, source_id: UUID | None, batch: Batch) -> Known:
    """What `source_id` said before of the rows of `batch`; nothing for a source not made yet."""
    if source_id is None:
        return Known()
    # the order of arrival: where several contents hold a row, the one that came last speaks
    arrivals = Content.objects.filter(source=source_id).in_force().order_by("arrived_number")  # type: ignore[misc]  # annotated
    in_force = list(arrivals.values_list("pk", flat=True))
    uids: dict[str, UUID] = {}
    claims: set[str] = set()
    corrected: set[str] = set()
    if batch.transactions:
        stated = {leg.identity: leg.cells for leg in batch.transactions}
        with connection.cursor() as cursor:
            cursor.execute(_KNOWN_LEGS, {"in_force": in_force, "source": source_id, "identities": list(stated)})
            for name, uid, stands, cells in cursor.fetchall():
                uids[name] = uid
                if stands:
                    claims.add(name)
                if stands and cells is not None and cells != stated[name]:
                    corrected.add(name)
    places: set[str] = set()
    held: set[str] = set()
    if in_force and (batch.positions or batch.cash or batch.whole_reports):
        days = {report.as_of for report in (*batch.positions, *batch.cash)}
        claims |= _reports_in_force(in_force, days)
        places, held = _places(in_force)
    return Known(uids, claims, corrected, places, held)


def _stored_leg() -> str:
    """SQL that writes a stored row as identity.prepare() writes it: COPY text in the order of TRANSACTION_COLUMNS."""
    texts = {"account_ref", "local_time", "fee_currency", "external_id", "group", "note"}
    numbers = {"quantity", "price", "fee", "tax", "cash_amount", "fx_rate", "ratio"}
    cells = []
    for name in identity.TRANSACTION_COLUMNS[1:]:
        cell = f't."{name}"'
        if name in texts:
            cell = f"replace({cell}, '\\', '\\\\')"  # adapters let no control character through
        elif name in numbers:
            cell = f"trim_scale({cell})::text"
        elif name == "traded_at":
            fraction = f"CASE WHEN date_trunc('second', {cell}) = {cell} THEN '' ELSE to_char({cell}, '.US') END"
            cell = f"""to_char({cell} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || {fraction} || '+00:00'"""
        cells.append(f"COALESCE(({cell})::text, '{identity.NULL}')")
    return "concat_ws(E'\t', " + ", ".join(cells) + ")"


_KNOWN_LEGS = f"""
SELECT t.identity, (array_agg(t.uid ORDER BY t.id))[1], bool_or(t.content_id = ANY(%(in_force)s)),
       (array_agg({_stored_leg()} ORDER BY array_position(%(in_force)s::bigint[], t.content_id) DESC)
        FILTER (WHERE t.has_own_id AND t.content_id = ANY(%(in_force)s)))[1]
FROM ingestion_stagedtransaction t JOIN ingestion_content c ON c.id = t.content_id
WHERE c.source_id = %(source)s AND t.identity = ANY(%(identities)s) GROUP BY t.identity
"""  # noqa: S608  # column names only


def _reports_in_force(contents: Collection[int], days: Collection[dt.date]) -> set[str]:
    """Keys of the position and cash rows of `contents` on `days`, as identity.prepare() makes them."""
    keys: set[str] = set()
    positions = StagedPosition.objects.filter(content__in=contents, as_of__in=days).values_list(
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
    cash = StagedCash.objects.filter(content__in=contents, as_of__in=days).values_list(
        "account_ref", "content__default_account", "currency", "balance", "as_of"
    )
    for account, default, currency, balance, as_of in cash.iterator():
        keys.add(blake("cash", account or str(default or ""), currency, plain(balance), as_of.isoformat()))
    return keys


def _places(contents: Collection[int]) -> tuple[set[str], set[str]]:
    """(all holdings and balances that `contents` report, holdings other than zero in each account's latest report)."""
    holding = ("account_ref", "content__default_account", "instrument_key")
    newest = StagedPosition.objects.filter(content__in=contents).order_by(*holding, "-as_of", "-content", "-id")
    rows = [
        (account or str(default or ""), instrument, as_of, bool(quantity))
        for account, default, instrument, as_of, quantity in newest.distinct(*holding).values_list(
            *holding, "as_of", "quantity"
        )
    ]
    latest: dict[str, dt.date] = {}
    for account, _, as_of, _ in rows:
        latest[account] = max(as_of, latest.get(account, as_of))
    places = {identity.position_place(account, instrument) for account, instrument, _, _ in rows}
    held = {
        identity.position_place(account, instrument)
        for account, instrument, as_of, is_held in rows
        if is_held and as_of == latest[account]
    }
    balance = ("account_ref", "content__default_account", "currency")
    for account, default, currency in (
        StagedCash.objects.filter(content__in=contents).values_list(*balance).order_by(*balance).distinct()
    ):
        places.add(identity.cash_place(account or str(default or ""), currency))
    return places, held


def count(*, batch: Batch, statement: Statement, known: Known) -> Counts:
    """Rows by what became of them; a line counts as staged where any leg of it is new or says something else than
    before, as rejected where a part was.
    """
    rejected = {problem.line for problem in statement.problems}
    lines: dict[int, tuple[bool, bool]] = {}  # line -> (is new, or restated; is restated)
    for leg in batch.transactions:
        is_new, is_restated = lines.get(leg.line, (False, False))
        corrects = leg.identity in known.corrected
        lines[leg.line] = (is_new or corrects or leg.identity not in known.in_force, is_restated or corrects)
    for report in (*batch.positions, *batch.cash):
        is_new, is_restated = lines.get(report.line, (False, False))
        says_more = report.key not in known.in_force
        lines[report.line] = (is_new or says_more, is_restated or (says_more and report.place in known.places))
    taken = [news for line, news in lines.items() if line not in rejected]
    staged = sum(is_new for is_new, _ in taken)
    return Counts(
        staged=staged,
        unchanged=len(taken) - staged,
        rejected=len(rejected),
        ignored=sum(row.count for row in (*statement.ignored, *batch.repeated) if row.line not in rejected),
        updated=sum(is_restated for _, is_restated in taken),
        closed=_closed(batch, known),
    )


def _closed(batch: Batch, known: Known) -> int:
    """Holdings of the source's latest report that `batch`, which lists their account in whole, has no more."""
    still_held = {report.place for report in batch.positions if not report.is_zero}
    whole = [identity.position_place(account, "") for account in batch.whole_reports]
    return sum(place not in still_held and any(map(place.startswith, whole)) for place in known.held)


def refused(*, batch: Batch, statement: Statement) -> tuple[Counts, list[Ignored]]:
    """The counts of a file that is refused for its bad rows, and its good rows as ignored ones."""
    counts = count(batch=batch, statement=statement, known=Known())
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
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_USAGES, {"content": content_id})


_COUNT_USAGES = """
INSERT INTO ingestion_contentusage
  (content_id, account_ref, section, instrument_key, currency, rows, first_day, last_day)
SELECT %(content)s, account_ref, 'transactions', instrument_key, currency, COUNT(*), MIN(trade_date), MAX(trade_date)
FROM ingestion_stagedtransaction WHERE content_id = %(content)s GROUP BY 2, 4, 5
UNION ALL SELECT %(content)s, account_ref, 'positions', instrument_key, currency, COUNT(*), MIN(as_of), MAX(as_of)
FROM ingestion_stagedposition WHERE content_id = %(content)s GROUP BY 2, 4, 5
UNION ALL SELECT %(content)s, account_ref, 'cash', '', currency, COUNT(*), MIN(as_of), MAX(as_of)
FROM ingestion_stagedcash WHERE content_id = %(content)s GROUP BY 2, 5
UNION ALL SELECT %(content)s, account_ref, section, '', '', 0, NULL, NULL
FROM ingestion_coverage WHERE content_id = %(content)s
"""


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

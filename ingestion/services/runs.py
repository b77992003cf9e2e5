"""One run from its bytes to staged facts, safe to deliver twice and to kill anywhere.

Everything a run stores is committed at once with its number and its new status. Before that commit a run holds
nothing but a lease; a worker whose run was taken over finds another lease than its own and stores nothing.
"""

import datetime as dt
import time
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils import timezone

from ingestion import identity, reading, selectors, staging
from ingestion.adapters.base import FileRefused, NeedsMapping, Problem, Statement
from ingestion.errors import NotAnswerable, QuotaExceeded
from ingestion.models import OPEN_STATUSES, ImportProfile, ImportRun, JobStatus, Source
from ingestion.options import ImportOptions
from ingestion.reading import Recognized
from ingestion.services.news import tell_end, tell_progress
from ingestion.services.sources import announce_facts, default_source
from ingestion.services.sync_runs import lock_live_sync, quota_of, settle_sync
from ingestion.services.uploads import raw_bytes
from stackmotive.common.sealing import SealBroken

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=30)  # renewed by progress; a dead worker's run is taken up again after it
ROWS_PER_SECOND = 2_000  # of lease for storing: far slower than any machine, so that a live worker keeps its run
MAX_DELIVERIES = 3
HEARTBEAT = 0.25  # seconds between two reports of progress
Stage = ImportRun.Stage


class LeaseLost(Exception):
    """Another worker took the run over; nothing of this delivery may be stored."""


def run_import(*, run_id: UUID) -> None:
    """Parse and stage one run. A second delivery, or one over its user's limit of running jobs, does nothing."""
    run = claim(run_id=run_id)
    if run is None:
        return
    try:
        read_and_stage(run)
    except LeaseLost:
        log.warning("import_lease_lost", run=str(run_id), delivery=run.deliveries)
    if run.sync_run_id is not None:
        settle_sync(user_id=run.user_id)


def claim(*, run_id: UUID) -> ImportRun | None:
    """Take a run for this worker, or None: it is not claimable, was given up, or its user's other jobs come first."""
    known = ImportRun.objects.filter(pk=run_id).values_list("user", flat=True).first()
    if known is None:
        return None
    with transaction.atomic():
        with connection.cursor() as cursor:  # counting and taking are one act per user
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ingestion:claims:{known}"])
        run = selectors.claimable_runs().filter(pk=run_id).select_for_update().first()
        if run is None:
            return None
        if not run.user.is_active:
            fail(run, code="user_inactive", detail="The account was closed before the file was read.")
            return None
        if run.deliveries >= MAX_DELIVERIES:
            detail = f"Its worker stopped {MAX_DELIVERIES} times over this file. Split it by date and import the parts."
            fail(run, code="gave_up", detail=detail)
            return None
        if selectors.working_job_count(user_id=run.user_id) >= quota_of(run.user):
            return None
        run.status, run.stage, run.deliveries = JobStatus.RUNNING, Stage.PARSING, run.deliveries + 1
        run.started_at = run.started_at or timezone.now()
        run.lease_until = timezone.now() + LEASE
        run.done = run.total = 0
        run.save(update_fields=["status", "stage", "deliveries", "started_at", "lease_until", "done", "total"])
        transaction.on_commit(partial(tell_progress, run), robust=True)
    return run


def read_and_stage(run: ImportRun) -> None:
    """From the bytes of a claimed run to its end, or to where the ledger takes over. Raises LeaseLost."""
    options = ImportOptions.from_json(run.options)
    try:
        content = raw_bytes(run)
        recognized = reading.recognize(
            content,
            filename=run.filename,
            options=options,
            profile_of=lambda digest: selectors.profile_options(user_id=run.user_id, header_digest=digest),
        )
        check_source(run, recognized)
        try:
            statement = reading.parse(content, recognized, Heartbeat(run))
        except NeedsMapping as asked:
            end_asking(run, questions=reading.as_questions(asked, recognized))
            return
        store(run, recognized, statement)
    except FileRefused as refusal:
        end_failed(run, code=refusal.code, detail=refusal.detail, line=refusal.line)
    except (QuotaExceeded, NotAnswerable) as problem:
        end_failed(run, code=problem.code, detail=problem.detail)
    except SealBroken:
        end_failed(
            run, code="unsealed", detail="The stored file cannot be opened with the configured keys. Upload it again."
        )


def check_source(run: ImportRun, recognized: Recognized) -> None:
    """Two brokers' files never share a source. Raises FileRefused where the run names one of another kind or layout."""
    source = run.source
    if source is None:
        return
    families = {source.layout} if source.is_default else {_family(layout) for layout in _layouts(source)}
    family = recognized.family if source.is_default else _family(recognized.adapter.layout)
    if source.kind != recognized.adapter.source_kind or families - {family}:
        raise FileRefused(
            "wrong_source",
            f"This file is “{recognized.adapter.label}”, and “{source.name}” holds files of another kind. "
            "Choose the source it belongs to, or none.",
        )


def _layouts(source: Source) -> Iterable[str]:
    return source.contents.values_list("layout", flat=True).distinct()


def source_of(run: ImportRun, recognized: Recognized) -> Source:
    """The source the run names, or the default one of its layout, made on first use. Raises QuotaExceeded."""
    if run.source is not None:
        return run.source
    name = (
        f"CSV files ({', '.join(recognized.header[:4])})"
        if recognized.is_mapped
        else f"{recognized.adapter.label} files"
    )
    return default_source(user=run.user, kind=recognized.adapter.source_kind, layout=recognized.family, name=name)


def _family(layout: str) -> str:
    return reading.GENERIC if layout.startswith("generic") else layout


def store(run: ImportRun, recognized: Recognized, statement: Statement) -> None:
    """Store a parsed statement, or refuse it for its bad rows, or only count. Raises LeaseLost, QuotaExceeded."""
    options = recognized.options
    batch = identity.prepare(statement, default_account=options.account, mapping=recognized.mapping)
    rows = len(batch.transactions) + len(batch.positions) + len(batch.cash)
    run.layout, run.digest, run.parser_version = statement.layout, batch.digest, statement.parser_version
    if statement.problems and (recognized.on_error == "refuse" or not rows):
        end_refused(run, batch, statement)
        return
    if options.dry_run:
        end_dry_run(run, recognized, batch, statement)
        return
    renew(run, stage=Stage.STAGING, lease=LEASE + dt.timedelta(seconds=rows / ROWS_PER_SECOND), done=0, total=rows)
    with transaction.atomic():
        source = source_of(run, recognized)
        staged = staging.stage(
            source=source, statement=statement, batch=batch, default_account=options.account, run=run
        )
        staging.write_left_out(
            run_id=run.pk, problems=statement.problems, ignored=[*statement.ignored, *batch.repeated]
        )
        keep_profile(run, recognized)
        ending: dict[str, Any] = {
            "source": source, "content": staged.content, "fact_number": staged.fact_number, "layout": statement.layout,
            "digest": batch.digest, "parser_version": statement.parser_version, "done": rows, "total": rows,
            "lease_until": None, **staged.counts.columns(),
        }  # fmt: skip
        if staged.changes_nothing:
            ending |= {"status": JobStatus.UNCHANGED, "stage": "", "finished_at": timezone.now()}
        else:
            ending |= {"stage": Stage.RECONCILING}
        update_held(run, **ending)
        if staged.changes_nothing:
            tell_end(run)
        else:
            transaction.on_commit(partial(tell_progress, run), robust=True)
        announce_facts(user_id=run.user_id)


def keep_profile(run: ImportRun, recognized: Recognized) -> None:
    """Remember what the user said about these columns, now that a file was read with it."""
    said = ImportOptions.from_json(run.options).profile
    if said and recognized.header_digest:
        ImportProfile.objects.update_or_create(
            user_id=run.user_id,
            header_digest=recognized.header_digest,
            defaults={"options": said},
            create_defaults={"options": said, "name": ", ".join(recognized.header)[:100]},
        )


# --- ends ---


def end_failed(
    run: ImportRun,
    *,
    code: str,
    detail: str,
    line: int = 0,
    counts: staging.Counts | None = None,
    problems: Iterable[Problem] = (),
    ignored: Iterable[Any] = (),
) -> None:
    """Nothing of the file is stored; every bad row is listed. Raises LeaseLost."""
    with transaction.atomic():
        staging.write_left_out(run_id=run.pk, problems=problems, ignored=ignored)
        fail(run, code=code, detail=detail, line=line, counts=counts)


def end_refused(run: ImportRun, batch: identity.Batch, statement: Statement) -> None:
    """Bad rows keep the whole file out; the good ones are listed as ignored. Raises LeaseLost."""
    counts, good = staging.refused(batch=batch, statement=statement)
    if good:
        detail = (
            f"{counts.rejected} of {counts.rows} rows cannot be taken, so nothing was stored. "
            "Correct them, or import with on_error=skip."
        )
    else:
        detail = "No row of the file can be taken; each is listed with its reason."
    end_failed(
        run, code="rows_rejected", detail=detail, line=min(row.line for row in statement.problems), counts=counts,
        problems=statement.problems, ignored=[*statement.ignored, *batch.repeated, *good],
    )  # fmt: skip


def fail(run: ImportRun, *, code: str, detail: str, line: int = 0, counts: staging.Counts | None = None) -> None:
    """Call inside a transaction. Raises LeaseLost."""
    update_held(
        run,
        status=JobStatus.FAILED,
        stage="",
        layout=run.layout,
        digest=run.digest,
        error={"code": code, "detail": detail, "line": line or None},
        lease_until=None,
        finished_at=timezone.now(),
        **(counts.columns() if counts else {}),
    )
    tell_end(run)


@transaction.atomic
def end_asking(run: ImportRun, *, questions: dict[str, Any]) -> None:
    """The run waits for its user. Raises LeaseLost."""
    update_held(
        run, status=JobStatus.NEEDS_MAPPING, stage="", questions=questions, lease_until=None, finished_at=timezone.now()
    )
    tell_end(run)


@transaction.atomic
def end_dry_run(run: ImportRun, recognized: Recognized, batch: identity.Batch, statement: Statement) -> None:
    """Count what an import would do, against what is in force, and store no fact. Raises LeaseLost."""
    source = run.source or Source.objects.filter(
        user=run.user_id, kind=recognized.adapter.source_kind, layout=recognized.family, is_default=True
    ).first()  # fmt: skip
    known = staging.known_rows(source_id=source.pk if source else None, batch=batch)
    counts = staging.count(batch=batch, statement=statement, known=known)
    staging.write_left_out(run_id=run.pk, problems=statement.problems, ignored=[*statement.ignored, *batch.repeated])
    update_held(
        run, status=JobStatus.PARTIAL if counts.rejected else JobStatus.DONE, stage="", layout=run.layout,
        digest=run.digest, lease_until=None, finished_at=timezone.now(), **counts.columns(),
    )  # fmt: skip
    tell_end(run)


def advance_runs(*, user_id: UUID, stage: str) -> None:
    """Show how far the ledger is with runs whose facts are stored: reconciling, then valuing."""
    waiting = ImportRun.objects.filter(
        user=user_id, status=JobStatus.RUNNING, stage__in=(Stage.RECONCILING, Stage.VALUING)
    )
    for run in waiting.exclude(stage=stage).defer("raw"):
        ImportRun.objects.filter(pk=run.pk, status=JobStatus.RUNNING).update(stage=stage)
        run.stage = stage
        transaction.on_commit(partial(tell_progress, run), robust=True)


@transaction.atomic
def finish_runs(*, user_id: UUID, fact_number: int, ledger_version: int, held_contents: Collection[int] = ()) -> int:
    """End the runs whose facts (up to `fact_number`) ledger and values include; how many ended.

    held_contents: contents that wait for their user's consent (mass_withdrawal): their runs end partial, as those
    with rejected rows do.
    """
    lock_live_sync(user_id=user_id)  # before its imports, as everybody who writes to both
    included = ImportRun.objects.filter(user=user_id, fact_number__lte=fact_number)
    included.filter(status=JobStatus.UNCHANGED, ledger_version=None).update(ledger_version=ledger_version)
    ready = included.filter(status=JobStatus.RUNNING, stage__in=(Stage.RECONCILING, Stage.VALUING))
    runs = list(ready.select_for_update(of=("self",)).order_by("pk").defer("raw"))
    for run in runs:
        is_partial = run.rejected or run.content_id in held_contents
        run.status = JobStatus.PARTIAL if is_partial else JobStatus.DONE
        run.stage, run.ledger_version, run.finished_at = "", ledger_version, timezone.now()
        run.save(update_fields=["status", "stage", "ledger_version", "finished_at"])
        tell_end(run)
    settle_sync(user_id=user_id)
    return len(runs)


# --- the lease ---


class Heartbeat:
    """The progress callback of a parse: keeps the lease and shows how far it is, four times a second at most."""

    def __init__(self, run: ImportRun) -> None:
        self._run = run
        self._next = time.monotonic() + HEARTBEAT

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + HEARTBEAT
            renew(self._run, stage=Stage.PARSING, lease=LEASE, done=done, total=total)


def renew(run: ImportRun, *, stage: str, lease: dt.timedelta, done: int, total: int) -> None:
    """Raises LeaseLost."""
    update_held(run, stage=stage, lease_until=timezone.now() + lease, done=done, total=total)
    transaction.on_commit(partial(tell_progress, run), robust=True)  # at once, but in a preview never


def update_held(run: ImportRun, **values: Any) -> None:
    """Write to a run that this worker holds: the lease it wrote last is the fence. Raises LeaseLost."""
    held = ImportRun.objects.filter(pk=run.pk, status__in=OPEN_STATUSES, lease_until=run.lease_until)
    if not held.update(**values):
        raise LeaseLost
    for name, value in values.items():
        setattr(run, name, value)

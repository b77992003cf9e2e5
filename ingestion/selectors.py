"""What a user may see of sources, runs, profiles and contents, ready to show in a constant number of queries."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Max, Prefetch, Q, QuerySet, Value
from django.utils import timezone

from ingestion.coverage_grid import CoverageLine, Spoken, months_of
from ingestion.models import (
    OPEN_STATUSES,
    Content,
    Coverage,
    ImportProfile,
    ImportRow,
    ImportRun,
    JobStatus,
    Schedule,
    Source,
    SourceKind,
    SourcePull,
    StagedCash,
    StagedInstrument,
    StagedPosition,
    StagedTransaction,
    SyncRun,
)

WORKING = (ImportRun.Stage.PARSING, ImportRun.Stage.STAGING)
EVERY = {
    Schedule.HOURLY: timedelta(hours=1),
    Schedule.DAILY: timedelta(days=1),
    Schedule.WEEKLY: timedelta(weeks=1),
}


def sources(*, user_id: UUID) -> QuerySet[Source]:
    """Sources in use, the most believed first."""
    return Source.objects.visible_to(user_id).filter(retired_at=None).order_by("priority", "id")


def import_runs(*, user_id: UUID) -> QuerySet[ImportRun]:
    """Runs, newest first; the file's bytes stay in the database."""
    return ImportRun.objects.visible_to(user_id).select_related("source").defer("raw").order_by("-created_at", "-id")


def latest_runs(*, user_id: UUID, count: int = 10) -> list[ImportRun]:
    return list(import_runs(user_id=user_id)[:count])


def import_profiles(*, user_id: UUID) -> QuerySet[ImportProfile]:
    return ImportProfile.objects.visible_to(user_id).order_by("name", "id")


def profile_options(*, user_id: UUID, header_digest: str) -> dict[str, Any] | None:
    """What the user once said about files with these columns."""
    return (
        ImportProfile.objects.visible_to(user_id)
        .filter(header_digest=header_digest)
        .values_list("options", flat=True)
        .first()
    )


def rows_left_out(*, run: ImportRun, verdict: str = "") -> QuerySet[ImportRow]:
    """Rejected and ignored rows of a run in the order of its file."""
    rows = ImportRow.objects.filter(run=run)
    return (rows.filter(verdict=verdict) if verdict else rows).order_by("line", "id")


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row of a content as it was understood."""

    line: int
    section: str
    row: StagedTransaction | StagedPosition | StagedCash
    instrument: StagedInstrument | None


_SECTIONS: dict[str, type[StagedTransaction] | type[StagedPosition] | type[StagedCash]] = {
    "transactions": StagedTransaction,
    "positions": StagedPosition,
    "cash": StagedCash,
}


def staged_row_keys(*, content_id: int | None) -> QuerySet[Any, tuple[int, str, int]]:
    """(line, section, id) of every row a content holds, in the order of its file; for pagination."""
    parts = [
        model.objects.filter(content=content_id).values_list("line", Value(section), "id")
        for section, model in _SECTIONS.items()
    ]
    return parts[0].union(*parts[1:], all=True).order_by("line", "id")


def staged_rows(*, content_id: int, keys: Sequence[tuple[int, str, int]]) -> list[StagedRow]:
    """The rows of one page of `staged_row_keys`: at most four queries."""
    rows: dict[tuple[str, int], Any] = {}
    for section, model in _SECTIONS.items():
        ids = [pk for _, of, pk in keys if of == section]
        if ids:
            rows |= {(section, row.pk): row for row in model.objects.filter(pk__in=ids)}
    named = {getattr(row, "instrument_key", "") for row in rows.values()} - {""}
    instruments = {row.key: row for row in StagedInstrument.objects.filter(content=content_id, key__in=named)}
    return [
        StagedRow(line, section, rows[section, pk], instruments.get(getattr(rows[section, pk], "instrument_key", "")))
        for line, section, pk in keys
    ]


def contents_in_force(*, source_id: UUID) -> QuerySet[Content]:
    """Contents of a source that count, oldest arrival first, each with `coverage` and `arrived_number`."""
    coverage = Prefetch("coverage", Coverage.objects.order_by("account_ref", "section", "start"))
    in_force = Content.objects.filter(source=source_id).in_force().prefetch_related(coverage)
    return in_force.order_by("arrived_number", "id")  # type: ignore[misc]  # annotated by in_force()


def manual_contents(*, user_id: UUID, uid: UUID | None = None) -> QuerySet[Content]:
    """Rows typed by hand that count, oldest first; of one row where `uid` names it."""
    rows = Content.objects.filter(source__user=user_id, scope="manual").in_force()
    return (rows.filter(digest__startswith=f"manual:{uid}:") if uid else rows).order_by("id")


def contents_to_replay(*, versions: Mapping[str, int], user_id: UUID | None = None) -> list[Content]:
    """Contents in force that an older version of their adapter read; oldest arrival first. versions: by layout."""
    older = Q(pk__in=())
    for layout, version in versions.items():
        older |= Q(layout=layout, parser_version__lt=version)
    found = Content.objects.filter(older).in_force().select_related("source__user")
    if user_id:
        found = found.filter(source__user=user_id)
    return list(found.order_by("arrived_number", "id"))  # type: ignore[misc]  # annotated by in_force()


def replayable_run(*, content: Content, version: int) -> ImportRun | None:
    """The run that brought `content` last, with its bytes, unless this version of the adapter has read them."""
    runs = ImportRun.objects.filter(content=content, undone_at=None, parser_version__lt=version)
    return runs.exclude(raw=None).order_by("-fact_number").first()


def claimable_runs() -> QuerySet[ImportRun]:
    """Queued runs, and ones whose worker fell silent before their facts were stored, oldest first."""
    silent = Q(status=JobStatus.RUNNING, stage__in=WORKING, lease_until__lt=timezone.now())
    return ImportRun.objects.filter(Q(status=JobStatus.QUEUED) | silent).order_by("created_at", "id")


def unstored() -> Q:
    """Open runs that have stored no fact."""
    return Q(status=JobStatus.QUEUED) | Q(status=JobStatus.RUNNING, stage__in=WORKING)


def waiting_run_ids(*, user_id: UUID | None = None, count: int = 100) -> list[UUID]:
    """Runs that a worker may take now, oldest first."""
    runs = claimable_runs()
    return list((runs.filter(user=user_id) if user_id else runs).values_list("pk", flat=True)[:count])


def claimable_pulls() -> QuerySet[SourcePull]:
    """Pulls of live sync runs that no worker has, or whose worker fell silent before it stored what was sent."""
    now = timezone.now()
    queued = Q(status=SourcePull.Status.QUEUED) & (Q(retry_at=None) | Q(retry_at__lte=now))
    silent = Q(status=SourcePull.Status.RUNNING, fetched_at=None, lease_until__lt=now)
    return SourcePull.objects.filter(queued | silent, sync_run__status__in=OPEN_STATUSES).order_by("pk")


def waiting_pull_ids(*, user_id: UUID | None = None, count: int = 100) -> list[int]:
    """Pulls that a worker may take now, oldest first."""
    pulls = claimable_pulls()
    return list((pulls.filter(sync_run__user=user_id) if user_id else pulls).values_list("pk", flat=True)[:count])


def working_job_count(*, user_id: UUID) -> int:
    """How many of the user's files and brokers' answers a live worker is reading."""
    now = timezone.now()
    runs = ImportRun.objects.filter(user=user_id, status=JobStatus.RUNNING, stage__in=WORKING, lease_until__gte=now)
    pulls = SourcePull.objects.filter(
        sync_run__user=user_id, status=SourcePull.Status.RUNNING, fetched_at=None, lease_until__gte=now
    )
    return runs.count() + pulls.count()


def sync_runs(*, user_id: UUID) -> QuerySet[SyncRun]:
    """Sync runs, newest first, each with its pulls, their sources and the ids of its imports."""
    pulls = SourcePull.objects.select_related("source").order_by("source__priority", "pk")
    imports = ImportRun.objects.only("id", "sync_run", "source", "status").order_by("created_at", "id")
    found = SyncRun.objects.visible_to(user_id).order_by("-created_at", "-id")
    return found.prefetch_related(Prefetch("pulls", pulls), Prefetch("import_runs", imports))


def unsettled_sync_user_ids() -> list[UUID]:
    """Users with a live sync run."""
    return list(SyncRun.objects.filter(status__in=OPEN_STATUSES).values_list("user", flat=True))


def due_sources(*, now: datetime, kinds: Collection[str]) -> dict[UUID, list[Source]]:
    """User -> sources whose schedule says that they are to be pulled now: as long after they were last asked."""
    asked = Max("pulls__sync_run__created_at", filter=~Q(pulls__status=SourcePull.Status.SKIPPED))
    scheduled = Source.objects.filter(kind__in=kinds, enabled=True, retired_at=None, user__is_active=True)
    due: dict[UUID, list[Source]] = {}
    for source in scheduled.exclude(schedule="").annotate(asked_at=asked).order_by("user", "priority", "id"):
        if source.asked_at is None or source.asked_at + EVERY[source.schedule] <= now:
            due.setdefault(source.user_id, []).append(source)
    return due


def unreconciled_user_ids(*, older_than: timedelta) -> list[UUID]:
    """Users with stored facts that no ledger has taken up for a while."""
    edge = timezone.now() - older_than
    runs = ImportRun.objects.filter(status=JobStatus.RUNNING, stage=ImportRun.Stage.RECONCILING, lease_until=None)
    return list(runs.filter(started_at__lt=edge).order_by("user").values_list("user", flat=True).distinct())


def unvalued_user_ids() -> list[UUID]:
    """Users with runs that the ledger has taken up and that wait for their figures."""
    runs = ImportRun.objects.filter(status=JobStatus.RUNNING, stage=ImportRun.Stage.VALUING)
    return list(runs.order_by("user").values_list("user", flat=True).distinct())


def uses(*, sources: Sequence[Source]) -> dict[UUID, int]:
    """How many contents in force each source has."""
    found = Content.objects.filter(source__in=sources).in_force().values_list(F("source"), flat=True)
    counts: dict[UUID, int] = {}
    for source_id in found:
        counts[source_id] = counts.get(source_id, 0) + 1
    return counts


def coverage_grid(user_id: UUID, *, until: date) -> list[CoverageLine]:
    """Months of each source, account reference and section up to `until`, by source, account and section.

    Of contents in force; rows typed by hand are whole for no day and stand in no line.
    """
    in_force = Content.objects.filter(source__user=user_id, source__retired_at=None).in_force()
    spoken = (
        Coverage.objects.filter(content__in=in_force.exclude(source__kind=SourceKind.MANUAL).values("pk"))
        .order_by("content__source__priority", "content__source", "account_ref", "content__default_account", "section")
        .values_list(
            "content__source", "content__source__name", "account_ref", "content__default_account", "section",
            "content", "start", "end", "completeness",
        )
    )  # fmt: skip
    lines: dict[tuple[UUID, str, str, UUID | None, str], list[Spoken]] = {}
    for source, name, reference, default, section, content, start, end, completeness in spoken:
        line = (source, name, reference, default if not reference else None, section)
        lines.setdefault(line, []).append(Spoken(content, start, end, completeness))
    return [
        CoverageLine(
            source, name, reference, default, section, min(one.start for one in said), max(one.end for one in said),
            months_of(said, until=until, is_report=section != Coverage.Section.TRANSACTIONS),
        )
        for (source, name, reference, default, section), said in lines.items()
    ]  # fmt: skip

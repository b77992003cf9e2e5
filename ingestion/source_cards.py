"""Sources as their page shows them: whom to believe first, how each is doing, what it brought."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, QuerySet

from accounts.models import User
from ingestion import selectors
from ingestion.adapters.pulling import puller_of
from ingestion.models import (
    OPEN_STATUSES,
    Content,
    Health,
    ImportRun,
    JobStatus,
    Source,
    SourceKind,
    SourcePull,
    StagedPosition,
    StagedTransaction,
    SyncRun,
)

KIND_LABELS = {
    SourceKind.IBKR_FLEX: "Interactive Brokers",
    SourceKind.KUCOIN: "KuCoin",
    SourceKind.CSV: "Files",
    SourceKind.MANUAL: "Typed by hand",
}
HEALTH = {
    Health.UNVERIFIED: ("Not tried yet", ""),
    Health.OK: ("Connected", "up"),
    Health.UNAVAILABLE: ("Does not answer", "warn"),
    Health.REFUSED: ("Refused", "down"),
    Health.FAILING: ("Failing", "warn"),
}
SCHEDULES = {"": "not scheduled", "hourly": "every hour", "daily": "every day", "weekly": "every week"}
PULL_WORDS = {
    SourcePull.Status.QUEUED: ("Waiting", "info"),
    SourcePull.Status.RUNNING: ("Fetching", "info"),
    SourcePull.Status.DONE: ("New rows", "up"),
    SourcePull.Status.PARTIAL: ("In part", "warn"),
    SourcePull.Status.FAILED: ("Failed", "down"),
    SourcePull.Status.CANCELLED: ("Cancelled", ""),
    SourcePull.Status.UNCHANGED: ("Nothing new", ""),
    SourcePull.Status.SKIPPED: ("Left out", ""),
}
RUN_WORDS = {
    JobStatus.QUEUED: ("Waiting", "info"),
    JobStatus.RUNNING: ("Running", "info"),
    JobStatus.DONE: ("In sync", "up"),
    JobStatus.UNCHANGED: ("Nothing new", ""),
    JobStatus.PARTIAL: ("In part", "warn"),
    JobStatus.FAILED: ("Failed", "down"),
    JobStatus.CANCELLED: ("Cancelled", ""),
}


@dataclass(frozen=True, slots=True)
class SourceCard:
    """One source. rows: transactions in force; reports: positions in force. rank: its place in the order, from 1."""

    id: UUID
    name: str
    kind: str
    rank: int
    priority: int
    ties: bool  # another source has the same number
    earlier: int | None  # the number that puts it before its neighbor; None where there is none
    later: int | None
    enabled: bool
    health: str
    tone: str
    health_detail: str
    can_sync: bool
    is_typed: bool
    schedule: str
    last_at: datetime | None
    files: int
    rows: int
    reports: int


@dataclass(frozen=True, slots=True)
class PullLine:
    source_name: str
    text: str
    tone: str
    detail: str


@dataclass(frozen=True, slots=True)
class SyncCard:
    """The newest sync run. done and total count sources; stats in words."""

    id: UUID
    text: str
    tone: str
    is_open: bool
    done: int
    total: int
    created_at: datetime
    outcome: str
    pulls: tuple[PullLine, ...]


def source_cards(user: User) -> list[SourceCard]:
    """In the order in which they are believed; a constant number of queries."""
    found = list(selectors.sources(user_id=user.pk))
    in_force = Content.objects.filter(source__in=found).in_force().values("pk")
    rows = counted(StagedTransaction.objects.filter(content__in=in_force))
    reports = counted(StagedPosition.objects.filter(content__in=in_force))
    files = selectors.uses(sources=found)
    ended = ImportRun.objects.filter(source__in=found, finished_at__isnull=False).order_by()
    last = dict(ended.values_list("source").annotate(Max("finished_at")))
    numbers = [one.priority for one in found]
    return [
        card(
            one, place, numbers,
            files=files.get(one.pk, 0), rows=rows.get(one.pk, 0), reports=reports.get(one.pk, 0), last=last.get(one.pk),
        )
        for place, one in enumerate(found)
    ]  # fmt: skip


def counted(rows: QuerySet[StagedTransaction] | QuerySet[StagedPosition]) -> dict[UUID, int]:
    """Rows by source."""
    return dict(rows.order_by().values_list("content__source").annotate(Count("pk")))


def card(
    source: Source,
    place: int,
    numbers: Sequence[int],
    *,
    files: int,
    rows: int,
    reports: int,
    last: datetime | None,
) -> SourceCard:
    can_sync = puller_of(source.kind) is not None
    health, tone = HEALTH[Health(source.health)] if can_sync else ("", "")
    return SourceCard(
        id=source.pk,
        name=source.name,
        kind=KIND_LABELS.get(SourceKind(source.kind), source.kind),
        rank=place + 1,
        priority=source.priority,
        ties=numbers.count(source.priority) > 1,
        earlier=numbers[place - 1] - 1 if place and numbers[place - 1] else None,
        later=numbers[place + 1] + 1 if place + 1 < len(numbers) else None,
        enabled=source.enabled,
        health=health,
        tone=tone,
        health_detail=source.health_detail,
        can_sync=can_sync,
        is_typed=source.kind == SourceKind.MANUAL,
        schedule=SCHEDULES.get(source.schedule, source.schedule) if can_sync else "",
        last_at=last,
        files=files,
        rows=rows,
        reports=reports,
    )


def sync_card(user: User) -> SyncCard | None:
    """None before the first sync."""
    run = selectors.sync_runs(user_id=user.pk).first()
    if run is None:
        return None
    pulls = list(run.pulls.select_related("source").order_by("source__priority", "pk"))
    asked = [pull for pull in pulls if pull.status != SourcePull.Status.SKIPPED]
    text, tone = RUN_WORDS.get(JobStatus(run.status), (run.status, ""))
    return SyncCard(
        id=run.pk,
        text=text,
        tone=tone,
        is_open=run.status in OPEN_STATUSES,
        done=sum(pull.status not in OPEN_STATUSES for pull in asked),
        total=len(asked),
        created_at=run.created_at,
        outcome=outcome(run),
        pulls=tuple(
            PullLine(pull.source.name, *PULL_WORDS[SourcePull.Status(pull.status)], pull.detail) for pull in pulls
        ),
    )


def outcome(run: SyncRun) -> str:
    """What it brought; "" while it runs."""
    if run.status in OPEN_STATUSES:
        return ""
    stats = run.stats
    words = (("inserted", "new"), ("updated", "restated"), ("unchanged", "known already"), ("closed", "closed"))
    parts = [f"{stats[name]:,} {word}" for name, word in words if stats.get(name)]
    fresh = len(stats.get("conflicts", ()))
    if fresh:
        parts.append(f"{fresh} new disagreement{'s' if fresh != 1 else ''}")
    return ", ".join(parts) + "." if parts else "Nothing changed."

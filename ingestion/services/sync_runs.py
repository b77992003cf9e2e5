"""A sync run over the sources of a user: opened once at a time, ended when each source has, cancelled, or given up.

The run holds nothing of its own: what is fetched becomes import runs, which go on by themselves also where the sync
run is cancelled or given up after their facts were stored.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Tier, User
from ingestion import conflicts, selectors
from ingestion.adapters.pulling import puller_of
from ingestion.errors import NotCancellable, SyncRunning
from ingestion.models import OPEN_STATUSES, Health, ImportRun, JobStatus, Source, SourcePull, SyncRun
from ingestion.services.news import tell_sync, tell_sync_end

SILENT = dt.timedelta(minutes=20)  # a run in which nothing moved for so long is given up
NOTHING = {"inserted": 0, "updated": 0, "unchanged": 0, "closed": 0, "conflicts": []}
OPEN_PULLS = (SourcePull.Status.QUEUED, SourcePull.Status.RUNNING)
Status = SourcePull.Status


def open_sync(*, user: User, sources: Sequence[Source] | None = None, trigger: str) -> SyncRun:
    """Record that sources are to be pulled: `sources`, or all in use. Those that cannot be are listed as skipped.

    Raises SyncRunning, which names the live run of the user.
    """
    chosen = list(selectors.sources(user_id=user.pk)) if sources is None else list(dict.fromkeys(sources))
    for _ in range(2):
        try:
            with transaction.atomic():
                run = SyncRun.objects.create(
                    user=user, trigger=trigger, stats=NOTHING, conflicts_before=sorted(conflicts.open_keys(user.pk))
                )
                SourcePull.objects.bulk_create(_pull(run, source) for source in chosen)
                _settle(run)
                return run
        except IntegrityError as exc:  # the constraint decides, so two at once cannot both win
            live = live_sync(user_id=user.pk)
            if live is not None:
                raise SyncRunning("Wait for the running sync to end, or cancel it.", id=str(live.pk)) from exc
    raise SyncRunning("Another sync began and ended at this moment. Start it again.")


def _pull(run: SyncRun, source: Source) -> SourcePull:
    code, detail = why_skipped(source)
    if not code:
        return SourcePull(sync_run=run, source=source)
    return SourcePull(
        sync_run=run, source=source, status=Status.SKIPPED, code=code, detail=detail, finished_at=timezone.now()
    )


def why_skipped(source: Source) -> tuple[str, str]:
    """(code, words) where a source cannot be pulled now; ("", "") where it can."""
    if source.retired_at is not None:
        return "retired", "The source was retired."
    if not source.enabled:
        return "disabled", "The source is disabled: enable it, and its facts count and are pulled again."
    if puller_of(source.kind) is None:
        return "not_pullable", "Nothing can be fetched for a source of this kind: upload its files."
    return "", ""


def live_sync(*, user_id: UUID) -> SyncRun | None:
    return SyncRun.objects.filter(user=user_id, status__in=OPEN_STATUSES).first()


def lock_live_sync(*, user_id: UUID) -> SyncRun | None:
    """The user's live run, held until commit. Whoever writes to it and to its imports locks it first."""
    live = SyncRun.objects.filter(user=user_id, status__in=OPEN_STATUSES)
    return live.select_for_update(of=("self",)).first()


@transaction.atomic
def settle_sync(*, user_id: UUID) -> None:
    """End the pulls whose imports have ended, and the live run once all pulls have."""
    run = lock_live_sync(user_id=user_id)
    if run is not None:
        _settle(run)


def _settle(run: SyncRun) -> None:
    """Call with the run locked, or just made."""
    pulls = list(run.pulls.select_related("source").order_by("pk"))
    imports = imports_of(run)
    moved = False
    for pull in pulls:
        of_source = imports[pull.source_id]
        if pull.status == Status.RUNNING and pull.fetched_at and not any(one.is_open for one in of_source):
            end_pull(pull, of_source)
            moved = True
    if any(pull.status in OPEN_PULLS for pull in pulls):
        if moved:
            touch(run)
            tell_sync(run, pulls)
        return
    end_sync(run, pulls, imports)


def imports_of(run: SyncRun) -> dict[UUID, list[ImportRun]]:
    found: dict[UUID, list[ImportRun]] = defaultdict(list)
    for one in run.import_runs.defer("raw").order_by("created_at", "id"):
        if one.source_id is not None:
            found[one.source_id].append(one)
    return found


def end_pull(pull: SourcePull, imports: Sequence[ImportRun]) -> None:
    """By what became of the pull's imports and of the fetch itself."""
    failed = [one for one in imports if one.status in (JobStatus.FAILED, JobStatus.NEEDS_MAPPING)]
    whole = not pull.code and all(one.status in (JobStatus.DONE, JobStatus.UNCHANGED) for one in imports)
    if whole:
        pull.status = Status.DONE if any(one.status == JobStatus.DONE for one in imports) else Status.UNCHANGED
    elif imports and len(failed) == len(imports):
        pull.status = Status.FAILED
    else:
        pull.status = Status.PARTIAL if imports else Status.FAILED
    if failed and not pull.code:
        pull.code, pull.detail = _why(failed[0])
    pull.finished_at, pull.lease_until = timezone.now(), None
    pull.save(update_fields=["status", "code", "detail", "finished_at", "lease_until"])
    source = Source.objects.filter(pk=pull.source_id)
    if whole:
        source.update(pulled_at=pull.started_at)
    elif failed:
        source.update(health=Health.FAILING, health_detail=pull.detail)


def _why(run: ImportRun) -> tuple[str, str]:
    if run.error:
        return run.error["code"], run.error["detail"]
    return "needs_mapping", "What it sent does not say everything. Answer the questions of its import."


def end_sync(run: SyncRun, pulls: Sequence[SourcePull], imports: dict[UUID, list[ImportRun]]) -> None:
    run.status = outcome_of([pull.status for pull in pulls])
    run.stats = stats_of(run, [one for of_source in imports.values() for one in of_source])
    run.finished_at = run.heartbeat_at = timezone.now()
    run.save(update_fields=["status", "stats", "finished_at", "heartbeat_at"])
    tell_sync_end(run, pulls)


def outcome_of(statuses: Collection[str]) -> JobStatus:
    """The end of a run by the ends of its pulls; sources that could not be pulled do not count."""
    ends = set(statuses) - {Status.SKIPPED}
    if ends <= {Status.UNCHANGED}:
        return JobStatus.UNCHANGED
    if ends <= {Status.DONE, Status.UNCHANGED}:
        return JobStatus.DONE
    return JobStatus.FAILED if ends <= {Status.FAILED} else JobStatus.PARTIAL


def stats_of(run: SyncRun, imports: Sequence[ImportRun]) -> dict[str, Any]:
    """Rows by what they did, and the keys of conflicts that were not open before."""
    fresh = conflicts.open_keys(run.user_id) - set(run.conflicts_before)
    return {
        "inserted": sum(one.staged - one.updated for one in imports),
        "updated": sum(one.updated for one in imports),
        "unchanged": sum(one.unchanged for one in imports),
        "closed": sum(one.closed for one in imports),
        "conflicts": sorted(fresh),
    }


@transaction.atomic
def cancel_sync(*, run: SyncRun) -> SyncRun:
    """Fetch and read nothing more of it. What is stored stays, and can be undone by import. Raises NotCancellable."""
    held = lock_live_sync(user_id=run.user_id)
    if held is None or held.pk != run.pk:
        run.refresh_from_db()
        raise NotCancellable(f"It has ended: it is {run.status}.")
    now = timezone.now()
    held.import_runs.filter(selectors.unstored()).update(
        status=JobStatus.CANCELLED, stage="", lease_until=None, finished_at=now
    )
    held.pulls.filter(status__in=OPEN_PULLS).update(status=Status.CANCELLED, lease_until=None, finished_at=now)
    held.status, held.finished_at = JobStatus.CANCELLED, now
    held.stats = stats_of(held, [one for of_source in imports_of(held).values() for one in of_source])
    held.save(update_fields=["status", "stats", "finished_at"])
    tell_sync_end(held, list(held.pulls.all()))
    return held


@transaction.atomic
def give_up_sync(*, user_id: UUID, now: dt.datetime | None = None) -> None:
    """End a live run in which nothing moved for long. What its pulls had stored goes on by itself."""
    run = lock_live_sync(user_id=user_id)
    now = now or timezone.now()
    if run is None or run.heartbeat_at >= now - SILENT:
        return
    imports = imports_of(run)
    for pull in run.pulls.filter(status__in=OPEN_PULLS):
        pull.code, pull.detail = "stale", "Its worker fell silent. What it had stored stays; sync again for the rest."
        stored = any(one.fact_number is not None for one in imports[pull.source_id])
        pull.status = Status.PARTIAL if stored else Status.FAILED
        pull.lease_until, pull.finished_at = None, now
        pull.save(update_fields=["code", "detail", "status", "lease_until", "finished_at"])
    end_sync(run, list(run.pulls.all()), imports)


def touch(run: SyncRun) -> None:
    """Something moved: the run is alive."""
    SyncRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now())


def may_sync(user: User) -> bool:
    """Whether the schedule of a user's sources still runs: their tier may have been lowered since."""
    return user.is_active and user.effective_tier >= Tier.OPERATOR


def quota_of(user: User) -> int:
    """How many jobs of the user run at once; further ones wait as queued."""
    return settings.TIER_RUNNING_JOBS[user.effective_tier.label]

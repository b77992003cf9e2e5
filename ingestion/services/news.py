"""What a run tells its user: frames while it goes on, one notification when it ends."""

from collections.abc import Sequence
from functools import partial

from django.db import transaction

from ingestion.models import OPEN_STATUSES, ImportRun, JobStatus, SourcePull, SyncRun
from notifications import push
from notifications.services import notify

_SEVERITIES = {
    JobStatus.DONE: "success",
    JobStatus.UNCHANGED: "info",
    JobStatus.PARTIAL: "warning",
    JobStatus.NEEDS_MAPPING: "warning",
    JobStatus.FAILED: "error",
}


def tell_progress(run: ImportRun) -> None:
    push.progress(
        user_id=run.user_id, job="import", id=run.pk, status=run.status, stage=run.stage, done=run.done, total=run.total
    )


def tell_end(run: ImportRun) -> None:
    """Call inside the transaction that ends the run: the notification commits with it, the frame follows.

    What a sync fetched is told with the end of the sync.
    """
    transaction.on_commit(partial(tell_progress, run), robust=True)
    if run.sync_run_id is not None:
        return
    title, body = _words(run)
    notify(
        user_id=run.user_id,
        kind="import.finished",
        object_id=str(run.pk),
        severity=_SEVERITIES[JobStatus(run.status)],
        title=title[:200],
        body=body,
        data={
            "run": str(run.pk), "status": run.status, "rows": run.rows, "staged": run.staged,
            "unchanged": run.unchanged, "rejected": run.rejected, "ignored": run.ignored,
        },
    )  # fmt: skip


def _words(run: ImportRun) -> tuple[str, str]:
    name = run.filename or "The file"
    match run.status:
        case JobStatus.FAILED:
            return f"{name} was not imported", (run.error or {}).get("detail", "")
        case JobStatus.NEEDS_MAPPING:
            return f"{name} needs an answer", "Say how its columns are to be read; then the import goes on."
        case JobStatus.UNCHANGED:
            return f"{name} holds nothing new", f"All {run.unchanged} rows were known."
        case JobStatus.PARTIAL:
            return f"{name} was imported in part", f"{run.staged} rows are new, {run.rejected} could not be taken."
        case _:
            known = f", {run.unchanged} were known" if run.unchanged else ""
            return f"{name} was imported", f"{run.staged} rows are new{known}."


def tell_sync(run: SyncRun, pulls: Sequence[SourcePull]) -> None:
    """How many of its sources have ended, once that is committed."""
    asked = [pull for pull in pulls if pull.status != SourcePull.Status.SKIPPED]
    done = sum(pull.status not in OPEN_STATUSES for pull in asked)
    frame = partial(
        push.progress, user_id=run.user_id, job="sync", id=run.pk, status=run.status, done=done, total=len(asked)
    )
    transaction.on_commit(frame, robust=True)


def tell_sync_end(run: SyncRun, pulls: Sequence[SourcePull]) -> None:
    """Call inside the transaction that ends the run. A scheduled one that brought nothing new is no news."""
    tell_sync(run, pulls)
    if run.trigger == SyncRun.Trigger.SCHEDULED and run.status == JobStatus.UNCHANGED:
        return
    title, body = _sync_words(run, pulls)
    notify(
        user_id=run.user_id,
        kind="sync.finished",
        object_id=str(run.pk),
        severity=_SEVERITIES.get(JobStatus(run.status), "info"),
        title=title,
        body=body,
        data={"sync_run": str(run.pk), "status": run.status, **run.stats},
    )


def _sync_words(run: SyncRun, pulls: Sequence[SourcePull]) -> tuple[str, str]:
    failed = [pull for pull in pulls if pull.status in (SourcePull.Status.FAILED, SourcePull.Status.PARTIAL)]
    asked = [pull for pull in pulls if pull.status != SourcePull.Status.SKIPPED]
    why = " ".join(f"{pull.source.name[:40]}: {pull.detail}" for pull in failed if pull.detail)
    stats = run.stats
    news = f"{stats['inserted']} rows are new, {stats['updated']} were restated."
    match run.status:
        case JobStatus.CANCELLED:
            return "The sync was cancelled", "What was stored before stays."
        case JobStatus.FAILED:
            return "The sync failed", why
        case JobStatus.PARTIAL:
            return f"{len(failed)} of {len(asked)} sources could not be synced in whole", f"{news} {why}".strip()
        case JobStatus.UNCHANGED if not asked:
            return "There was nothing to sync", "None of your sources can be fetched: upload their files."
        case JobStatus.UNCHANGED:
            return "The sync brought nothing new", ""
        case _:
            return "Your sources are in sync", news

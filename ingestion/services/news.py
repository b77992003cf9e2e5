"""What a run tells its user: frames while it goes on, one notification when it ends."""

from functools import partial

from django.db import transaction

from ingestion.models import ImportRun, JobStatus
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
    """Call inside the transaction that ends the run: the notification commits with it, the frame follows."""
    transaction.on_commit(partial(tell_progress, run), robust=True)
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

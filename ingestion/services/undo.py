"""Taking an import back is a fact like any other; uploading the file again is a later one."""

from django.db import transaction
from django.utils import timezone

from accounts.facts import next_fact_number
from ingestion import staging
from ingestion.errors import NotUndoable
from ingestion.models import ImportRun, JobStatus, Withdrawal
from ingestion.services.sources import announce_facts


@transaction.atomic
def undo_import(*, run: ImportRun) -> ImportRun:
    """Withdraw the content of a run, with all its arrivals up to now, whichever run brought it. Raises NotUndoable."""
    content = run.content
    if content is None:
        raise NotUndoable("It stored nothing.")
    staging.lock_source(content.source_id)
    run = ImportRun.objects.select_for_update(of=("self",)).defer("raw").get(pk=run.pk)
    if run.undone_at is not None:
        raise NotUndoable("It was undone before.")
    number = next_fact_number(user_id=run.user_id, cause="undo")
    Withdrawal.objects.create(content=content, number=number)
    now = timezone.now()
    ImportRun.objects.filter(content=content, undone_at=None).update(undone_at=now)
    still_open = ImportRun.objects.filter(content=content, status=JobStatus.RUNNING)
    still_open.update(status=JobStatus.CANCELLED, stage="", finished_at=now)
    run.refresh_from_db(fields=["undone_at", "status", "stage", "finished_at"])
    announce_facts(user_id=run.user_id)
    return run

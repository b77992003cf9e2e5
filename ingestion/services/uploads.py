"""An upload becomes a run: the bytes are kept once, compressed and sealed, before anything reads them."""

import hashlib
import zlib
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from ingestion import accounts, selectors
from ingestion.errors import NotAnswerable, NotCancellable, NotPurgeable, UnknownAccount
from ingestion.models import OPEN_STATUSES, ImportRun, JobStatus, Source, SyncRun
from ingestion.options import ImportOptions
from ingestion.services.news import tell_progress
from stackmotive.common import sealing
from stackmotive.common.ids import uuid7

COMPRESSION = 3  # the web process compresses: 256 MB of XML in about a second
LONGEST_NAME = 255


def raw_context(run_id: UUID) -> str:
    return f"run:{run_id}"


def label(filename: str) -> str:
    """A file name as something to show: printable, its last part only, never a path."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[:LONGEST_NAME]


def open_import(
    *,
    user: User,
    content: bytes,
    filename: str,
    source: Source | None = None,
    options: ImportOptions | None = None,
    trigger: str = ImportRun.Trigger.UPLOAD,
    sync_run: SyncRun | None = None,
) -> ImportRun:
    """Keep the bytes and queue a run. An equal upload of the user that is still open is joined: its run is answered.

    source: None = the default one of the layout that will be detected. sync_run: what fetched the bytes.
    Raises UnknownAccount.
    """
    options = options or ImportOptions()
    if options.account is not None and not accounts.is_own(user_id=user.pk, account_id=options.account):
        raise UnknownAccount(
            "Choose one of your accounts, or leave it out for a new one.", account=str(options.account)
        )
    raw_digest = hashlib.sha256(content).hexdigest()
    digest = options.digest(raw_digest=raw_digest, source=source.pk if source else None)
    run_id = uuid7()
    sealed: bytes | None = None
    while True:
        joined = _open_run(user.pk, digest) if trigger == ImportRun.Trigger.UPLOAD else None
        if joined is not None:
            return joined
        if sealed is None:
            sealed = sealing.seal(zlib.compress(content, COMPRESSION), context=raw_context(run_id))
        try:
            with transaction.atomic():
                return ImportRun.objects.create(
                    id=run_id,
                    user=user,
                    source=source,
                    trigger=trigger,
                    sync_run=sync_run,
                    filename=label(filename),
                    raw=sealed,
                    raw_digest=raw_digest,
                    raw_size=len(content),
                    request_digest=digest,
                    options=options.as_json(),
                )
        except IntegrityError:  # an equal upload was faster: the constraint decides, the next turn joins it
            continue


def _open_run(user_id: UUID, digest: str) -> ImportRun | None:
    runs = ImportRun.objects.filter(user=user_id, request_digest=digest, status__in=OPEN_STATUSES)
    return runs.filter(trigger=ImportRun.Trigger.UPLOAD).defer("raw").first()


def raw_bytes(run: ImportRun) -> bytes:
    """The file as it came. Raises NotAnswerable once it was purged."""
    if run.raw is None:
        raise NotAnswerable("The bytes of this file are no longer kept. Upload it again.")
    return zlib.decompress(sealing.unseal(bytes(run.raw), context=raw_context(run.pk)))


@transaction.atomic
def answer_import(*, run: ImportRun, answers: dict[str, Any]) -> ImportRun:
    """Queue a run that asked again, with its user's answers (fields of ImportOptions) added to what was said before.

    Raises NotAnswerable where the run asks nothing, or is open already.
    """
    return _requeue(run, from_statuses=(JobStatus.NEEDS_MAPPING,), answers=answers)


@transaction.atomic
def retry_import(*, run: ImportRun, answers: dict[str, Any] | None = None) -> ImportRun:
    """Queue a failed run again with the bytes that are kept. answers: fields of ImportOptions to add to what was said.

    Raises NotAnswerable.
    """
    return _requeue(run, from_statuses=(JobStatus.FAILED,), answers=answers or {})


def _requeue(run: ImportRun, *, from_statuses: tuple[JobStatus, ...], answers: dict[str, Any]) -> ImportRun:
    run = ImportRun.objects.select_for_update().get(pk=run.pk)
    if run.status not in from_statuses:
        raise NotAnswerable(f"It is {run.status}. Upload the file again to import it with other answers.")
    if run.raw is None:
        raise NotAnswerable("The bytes of this file are no longer kept. Upload it again.")
    options = ImportOptions.from_json(run.options | answers)
    run.options = options.as_json()
    run.request_digest = options.digest(raw_digest=run.raw_digest, source=run.source_id)
    run.status, run.stage, run.error, run.questions = JobStatus.QUEUED, "", None, None
    run.deliveries, run.done, run.total, run.lease_until, run.finished_at = 0, 0, 0, None, None
    run.rows = run.staged = run.unchanged = run.rejected = run.ignored = run.updated = run.closed = 0
    run.left_out.all().delete()
    changed = (
        "options", "request_digest", "status", "stage", "error", "questions", "deliveries", "done", "total",
        "lease_until", "finished_at", "rows", "staged", "unchanged", "rejected", "ignored",
        "updated", "closed",
    )  # fmt: skip
    try:
        with transaction.atomic():
            run.save(update_fields=changed)
    except IntegrityError as exc:
        raise NotAnswerable("The same file is being imported with the same answers. Wait for that one.") from exc
    return run


@transaction.atomic
def cancel_import(*, run: ImportRun) -> ImportRun:
    """Stop a run that has stored no fact yet. Raises NotCancellable: what is stored is undone, not cancelled."""
    stopped = ImportRun.objects.filter(selectors.unstored() | Q(status=JobStatus.NEEDS_MAPPING), pk=run.pk).update(
        status=JobStatus.CANCELLED, stage="", lease_until=None, finished_at=timezone.now()
    )
    run.refresh_from_db(fields=["status", "stage", "lease_until", "finished_at"])
    if not stopped:
        raise NotCancellable(f"It is {run.stage or run.status}. Undo it to take back what it stored.")
    transaction.on_commit(partial(tell_progress, run), robust=True)
    return run


@transaction.atomic
def purge_import(*, run: ImportRun) -> ImportRun:
    """Remove the bytes of a file that was read; its digest, counts and facts stay. Again does nothing.

    Raises NotPurgeable while the run is open or waits for answers.
    """
    run = ImportRun.objects.select_for_update(of=("self",)).defer("raw").get(pk=run.pk)
    if run.is_open or run.status == JobStatus.NEEDS_MAPPING:
        raise NotPurgeable("Wait until it has ended, or cancel it.")
    if run.purged_at is None:
        run.raw, run.purged_at = None, timezone.now()
        run.save(update_fields=["raw", "purged_at"])
    return run

"""One source's part of a sync run: from the broker's answer to queued import runs, safe to deliver twice and to kill.

What the broker sent is stored at once, with the end of the fetch. Before that a pull holds nothing but a lease, which
a thread renews while the broker is slow; a worker whose pull was taken over or cancelled stores nothing.
"""

import datetime as dt
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import structlog
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from ingestion import selectors
from ingestion.adapters.pulling import Payload, Puller, PullRefused, puller_of
from ingestion.models import Health, ImportRun, JobStatus, Source, SourcePull, SyncRun
from ingestion.options import ImportOptions
from ingestion.services.news import tell_sync
from ingestion.services.sources import credentials_context
from ingestion.services.sync_runs import quota_of, settle_sync, touch, why_skipped
from ingestion.services.uploads import open_import
from stackmotive.common import sealing
from stackmotive.common.problems import UpstreamUnavailable
from stackmotive.common.sealing import SealBroken

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=45)
PULSE = 15.0  # seconds between two renewals of the lease
MAX_DELIVERIES = 3
RETRY_AFTER = (dt.timedelta(seconds=10), dt.timedelta(seconds=40))  # then the source counts as unavailable
MAX_BYTES = 512 * 1024 * 1024  # of one pull: everything is held in memory until it is stored
Status = SourcePull.Status


class LeaseLost(Exception):
    """The pull was taken over or cancelled; nothing of this delivery may be stored."""


@dataclass(slots=True)
class Fetched:
    """What a source sent, and why that is not all (code "" = it is)."""

    payloads: list[Payload] = field(default_factory=list)
    code: str = ""
    detail: str = ""
    health: Health = Health.OK


def pull_source(*, pull_id: int) -> None:
    """Fetch one source. A second delivery, or one over its user's limit of running jobs, does nothing."""
    pull = claim_pull(pull_id=pull_id)
    if pull is None:
        return
    try:
        with Pulse(pull):
            fetched = fetch(pull.source)
        may_heal = fetched.health == Health.UNAVAILABLE and not fetched.payloads
        if may_heal and pull.tries < len(RETRY_AFTER):
            postpone(pull, fetched)
            return
        store(pull, fetched)
    except LeaseLost:
        log.warning("pull_lease_lost", pull=pull.pk, delivery=pull.deliveries)
    settle_sync(user_id=pull.sync_run.user_id)


def claim_pull(*, pull_id: int) -> SourcePull | None:
    """Take a pull for this worker, or None: it is not claimable, was given up, or its user's other jobs come first."""
    known = SourcePull.objects.filter(pk=pull_id).values_list("sync_run__user", flat=True).first()
    if known is None:
        return None
    with transaction.atomic():
        with connection.cursor() as cursor:  # counting and taking are one act per user, with imports
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ingestion:claims:{known}"])
        claimable = selectors.claimable_pulls().filter(pk=pull_id).select_for_update(of=("self",))
        pull = claimable.select_related("source", "sync_run__user").first()
        if pull is None:
            return None
        user = pull.sync_run.user
        code, detail = why_skipped(pull.source)
        if not code and not user.is_active:
            code, detail = "user_inactive", "The account was closed before the source was asked."
        gave_up = pull.deliveries >= MAX_DELIVERIES
        if gave_up:
            code, detail = "gave_up", f"Its worker stopped {MAX_DELIVERIES} times over this source."
        if code:
            end_unasked(pull, status=Status.FAILED if gave_up else Status.SKIPPED, code=code, detail=detail)
        elif selectors.working_job_count(user_id=user.pk) >= quota_of(user):
            return None
        else:
            take(pull)
            return pull
    settle_sync(user_id=known)
    return None


def take(pull: SourcePull) -> None:
    now = timezone.now()
    pull.status, pull.deliveries, pull.retry_at = Status.RUNNING, pull.deliveries + 1, None
    pull.started_at, pull.lease_until = pull.started_at or now, now + LEASE
    pull.save(update_fields=["status", "deliveries", "retry_at", "started_at", "lease_until"])
    run = pull.sync_run
    SyncRun.objects.filter(pk=run.pk, status=JobStatus.QUEUED).update(status=JobStatus.RUNNING, started_at=now)
    touch(run)
    run.refresh_from_db(fields=["status", "started_at"])
    tell_sync(run, list(run.pulls.all()))


def end_unasked(pull: SourcePull, *, status: Status, code: str, detail: str) -> None:
    pull.status, pull.code, pull.detail, pull.finished_at, pull.lease_until = status, code, detail, timezone.now(), None
    pull.save(update_fields=["status", "code", "detail", "finished_at", "lease_until"])


# --- asking the broker ---


def parameters_of(source: Source) -> dict[str, Any]:
    """Settings and opened credentials, for the one call of an adapter. Raises SealBroken."""
    opened: Mapping[str, str] = {}
    if source.credentials is not None:
        opened = json.loads(sealing.unseal(bytes(source.credentials), context=credentials_context(source)))
    return {**source.settings, **opened}


def puller_for(source: Source) -> Puller:
    """Raises PullRefused for a kind that nothing can be fetched for."""
    puller = puller_of(source.kind)
    if puller is None:
        raise PullRefused("not_pullable", "Nothing can be fetched for a source of this kind: upload its files.")
    return puller


def fetch(source: Source) -> Fetched:
    """Everything the source has to say, or as much as it said before it stopped."""
    fetched = Fetched()
    size = 0
    try:
        for payload in puller_for(source).fetch(parameters_of(source), source.pulled_at):
            size += len(payload.content)
            if size > MAX_BYTES:
                raise PullRefused("too_large", f"It sent more than {MAX_BYTES >> 20} MB. Ask for fewer days at once.")
            fetched.payloads.append(payload)
    except UpstreamUnavailable as exc:
        fetched.code, fetched.detail, fetched.health = exc.code, exc.detail, Health.UNAVAILABLE
    except PullRefused as exc:
        fetched.code, fetched.detail, fetched.health = exc.code, exc.detail, Health.REFUSED
    except SealBroken:
        fetched.code, fetched.detail = "unsealed", UNSEALED
        fetched.health = Health.REFUSED
    return fetched


UNSEALED = "Its credentials cannot be opened with the configured keys. Enter them again."


@dataclass(frozen=True, slots=True)
class SourceTest:
    """Whether a source can be pulled. code: "ok", "not_pullable", "unavailable", or the broker's own refusal."""

    ok: bool
    code: str
    detail: str
    checked_at: dt.datetime


def try_source(*, source: Source) -> SourceTest:
    """Ask the source's broker whether it lets us in, and remember the answer as the source's health."""
    health, code, detail = Health.OK, "ok", "The source answers."
    try:
        puller_for(source).check(parameters_of(source))
    except UpstreamUnavailable as exc:
        health, code, detail = Health.UNAVAILABLE, exc.code, exc.detail
    except PullRefused as exc:
        health, code, detail = Health.REFUSED, exc.code, exc.detail
    except SealBroken:
        health, code, detail = Health.REFUSED, "unsealed", UNSEALED
    now = timezone.now()
    if code != "not_pullable":
        note_health(source, health, "" if health == Health.OK else detail)
    return SourceTest(health == Health.OK, code, detail, now)


def note_health(source: Source, health: Health, detail: str) -> None:
    Source.objects.filter(pk=source.pk).update(health=health, health_detail=detail, checked_at=timezone.now())


# --- storing the answer ---


def postpone(pull: SourcePull, fetched: Fetched) -> None:
    """It did not answer: ask again a little later. Raises LeaseLost."""
    with transaction.atomic():
        retry_at = timezone.now() + RETRY_AFTER[pull.tries]
        update_held(
            pull, status=Status.QUEUED, tries=pull.tries + 1, retry_at=retry_at, lease_until=None,
            code=fetched.code, detail=fetched.detail, deliveries=0,
        )  # fmt: skip
        note_health(pull.source, fetched.health, fetched.detail)
        touch(pull.sync_run)


@transaction.atomic
def store(pull: SourcePull, fetched: Fetched) -> None:
    """Keep the bytes as queued import runs and end the fetch, at once. Raises LeaseLost."""
    update_held(pull, fetched_at=timezone.now(), lease_until=None, code=fetched.code, detail=fetched.detail)
    run = pull.sync_run
    is_scheduled = run.trigger == SyncRun.Trigger.SCHEDULED
    for payload in fetched.payloads:
        open_import(
            user=run.user,
            content=payload.content,
            filename=payload.filename,
            source=pull.source,
            options=ImportOptions(on_error="skip"),
            trigger=ImportRun.Trigger.SCHEDULED if is_scheduled else ImportRun.Trigger.PULL,
            sync_run=run,
        )
    note_health(pull.source, fetched.health, fetched.detail)
    touch(run)


def update_held(pull: SourcePull, **values: Any) -> None:
    """Write to a pull that this worker holds: the lease it wrote last is the fence. Raises LeaseLost."""
    held = SourcePull.objects.filter(pk=pull.pk, status=Status.RUNNING, lease_until=pull.lease_until)
    if not held.update(**values):
        raise LeaseLost
    for name, value in values.items():
        setattr(pull, name, value)


class Pulse:
    """Renews the lease of a pull while its fetch waits for the broker. A killed worker's lease runs out."""

    def __init__(self, pull: SourcePull) -> None:
        self._pull = pull
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pull-{pull.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._stop.wait(PULSE):
                try:
                    update_held(self._pull, lease_until=timezone.now() + LEASE)
                    touch(self._pull.sync_run)
                except LeaseLost:
                    return
                except OperationalError as exc:  # the database restarts: the next beat may be in time
                    log.warning("pull_pulse_missed", pull=self._pull.pk, error=type(exc).__name__)
        finally:
            connection.close()  # the thread's own


def fail_pull(*, pull_id: int, code: str, detail: str) -> None:
    """End a pull that took too long for its worker."""
    with transaction.atomic():
        pull = SourcePull.objects.select_for_update().filter(pk=pull_id, status=Status.RUNNING, fetched_at=None).first()
        if pull is None:
            return
        end_unasked(pull, status=Status.FAILED, code=code, detail=detail)
        note_health(pull.source, Health.UNAVAILABLE, detail)
    settle_sync(user_id=SyncRun.objects.values_list("user", flat=True).get(pk=pull.sync_run_id))

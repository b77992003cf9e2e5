"""Sources: made by their user or on first use, believed or not, retired and never deleted."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.facts import next_fact_number
from accounts.models import User
from ingestion.errors import QuotaExceeded, SourceKindFixed
from ingestion.models import DEFAULT_PRIORITIES, Health, Source, SourceKind, SourceSetting
from ingestion.reading import GENERIC
from ingestion.signals import batch_staged
from stackmotive.common import sealing
from stackmotive.common.ids import uuid7

FACTS = ("priority", "enabled")  # what a user sets that changes the ledger
DEFAULT_NAMES = {
    (SourceKind.CSV, GENERIC): "Generic CSV files",
    (SourceKind.CSV, "trading212"): "Trading 212 files",
    (SourceKind.IBKR_FLEX, "ibkr_flex"): "IBKR Flex files",
    (SourceKind.MANUAL, ""): "Entered by hand",
}


def credentials_context(source: Source) -> str:
    """What sealed credentials are bound to: another user's or source's row cannot open them."""
    return f"source:{source.user_id}:{source.pk}"


def sealed_credentials(source: Source, credentials: Mapping[str, str]) -> bytes:
    return sealing.seal(json.dumps(dict(credentials)).encode(), context=credentials_context(source))


@transaction.atomic
def create_source(
    *,
    user: User,
    kind: str,
    name: str,
    priority: int | None = None,
    enabled: bool = True,
    schedule: str = "",
    parameters: Mapping[str, Any] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> Source:
    """A source of the user's own. Nobody is called: its health is unverified. Raises QuotaExceeded, SourceKindFixed."""
    if kind == SourceKind.MANUAL:
        raise SourceKindFixed("Rows typed by hand have one source, which is made with the first of them.")
    check_quota(user=user)
    source = Source(
        user=user,
        kind=kind,
        name=name,
        priority=DEFAULT_PRIORITIES.get(SourceKind(kind), 100) if priority is None else priority,
        enabled=enabled,
        schedule=schedule,
        settings=dict(parameters or {}),
    )
    if credentials:
        source.credentials = sealed_credentials(source, credentials)
    source.save(force_insert=True)
    _record(source, {name: getattr(source, name) for name in FACTS})
    return source


@transaction.atomic
def update_source(*, source: Source, values: Mapping[str, Any], credentials: Mapping[str, str] | None = None) -> Source:
    """Change name, priority, enabled, schedule or settings. Credentials replace the old ones; {} erases them."""
    source = Source.objects.select_for_update().get(pk=source.pk)
    changed = {name: value for name, value in values.items() if getattr(source, name) != value}
    for name, value in changed.items():
        setattr(source, name, value)
    fields = list(changed)
    if credentials is not None:
        source.credentials = sealed_credentials(source, credentials) if credentials else None
        source.health, source.health_detail = Health.UNVERIFIED, ""
        fields += ["credentials", "health", "health_detail"]
    if fields:
        source.save(update_fields=fields)
    _record(source, {name: value for name, value in changed.items() if name in FACTS})
    return source


@transaction.atomic
def retire_source(*, source: Source, keep: bool = True) -> None:
    """Erase its credentials and schedule and take it off the list. Its facts stay; keep=False stops believing them."""
    source = Source.objects.select_for_update().get(pk=source.pk)
    if source.kind == SourceKind.MANUAL:
        raise SourceKindFixed("Rows typed by hand are deleted one by one; their source stays.")
    source.retired_at, source.credentials, source.schedule = timezone.now(), None, ""
    disbelieved = {} if keep or not source.enabled else {"enabled": False}
    source.enabled = source.enabled and keep
    source.save(update_fields=["retired_at", "credentials", "schedule", "enabled"])
    _record(source, disbelieved)


def default_source(*, user: User, kind: str, layout: str, name: str = "") -> Source:
    """The one source of files of this layout that name no source, made on first use; a retired one is taken up again.

    name: for a layout that has none of its own. Raises QuotaExceeded.
    """
    found = Source.objects.filter(user=user, kind=kind, layout=layout, is_default=True).first()
    if found is not None:
        return found if found.retired_at is None else _revive(found)
    with transaction.atomic():
        if kind != SourceKind.MANUAL:
            check_quota(user=user)
        source = Source(
            id=uuid7(),
            user=user,
            kind=kind,
            layout=layout,
            name=(DEFAULT_NAMES.get((SourceKind(kind), layout)) or name)[:100],
            priority=DEFAULT_PRIORITIES[SourceKind(kind)],
            is_default=True,
        )
        try:
            with transaction.atomic():
                source.save(force_insert=True)
        except IntegrityError:  # another import made it first
            return Source.objects.get(user=user, kind=kind, layout=layout, is_default=True)
        _record(source, {name: getattr(source, name) for name in FACTS})
    return source


@transaction.atomic
def _revive(source: Source) -> Source:
    source = Source.objects.select_for_update().get(pk=source.pk)
    believed_again = {} if source.enabled else {"enabled": True}
    source.retired_at, source.enabled = None, True
    source.save(update_fields=["retired_at", "enabled"])
    _record(source, believed_again)
    return source


def check_quota(*, user: User) -> None:
    """Raises QuotaExceeded where the user's tier has no room for one more source. Rows typed by hand need none."""
    with connection.cursor() as cursor:  # two at once must not both see the last free place
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ingestion:sources:{user.pk}"])
    used = Source.objects.filter(user=user, retired_at=None).exclude(kind=SourceKind.MANUAL).count()
    limit = settings.TIER_SOURCES[user.effective_tier.label]
    if used >= limit:
        raise QuotaExceeded(
            f"Your tier has room for {limit} sources. Retire one, or ask for a higher tier.", limit=limit
        )


def _record(source: Source, values: Mapping[str, Any]) -> None:
    """What a user set is a fact: the ledger of an earlier day is built with what was believed then."""
    if not values:
        return
    number = next_fact_number(user_id=source.user_id, cause="source")
    SourceSetting.objects.bulk_create(
        SourceSetting(source=source, key=key, value=value, number=number) for key, value in values.items()
    )
    announce_facts(user_id=source.user_id)


def announce_facts(*, user_id: UUID) -> None:
    """Wake the ledger once the facts are committed. May be lost: the numbers of the facts are the durable queue."""
    transaction.on_commit(partial(batch_staged.send_robust, sender=Source, user_id=user_id), robust=True)

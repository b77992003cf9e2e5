"""Telling a user something: the row is the truth, the push after commit is a courtesy."""

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from notifications import push
from notifications.models import Notification
from notifications.selectors import as_frame

BATCH_WINDOW = dt.timedelta(seconds=120)


@transaction.atomic
def notify(
    *,
    user_id: UUID,
    kind: str,
    title: str,
    body: str = "",
    severity: str = Notification.Severity.INFO,
    object_id: str = "",
    data: dict[str, Any] | None = None,
) -> Notification:
    """Store one notification and push it once committed. The same kind and object within 120 s raises the count of the
    first, which is pushed only then."""
    now = timezone.now()
    with connection.cursor() as cursor:  # two workers with the same news must not both find nothing
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"notify:{user_id}:{kind}:{object_id}"]
        )
    recent: Notification | None = (
        Notification.objects.filter(user_id=user_id, kind=kind, object_id=object_id, created_at__gt=now - BATCH_WINDOW)
        .order_by("-created_at")
        .first()
    )
    if recent is not None:
        recent.count += 1
        recent.title, recent.body, recent.severity, recent.data, recent.updated_at = (
            title,
            body,
            severity,
            data or {},
            now,
        )
        recent.save(update_fields=["count", "title", "body", "severity", "data", "updated_at"])
        return recent
    row = Notification.objects.create(
        user_id=user_id, kind=kind, object_id=object_id, title=title, body=body, severity=severity, data=data or {}
    )
    transaction.on_commit(partial(push.notification, user_id=user_id, body=as_frame(row)), robust=True)
    return row


def mark_read(*, user_id: UUID, notification_id: UUID) -> bool:
    """Mark one as read; False where the user has no such notification."""
    rows = Notification.objects.visible_to(user_id).filter(pk=notification_id)
    if not rows.filter(read_at=None).update(read_at=timezone.now()):
        return rows.exists()
    return True


def mark_all_read(*, user_id: UUID) -> int:
    """Mark all as read; how many were not."""
    return Notification.objects.visible_to(user_id).filter(read_at=None).update(read_at=timezone.now())

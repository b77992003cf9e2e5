"""What a user was told."""

from typing import Any
from uuid import UUID

from notifications.models import Notification


def unread_count(*, user_id: UUID) -> int:
    return Notification.objects.visible_to(user_id).filter(read_at=None).count()


def as_frame(row: Notification) -> dict[str, Any]:
    """The fields of a notification, the same in a list and in a frame."""
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "severity": row.severity,
        "title": row.title,
        "body": row.body,
        "data": row.data,
        "count": row.count,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
    }


def notifications_after(*, user_id: UUID, since: UUID, at_most: int) -> list[dict[str, Any]]:
    """Frames of the user's notifications newer than the one with id `since` (UUIDv7: ids are in order of time)."""
    rows = Notification.objects.visible_to(user_id).filter(pk__gt=since).order_by("pk")[:at_most]
    return [as_frame(row) for row in rows]

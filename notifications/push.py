"""Frames to the user's open sockets (DESIGN 8). A courtesy on top of stored rows: what is lost here is read over HTTP."""

import logging
from typing import Any
from uuid import UUID

import redis.exceptions
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from stackmotive.common.ids import uuid7

log = logging.getLogger(__name__)
VERSION = 1


def topic_group(user_id: UUID, topic: str) -> str:
    """The layer group of one user's topic: named by the server, so no client message can pick another's."""
    return f"user.{user_id.hex}.{topic.replace(':', '.')}"


def session_group(session_id: UUID) -> str:
    return f"session.{session_id.hex}"


def frame(kind: str, /, *, id: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"v": VERSION, "type": kind, "id": id or str(uuid7()), **fields}


def _send(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(group, message)
    except (redis.exceptions.RedisError, OSError) as exc:
        log.warning("push.lost", extra={"group": group, "error": type(exc).__name__})


def progress(*, user_id: UUID, job: str, id: UUID, status: str, done: int, total: int, stage: str = "") -> None:
    """How far a job is. job: "import", "sync", "export"; done and total count rows (0 of 0 while unknown)."""
    body = frame("progress", id=str(id), job=job, status=status, stage=stage, done=done, total=total)
    _send(topic_group(user_id, "progress"), {"type": "frame", "frame": body})


def portfolio(*, user_id: UUID, ledger_version: int, since: str | None) -> None:
    """The user's figures are at `ledger_version`; `since` is the first day that changed, None where nothing dated did."""
    _send(
        topic_group(user_id, "portfolio"),
        {"type": "frame", "frame": frame("portfolio", ledger_version=ledger_version, since=since)},
    )


def notification(*, user_id: UUID, body: dict[str, Any]) -> None:
    """A stored notification, as the list shows it."""
    _send(
        topic_group(user_id, "notifications"),
        {"type": "frame", "frame": {"v": VERSION, "type": "notification", **body}},
    )


def end_session(*, session_id: UUID) -> None:
    """Close the sockets of a login session that ended."""
    _send(session_group(session_id), {"type": "session.ended"})

"""The one websocket: one user's news to one browser tab, exactly the frames of DESIGN 8."""

import asyncio
import datetime as dt
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import orjson
import redis.asyncio
import redis.exceptions
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone

from accounts.models import LoginSession, Tier
from accounts.selectors import live_session
from accounts.services import redeem_ws_ticket
from notifications import selectors, services
from notifications.push import frame, session_group, topic_group

log = logging.getLogger(__name__)

UNAUTHENTICATED, FORBIDDEN, TOO_MANY = 4401, 4403, 4429
FRAMES_PER_MINUTE = 20
FRAME_BYTES = 64 * 1024
REPLAY_AT_MOST = 500
HEARTBEAT_SECONDS = 25
CONNECTION_LEASE = 90  # seconds a connection counts for after its last heartbeat
FIRST_TOPICS = ("notifications", "progress")


class NotificationConsumer(AsyncWebsocketConsumer):
    """Auth by a one-use ticket, or the browser's session cookie with an allowed Origin. Refusals accept first, then close."""

    session: LoginSession | None = None
    tier: Tier = Tier.OBSERVER

    async def connect(self) -> None:
        self.topics: set[str] = set()
        self.received: list[float] = []
        self.connection_id = uuid4().hex
        self.heart: asyncio.Task[None] | None = None
        await self.accept()  # a refusal before accept never shows its code
        self.session = await self._session()
        if self.session is None:
            await self.close(code=UNAUTHENTICATED)
            return
        self.tier = Tier(self.session.user.effective_tier)
        if not await self._take_connection():
            await self.close(code=FORBIDDEN)
            return
        await self.channel_layer.group_add(session_group(self.session.pk), self.channel_name)
        for topic in FIRST_TOPICS:
            await self._join(topic)
        self.heart = asyncio.create_task(self._beat())
        await self._send(frame("hello", tier=self.tier.label, limits=self._limits(), server_time=_now(timezone.now())))

    async def disconnect(self, code: int) -> None:
        if self.heart is not None:
            self.heart.cancel()
        if self.session is None:
            return
        for topic in list(self.topics):
            await self.channel_layer.group_discard(topic_group(self.session.user_id, topic), self.channel_name)
        await self.channel_layer.group_discard(session_group(self.session.pk), self.channel_name)
        with suppress(redis.exceptions.RedisError, OSError):
            async with _redis() as store:
                await store.zrem(_connections_key(self.session.user_id), self.connection_id)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.session is None:
            return
        now = time.monotonic()
        self.received = [at for at in self.received if at > now - 60]
        self.received.append(now)
        if len(self.received) > FRAMES_PER_MINUTE:
            await self.close(code=TOO_MANY)
            return
        message = _parse(text_data)
        if message is None:
            await self._refuse("invalid_frame", "Send one JSON object with a `type`, at most 64 KB.")
            return
        handler = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ack": self._ack,
            "replay": self._replay,
            "ping": self._pong,
        }.get(str(message.get("type")))
        if handler is None:
            await self._refuse("unknown_type", "Known types: subscribe, unsubscribe, ack, replay, ping.")
            return
        await handler(message)

    # --- what a client may ask

    async def _subscribe(self, message: dict[str, Any]) -> None:
        topics = _topics(message)
        if topics is None:
            await self._refuse("invalid_topics", "`topics` is a list of portfolio, account:<id>, instrument:<id>.")
            return
        wanted = self.topics | topics
        most = settings.TIER_TOPICS[self.tier.label]
        if len(wanted - set(FIRST_TOPICS)) > most:
            await self._refuse("topic_limit", f"Your tier may follow {most} topics on a connection.")
            return
        for topic in sorted(topics - self.topics):
            await self._join(topic)
        await self._send(frame("ack", topics=sorted(self.topics)))

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        topics = _topics(message)
        if topics is None or self.session is None:
            await self._refuse("invalid_topics", "`topics` is a list of topics.")
            return
        for topic in topics & self.topics:
            await self.channel_layer.group_discard(topic_group(self.session.user_id, topic), self.channel_name)
            self.topics.discard(topic)
        await self._send(frame("ack", topics=sorted(self.topics)))

    async def _ack(self, message: dict[str, Any]) -> None:
        """The client has shown a notification: it is read."""
        wanted = _uuid(message.get("id"))
        found = wanted is not None and await database_sync_to_async(services.mark_read)(
            user_id=self._live().user_id, notification_id=wanted
        )
        if not found:
            await self._refuse("unknown_id", "You have no notification with this id.")
            return
        await self._send(frame("ack", id=str(wanted)))

    async def _replay(self, message: dict[str, Any]) -> None:
        """Stored notifications after the one with id `since`, oldest first, at most 500."""
        since = _uuid(message.get("since"))
        if since is None:
            await self._refuse("invalid_cursor", "`since` is the id of the last notification you have.")
            return
        rows = await database_sync_to_async(selectors.notifications_after)(
            user_id=self._live().user_id, since=since, at_most=REPLAY_AT_MOST
        )
        for row in rows:
            await self._send({"v": 1, "type": "notification", **row})
        await self._send(frame("ack", replayed=len(rows)))

    async def _pong(self, message: dict[str, Any]) -> None:
        await self._send(frame("ack", server_time=_now(timezone.now())))

    # --- what the layer sends

    async def frame(self, event: dict[str, Any]) -> None:
        await self._send(event["frame"])

    async def session_ended(self, event: dict[str, Any]) -> None:
        await self.close(code=UNAUTHENTICATED)

    # --- inside

    def _live(self) -> LoginSession:
        if self.session is None:
            raise RuntimeError("a frame was handled before the session was known")
        return self.session

    async def _session(self) -> LoginSession | None:
        origin = dict(self.scope["headers"]).get(b"origin", b"").decode("latin-1")
        if origin and not _is_allowed(origin):
            return None
        ticket = parse_qs(self.scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
        if ticket:
            redeemed: LoginSession | None = await database_sync_to_async(redeem_ws_ticket)(ticket)
            return redeemed
        if not origin:
            return None
        sid = _uuid(await database_sync_to_async(self.scope["session"].get)("sid"))
        found: LoginSession | None = await database_sync_to_async(live_session)(sid) if sid else None
        return found

    async def _take_connection(self) -> bool:
        """Count this connection among the user's live ones; False where the tier's limit is reached."""
        now, most = time.time(), settings.TIER_SOCKETS[self.tier.label]
        key = _connections_key(self._live().user_id)
        try:
            async with _redis() as store:
                return bool(
                    await store.eval(
                        _TAKE, 1, key, now, now - CONNECTION_LEASE, most, self.connection_id, CONNECTION_LEASE
                    )
                )
        except (redis.exceptions.RedisError, OSError):
            return False  # without Redis nothing could be pushed either

    async def _beat(self) -> None:
        """Keep the connection counted, and end it when its session ended while a message was lost."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if await database_sync_to_async(live_session)(self._live().pk) is None:
                await self.close(code=UNAUTHENTICATED)
                return
            with suppress(redis.exceptions.RedisError, OSError):
                async with _redis() as store:
                    await store.zadd(_connections_key(self._live().user_id), {self.connection_id: time.time()})

    async def _join(self, topic: str) -> None:
        self.topics.add(topic)
        await self.channel_layer.group_add(topic_group(self._live().user_id, topic), self.channel_name)

    async def _refuse(self, code: str, detail: str) -> None:
        await self._send(frame("error", code=code, detail=detail))

    async def _send(self, body: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps(body).decode())

    def _limits(self) -> dict[str, int]:
        return {
            "connections": settings.TIER_SOCKETS[self.tier.label],
            "topics": settings.TIER_TOPICS[self.tier.label],
            "frames_per_minute": FRAMES_PER_MINUTE,
        }


# KEYS[1] the user's connections by last heartbeat; ARGV now, oldest that counts, limit, this connection, lease
_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


def _redis() -> "redis.asyncio.Redis":
    return redis.asyncio.Redis.from_url(str(settings.CACHES["default"]["LOCATION"]))


def _connections_key(user_id: UUID) -> str:
    return f"sockets:{user_id.hex}"


def _now(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _is_allowed(origin: str) -> bool:
    """Whether a page of this origin may open the socket: our own address, or one that is trusted for forms."""
    public = urlsplit(settings.PUBLIC_URL)
    allowed = {f"{public.scheme}://{public.netloc}", *settings.CSRF_TRUSTED_ORIGINS}
    return origin in allowed


def _parse(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > FRAME_BYTES:
        return None
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _topics(message: dict[str, Any]) -> set[str] | None:
    """The topics of a frame: `portfolio`, or `account:` and `instrument:` with an id; None where one is anything else."""
    topics = message.get("topics")
    if not isinstance(topics, list) or not topics or len(topics) > 200:
        return None
    known = set()
    for topic in topics:
        if not isinstance(topic, str):
            return None
        noun, _, key = topic.partition(":")
        if noun in ("account", "instrument"):
            identity = _uuid(key)
            if identity is None:
                return None
            known.add(f"{noun}:{identity}")
        elif topic in ("portfolio", *FIRST_TOPICS):
            known.add(topic)
        else:
            return None
    return known

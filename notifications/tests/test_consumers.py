import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.utils import timezone

from accounts.models import LoginSession, Tier, User
from accounts.services import end_session, issue_ws_ticket
from notifications import push
from notifications.services import notify
from stackmotive.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://127.0.0.1:8000")


async def person(email: str = "owner@example.com", tier: Tier = Tier.NAVIGATOR) -> LoginSession:
    user = await sync_to_async(User.objects.create_user)(email, "a long enough password", tier=tier)
    ends = timezone.now() + dt.timedelta(days=1)
    return await LoginSession.objects.acreate(user=user, refresh_jti=uuid4().hex, expires_at=ends)


class Sockets:
    """Sockets of a test, closed at its end."""

    def __init__(self) -> None:
        self.opened: list[WebsocketCommunicator] = []

    async def open(self, query: str = "", headers: list[tuple[bytes, bytes]] | None = None) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(application, f"/ws/notifications/?{query}", headers or [])
        self.opened.append(socket)
        connected, _ = await socket.connect()
        assert connected
        return socket

    async def log_in(self, session: LoginSession) -> tuple[WebsocketCommunicator, dict[str, Any]]:
        socket = await self.open(f"ticket={await sync_to_async(issue_ws_ticket)(session=session)}")
        return socket, await socket.receive_json_from()


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    opened = Sockets()
    yield opened
    for socket in opened.opened:
        await socket.disconnect()


async def closed_with(socket: WebsocketCommunicator) -> int:
    message = await socket.receive_output(timeout=5)
    assert message["type"] == "websocket.close", message
    return int(message["code"])


async def test_a_ticket_opens_one_socket_that_says_hello(sockets: Sockets) -> None:
    session = await person()
    ticket = await sync_to_async(issue_ws_ticket)(session=session)
    first = await sockets.open(f"ticket={ticket}")
    hello = await first.receive_json_from()
    assert (hello["v"], hello["type"], hello["tier"]) == (1, "hello", "navigator")
    assert hello["limits"] == {"connections": 2, "topics": 5, "frames_per_minute": 20}
    second = await sockets.open(f"ticket={ticket}")
    assert await closed_with(second) == 4401


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=guess", "token=guess"])
async def test_without_a_ticket_or_cookie_it_closes_with_4401(sockets: Sockets, query: str) -> None:
    assert await closed_with(await sockets.open(query)) == 4401


async def test_a_foreign_origin_is_refused_even_with_a_ticket(sockets: Sockets) -> None:
    ticket = await sync_to_async(issue_ws_ticket)(session=await person())
    socket = await sockets.open(f"ticket={ticket}", [(b"origin", b"https://evil.example")])
    assert await closed_with(socket) == 4401


async def test_progress_comes_unasked_and_portfolio_once_subscribed(sockets: Sockets) -> None:
    session = await person()
    socket, _ = await sockets.log_in(session)
    run = uuid4()
    await sync_to_async(push.portfolio)(user_id=session.user_id, ledger_version=3, since=None)
    await sync_to_async(push.progress)(
        user_id=session.user_id, job="import", id=run, status="running", done=10, total=20
    )
    heard = await socket.receive_json_from(timeout=5)
    assert {name: heard[name] for name in ("type", "job", "id", "status", "done", "total")} == {
        "type": "progress", "job": "import", "id": str(run), "status": "running", "done": 10, "total": 20,
    }  # fmt: skip
    await socket.send_json_to({"type": "subscribe", "topics": ["portfolio"]})
    assert (await socket.receive_json_from())["topics"] == ["notifications", "portfolio", "progress"]
    await sync_to_async(push.portfolio)(user_id=session.user_id, ledger_version=4, since="2026-01-05")
    heard = await socket.receive_json_from(timeout=5)
    assert (heard["type"], heard["ledger_version"], heard["since"]) == ("portfolio", 4, "2026-01-05")


async def test_another_persons_news_never_arrives(sockets: Sockets) -> None:
    owner, stranger = await person(), await person("stranger@example.com")
    socket, _ = await sockets.log_in(stranger)
    await socket.send_json_to({"type": "subscribe", "topics": ["portfolio", f"account:{uuid4()}"]})
    await socket.receive_json_from()
    await sync_to_async(notify)(user_id=owner.user_id, kind="a", title="private")
    await sync_to_async(push.portfolio)(user_id=owner.user_id, ledger_version=1, since=None)
    assert await socket.receive_nothing(timeout=0.5)


async def test_a_missed_notification_is_replayed_from_its_row(sockets: Sockets) -> None:
    session = await person()
    first = await sync_to_async(notify)(user_id=session.user_id, kind="a", title="seen")
    second = await sync_to_async(notify)(user_id=session.user_id, kind="b", title="missed", data={"n": 1})
    socket, _ = await sockets.log_in(session)
    await socket.send_json_to({"type": "replay", "since": str(first.pk)})
    heard = await socket.receive_json_from()
    assert (heard["type"], heard["id"], heard["title"], heard["data"]) == (
        "notification",
        str(second.pk),
        "missed",
        {"n": 1},
    )
    assert (await socket.receive_json_from())["replayed"] == 1


async def test_the_end_of_its_session_closes_the_socket_at_once(sockets: Sockets) -> None:
    session = await person()
    socket, _ = await sockets.log_in(session)
    await sync_to_async(end_session)(session_id=session.pk, user_id=session.user_id, reason="logged_out")
    assert await closed_with(socket) == 4401


async def test_a_tier_may_open_so_many_sockets(sockets: Sockets) -> None:
    session = await person(tier=Tier.OBSERVER)
    first, _ = await sockets.log_in(session)
    ticket = await sync_to_async(issue_ws_ticket)(session=session)
    assert await closed_with(await sockets.open(f"ticket={ticket}")) == 4403
    await first.disconnect()
    sockets.opened.remove(first)
    _, hello = await sockets.log_in(session)
    assert hello["type"] == "hello"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("[]", "invalid_frame"),
        ("not json", "invalid_frame"),
        ('{"type": "eval"}', "unknown_type"),
        ('{"type": "subscribe", "topics": ["user.1"]}', "invalid_topics"),
        ('{"type": "subscribe", "topics": "portfolio"}', "invalid_topics"),
        ('{"type": "ack", "id": "1"}', "unknown_id"),
        ('{"type": "replay", "since": null}', "invalid_cursor"),
    ],
)
async def test_an_odd_frame_gets_an_error_and_the_socket_lives(sockets: Sockets, frame: str, code: str) -> None:
    socket, _ = await sockets.log_in(await person())
    await socket.send_to(text_data=frame)
    heard = await socket.receive_json_from()
    assert (heard["type"], heard["code"]) == ("error", code)
    await socket.send_json_to({"type": "ping"})
    assert (await socket.receive_json_from())["type"] == "ack"


async def test_more_topics_than_the_tier_allows_are_refused(sockets: Sockets) -> None:
    socket, _ = await sockets.log_in(await person())
    await socket.send_json_to({"type": "subscribe", "topics": [f"account:{uuid4()}" for _ in range(6)]})
    assert (await socket.receive_json_from())["code"] == "topic_limit"


async def test_the_twenty_first_frame_of_a_minute_closes_with_4429(sockets: Sockets) -> None:
    socket, _ = await sockets.log_in(await person())
    for _ in range(20):
        await socket.send_json_to({"type": "ping"})
        await socket.receive_json_from()
    await socket.send_json_to({"type": "ping"})
    assert await closed_with(socket) == 4429


async def test_an_idle_socket_outlives_the_read_time_out_of_the_redis_client(sockets: Sockets) -> None:
    session = await person()
    socket, _ = await sockets.log_in(session)
    await asyncio.sleep(8)  # redis-py 8 gives up reads after 5 s unless told not to
    await sync_to_async(push.progress)(
        user_id=session.user_id, job="import", id=uuid4(), status="done", done=1, total=1
    )
    assert (await socket.receive_json_from(timeout=5))["type"] == "progress"

"""Request bodies are bounded before Django spools them to disk; those sent in chunks get the length they have."""

import json
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

from django.conf import settings

from stackmotive.common.problems import MEDIA_TYPE, TooLarge, document

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

UPLOAD_PREFIXES = ("/api/ingestion/", "/import/")  # where files come in
PART_BYTES = 64 * 1024
FORM_OVERHEAD = 1024 * 1024  # boundaries and fields beside the file


class BoundedBodies:
    """ASGI around Django: a body that is too long, said or not, is 413 as soon as that is known."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = longest_body(scope["path"])
        headers = dict(scope["headers"])
        stated = headers.get(b"content-length", b"")
        if stated.isdigit() and int(stated) > limit:
            await refuse(scope["path"], limit, send)
            return
        if b"transfer-encoding" not in headers or stated:
            await self.app(scope, receive, send)
            return
        with tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE) as body:
            if not await read_chunks(receive, body, limit):
                await refuse(scope["path"], limit, send)
                return
            length = (b"content-length", str(body.tell()).encode())
            body.seek(0)
            await self.app({**scope, "headers": [*scope["headers"], length]}, replay(body, receive), send)


async def read_chunks(receive: Receive, body: IO[bytes], limit: int) -> bool:
    """Collect the body. False where it is longer than `limit` or the client went away."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return False
        body.write(message.get("body", b""))
        if body.tell() > limit:
            return False
        more = message.get("more_body", False)
    return True


def replay(body: IO[bytes], receive: Receive) -> Receive:
    """Hand the collected body on; then whatever the client sends next, which is that it went away."""
    is_open = True

    async def receive_again() -> Message:
        nonlocal is_open
        if not is_open:
            return await receive()
        part = body.read(PART_BYTES)
        is_open = len(part) == PART_BYTES
        return {"type": "http.request", "body": part, "more_body": is_open}

    return receive_again


async def refuse(path: str, limit: int, send: Send) -> None:
    text = document(
        status=TooLarge.status, code=TooLarge.code, title=TooLarge.title, instance=path, request_id=None,
        detail=f"Send at most {limit} bytes to this address.",
    )  # fmt: skip
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": TooLarge.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(text).encode()})


def longest_body(path: str) -> int:
    is_upload = path.startswith(UPLOAD_PREFIXES)
    longest: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if is_upload:
        longest = max(settings.XML_MAX_BYTES, settings.CSV_MAX_BYTES)
    return longest + FORM_OVERHEAD

"""Bodies in chunks and bodies without end, through the whole web process."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from stackmotive.asgi import application
from stackmotive.common.bodies import longest_body

communicator: Any = ApplicationCommunicator


async def send(path: str, parts: list[bytes], *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
    sent = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), *headers]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": sent,
    }
    process: Any = communicator(application, scope)
    for number, part in enumerate(parts, start=1):
        await process.send_input({"type": "http.request", "body": part, "more_body": number < len(parts)})
    start = await process.receive_output(10)
    body = b""
    while True:
        message = await process.receive_output(10)
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await process.wait()
    return start["status"], json.loads(body)


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.django_db(transaction=True)
async def test_a_body_in_chunks_is_read_whole() -> None:
    status, body = await send(
        "/api/auth/token/", [b'{"email": "a@example.org", ', b'"password"', b': "wrong"}'], CHUNKED
    )
    assert (status, body["type"]) == (401, "/problems/invalid_credentials")


async def test_a_body_in_chunks_without_end_is_cut_off() -> None:
    parts = [b"x" * 1_000_000] * 4
    status, body = await send("/api/auth/token/", parts, CHUNKED)
    assert (status, body["type"]) == (413, "/problems/too_large")


async def test_a_stated_length_that_is_too_long_is_refused_before_it_is_read() -> None:
    status, body = await send("/api/auth/token/", [], (b"content-length", b"3700000"))
    assert (status, body["instance"]) == (413, "/api/auth/token/")


def test_only_uploads_may_be_long(settings: Any) -> None:
    assert longest_body("/api/ingestion/imports/") == settings.XML_MAX_BYTES + 1024 * 1024
    assert longest_body("/api/portfolio/transactions/") == settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1024 * 1024

"""Rows to try every operation with an id in its path on: one maker per path.

A new resource adds its line: the path as the OpenAPI document writes it up to its id -> a function that makes a row of
`owner` and answers its path parameters. The longest path that begins an operation's counts.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from accounts.models import User

Maker = Callable[["User"], Mapping[str, str]]


def login_session(owner: "User") -> Mapping[str, str]:
    from accounts.services import open_session

    return {"id": str(open_session(user=owner, address="", device="Firefox").pk)}


def import_run(owner: "User") -> Mapping[str, str]:
    from ingestion.tests.factories import buys, finished

    return {"id": str(finished(owner, buys(1)).pk)}


def source(owner: "User") -> Mapping[str, str]:
    from ingestion.services import create_source

    return {"id": str(create_source(user=owner, kind="csv", name="Bank").pk)}


def import_profile(owner: "User") -> Mapping[str, str]:
    from ingestion.services.profiles import create_profile

    return {"id": str(create_profile(user=owner, name="Bank", header_digest=uuid4().hex, options={}).pk)}


OWNED: dict[str, Maker] = {
    "/api/ingestion/imports/{id}/": import_run,
    "/api/ingestion/profiles/{id}/": import_profile,
    "/api/ingestion/sources/{id}/": source,
    "/api/me/sessions/{id}/": login_session,
}

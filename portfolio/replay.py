"""A GET of the API made inside a worker: the same view answers it as would answer its user."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.urls import resolve

from accounts.models import User

HOST = "known.invalid"  # marks in a kept body where the asker's server and time belong
KNOWN_AT = "KNOWN-AT"


class Replay(HttpRequest):
    """A request without a wire; its user is who asked."""

    is_replay = True

    def __init__(self, *, path: str, query: str, user: User) -> None:
        super().__init__()
        text = f"{query}&known_at={KNOWN_AT}" if query else f"known_at={KNOWN_AT}"
        self.method, self.path, self.path_info = "GET", path, path
        self.META = {"REQUEST_METHOD": "GET", "QUERY_STRING": text, "SERVER_NAME": HOST, "SERVER_PORT": "443"}
        self.GET = QueryDict(text)
        self.user = user
        self._force_auth_user = user  # what DRF takes in place of credentials

    def get_host(self) -> str:
        return HOST

    def _get_scheme(self) -> str:
        return "https"


def replay(*, path: str, query: str, user: User) -> tuple[int, bytes]:
    """(status code, body) of the view at `path`."""
    match = resolve(path)
    answer: Any = match.func(Replay(path=path, query=query, user=user), *match.args, **match.kwargs)
    answer.render()
    return int(answer.status_code), bytes(answer.content)


def instruments_asked(query: str) -> list[UUID]:
    """Instruments that a query names beside what its user holds."""
    found = []
    for text in QueryDict(query).getlist("benchmark"):
        with suppress(ValueError):
            found.append(UUID(text))
    return found


def addressed(body: str, *, server: str, known_at: str) -> str:
    """A kept body with links for whoever asks now. server: scheme and host."""
    return body.replace(f"https://{HOST}", server).replace(f"known_at={KNOWN_AT}", f"known_at={known_at}")

"""Fetching what a broker has to say: the bytes of its statements, which then go the way of an uploaded file.

A puller knows one broker's wire and nothing of the database. It says what went wrong in two ways: PullRefused, where
the broker answered no and its user has to act, and UpstreamUnavailable, which may heal by itself and is tried again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Parameters = Mapping[str, Any]  # the source's settings and its opened credentials


@dataclass(frozen=True, slots=True)
class Payload:
    """One statement or reply as it came. filename: a label that says what it is, such as "flex-2026-01-31.xml"."""

    filename: str
    content: bytes


class PullRefused(Exception):
    """The broker answered no. `code` is stable; `detail`: what to do, without a secret in it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Puller(Protocol):
    """One broker's wire. Stateless."""

    source_kind: str
    secret_parameters: frozenset[str]  # names of credentials: sealed, never shown

    def check(self, parameters: Parameters) -> None:
        """Ask the broker for as little as proves that it lets us in. Raises PullRefused, UpstreamUnavailable."""
        ...

    def fetch(self, parameters: Parameters, since: datetime | None) -> Iterable[Payload]:
        """What the broker has from `since` on (None = everything), the oldest first; overlaps do no harm.

        Payloads given before an error are kept. Raises PullRefused, UpstreamUnavailable.
        """
        ...


PULLERS: dict[str, Puller] = {}  # source kind -> puller: one line per broker


def puller_of(source_kind: str) -> Puller | None:
    """None for kinds whose facts are uploaded or typed."""
    return PULLERS.get(source_kind)

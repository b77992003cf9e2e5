"""Identifiers: time-ordered, so that indexes stay compact and lists sort by age."""

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """A fresh UUIDv7 (RFC 9562)."""
    return _uuid7()

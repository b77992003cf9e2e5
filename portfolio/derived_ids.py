"""Ids of computed rows: the same every time they are computed, in the form of UUIDv7."""

import hashlib
from uuid import UUID


def derived_uuid(first: UUID, *rest: object) -> UUID:
    """An id that follows from its parts: the time of `first` (a UUIDv7), the rest of the bits from a digest of all
    parts.
    """
    return UUID(derived_id(str(first), *rest))


def derived_id(first: str, *rest: object) -> str:
    """The same as 32 hex digits. first: as str() writes a UUID."""
    digest = hashlib.sha256("\0".join([first, *map(str, rest)]).encode()).hexdigest()
    variant = "89ab"[int(digest[4], 16) & 3]  # of RFC 9562, where 7 is the version
    return f"{first[:8]}{first[9:13]}7{digest[1:4]}{variant}{digest[5:20]}"

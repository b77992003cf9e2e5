"""Ids of computed rows: the same every time they are computed, in the form of UUIDv7."""

import hashlib
from uuid import UUID


def derived_uuid(first: UUID, *rest: object) -> UUID:
    """An id that follows from its parts: the time of `first` (a UUIDv7), the rest of the bits from a digest of all
    parts.
    """
    digest = hashlib.sha256("\0".join(str(part) for part in (first, *rest)).encode()).digest()
    number = int.from_bytes(first.bytes[:6] + digest[:10])
    number = (number & ~(0xF << 76)) | (7 << 76)  # version 7
    number = (number & ~(0x3 << 62)) | (2 << 62)  # variant of RFC 9562
    return UUID(int=number)

"""Secrets and raw files at rest: AES-256-GCM, bound to whose they are, with the id of the key in the value.

Layout: b"S1", the length of the key id (one byte), the key id, 12 bytes of nonce, then text and tag. The header and the
context are bound data: a sealed value that is moved to another owner's row, or touched, does not open.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MARK = b"S1"
NONCE_BYTES = 12


class SealBroken(Exception):
    """The value was changed, cut, or belongs to something else."""


class KeyUnknown(SealBroken):
    """The value was sealed with a key that is not among FIELD_ENCRYPTION_KEYS any more."""


def keys() -> dict[str, bytes]:
    """Key id -> 32 bytes, newest first. Raises ImproperlyConfigured for anything else."""
    found: dict[str, bytes] = {}
    for entry in settings.FIELD_ENCRYPTION_KEYS:
        key_id, _, text = entry.partition(":")
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error as exc:
            raise ImproperlyConfigured(
                "FIELD_ENCRYPTION_KEYS: say key-id:base64 of 32 bytes, separated by commas."
            ) from exc
        if len(key) != 32 or not 0 < len(key_id.encode()) < 256 or key_id in found:
            raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS: each key needs an id of its own and 32 bytes.")
        found[key_id] = key
    return found


def seal(plain: bytes, *, context: str) -> bytes:
    """`plain` sealed with the newest key. `context` says whose it is ("source:<user>:<id>"); opening needs it."""
    key_id, key = next(iter(keys().items()))
    name = key_id.encode()
    head = MARK + bytes([len(name)]) + name
    nonce = os.urandom(NONCE_BYTES)
    return head + nonce + AESGCM(key).encrypt(nonce, plain, head + context.encode())


def unseal(sealed: bytes, *, context: str) -> bytes:
    """What was sealed for `context`. Raises SealBroken or KeyUnknown; neither holds any of the content."""
    head, nonce, text = _parts(bytes(sealed))
    key = keys().get(sealed_with(sealed))
    if key is None:
        raise KeyUnknown("This was sealed with a key that is not configured. Add it to FIELD_ENCRYPTION_KEYS.")
    try:
        return AESGCM(key).decrypt(nonce, text, head + context.encode())
    except InvalidTag as exc:
        raise SealBroken("This does not open: it was changed or belongs to something else.") from exc


def sealed_with(sealed: bytes) -> str:
    """The id of the key that `sealed` needs: what a key rotation looks for."""
    head, _, _ = _parts(bytes(sealed))
    return head[len(MARK) + 1 :].decode(errors="replace")


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    start = len(MARK) + 1
    if len(sealed) < start or not sealed.startswith(MARK):
        raise SealBroken("This is not a sealed value.")
    end = start + sealed[len(MARK)]
    if len(sealed) < end + NONCE_BYTES + 16:
        raise SealBroken("This sealed value is cut short.")
    return sealed[:end], sealed[end : end + NONCE_BYTES], sealed[end + NONCE_BYTES :]

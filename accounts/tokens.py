"""Access and refresh tokens: SimpleJWT's backend, one algorithm, every claim required."""

import datetime as dt
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

ALGORITHM = "HS256"
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 4096
Kind = Literal["access", "refresh"]


class TokenInvalid(Exception):
    """The text is not a token of ours that is valid now."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. Its tier is a hint for clients and is not kept here."""

    user_id: UUID
    session_id: UUID
    jti: str


def new_jti() -> str:
    return secrets.token_hex(16)


def backend(key: str) -> TokenBackend:
    return TokenBackend(
        ALGORITHM, signing_key=key, audience=settings.JWT_AUDIENCE, issuer=settings.JWT_ISSUER, leeway=LEEWAY_SECONDS
    )


def issue(kind: Kind, *, user_id: UUID, session_id: UUID, jti: str, lifetime: dt.timedelta, tier: str) -> str:
    """A signed token with iss, aud, iat, exp, jti, token_type, sub, sid, and the tier as a hint."""
    issued_at = int(time.time())
    return backend(settings.JWT_SIGNING_KEY).encode(
        {
            "token_type": kind, "sub": str(user_id), "sid": str(session_id), "jti": jti, "tier": tier,
            "iat": issued_at, "exp": issued_at + int(lifetime.total_seconds()),
        }
    )  # fmt: skip


def verify(token: str, kind: Kind) -> Claims:
    """The claims of a token of `kind`. Raises TokenInvalid for anything else, whatever its shape."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise TokenInvalid
    for key in (settings.JWT_SIGNING_KEY, *settings.JWT_VERIFYING_KEYS):
        try:
            payload: dict[str, Any] = backend(key).decode(token.encode())  # type: ignore[arg-type]
        except (TokenBackendError, RecursionError, UnicodeError):
            continue
        return _claims(payload, kind)
    raise TokenInvalid


def _claims(payload: dict[str, Any], kind: Kind) -> Claims:
    """PyJWT checks what is present; that all of it is present, and of the right type, is checked here."""
    if payload.get("token_type") != kind:
        raise TokenInvalid
    if payload.get("iss") != settings.JWT_ISSUER or payload.get("aud") != settings.JWT_AUDIENCE:
        raise TokenInvalid
    for name in ("iat", "exp"):
        if type(payload.get(name)) is not int:
            raise TokenInvalid
    if payload["iat"] > time.time() + LEEWAY_SECONDS:
        raise TokenInvalid
    texts = [payload.get(name) for name in ("sub", "sid", "jti")]
    if not all(isinstance(text, str) and text for text in texts):
        raise TokenInvalid
    try:
        return Claims(UUID(payload["sub"]), UUID(payload["sid"]), payload["jti"])
    except ValueError as exc:
        raise TokenInvalid from exc

"""Who calls: a bearer token or the browser's session cookie, both tied to a LoginSession row.

The outcome is kept on the request, so that the limits (a middleware) and the view ask the database once.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from accounts.errors import TokenRefused
from accounts.models import LoginSession, User
from accounts.selectors import live_session
from accounts.tokens import TokenInvalid, verify

SESSION_KEY = "sid"  # where the Django session keeps the id of its LoginSession


def bearer_session(request: HttpRequest) -> LoginSession | None:
    """The session of the request's bearer token; None where none is sent. Raises TokenRefused."""
    if not hasattr(request, "_bearer_outcome"):
        try:
            outcome: LoginSession | TokenRefused | None = _bearer_session(request)
        except TokenRefused as exc:
            outcome = exc
        request._bearer_outcome = outcome  # type: ignore[attr-defined]
    outcome = request._bearer_outcome  # type: ignore[attr-defined]
    if isinstance(outcome, TokenRefused):
        raise outcome
    return outcome


def _bearer_session(request: HttpRequest) -> LoginSession | None:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims = verify(token.strip(), "access")
    except TokenInvalid as exc:
        raise TokenRefused("Log in again or refresh the access token.") from exc
    session = live_session(claims.session_id)
    if session is None or session.user_id != claims.user_id:
        raise TokenRefused("Log in again: this session has ended.")
    return session


def browser_session(request: HttpRequest) -> LoginSession | None:
    """The live session that the browser's cookie belongs to; None where there is none or it ended."""
    if not hasattr(request, "_browser_outcome"):
        request._browser_outcome = _browser_session(request)  # type: ignore[attr-defined]
    outcome: LoginSession | None = request._browser_outcome  # type: ignore[attr-defined]
    return outcome


def _browser_session(request: HttpRequest) -> LoginSession | None:
    try:
        session_id = UUID(str(request.session.get(SESSION_KEY)))
    except ValueError:
        return None
    session = live_session(session_id)
    if session is None:
        return None
    known = request.session.get(HASH_SESSION_KEY, "")
    return session if constant_time_compare(known, session.user.get_session_auth_hash()) else None


def caller(request: Request) -> User:
    """The user behind an authenticated API request, with its type."""
    assert isinstance(request.user, User)  # noqa: S101  # the permission classes let nobody else in
    return request.user


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`. `request.auth` is the LoginSession."""

    def authenticate(self, request: Request) -> tuple[User, LoginSession] | None:
        session = bearer_session(request._request)
        return None if session is None else (session.user, session)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BrowserSessionAuthentication(SessionAuthentication):
    """The session cookie, with CSRF on every method that changes something."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        session = browser_session(request._request)
        if session is None:
            return None
        self.enforce_csrf(request)
        return session.user, session

"""Around every request: an id, refusal of what no store can hold, security headers, problems outside of DRF."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from stackmotive.common.ids import uuid7
from stackmotive.common.problems import BadRequest, NotFound, Problem, from_exception, respond

Next = Callable[[HttpRequest], HttpResponse]

SANE_ID = re.compile(r"[A-Za-z0-9._:-]{8,80}", re.ASCII)
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# The admin theme evaluates its templates and styles inline; nothing else of the product is served under that policy.
ADMIN_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
DOCS_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)


class RequestIds:
    """`X-Request-ID`: the caller's where it is sane, else a new one; on the request, in log lines, on the answer."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if SANE_ID.fullmatch(given) else str(uuid7())
        request.META["HTTP_X_REQUEST_ID"] = request_id  # where the log middleware looks
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class SecurityPolicies:
    """Content policies of the machine addresses, the admin and the API's docs; the pages keep django-csp's."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self.admin_prefix = f"/{settings.ADMIN_PATH}/"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = self.policy(request.path)
        if policy:
            response["Content-Security-Policy"] = policy
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        return response

    def policy(self, path: str) -> str | None:
        if path.startswith("/api/docs/"):
            return DOCS_POLICY
        if path.startswith(("/api/", "/health/", "/metrics")):
            return API_POLICY
        return ADMIN_POLICY if path.startswith(self.admin_prefix) else None


class CleanRequests:
    """Refuse NUL in the address, the query and the cookies: PostgreSQL cannot hold it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path:
            return respond(request, NotFound())
        query = request.META.get("QUERY_STRING", "")
        if "\0" in unquote_plus(query) or any("\0" in value for value in request.COOKIES.values()):
            return respond(request, BadRequest("The query and the cookies must not hold the NUL character."))
        return self.get_response(request)


class Problems:
    """Problems raised outside of DRF (pages, the admin, health), and a database that does not answer."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Problem | DatabaseError):
            return None  # Django's own handlers know the rest
        problem = from_exception(exception)
        return respond(request, problem) if problem else None

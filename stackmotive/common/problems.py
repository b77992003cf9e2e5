"""Errors as RFC 9457 problem documents. Domain code raises what happened; only this module knows status codes.

A rule that is broken is one of five families: `Invalid` 422, `NotFound` 404, `Conflict` 409, `Forbidden` 403,
`UpstreamUnavailable` 503 (the only one that a task retries). Apps subclass them in their `errors.py` with a stable
`code` and a `title`; the `detail` given when raising says what to do now. Neither holds a secret or foreign data.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

MEDIA_TYPE = "application/problem+json"
MACHINE_PREFIXES = ("/api/", "/health/", "/metrics")
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad value: where it is (a JSON pointer, "#" for the whole body), what is wrong, a stable code."""

    pointer: str
    detail: str
    code: str = "invalid"


class Problem(Exception):
    """A broken rule that the caller is told about. `members` become further members of the problem document."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "The request cannot be understood"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = members


class BadRequest(Problem):
    """A request whose form is wrong: 400."""


class Invalid(Problem):
    """Well-formed input that breaks a rule: 422."""

    status, code, title = 422, "invalid", "The values do not fit together"


class NotFound(Problem):
    """Nothing with that id, or not the caller's: the answer does not tell which."""

    status, code, title = 404, "not_found", "Nothing is here"

    def __init__(self, detail: str = "", **named: Any) -> None:
        super().__init__(detail or "Nothing with this address exists, or it is not yours.", **named)


class Conflict(Problem):
    """The state of things does not allow it now: 409."""

    status, code, title = 409, "conflict", "The current state does not allow this"


class Forbidden(Problem):
    """The caller is known and may not: 403."""

    status, code, title = 403, "forbidden", "You may not do this"


class UpstreamUnavailable(Problem):
    """A broker, provider or store that is needed does not answer: 503."""

    status, code, title = 503, "unavailable", "Something this needs does not answer"


class Unauthenticated(Problem):
    """The caller is not known: 401."""

    status, code, title = 401, "not_authenticated", "Log in first"

    def __init__(self, detail: str = "", **named: Any) -> None:
        super().__init__(detail, **named)
        self.headers.setdefault("WWW-Authenticate", "Bearer")


class TooLarge(Problem):
    status, code, title = 413, "too_large", "The request is too large"


class PreconditionFailed(Problem):
    """`If-Match` names an older state: 412."""

    status, code, title = 412, "precondition_failed", "It was changed meanwhile"


class PreconditionRequired(Problem):
    """An edit that needs `If-Match` came without it: 428."""

    status, code, title = 428, "precondition_required", "Say which state you change"


class TooManyRequests(Problem):
    """A limit is used up: 429 with whole seconds to wait."""

    status, code, title = 429, "too_many_requests", "Too many requests"

    def __init__(self, detail: str = "", *, retry_after: int, **named: Any) -> None:
        super().__init__(detail or f"Wait {retry_after} seconds, then try again.", **named)
        self.headers["Retry-After"] = str(retry_after)


FRAMEWORK_TITLES = {
    "parse_error": "The body cannot be read",
    "authentication_failed": "The token or session is not valid",
    "not_authenticated": "Log in first",
    "permission_denied": "You may not do this",
    "method_not_allowed": "This address does not take that method",
    "not_acceptable": "This form of answer is not offered",
    "unsupported_media_type": "This form of body is not read",
}


def document(
    *, status: int, code: str, title: str, detail: str, instance: str, request_id: str | None,
    errors: Sequence[FieldError] = (), members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The members of one problem document, in RFC 9457's order."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "instance": instance,
        "errors": [{"pointer": error.pointer, "detail": error.detail, "code": error.code} for error in errors],
        "request_id": request_id,
    }  # fmt: skip
    return body | dict(members or {})


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook: every expected exception as a problem document; None for a bug, which is logged and answered 500."""
    request = context["request"]
    problem = from_exception(exc)
    if problem is None:
        return None
    response = Response(as_document(problem, request), status=problem_status(problem), headers=problem.headers)
    response.content_type = MEDIA_TYPE
    return response


class _Framework(Problem):
    """An exception of Django or DRF in our words."""

    def __init__(self, detail: str, *, status: int, code: str, title: str, **named: Any) -> None:
        super().__init__(detail, **named)
        self.own = (status, code, title)


def problem_status(problem: Problem) -> int:
    return problem.own[0] if isinstance(problem, _Framework) else problem.status


def as_document(problem: Problem, request: Request | HttpRequest) -> dict[str, Any]:
    own = problem.own if isinstance(problem, _Framework) else (problem.status, problem.code, problem.title)
    return document(
        status=own[0], code=own[1], title=own[2], detail=problem.detail, instance=request.path,
        request_id=request_id(request), errors=problem.errors, members=problem.members,
    )  # fmt: skip


def request_id(request: Request | HttpRequest) -> str | None:
    return getattr(request, "request_id", None)


def from_exception(exc: Exception) -> Problem | None:
    """`exc` as a problem, or None where it is a bug."""
    match exc:
        case Problem():
            return exc
        case Http404():
            return NotFound()
        case PermissionDenied():
            return Forbidden("Your account or this request is not allowed to do this.")
        case exceptions.ValidationError():
            return from_validation(exc)
        case ModelValidationError():
            return from_validation(exceptions.ValidationError(exceptions._get_error_details(exc.messages)))
        case exceptions.APIException():
            return from_framework(exc)
        case RequestDataTooBig():
            return TooLarge("Send a smaller body.")
        case MultiPartParserError():
            return BadRequest("The multipart body cannot be read. Check its boundary and its parts.")
        case DataError():
            # The serializers should have refused it; the database is the last net, and its words stay in the log.
            logger.warning("value_refused_by_database", error=type(exc.__cause__).__name__)
            return BadRequest("A value is out of the range that can be stored.")
        case OperationalError() | InterfaceError():
            logger.error("database_unavailable", error=type(exc.__cause__).__name__)
            return UpstreamUnavailable(
                "The database does not answer. Try again in a few seconds.", headers={"Retry-After": "5"}
            )
    return None


def from_validation(exc: exceptions.ValidationError) -> Problem:
    errors = tuple(field_errors(exc.get_full_details()))
    count = len(errors)
    detail = errors[0].detail if count == 1 else f"{count} values need a correction; each is named in errors."
    return _Framework(detail, status=400, code="invalid_input", title="Some values are not valid", errors=errors)


def field_errors(details: Any, path: str = "#") -> Iterator[FieldError]:
    """Flatten DRF's nested details into pointers: {"legs": [{}, {"price": [..]}]} -> "#/legs/1/price"."""
    if isinstance(details, Mapping):
        if set(details) == {"message", "code"} and isinstance(details["message"], str):
            yield FieldError(path, str(details["message"]), str(details["code"]))
            return
        for name, inner in details.items():
            step = "" if name == "non_field_errors" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            yield from field_errors(inner, path + step)
        return
    for position, inner in enumerate(details):
        is_leaf = isinstance(inner, Mapping) and set(inner) == {"message", "code"} and isinstance(inner["message"], str)
        yield from field_errors(inner, path if is_leaf else f"{path}/{position}")


def from_framework(exc: exceptions.APIException) -> Problem:
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else exc.default_code
    detail = exc.detail if isinstance(exc.detail, str) else exc.default_detail
    headers: dict[str, str] = {}
    if exc.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = getattr(exc, "auth_header", "Bearer")
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if exc.status_code == HTTPStatus.NOT_FOUND:
        return NotFound()
    title = FRAMEWORK_TITLES.get(code) or HTTPStatus(exc.status_code).phrase
    return _Framework(str(detail), status=exc.status_code, code=code, title=title, headers=headers)


def respond(request: HttpRequest, problem: Problem) -> HttpResponse:
    """`problem` outside of DRF: a document under the machine addresses, a page anywhere else."""
    body = as_document(problem, request)
    if not request.path.startswith(MACHINE_PREFIXES):
        return page(problem, body)
    response = HttpResponse(json.dumps(body), status=body["status"], headers=problem.headers, content_type=MEDIA_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def page(problem: Problem, body: Mapping[str, Any]) -> HttpResponse:
    headers = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    try:
        html = render_to_string("stackmotive/error.html", {"problem": body})
    except TemplateDoesNotExist:
        text = f"{body['title']}\n\n{body['detail']}\n"
        return HttpResponse(text, status=body["status"], headers=headers, content_type="text/plain; charset=utf-8")
    return HttpResponse(html, status=body["status"], headers=headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: foreign host names, oversized and suspicious requests."""
    problem = from_exception(exception) or BadRequest("The request was refused: its host or form is not accepted here.")
    return respond(request, problem)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return respond(request, Forbidden("Your account is not allowed to open this."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return respond(request, NotFound())


class ServerError(Problem):
    status, code, title = 500, "server_error", "Something went wrong here"


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: a store that is away, or a bug, which the log has under the same request id."""
    cause = sys.exc_info()[1]
    if isinstance(cause, Exception) and (problem := from_exception(cause)) is not None:
        return respond(request, problem)
    return respond(
        request, ServerError("It was recorded. Try again, and quote the request id if it happens once more.")
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    return respond(request, CsrfFailed("The page was open too long or cookies are blocked. Reload it and try again."))


class CsrfFailed(Forbidden):
    code, title = "csrf_failed", "This form is no longer valid"

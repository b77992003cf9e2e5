"""Who is at the other end of a page, and how often anybody may call."""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from accounts.authentication import bearer_session, browser_session
from accounts.errors import TokenRefused
from accounts.models import User
from stackmotive.common.limits import Bucket, client_address, hashed, take
from stackmotive.common.problems import TooManyRequests, respond

UNCOUNTED = ("/health/", "/metrics", settings.STATIC_URL)


def browser_user(request: HttpRequest) -> User | AnonymousUser:
    session = browser_session(request)
    return session.user if session else AnonymousUser()


async def _async_user(request: HttpRequest) -> User | AnonymousUser:
    from asgiref.sync import sync_to_async

    return await sync_to_async(browser_user)(request)


class PeopleMiddleware(AuthenticationMiddleware):
    """`request.user` by the LoginSession behind the cookie: a revoked session is logged out on its next request."""

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(partial(browser_user, request))  # type: ignore[assignment]
        request.auser = partial(_async_user, request)


class LimitsMiddleware:
    """Counts every call of the API by user and tier, or by address; pages more widely. 429 before any view runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(UNCOUNTED):
            return self.get_response(request)
        is_api = request.path.startswith("/api/")
        taken = take(api_bucket(request) if is_api else page_bucket(request))
        if taken.is_allowed:
            response = self.get_response(request)
        else:
            response = respond(request, TooManyRequests(retry_after=taken.retry_after))
        if is_api:
            for name, value in taken.headers().items():
                response[name] = value
        return response


def api_bucket(request: HttpRequest) -> Bucket:
    """One bucket for all sessions of a user; callers who are not known, or whose token fails, count by address."""
    try:
        session = bearer_session(request) or browser_session(request)
    except TokenRefused:
        session = None
    if session is None:
        return Bucket("anonymous", hashed(client_address(request)), settings.ANONYMOUS_REQUESTS_PER_MINUTE)
    user = session.user
    return Bucket("api", str(user.pk), settings.TIER_REQUESTS_PER_MINUTE[user.effective_tier.label])


def page_bucket(request: HttpRequest) -> Bucket:
    session = browser_session(request)
    owner = str(session.user_id) if session else hashed(client_address(request))
    return Bucket("pages", owner, settings.PAGE_REQUESTS_PER_MINUTE)

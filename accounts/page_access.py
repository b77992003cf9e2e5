"""Who may see a page: the person behind the browser's session, or the log-in page first."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.cache import add_never_cache_headers

from accounts.authentication import browser_session
from accounts.models import User

P = ParamSpec("P")


def signed_in(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Give `view` its user. No browser keeps what it answers, so that a log-out leaves nothing behind."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        session = browser_session(request)
        response = view(request, session.user, *args, **kwargs) if session else to_login(request)
        add_never_cache_headers(response)
        return response

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", guarded)  # wraps() names the parameter


def to_login(request: HttpRequest) -> HttpResponse:
    """To the log-in page and back. A part of a page asks its whole page to go there."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": settings.LOGIN_URL})
    back = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{back}" if back else settings.LOGIN_URL)

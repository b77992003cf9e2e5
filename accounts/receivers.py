"""A log-in through a page or the admin is a LoginSession too, so that it can be listed and ended like any other."""

from typing import Any
from uuid import UUID

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.authentication import SESSION_KEY
from accounts.models import User
from accounts.services import end_session, open_session
from stackmotive.common.limits import client_address


@receiver(user_logged_in)
def open_browser_session(*, request: HttpRequest, user: User, **_: Any) -> None:
    earlier = request.session.get(SESSION_KEY)
    if earlier:  # the same person logs in again in the same browser
        end_session(session_id=UUID(earlier), user_id=user.pk, reason="logged_in_again")
    session = open_session(user=user, address=client_address(request), device=request.headers.get("User-Agent", ""))
    request.session[SESSION_KEY] = str(session.pk)
    request.__dict__.pop("_browser_outcome", None)


@receiver(user_logged_out)
def end_browser_session(*, request: HttpRequest, user: User | None, **_: Any) -> None:
    session_id = request.session.get(SESSION_KEY)
    if user is not None and session_id:
        end_session(session_id=UUID(session_id), user_id=user.pk, reason="logged_out")

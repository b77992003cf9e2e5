"""Parts of the sources page, which stands below this app: what a change would do, and what statements cover."""

from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.page_access import signed_in
from federation import services
from federation.coverage_board import coverage_board
from federation.errors import UnfitDecision
from federation.pages.parts import may_decide, may_see, previewed
from federation.signed_changes import signed_source
from ingestion.selectors import sources
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import NotFound


@require_safe
@signed_in
def source_preview(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """What another number of a source would change, or not believing it, or taking it off the list with all it said."""
    may_decide(user)
    take_costly(user_id=user.pk, kind="preview")
    source = sources(user_id=user.pk).filter(pk=source_id).first()
    if source is None:
        raise NotFound
    fields: dict[str, str] = {}
    values: dict[str, int | bool] = {}
    asked = request.GET.get("priority", "")
    if asked:
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 4):
            raise UnfitDecision("Write a whole number from 0 to 9999.")
        values["priority"] = int(asked)
        address, fields = "source-priority", {"priority": asked}
    elif request.GET.get("retire"):
        keeps = request.GET["retire"] == "keep"
        values["enabled"] = source.enabled and keeps
        address, fields = "source-retire", {"retire": "keep" if keeps else "drop"}
    else:
        values["enabled"] = bool(request.GET.get("enabled"))
        address, fields = "source-enabled", {"enabled": "1"} if values["enabled"] else {}
    found = services.preview_source(source=source, **values)
    change = signed_source(user, source=source.pk, **values)
    apply = reverse(address, args=[source.pk])
    return previewed(request, user, found, change=change, apply=apply, fields=fields, target="#sources")


@require_safe
@signed_in
def coverage(request: HttpRequest, user: User) -> HttpResponse:
    """What statements cover by month."""
    may_see(user)
    today = settings.AS_OF or timezone.localdate(timezone=ZoneInfo(user.timezone))
    return render(request, "federation/_coverage.html", {"board": coverage_board(user, until=today)})


urlpatterns: list[URLPattern | URLResolver] = [
    path("sources/coverage/", coverage, name="coverage"),
    path("sources/<uuid:source_id>/preview/", source_preview, name="source-preview"),
]

"""Whom to believe first, and what is being fetched."""

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Tier, User
from accounts.page_access import signed_in
from ingestion import selectors, services, tasks
from ingestion.adapters.pulling import puller_of
from ingestion.errors import SyncRunning
from ingestion.models import SyncRun
from ingestion.pages.frame import base_context, chosen_source, may_change_sources, own_source
from ingestion.source_cards import source_cards, sync_card
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import Invalid, NotFound


def sources_context(request: HttpRequest, user: User) -> dict[str, object]:
    cards = source_cards(user)
    return base_context(request, user, "sources") | {
        "cards": cards,
        "sync": sync_card(user),
        "may_change": user.effective_tier >= Tier.OPERATOR,
        "can_sync_any": any(card.can_sync and card.enabled for card in cards),
    }


@require_safe
@signed_in
def sources_page(request: HttpRequest, user: User) -> HttpResponse:
    if user.effective_tier < Tier.NAVIGATOR:
        return render(request, "ingestion/sources.html", base_context(request, user, "sources") | {"is_closed": True})
    return render(request, "ingestion/sources.html", sources_context(request, user))


@require_POST
@signed_in
def source_priority(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """Give a source another number."""
    may_change_sources(user)
    services.update_source(source=own_source(user, source_id), values={"priority": stated_priority(request)})
    return sources_answer(request, user, "Order changed", "Your figures follow in a moment.")


def stated_priority(request: HttpRequest) -> int:
    """Raises Invalid for what is no number of 0 to 9999."""
    text = request.POST.get("priority", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise Invalid("Write a whole number from 0 to 9999. Lower numbers are believed first.")
    return int(text)


@require_POST
@signed_in
def source_enabled(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """Believe a source or not."""
    may_change_sources(user)
    enabled = bool(request.POST.get("enabled"))
    source = services.update_source(source=own_source(user, source_id), values={"enabled": enabled})
    title = f"{source.name} counts again" if enabled else f"{source.name} no longer counts"
    return sources_answer(request, user, title, "Your figures follow in a moment.")


@require_POST
@signed_in
def source_sync(request: HttpRequest, user: User) -> HttpResponse:
    """Fetch the source that the form names, or all that can be fetched."""
    may_change_sources(user)
    take_costly(user_id=user.pk, kind="sync")
    source = chosen_source(request, user)
    if source is not None and puller_of(source.kind) is None:
        raise Invalid("Nothing can be fetched for this source: upload its files.")
    try:
        tasks.enqueue_sync(user=user, trigger=SyncRun.Trigger.MANUAL, sources=[source] if source else None)
    except SyncRunning:
        return sources_answer(request, user, "A sync is running already", "Its progress is on this page.", "info")
    return sources_answer(request, user, "Sync started", "You may leave this page: it goes on.", "info")


@require_POST
@signed_in
def sync_cancel(request: HttpRequest, user: User, run_id: UUID) -> HttpResponse:
    may_change_sources(user)
    run = selectors.sync_runs(user_id=user.pk).filter(pk=run_id).first()
    if run is None:
        raise NotFound
    services.cancel_sync(run=run)
    return sources_answer(request, user, "The sync was cancelled", "What was stored before stays.", "info")


def sources_answer(request: HttpRequest, user: User, title: str, body: str, level: str = "success") -> HttpResponse:
    """The list as it is now and a toast; the whole page where no script asked."""
    if not request.headers.get("HX-Request"):
        messages.add_message(request, messages.SUCCESS, f"{title}. {body}")
        return HttpResponseRedirect(reverse("sources"))
    response = render(request, "ingestion/_sources.html", sources_context(request, user))
    response["HX-Trigger"] = json.dumps({"toast:show": {"title": title, "body": body, "level": level}})
    return response


urlpatterns: list[URLPattern | URLResolver] = [
    path("sources/", sources_page, name="sources"),
    path("sources/sync/", source_sync, name="source-sync"),
    path("sources/sync/<uuid:run_id>/cancel/", sync_cancel, name="sync-cancel"),
    path("sources/<uuid:source_id>/priority/", source_priority, name="source-priority"),
    path("sources/<uuid:source_id>/enabled/", source_enabled, name="source-enabled"),
]

"""Browser pages of federation: where sources disagree, who won and why, and how to change it."""

import json
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import TierRequired
from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.conflict_cards import sections
from federation.coverage_board import coverage_board
from federation.decision_lines import decision_lines
from federation.errors import UnfitDecision
from federation.models import Conflict
from stackmotive.common.page_filters import kept_query
from stackmotive.common.problems import NotFound

DONE = {
    "choose": ("Your word counts", "The ledger follows it already; your figures follow in a moment."),
    "book": ("Booked", "The row is part of your ledger now; your figures follow in a moment."),
    "ignore": ("Ignored", "It stays as it is. You can undo this below."),
    "undo": ("Undone", "The rules decide again; your figures follow in a moment."),
}


def may_see(user: User) -> None:
    """Raises TierRequired: the pages ask for what the API asks for."""
    if user.effective_tier < Tier.NAVIGATOR:
        raise TierRequired("Seeing how sources compare needs the navigator tier. Ask the owner of this installation.")


def may_decide(user: User) -> None:
    """Raises TierRequired."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Deciding what counts needs the operator tier. Ask the owner of this installation.")


def list_context(user: User) -> dict[str, object]:
    return {
        "user": user,
        "sections": sections(user),
        "decisions": decision_lines(user),
        "may_decide": user.effective_tier >= Tier.OPERATOR,
    }


@require_safe
@signed_in
def reconciliation_page(request: HttpRequest, user: User) -> HttpResponse:
    context = {"user": user, "page": "reconciliation", "filters": {"query": kept_query(request.GET.dict())}}
    if user.effective_tier < Tier.NAVIGATOR:
        return render(request, "federation/reconciliation.html", context | {"is_closed": True})
    return render(request, "federation/reconciliation.html", context | list_context(user))


@require_safe
@signed_in
def conflict_count(request: HttpRequest, user: User) -> HttpResponse:
    """How many conflicts are open, for the navigation; nothing for none."""
    count = selectors.open_conflicts(user).count() if user.effective_tier >= Tier.NAVIGATOR else 0
    return render(request, "federation/_count.html", {"count": count})


@require_POST
@signed_in
def conflict_resolve(request: HttpRequest, user: User, conflict_id: UUID) -> HttpResponse:
    """Settle a conflict by the button that was pressed. Raises NotFound for another user's."""
    may_decide(user)
    conflict = selectors.conflicts(user).filter(pk=conflict_id).first()
    if conflict is None:
        raise NotFound("This disagreement is gone. Reload the page.")
    action = next((name for name in ("choose", "book", "ignore") if request.POST.get(name)), "")
    services.resolve_conflict(
        conflict=conflict,
        action=action,
        source=chosen_source(request, conflict),
        remember=bool(request.POST.get("remember")) or conflict.kind not in ("quantity", "cash"),
    )
    return answered(request, user, action)


def chosen_source(request: HttpRequest, conflict: Conflict) -> UUID | None:
    """The source that a form believes; None for none. Raises UnfitDecision for one that the conflict does not name."""
    asked = request.POST.get("choose", "")
    told = {str(one["source"]) for one in conflict.candidates}
    if not asked:
        return None
    if asked not in told:
        raise UnfitDecision("Choose one of the sources that the conflict compares.", candidates=sorted(told))
    return UUID(asked)


@require_POST
@signed_in
def decision_revoke(request: HttpRequest, user: User, decision_id: UUID) -> HttpResponse:
    may_decide(user)
    decision = selectors.decisions(user).filter(pk=decision_id).first()
    if decision is None:
        raise NotFound
    services.revoke(decision=decision)
    return answered(request, user, "undo")


def answered(request: HttpRequest, user: User, action: str) -> HttpResponse:
    """The list as it is now and a toast; the whole page where no script asked."""
    title, body = DONE[action]
    if not request.headers.get("HX-Request"):
        messages.success(request, f"{title}. {body}")
        return HttpResponseRedirect(reverse("reconciliation"))
    response = render(request, "federation/_conflicts.html", list_context(user))
    response["HX-Trigger"] = json.dumps({"toast:show": {"title": title, "body": body, "level": "success"}})
    return response


@require_safe
@signed_in
def coverage(request: HttpRequest, user: User) -> HttpResponse:
    """What statements cover by month, as a part of the sources page below this app."""
    may_see(user)
    today = settings.AS_OF or timezone.localdate(timezone=ZoneInfo(user.timezone))
    return render(request, "federation/_coverage.html", {"board": coverage_board(user, until=today)})


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/", reconciliation_page, name="reconciliation"),
    path("sources/coverage/", coverage, name="coverage"),
    path("reconciliation/count/", conflict_count, name="conflict-count"),
    path("reconciliation/<uuid:conflict_id>/resolve/", conflict_resolve, name="conflict-resolve"),
    path("reconciliation/decisions/<uuid:decision_id>/revoke/", decision_revoke, name="decision-revoke"),
]

"""Where sources disagree, who won and why, and how to change it: a tab, and a part of an import's own page."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.errors import UnfitDecision
from federation.link_cards import proposal_count
from federation.models import Conflict
from federation.pages.parts import answered, may_decide, may_see, part_context, previewed, tab
from federation.signed_changes import signed_decision
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import NotFound

ACTIONS = ("choose", "match", "book", "accept", "ignore")
DONE = {
    "choose": ("Your word counts", "The ledger follows it already; your figures follow in a moment."),
    "book": ("Booked", "The row is part of your ledger now; your figures follow in a moment."),
    "match": ("Joined", "The rows count as one now; your figures follow in a moment."),
    "accept": ("It counts now", "Your figures follow in a moment."),
    "ignore": ("Ignored", "It stays as it is. You can undo this below."),
}


@require_safe
@signed_in
def reconciliation_page(request: HttpRequest, user: User) -> HttpResponse:
    return tab(request, user, "conflicts", "federation/reconciliation.html")


@require_safe
@signed_in
def found_by_import(request: HttpRequest, user: User, run_id: UUID) -> HttpResponse:
    """What an import's page shows of it: the first look at how two sources compare."""
    may_see(user)
    return render(request, "federation/_found.html", part_context(user, "found", {"run": str(run_id)}))


@require_safe
@signed_in
def conflict_count(request: HttpRequest, user: User) -> HttpResponse:
    """How many questions are open, for the navigation; nothing for none."""
    count = 0
    if user.effective_tier >= Tier.NAVIGATOR:
        count = selectors.open_conflicts(user).count() + proposal_count(user)
    return render(request, "federation/_count.html", {"count": count})


@require_POST
@signed_in
def conflict_resolve(request: HttpRequest, user: User, conflict_id: UUID) -> HttpResponse:
    """Settle a conflict by the button that was pressed. Raises NotFound for another user's."""
    may_decide(user)
    conflict = own_conflict(user, conflict_id)
    said = said_by(request.POST)
    services.resolve_conflict(conflict=conflict, **said)
    return answered(request, user, *DONE[said["action"]])


@require_safe
@signed_in
def conflict_preview(request: HttpRequest, user: User, conflict_id: UUID) -> HttpResponse:
    """What the button that was pressed would change."""
    may_decide(user)
    conflict = own_conflict(user, conflict_id)
    said = said_by(request.GET)
    ruling = services.ruling(conflict=conflict, **said)
    take_costly(user_id=user.pk, kind="preview")
    found = services.preview_decision(user=user, kind=ruling.kind, keys=ruling.keys, value=ruling.value)
    fields = {said["action"]: request.GET[said["action"]]}
    if request.GET.get("remember"):
        fields["remember"] = "1"
    change = signed_decision(user, kind=ruling.kind, keys=ruling.keys, value=ruling.value)
    address = reverse("conflict-resolve", args=[conflict.pk])
    return previewed(request, user, found, change=change, apply=address, fields=fields)


def own_conflict(user: User, conflict_id: UUID) -> Conflict:
    """Raises NotFound for another user's, and for one that is gone."""
    conflict = selectors.conflicts(user).filter(pk=conflict_id).first()
    if conflict is None:
        raise NotFound("This disagreement is gone. Reload the page.")
    return conflict


def said_by(form: QueryDict) -> dict[str, Any]:
    """What a conflict's form says, as the service asks for it. Raises UnfitDecision for a source that is none."""
    action = next((name for name in ACTIONS if form.get(name)), "")
    try:
        source = UUID(str(form["choose"])) if action == "choose" else None
    except ValueError as exc:
        raise UnfitDecision("Choose one of the sources that the conflict compares.") from exc
    return {
        "action": action,
        "source": source,
        "match": str(form["match"]) if action == "match" else None,
        "remember": bool(form.get("remember")),
    }


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/", reconciliation_page, name="reconciliation"),
    path("reconciliation/count/", conflict_count, name="conflict-count"),
    path("reconciliation/of-import/<uuid:run_id>/", found_by_import, name="found-by-import"),
    path("reconciliation/<uuid:conflict_id>/resolve/", conflict_resolve, name="conflict-resolve"),
    path("reconciliation/<uuid:conflict_id>/preview/", conflict_preview, name="conflict-preview"),
]

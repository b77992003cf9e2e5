"""Where sources disagree, who won and why, and how to change it: a tab, and a part of an import's own page."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.errors import UnfitDecision
from federation.link_cards import proposal_count
from federation.models import Conflict, Decision
from federation.pages.parts import answered, may_decide, may_see, part_context, previewed, tab
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import NotFound

ACTIONS = ("choose", "match", "book", "accept", "ignore")
REMEMBERED = ("quantity", "cash")  # kinds whose choice may end with the reports compared
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
    action = next((name for name in ACTIONS if request.POST.get(name)), "")
    if conflict.key.startswith("transfer:") and action in ("match", "ignore"):
        settle_transfer(user, conflict, partner=request.POST.get("match", ""))
    else:
        services.resolve_conflict(
            conflict=conflict,
            action=action,
            source=chosen_source(conflict, request.POST.get("choose", "")),
            match=request.POST.get("match") or None,
            remember=bool(request.POST.get("remember")) or conflict.kind not in REMEMBERED,
        )
    return answered(request, user, *DONE[action])


def own_conflict(user: User, conflict_id: UUID) -> Conflict:
    """Raises NotFound for another user's, and for one that is gone."""
    conflict = selectors.conflicts(user).filter(pk=conflict_id).first()
    if conflict is None:
        raise NotFound("This disagreement is gone. Reload the page.")
    return conflict


def settle_transfer(user: User, conflict: Conflict, *, partner: str) -> None:
    """Pair a leg with the partner that was chosen; with none, it belongs to no transfer. Raises UnfitDecision."""
    legs = [str(one["row"]) for one in conflict.candidates]
    if partner and partner not in legs[1:]:
        raise UnfitDecision("Choose one of the rows that the conflict compares.")
    wanted = [legs[0], partner] if partner else legs[:1]
    rows = list(selectors.transactions(user).filter(pk__in=wanted))
    if partner:
        services.pair_by_hand(user=user, rows=rows)
    else:
        services.unlink(user=user, rows=rows)


def chosen_source(conflict: Conflict, asked: str) -> UUID | None:
    """The source that a form believes; None for none. Raises UnfitDecision for one that the conflict does not name."""
    told = {str(one["source"]) for one in conflict.candidates}
    if not asked:
        return None
    if asked not in told:
        raise UnfitDecision("Choose one of the sources that the conflict compares.", candidates=sorted(told))
    return UUID(asked)


@require_safe
@signed_in
def conflict_preview(request: HttpRequest, user: User, conflict_id: UUID) -> HttpResponse:
    """What believing another source would change."""
    may_decide(user)
    take_costly(user_id=user.pk, kind="preview")
    conflict = own_conflict(user, conflict_id)
    source = chosen_source(conflict, request.GET.get("choose", ""))
    remember = bool(request.GET.get("remember"))
    value: dict[str, str] = {"source": str(source)}
    if not remember and conflict.kind in REMEMBERED:
        value["until"] = max(one["as_of"] for one in conflict.candidates)
    found = services.preview_decision(user=user, kind=Decision.Kind.CHOOSE, keys={"key": conflict.key}, value=value)
    fields = {"choose": str(source)} | ({"remember": "1"} if remember else {})
    return previewed(request, user, found, apply=reverse("conflict-resolve", args=[conflict.pk]), fields=fields)


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/", reconciliation_page, name="reconciliation"),
    path("reconciliation/count/", conflict_count, name="conflict-count"),
    path("reconciliation/of-import/<uuid:run_id>/", found_by_import, name="found-by-import"),
    path("reconciliation/<uuid:conflict_id>/resolve/", conflict_resolve, name="conflict-resolve"),
    path("reconciliation/<uuid:conflict_id>/preview/", conflict_preview, name="conflict-preview"),
]

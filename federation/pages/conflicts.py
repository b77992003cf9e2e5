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
from federation.link_cards import link_board, proposal_count
from federation.models import AccountLink, BrokerAccount, Conflict, Decision
from federation.preview_cards import preview_card
from ingestion.selectors import sources
from stackmotive.common.limits import take_costly
from stackmotive.common.page_filters import kept_query
from stackmotive.common.problems import NotFound

ACTIONS = ("choose", "match", "book", "accept", "ignore")
REMEMBERED = ("quantity", "cash")  # kinds whose choice may end with the reports compared
DONE = {
    "choose": ("Your word counts", "The ledger follows it already; your figures follow in a moment."),
    "book": ("Booked", "The row is part of your ledger now; your figures follow in a moment."),
    "match": ("Joined", "The rows count as one now; your figures follow in a moment."),
    "accept": ("It counts now", "Your figures follow in a moment."),
    "link": ("Noted", "The source's rows count for that account; your figures follow in a moment."),
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
        "links": link_board(user),
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
    return answered(request, user, action)


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


def previewed(
    request: HttpRequest,
    user: User,
    found: services.Preview,
    *,
    apply: str,
    fields: dict[str, str],
    target: str = "#conflicts",
) -> HttpResponse:
    """The panel that shows what would change and applies it."""
    context = {"user": user, "preview": preview_card(found), "apply": apply, "fields": fields, "target": target}
    return render(request, "federation/_preview.html", context)


# --- accounts of sources ----------------------------------------------------------


def own_link(user: User, link_id: int) -> AccountLink:
    """Raises NotFound."""
    link = selectors.account_links(user).filter(pk=link_id).first()
    if link is None:
        raise NotFound
    return link


def chosen_account(user: User, asked: str) -> BrokerAccount:
    """Raises NotFound for what is no account of the user."""
    try:
        account: BrokerAccount | None = BrokerAccount.objects.visible_to(user).filter(pk=UUID(asked)).first()
    except ValueError:
        account = None
    if account is None:
        raise NotFound("Choose one of your accounts.")
    return account


@require_safe
@signed_in
def link_preview(request: HttpRequest, user: User, link_id: int) -> HttpResponse:
    """What it would change if a source's name meant another account."""
    may_decide(user)
    take_costly(user_id=user.pk, kind="preview")
    link, account = own_link(user, link_id), chosen_account(user, request.GET.get("account", ""))
    found = services.preview_link(user=user, source=link.source, reference=link.reference, account=account)
    return previewed(
        request, user, found, apply=reverse("link-decide", args=[link.pk]), fields={"account": str(account.pk)}
    )


@require_POST
@signed_in
def link_decide(request: HttpRequest, user: User, link_id: int) -> HttpResponse:
    """Say which account a source means."""
    may_decide(user)
    link, account = own_link(user, link_id), chosen_account(user, request.POST.get("account", ""))
    keys = {"reference": [str(link.source_id), link.reference]}
    services.decide(user=user, kind=Decision.Kind.LINK_ACCOUNT, keys=keys, value={"account": str(account.pk)})
    return answered(request, user, "link")


# --- parts of the sources page ----------------------------------------------------------


@require_safe
@signed_in
def source_preview(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """What another number of a source would change, or not believing it."""
    may_decide(user)
    take_costly(user_id=user.pk, kind="preview")
    source = sources(user_id=user.pk).filter(pk=source_id).first()
    if source is None:
        raise NotFound
    asked = request.GET.get("priority", "")
    if asked:
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 4):
            raise UnfitDecision("Write a whole number from 0 to 9999.")
        found = services.preview_source(source=source, priority=int(asked))
        address, fields = "source-priority", {"priority": asked}
    else:
        enabled = bool(request.GET.get("enabled"))
        found = services.preview_source(source=source, enabled=enabled)
        address, fields = "source-enabled", {"enabled": "1"} if enabled else {}
    return previewed(request, user, found, apply=reverse(address, args=[source.pk]), fields=fields, target="#sources")


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
    path("reconciliation/<uuid:conflict_id>/preview/", conflict_preview, name="conflict-preview"),
    path("reconciliation/links/<int:link_id>/preview/", link_preview, name="link-preview"),
    path("reconciliation/links/<int:link_id>/", link_decide, name="link-decide"),
    path("sources/<uuid:source_id>/preview/", source_preview, name="source-preview"),
    path("reconciliation/decisions/<uuid:decision_id>/revoke/", decision_revoke, name="decision-revoke"),
]

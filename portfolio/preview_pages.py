"""The part of a preview that speaks of money; the panel around it stands below this app."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST

from accounts.errors import TierRequired
from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation.errors import PreviewBusy
from federation.signed_changes import change_of
from portfolio.services.previewing import Moved, preview_in_money
from stackmotive.common.limits import take_costly

HEADLINES = (
    ("total_value", "Total value"),
    ("cash", "Cash"),
    ("net_contribution", "Net contributions"),
    ("unrealized_gain", "Unrealized gain"),
    ("realized_gain", "Realized gain"),
    ("income", "Income"),
    ("fees", "Fees"),
    ("taxes", "Taxes"),
)


@dataclass(frozen=True, slots=True)
class MovedShown:
    label: str
    moved: Moved


@require_POST
@signed_in
def money_preview(request: HttpRequest, user: User) -> HttpResponse:
    """What a change that another page previewed would do to today's figures."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Deciding what counts needs the operator tier. Ask the owner of this installation.")
    change = change_of(user, request.POST.get("change", ""))
    take_costly(user_id=user.pk, kind="preview_in_money")
    try:
        found = preview_in_money(change)
    except PreviewBusy:  # the figures follow an earlier change first; the part asks again by itself
        return render(request, "portfolio/_money_waits.html", {"change": request.POST["change"]})
    shown = [MovedShown(label, found.figures[name]) for name, label in HEADLINES]
    moved = [one for one in shown if one.moved.before != one.moved.after]
    return render(request, "portfolio/_money_preview.html", {"found": found, "moved": moved})


urlpatterns: list[URLPattern | URLResolver] = [path("preview/money/", money_preview, name="money-preview")]

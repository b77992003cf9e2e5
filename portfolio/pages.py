"""Browser pages of portfolio: the overview and the holdings."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_safe

from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation.models import BrokerAccount
from ingestion.run_cards import run_cards
from ingestion.selectors import latest_runs
from portfolio.holdings_table import GROUPS, holdings_table
from portfolio.overview import BREAKDOWNS, Choice, overview
from portfolio.valuation_day import valuation_day
from stackmotive.common.page_filters import Filters, filters_of

RECENT_IMPORTS = 4


def page_context(request: HttpRequest, user: User, page: str) -> tuple[Filters, dict[UUID, str], dict[str, object]]:
    """The filters of a page, the user's accounts, and what every template of these pages needs."""
    accounts = list(BrokerAccount.objects.visible_to(user).values_list("id", "name", "currency"))
    filters = filters_of(
        request.GET.dict(),
        today=valuation_day(user),
        base_currency=user.base_currency,
        accounts=[(pk, currency) for pk, _, currency in accounts],
    )
    shown = [{"id": str(pk), "name": name} for pk, name, _ in accounts]
    context = {"user": user, "page": page, "filters": filters, "accounts": shown}
    return filters, {pk: name for pk, name, _ in accounts}, context


@require_safe
@signed_in
def overview_page(request: HttpRequest, user: User) -> HttpResponse:
    filters, _, context = page_context(request, user, "overview")
    by = request.GET.get("by", "kind")
    found = overview(user=user, filters=filters, by=by if by in BREAKDOWNS else "kind")
    if user.effective_tier >= Tier.NAVIGATOR:
        context["imports"] = run_cards(latest_runs(user_id=user.pk, count=RECENT_IMPORTS))
    return render(request, "portfolio/overview.html", context | {"overview": found})


@require_safe
@signed_in
def holdings_page(request: HttpRequest, user: User) -> HttpResponse:
    filters, names, context = page_context(request, user, "holdings")
    group_by = request.GET.get("group", "instrument")
    table = holdings_table(
        user=user,
        filters=filters,
        account_names=names,
        group_by=group_by if group_by in GROUPS else "instrument",
        sort=request.GET.get("sort", ""),
    )
    choices = [Choice(code, label) for code, label in GROUPS.items()]
    return render(request, "portfolio/holdings.html", context | {"table": table, "group_choices": choices})


@require_safe
@signed_in
def account_options(request: HttpRequest, user: User) -> HttpResponse:
    """The user's accounts as options of a form that stands below this app."""
    accounts = BrokerAccount.objects.visible_to(user).order_by("name", "id")
    return render(request, "portfolio/_account_options.html", {"accounts": accounts})


urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview_page, name="overview"),
    path("holdings/", holdings_page, name="holdings"),
    path("holdings/accounts/", account_options, name="account-options"),
]

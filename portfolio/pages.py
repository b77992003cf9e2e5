"""Browser pages of portfolio: the overview, the holdings, where they come from, and what is typed by hand."""

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import TierRequired
from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation.models import BrokerAccount
from ingestion.run_cards import run_cards
from ingestion.selectors import latest_runs
from portfolio import activity_pages, explain_pages, preview_pages, selectors, services
from portfolio.finding_cards import finding_board
from portfolio.holdings_table import GROUPS, holdings_table
from portfolio.manual_forms import INSTRUMENT_KINDS, KINDS, Typed, add_position, add_transaction, form_of
from portfolio.models import Finding
from portfolio.overview import BREAKDOWNS, Choice, overview
from portfolio.provenance_cards import cash_provenance, holding_provenance, row_provenance
from portfolio.selectors.findings import findings
from portfolio.valuation_day import valuation_day
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.page_filters import Filters, filters_of, kept_query
from stackmotive.common.problems import NotFound, Problem

RECENT_IMPORTS = 4
FORM_FIELDS = {"instrument": "symbol", "isin": "symbol", "cash_currency": "currency", "traded_at": "trade_date"}


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
    context["may_trace"] = user.effective_tier >= Tier.NAVIGATOR
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


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def add_by_hand(request: HttpRequest, user: User) -> HttpResponse:
    """A row or a holding typed by hand; what is wrong with it stands beside its field."""
    _, names, context = page_context(request, user, "holdings")
    what = "position" if (request.POST.get("what") or request.GET.get("what")) == "position" else "transaction"
    today = valuation_day(user).isoformat()
    form = {"kind": "buy", "trade_date": today, "as_of": today, "currency": user.base_currency}
    form["account"] = request.GET.get("account", "") or (str(next(iter(names))) if len(names) == 1 else "")
    errors: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            form = form_of({name: str(text) for name, text in request.POST.items()})
            typed = (add_position if what == "position" else add_transaction)(user=user, form=form)
        except Problem as exc:
            errors = {error.pointer.removeprefix("#/"): error.detail for error in exc.errors} or {"": exc.detail}
            status = exc.status
        else:
            messages.success(request, told(typed))
            return HttpResponseRedirect(reverse("holdings"))
    context |= {
        "what": what,
        "form": form,
        "errors": {FORM_FIELDS.get(name, name): detail for name, detail in errors.items()},
        "kinds": KINDS,
        "instrument_kinds": INSTRUMENT_KINDS,
        "currencies": sorted(ISO_4217),
        "known": selectors.positions(user=user, group_by="instrument"),
        "today": today,
    }
    return render(request, "portfolio/add_by_hand.html", context, status=status)


def told(typed: Typed) -> str:
    if typed.is_waiting:
        return "It was recorded and appears in a moment."
    if typed.is_doubled:
        return f"It was added to {typed.account.name}. An equal row was there already: delete one if they are the same."
    return f"It was added to {typed.account.name}. Your figures follow in a moment."


def findings_context(user: User) -> dict[str, object]:
    return {"user": user, "board": finding_board(user), "may_trace": user.effective_tier >= Tier.NAVIGATOR}


@require_safe
@signed_in
def findings_page(request: HttpRequest, user: User) -> HttpResponse:
    context = {"page": "findings", "filters": {"query": kept_query(request.GET.dict())}}
    return render(request, "portfolio/findings.html", context | findings_context(user))


@require_safe
@signed_in
def finding_count(request: HttpRequest, user: User) -> HttpResponse:
    """How many findings want attention, for the navigation; nothing for none."""
    count = findings(user, dismissed=False).exclude(severity=Finding.Severity.INFO).count()
    return render(request, "portfolio/_finding_count.html", {"count": count})


@require_POST
@signed_in
def finding_dismiss(request: HttpRequest, user: User, finding_id: UUID) -> HttpResponse:
    """Put a finding aside until its evidence changes, or show it again."""
    is_restored = bool(request.POST.get("restore"))
    (services.restore_finding if is_restored else services.dismiss_finding)(user=user, finding_id=finding_id)
    if not request.headers.get("HX-Request"):
        return HttpResponseRedirect(reverse("findings"))
    response = render(request, "portfolio/_findings.html", findings_context(user))
    title, body = ("It is back on the list", "") if is_restored else ("Put aside", "It comes back if it changes.")
    response["HX-Trigger"] = json.dumps({"toast:show": {"title": title, "body": body, "level": "success"}})
    return response


def provenance_answer(request: HttpRequest, user: User, template: str, found: object | None) -> HttpResponse:
    """What a drawer shows, or a page of its own where no script asked. Raises NotFound for nothing of the user's."""
    if user.effective_tier < Tier.NAVIGATOR:
        raise TierRequired("Seeing sources needs the navigator tier. Ask the owner of this installation.")
    if found is None:
        raise NotFound
    context = {"user": user, "page": "holdings", "filters": {"query": ""}, "found": found, "drawer": template}
    is_part = bool(request.headers.get("HX-Request"))
    return render(request, template if is_part else "stackmotive/drawer_page.html", context)


def asked_account(request: HttpRequest) -> UUID | None:
    """Raises NotFound for what is no id."""
    asked = request.GET.get("account", "")
    try:
        return UUID(asked) if asked else None
    except ValueError as exc:
        raise NotFound from exc


@require_safe
@signed_in
def holding_drawer(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    found = holding_provenance(user=user, instrument_id=instrument_id, account=asked_account(request))
    return provenance_answer(request, user, "portfolio/_holding_provenance.html", found)


@require_safe
@signed_in
def cash_drawer(request: HttpRequest, user: User, currency: str) -> HttpResponse:
    found = cash_provenance(user=user, currency=currency[:3], account=asked_account(request))
    return provenance_answer(request, user, "portfolio/_holding_provenance.html", found)


@require_safe
@signed_in
def transaction_drawer(request: HttpRequest, user: User, transaction_id: UUID) -> HttpResponse:
    found = row_provenance(user=user, transaction_id=transaction_id)
    return provenance_answer(request, user, "portfolio/_row_provenance.html", found)


@require_safe
@signed_in
def account_options(request: HttpRequest, user: User) -> HttpResponse:
    """The user's accounts as options of a form that stands below this app."""
    accounts = BrokerAccount.objects.visible_to(user).order_by("name", "id")
    return render(request, "portfolio/_account_options.html", {"accounts": accounts})


urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview_page, name="overview"),
    path("holdings/", holdings_page, name="holdings"),
    path("findings/", findings_page, name="findings"),
    path("findings/count/", finding_count, name="finding-count"),
    path("findings/<uuid:finding_id>/dismiss/", finding_dismiss, name="finding-dismiss"),
    path("holdings/add/", add_by_hand, name="add-by-hand"),
    path("holdings/accounts/", account_options, name="account-options"),
    path("holdings/<uuid:instrument_id>/provenance/", holding_drawer, name="holding-provenance"),
    path("holdings/cash/<str:currency>/provenance/", cash_drawer, name="cash-provenance"),
    path("transactions/<uuid:transaction_id>/provenance/", transaction_drawer, name="transaction-provenance"),
    *activity_pages.urlpatterns,
    *explain_pages.urlpatterns,
    *preview_pages.urlpatterns,
]

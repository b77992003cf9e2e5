"""Browser pages of what happened: the ledger, transfers between own accounts, corporate actions."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import TierRequired
from accounts.models import Tier, User
from accounts.page_access import signed_in
from federation import selectors as truth
from federation import services as federation
from federation.models import BrokerAccount, CorporateAction, Instrument, Transaction
from federation.services.corporate_actions import Terms
from portfolio.activity_cards import (
    ACTION_WORDS,
    KIND_CHOICES,
    LATEST_PAGE,
    action_lines,
    action_preview,
    row_table,
    transfer_lines,
    transfers_alone,
)
from portfolio.services.wallets import book_far_side
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.limits import take_costly
from stackmotive.common.money import parse_number
from stackmotive.common.page_filters import kept_query
from stackmotive.common.problems import Invalid, NotFound, Problem

LONGEST_SEARCH = 60
LONGEST_NOTE = 500


def activity_context(request: HttpRequest, user: User, tab: str) -> dict[str, object]:
    return {
        "user": user,
        "page": "activity",
        "tab": tab,
        "filters": {"query": kept_query(request.GET.dict())},
        "accounts": BrokerAccount.objects.visible_to(user).order_by("name", "pk"),
        "may_trace": user.effective_tier >= Tier.NAVIGATOR,
        "may_change": user.effective_tier >= Tier.OPERATOR,
    }


def may_change(user: User) -> None:
    """Raises TierRequired."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Saying what happened needs the operator tier. Ask the owner of this installation.")


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@require_safe
@signed_in
def transactions_page(request: HttpRequest, user: User) -> HttpResponse:
    account = uuid_or_none(request.GET.get("account", ""))
    kind = request.GET.get("kind", "")
    search = request.GET.get("q", "").strip()[:LONGEST_SEARCH].replace("\x00", "")
    number = request.GET.get("page", "1")
    page = min(int(number), LATEST_PAGE) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    context = activity_context(request, user, "transactions") | {
        "table": row_table(user, account=account, kind=kind, search=search, page=max(1, page)),
        "kinds": KIND_CHOICES,
        "asked": {"account": str(account or ""), "kind": kind, "q": search},
    }
    return render(request, "portfolio/transactions.html", context)


# --- transfers ----------------------------------------------------------


@require_safe
@signed_in
def transfers_page(request: HttpRequest, user: User) -> HttpResponse:
    context = activity_context(request, user, "transfers")
    context |= {"transfers": transfer_lines(user), "alone": transfers_alone(user)}
    return render(request, "portfolio/transfers.html", context)


@require_POST
@signed_in
def transfer_unlink(request: HttpRequest, user: User, link_id: UUID) -> HttpResponse:
    """Say that the rows of a transfer do not belong together."""
    may_change(user)
    link = truth.transfer_links(user).filter(pk=link_id).first()
    if link is None:
        raise NotFound("This transfer is gone. Reload the page.")
    rows = list(Transaction.objects.visible_to(user).filter(pk__in=map(UUID, link.out_legs + link.in_legs)))
    federation.unlink(user=user, rows=rows)
    messages.success(request, "They are no transfer any more. You can undo it under Decisions.")
    return HttpResponseRedirect(reverse("transfers"))


@require_POST
@signed_in
def transfer_resolve(request: HttpRequest, user: User, transaction_id: UUID) -> HttpResponse:
    """Say what lies beyond a transfer without a partner: income, a payment, or an account of the user's own."""
    may_change(user)
    row = Transaction.objects.visible_to(user).filter(pk=transaction_id).first()
    if row is None:
        raise NotFound("This row is gone. Reload the page.")
    meaning = request.POST.get("meaning", "")
    if meaning == "income":
        federation.name_far_side(user=user, row=row, meaning="income")
    elif meaning == "payment":
        federation.name_far_side(user=user, row=row, meaning="payment")
    else:
        asked = uuid_or_none(meaning)
        account = BrokerAccount.objects.visible_to(user).filter(pk=asked).first() if asked else None
        if account is None:
            raise NotFound("Choose one of your accounts.")
        book_far_side(user=user, row=row, account=account)
    messages.success(request, "Noted. Your figures follow in a moment; you can undo it under Decisions.")
    return HttpResponseRedirect(reverse("transfers"))


# --- corporate actions ----------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def actions_page(request: HttpRequest, user: User) -> HttpResponse:
    """The list; a POST shows what an action would do, or states it."""
    context = activity_context(request, user, "actions")
    status = 200
    if request.method == "POST":
        may_change(user)
        try:
            terms = stated_terms(request.POST, user)
            if request.POST.get("state"):
                federation.state_action(user=user, terms=terms)
                messages.success(request, "Noted. Every account that held it follows, and your figures in a moment.")
                return HttpResponseRedirect(reverse("corporate-actions"))
            take_costly(user_id=user.pk, kind="preview")
            context["preview"] = action_preview(user, federation.preview_action(user=user, terms=terms))
        except Problem as exc:
            context["error"], status = exc.detail, exc.status
    context |= {
        "actions": action_lines(user),
        "kinds": [(str(kind), words) for kind, words in ACTION_WORDS.items()],
        "instruments": known_instruments(user),
        "currencies": sorted(ISO_4217),
        "form": request.POST,
    }
    return render(request, "portfolio/corporate_actions.html", context, status=status)


def stated_terms(form: QueryDict, user: User) -> Terms:
    """What the form states. Raises Invalid for what is no number, day, currency or instrument of the user's."""
    texts = {name: str(form.get(name, "")).strip() for name in form}
    try:
        day = date.fromisoformat(texts.get("ex_date", ""))
    except ValueError as exc:
        raise Invalid("Give the day on which it took effect.") from exc
    currency = texts.get("currency", "")
    if currency and currency not in ISO_4217:
        raise Invalid("Choose a currency from the list.")
    allocation = stated_number(texts, "allocation", "share of the cost")
    instrument = named_instrument(user, texts.get("instrument", ""))
    if instrument is None:
        raise Invalid("Choose the instrument that it happened to.")
    return Terms(
        kind=texts.get("kind", ""),
        instrument=instrument,
        ex_date=day,
        ratio=stated_number(texts, "ratio", "ratio"),
        new_instrument=named_instrument(user, texts.get("new_instrument", "")),
        cash_per_unit=stated_number(texts, "cash_per_unit", "cash for each unit"),
        currency=currency,
        allocation=allocation / 100 if allocation is not None else None,
        cash_in_lieu=stated_number(texts, "cash_in_lieu", "price of fractions"),
        note=texts.get("note", "")[:LONGEST_NOTE],
    )


def stated_number(texts: dict[str, str], name: str, words: str) -> Decimal | None:
    """Raises Invalid."""
    if not texts.get(name):
        return None
    try:
        return parse_number(texts[name])
    except ValueError as exc:
        raise Invalid(f"Write the {words} as a number such as 2 or 0.5.") from exc


def known_instruments(user: User) -> QuerySet[Instrument]:
    """The user's own, and those of the catalog that their ledger speaks of."""
    held = truth.ledger(user).order_by().values("instrument")
    return truth.instruments(user).filter(Q(user=user) | Q(pk__in=held))


def named_instrument(user: User, asked: str) -> Instrument | None:
    """Raises Invalid for what is none of the user's."""
    if not asked:
        return None
    pk = uuid_or_none(asked)
    found = known_instruments(user).filter(pk=pk).first() if pk else None
    if found is None:
        raise Invalid("Choose one of your instruments.")
    return found


@require_POST
@signed_in
def action_withdraw(request: HttpRequest, user: User, action_id: UUID) -> HttpResponse:
    may_change(user)
    action = CorporateAction.objects.filter(user=user, withdrawal=None, pk=action_id).first()
    if action is None:
        raise NotFound("Only an action that you stated yourself can be taken back.")
    federation.withdraw_action(action=action)
    messages.success(request, "Taken back: the ledger is as if it had not been.")
    return HttpResponseRedirect(reverse("corporate-actions"))


urlpatterns: list[URLPattern | URLResolver] = [
    path("transactions/", transactions_page, name="transactions"),
    path("transfers/", transfers_page, name="transfers"),
    path("transfers/<uuid:link_id>/unlink/", transfer_unlink, name="transfer-unlink"),
    path("transfers/rows/<uuid:transaction_id>/resolve/", transfer_resolve, name="transfer-resolve"),
    path("corporate-actions/", actions_page, name="corporate-actions"),
    path("corporate-actions/<uuid:action_id>/withdraw/", action_withdraw, name="action-withdraw"),
]

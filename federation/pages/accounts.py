"""Which account each source means: proposals with their evidence, and what was said of each name."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.models import AccountLink, BrokerAccount, Decision
from federation.pages.parts import answered, may_decide, previewed, tab
from federation.signed_changes import signed_decision
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import NotFound

IGNORED = "ignored"


@require_safe
@signed_in
def accounts_page(request: HttpRequest, user: User) -> HttpResponse:
    return tab(request, user, "accounts", "federation/accounts.html")


def own_link(user: User, link_id: int) -> AccountLink:
    """Raises NotFound."""
    link = selectors.account_links(user).filter(pk=link_id).first()
    if link is None:
        raise NotFound
    return link


def chosen_account(user: User, asked: str) -> BrokerAccount | None:
    """None where rows of that name are to be ignored. Raises NotFound for what is no account of the user."""
    if asked == IGNORED:
        return None
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
    """What it would change if a source's name meant another account, or none."""
    may_decide(user)
    take_costly(user_id=user.pk, kind="preview")
    link, account = own_link(user, link_id), chosen_account(user, request.GET.get("account", ""))
    kind, keys, value = linking(link, account)
    found = services.preview_decision(user=user, kind=kind, keys=keys, value=value)
    change = signed_decision(user, kind=kind, keys=keys, value=value)
    fields = {"account": str(account.pk) if account else IGNORED}
    return previewed(request, user, found, change=change, apply=reverse("link-decide", args=[link.pk]), fields=fields)


def linking(link: AccountLink, account: BrokerAccount | None) -> tuple[str, dict[str, list[str]], dict[str, str]]:
    """(kind, keys, value) of the decision; None ignores the reference."""
    keys = {"reference": [str(link.source_id), link.reference]}
    if account is None:
        return Decision.Kind.IGNORE, keys, {}
    return Decision.Kind.LINK_ACCOUNT, keys, {"account": str(account.pk)}


@require_POST
@signed_in
def link_decide(request: HttpRequest, user: User, link_id: int) -> HttpResponse:
    """Say which account a source means, or that its rows of that name count for none."""
    may_decide(user)
    link, account = own_link(user, link_id), chosen_account(user, request.POST.get("account", ""))
    kind, keys, value = linking(link, account)
    services.decide(user=user, kind=kind, keys=keys, value=value)
    if account is None:
        return answered(request, user, "Left out", "Its rows no longer count; your figures follow in a moment.")
    body = f"The source's rows count for “{account.name}”; your figures follow in a moment."
    return answered(request, user, "Noted", body)


@require_safe
@signed_in
def merge_preview(request: HttpRequest, user: User, account_id: UUID) -> HttpResponse:
    """What it would change if an account were a part of another."""
    may_decide(user)
    keys, value = merging(user, account_id, request.GET.get("into", ""))
    take_costly(user_id=user.pk, kind="preview")
    found = services.preview_decision(user=user, kind=Decision.Kind.MERGE_ACCOUNTS, keys=keys, value=value)
    address = reverse("account-merge", args=[account_id])
    change = signed_decision(user, kind=Decision.Kind.MERGE_ACCOUNTS, keys=keys, value=value)
    return previewed(request, user, found, change=change, apply=address, fields={"into": value["account"]})


@require_POST
@signed_in
def account_merge(request: HttpRequest, user: User, account_id: UUID) -> HttpResponse:
    may_decide(user)
    keys, value = merging(user, account_id, request.POST.get("into", ""))
    services.decide(user=user, kind=Decision.Kind.MERGE_ACCOUNTS, keys=keys, value=value)
    return answered(request, user, "They are one account now", "You can part them again; your figures follow.")


def merging(user: User, account_id: UUID, asked: str) -> tuple[dict[str, str], dict[str, str]]:
    """(keys, value) of the decision. Raises NotFound for what is no account of the user."""
    part, whole = chosen_account(user, str(account_id)), chosen_account(user, asked)
    if part is None or whole is None:
        raise NotFound("Choose one of your accounts.")
    return {"account": str(part.pk)}, {"account": str(whole.pk)}


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/accounts/", accounts_page, name="linked-accounts"),
    path("reconciliation/links/<int:link_id>/preview/", link_preview, name="link-preview"),
    path("reconciliation/accounts/<uuid:account_id>/merge/preview/", merge_preview, name="account-merge-preview"),
    path("reconciliation/accounts/<uuid:account_id>/merge/", account_merge, name="account-merge"),
    path("reconciliation/links/<int:link_id>/", link_decide, name="link-decide"),
]

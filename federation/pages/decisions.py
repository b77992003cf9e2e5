"""What the user decided, in force and taken back."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.pages.parts import answered, may_decide, tab
from stackmotive.common.problems import NotFound


@require_safe
@signed_in
def decisions_page(request: HttpRequest, user: User) -> HttpResponse:
    return tab(request, user, "decisions", "federation/decisions.html")


@require_POST
@signed_in
def decision_revoke(request: HttpRequest, user: User, decision_id: UUID) -> HttpResponse:
    may_decide(user)
    decision = selectors.decisions(user).filter(pk=decision_id).first()
    if decision is None:
        raise NotFound
    services.revoke(decision=decision)
    return answered(request, user, "Undone", "The rules decide again; your figures follow in a moment.")


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/decisions/", decisions_page, name="decisions"),
    path("reconciliation/decisions/<uuid:decision_id>/revoke/", decision_revoke, name="decision-revoke"),
]

"""The drawer that opens a figure."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.page_access import signed_in
from portfolio.explain_cards import explained
from stackmotive.common.problems import NotFound

TEMPLATE = "portfolio/_explanation.html"


@require_safe
@signed_in
def explain_drawer(request: HttpRequest, user: User) -> HttpResponse:
    """What a figure is made of, in a drawer, or as a page of its own where no script asked."""
    try:
        found = explained(user=user, params=request.GET.dict())
    except ValueError as exc:
        raise NotFound from exc
    if found is None:
        raise NotFound
    context = {"user": user, "page": "overview", "filters": {"query": ""}, "found": found, "drawer": TEMPLATE}
    is_part = bool(request.headers.get("HX-Request"))
    return render(request, TEMPLATE if is_part else "stackmotive/drawer_page.html", context)


urlpatterns: list[URLPattern] = [path("explain/", explain_drawer, name="explain")]

"""One source: added with its credentials, renamed, connected, paused, retired."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import TierRequired
from accounts.models import Tier, User
from accounts.page_access import signed_in
from ingestion import services
from ingestion.errors import QuotaExceeded, SourceKindFixed
from ingestion.models import Schedule
from ingestion.pages.frame import base_context, may_change_sources, own_source
from ingestion.source_forms import KindCard, kind_cards, source_detail
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import Invalid

LONGEST_NAME = 100
LONGEST_SECRET = 1000


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def source_add(request: HttpRequest, user: User) -> HttpResponse:
    """Choose a kind, then say what it needs. Nobody is called before the user asks for a test."""
    may_change_sources(user)
    cards = kind_cards()
    chosen = next((one for one in cards if one.kind == (request.POST or request.GET).get("kind", "")), None)
    context = base_context(request, user, "sources") | {"cards": cards, "chosen": chosen, "form": request.POST}
    if request.method != "POST" or chosen is None:
        return render(request, "ingestion/source_add.html", context | {"schedules": Schedule.choices})
    try:
        source = services.create_source(
            user=user,
            kind=chosen.kind,
            name=stated_name(request.POST),
            schedule=stated_schedule(request.POST, chosen),
            credentials=stated_secrets(request.POST, chosen) or None,
        )
    except (Invalid, QuotaExceeded, SourceKindFixed) as exc:
        context |= {"error": exc.detail, "schedules": Schedule.choices}
        return render(request, "ingestion/source_add.html", context, status=exc.status)
    if chosen.can_pull:
        return HttpResponseRedirect(reverse("source", args=[source.pk]))
    return HttpResponseRedirect(f"{reverse('import')}?source={source.pk}")


def stated_name(form: QueryDict) -> str:
    """Raises Invalid for no name."""
    name = " ".join(str(form.get("name", "")).split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"Give it a name of at most {LONGEST_NAME} characters.")
    return name


def stated_schedule(form: QueryDict, chosen: KindCard) -> str:
    """ "" where nothing is fetched, and for none of the schedules."""
    asked = str(form.get("schedule", ""))
    return asked if chosen.can_pull and asked in Schedule.values else ""


def stated_secrets(form: QueryDict, chosen: KindCard) -> dict[str, str]:
    """Every credential of the kind, or none. Raises Invalid where one is missing or too long."""
    told = {field.name: str(form.get(f"secret:{field.name}", "")) for field in chosen.secrets}
    given = {name: text for name, text in told.items() if text}
    if given and (len(given) < len(told) or any(len(text) > LONGEST_SECRET for text in given.values())):
        raise Invalid("Fill in every credential, or none of them for now.")
    return given


@require_safe
@signed_in
def source_page(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    if user.effective_tier < Tier.NAVIGATOR:
        raise TierRequired("Seeing sources needs the navigator tier. Ask the owner of this installation.")
    source = own_source(user, source_id)
    context = base_context(request, user, "sources") | {
        "source": source,
        "detail": source_detail(source),
        "schedules": Schedule.choices,
        "may_change": user.effective_tier >= Tier.OPERATOR,
    }
    return render(request, "ingestion/source.html", context)


@sensitive_post_parameters()
@require_POST
@signed_in
def source_change(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """Its name, its schedule, and new credentials in the place of the old ones where any are given."""
    may_change_sources(user)
    source = own_source(user, source_id)
    chosen = next((one for one in kind_cards() if one.kind == source.kind), None)
    values = {"name": stated_name(request.POST)}
    secrets: dict[str, str] = {}
    if chosen is not None and chosen.can_pull:
        values["schedule"] = stated_schedule(request.POST, chosen)
        secrets = stated_secrets(request.POST, chosen)
    services.update_source(source=source, values=values, credentials=secrets or None)
    messages.success(request, "Saved." + (" Its new credentials are sealed and never shown again." if secrets else ""))
    return HttpResponseRedirect(reverse("source", args=[source.pk]))


@require_POST
@signed_in
def source_test(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """Ask the broker whether it lets us in."""
    may_change_sources(user)
    take_costly(user_id=user.pk, kind="sync")
    found = services.try_source(source=own_source(user, source_id))
    (messages.success if found.ok else messages.warning)(request, found.detail)
    return HttpResponseRedirect(reverse("source", args=[source_id]))


@require_POST
@signed_in
def source_retire(request: HttpRequest, user: User, source_id: UUID) -> HttpResponse:
    """Take it off the list; what it said stays, or stops counting."""
    may_change_sources(user)
    source = own_source(user, source_id)
    keeps = request.POST.get("retire") != "drop"
    services.retire_source(source=source, keep=keeps)
    told = "What it said still counts." if keeps else "Nothing it ever said counts any more."
    messages.success(request, f"{source.name} was retired. {told}")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("sources")})
    return HttpResponseRedirect(reverse("sources"))


urlpatterns: list[URLPattern | URLResolver] = [
    path("sources/add/", source_add, name="source-add"),
    path("sources/<uuid:source_id>/", source_page, name="source"),
    path("sources/<uuid:source_id>/change/", source_change, name="source-change"),
    path("sources/<uuid:source_id>/test/", source_test, name="source-test"),
    path("sources/<uuid:source_id>/retire/", source_retire, name="source-retire"),
]

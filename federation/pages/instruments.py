"""A user's own instruments: which need a look, what they are called, which are one and which are not."""

from datetime import date
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.page_access import signed_in
from federation import selectors, services
from federation.errors import UnfitDecision
from federation.models import Decision, Instrument, InstrumentKind
from federation.pages.parts import answered, may_decide, previewed, tab, uuid_of
from federation.signed_changes import signed_decision
from stackmotive.common.limits import take_costly
from stackmotive.common.problems import Invalid, NotFound

LONGEST = {"symbol": 60, "name": 200, "sector": 60}


@require_safe
@signed_in
def instruments_page(request: HttpRequest, user: User) -> HttpResponse:
    return tab(request, user, "instruments", "federation/instruments.html")


def own_instrument(user: User, instrument_id: UUID) -> Instrument:
    """Raises NotFound."""
    found = selectors.own_instruments(user).filter(pk=instrument_id).first()
    if found is None:
        raise NotFound("Choose one of your instruments.")
    return found


@require_POST
@signed_in
def instrument_describe(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    """Call it something else, perhaps from a day on."""
    may_decide(user)
    instrument = own_instrument(user, instrument_id)
    values = {name: stated(request, name) for name in LONGEST if name in request.POST}
    if "symbol" in values and not values["symbol"]:
        raise Invalid("An instrument needs a symbol.")
    if kind := request.POST.get("kind"):
        if kind not in InstrumentKind.values:
            raise Invalid("Choose a kind from the list.")
        values["kind"] = kind
    try:
        since = date.fromisoformat(request.POST["valid_from"]) if request.POST.get("valid_from") else None
    except ValueError as exc:
        raise Invalid("Write the day as 2025-12-31.") from exc
    services.describe_instrument(instrument=instrument, valid_from=since, **values)
    return answered(request, user, "Renamed", "Every later import keeps it.")


def stated(request: HttpRequest, name: str) -> str:
    """Raises Invalid for what no instrument can be called."""
    text = " ".join(request.POST.get(name, "").split())
    if len(text) > LONGEST[name] or not text.isprintable():
        raise Invalid(f"Write at most {LONGEST[name]} characters that can be read.")
    return text


@require_safe
@signed_in
def merge_preview(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    """What it would change if two instruments were one."""
    may_decide(user)
    instrument = own_instrument(user, instrument_id)
    into = own_instrument(user, uuid_of(request.GET.get("into", "")))
    take_costly(user_id=user.pk, kind="preview")
    if instrument == into:
        raise UnfitDecision("Name two different instruments.")
    keys = {"instruments": [*namings_of(into), *namings_of(instrument)]}
    found = services.preview_decision(user=user, kind=Decision.Kind.MERGE_INSTRUMENTS, keys=keys)
    address = reverse("instrument-merge", args=[instrument.pk])
    change = signed_decision(user, kind=Decision.Kind.MERGE_INSTRUMENTS, keys=keys)
    return previewed(request, user, found, change=change, apply=address, fields={"into": str(into.pk)})


@require_POST
@signed_in
def instrument_merge(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    may_decide(user)
    instrument = own_instrument(user, instrument_id)
    into = own_instrument(user, uuid_of(request.POST.get("into", "")))
    services.merge_instruments(instrument=instrument, into=into)
    return answered(request, user, "They are one now", "You can undo it under Decisions.")


@require_safe
@signed_in
def split_preview(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    """What it would change if some of its names meant another instrument."""
    may_decide(user)
    instrument, named = own_instrument(user, instrument_id), request.GET.getlist("naming")
    take_costly(user_id=user.pk, kind="preview")
    keys = {"instruments": chosen_namings(named)}
    found = services.preview_decision(user=user, kind=Decision.Kind.SPLIT_INSTRUMENT, keys=keys)
    address = reverse("instrument-split", args=[instrument.pk])
    change = signed_decision(user, kind=Decision.Kind.SPLIT_INSTRUMENT, keys=keys)
    return previewed(request, user, found, change=change, apply=address, fields={"namings": " ".join(named)})


@require_POST
@signed_in
def instrument_split(request: HttpRequest, user: User, instrument_id: UUID) -> HttpResponse:
    may_decide(user)
    instrument = own_instrument(user, instrument_id)
    named = request.POST.getlist("naming") or request.POST.get("namings", "").split()
    services.split_instrument(instrument=instrument, namings=chosen_namings(named))
    return answered(request, user, "They are two now", "You can undo it under Decisions.")


def chosen_namings(named: list[str]) -> list[list[str]]:
    """[source, key] of what a form ticked. Raises UnfitDecision for nothing."""
    pairs = [list(one.partition(":")[::2]) for one in named]
    if not pairs:
        raise UnfitDecision("Tick the names that mean another instrument.")
    return pairs


def namings_of(instrument: Instrument) -> list[list[str]]:
    return [[str(link.source_id), link.key] for link in sorted(instrument.links.all(), key=lambda link: link.pk)]


urlpatterns: list[URLPattern | URLResolver] = [
    path("reconciliation/instruments/", instruments_page, name="own-instruments"),
    path("reconciliation/instruments/<uuid:instrument_id>/", instrument_describe, name="instrument-describe"),
    path("reconciliation/instruments/<uuid:instrument_id>/merge/preview/", merge_preview, name="merge-preview"),
    path("reconciliation/instruments/<uuid:instrument_id>/merge/", instrument_merge, name="instrument-merge"),
    path("reconciliation/instruments/<uuid:instrument_id>/split/preview/", split_preview, name="split-preview"),
    path("reconciliation/instruments/<uuid:instrument_id>/split/", instrument_split, name="instrument-split"),
]

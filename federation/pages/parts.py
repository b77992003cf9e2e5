"""The lists that the tabs show, as parts that a form answers with: one template and one context each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from accounts.errors import TierRequired
from accounts.models import Tier, User
from federation import services
from federation.conflict_cards import sections
from federation.decision_lines import decision_lines
from federation.instrument_cards import instrument_board
from federation.link_cards import link_board
from federation.preview_cards import preview_card
from ingestion.models import SourceKind
from ingestion.selectors import import_runs, sources
from stackmotive.common.page_filters import kept_query
from stackmotive.common.problems import NotFound

LATEST = 5
Asked = Mapping[str, str]
Context = dict[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """page: the address that shows it whole, where no script asked."""

    template: str
    context: Callable[[User, Asked], Context]
    page: str


def may_see(user: User) -> None:
    """Raises TierRequired: the pages ask for what the API asks for."""
    if user.effective_tier < Tier.NAVIGATOR:
        raise TierRequired("Seeing how sources compare needs the navigator tier. Ask the owner of this installation.")


def may_decide(user: User) -> None:
    """Raises TierRequired."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Deciding what counts needs the operator tier. Ask the owner of this installation.")


def uuid_of(text: str) -> UUID:
    """Raises NotFound for what is no id."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound from exc


# --- what each list shows ----------------------------------------------------------


def conflicts_context(user: User, asked: Asked) -> Context:
    return {
        "sections": sections(user),
        "proposals": link_board(user).proposals,
        "decisions": decision_lines(user, most=LATEST),
    }


def found_context(user: User, asked: Asked) -> Context:
    """What an import brought to light beside the user's other sources. Raises NotFound for another user's."""
    asked_run = uuid_of(asked.get("run", ""))
    run = import_runs(user_id=user.pk).filter(pk=asked_run).select_related("source").first()
    if run is None:
        raise NotFound
    if run.source is None or run.undone_at is not None:
        return {"run": run.pk, "sections": (), "proposals": ()}
    others = sources(user_id=user.pk).exclude(pk=run.source.pk).exclude(kind=SourceKind.MANUAL)
    return {
        "run": run.pk,
        "source_name": run.source.name,
        "sections": sections(user, source=run.source.pk),
        "proposals": [one for one in link_board(user).proposals if one.source == run.source.pk],
        "is_first": not others.exists(),
    }


def accounts_context(user: User, asked: Asked) -> Context:
    return {"links": link_board(user)}


def instruments_context(user: User, asked: Asked) -> Context:
    return {"board": instrument_board(user, search=asked.get("q", ""))}


def decisions_context(user: User, asked: Asked) -> Context:
    return {"decisions": decision_lines(user), "taken_back": decision_lines(user, in_force=False)}


PARTS = {
    "conflicts": Part("federation/_conflicts.html", conflicts_context, "reconciliation"),
    "found": Part("federation/_found.html", found_context, "import-run"),
    "accounts": Part("federation/_accounts.html", accounts_context, "linked-accounts"),
    "instruments": Part("federation/_instruments.html", instruments_context, "own-instruments"),
    "decisions": Part("federation/_decisions.html", decisions_context, "decisions"),
}


# --- answers ----------------------------------------------------------


def part_context(user: User, name: str, asked: Asked) -> Context:
    is_operator = user.effective_tier >= Tier.OPERATOR
    return {"user": user, "list": name, "may_decide": is_operator} | PARTS[name].context(user, asked)


def tab(request: HttpRequest, user: User, name: str, template: str) -> HttpResponse:
    """A whole page of reconciliation."""
    context: Context = {
        "user": user,
        "page": "reconciliation",
        "tab": name,
        "filters": {"query": kept_query(request.GET.dict())},
    }
    if user.effective_tier < Tier.NAVIGATOR:
        return render(request, template, context | {"is_closed": True})
    return render(request, template, context | part_context(user, name, texts(request.GET.dict())))


def texts(form: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in form.items()}


def answered(request: HttpRequest, user: User, title: str, body: str) -> HttpResponse:
    """The list that the form stands in, as it is now, and a toast; the whole page where no script asked."""
    asked = texts(request.POST.dict())
    name = asked.get("list") if asked.get("list") in PARTS else "conflicts"
    part = PARTS[name or "conflicts"]
    if not request.headers.get("HX-Request"):
        messages.success(request, f"{title}. {body}")
        return HttpResponseRedirect(reverse(part.page, args=[uuid_of(asked.get("run", ""))] if name == "found" else []))
    response = render(request, part.template, part_context(user, name or "conflicts", asked))
    response["HX-Trigger"] = json.dumps({"toast:show": {"title": title, "body": body, "level": "success"}})
    return response


def previewed(
    request: HttpRequest,
    user: User,
    found: services.Preview,
    *,
    change: str,
    apply: str,
    fields: Mapping[str, str],
    target: str = "",
) -> HttpResponse:
    """The panel that shows what would change and applies it. change: the same, signed, to be told in money.

    target: what the answer replaces, "" = the asked list.
    """
    kept = {name: request.GET[name] for name in ("list", "run") if request.GET.get(name)}
    listed = kept.get("list") if kept.get("list") in PARTS else "conflicts"
    context = {
        "user": user,
        "preview": preview_card(found),
        "apply": apply,
        "change": change if found.moves_figures else "",
        "fields": dict(fields) | ({} if target else kept),
        "target": target or f"#{listed}",
    }
    return render(request, "federation/_preview.html", context)

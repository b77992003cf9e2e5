"""What all pages of ingestion share: what a tier may see and do, and the rows of the user that an address names."""

from uuid import UUID

from django.http import HttpRequest

from accounts.errors import TierRequired
from accounts.models import Tier, User
from ingestion import selectors
from ingestion.models import ImportRun, Source
from stackmotive.common.page_filters import kept_query
from stackmotive.common.problems import NotFound

NEW = "new"  # the source of a form that asks for one of its own


def base_context(request: HttpRequest, user: User, page: str) -> dict[str, object]:
    return {"user": user, "page": page, "filters": {"query": kept_query(request.GET.dict())}}


def may_import(user: User) -> None:
    """Raises TierRequired: importing by a page needs the tier that the API asks for."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Importing needs the operator tier. Ask the owner of this installation.")


def may_change_sources(user: User) -> None:
    """Raises TierRequired."""
    if user.effective_tier < Tier.OPERATOR:
        raise TierRequired("Changing sources needs the operator tier. Ask the owner of this installation.")


def own_source(user: User, source_id: UUID) -> Source:
    """Raises NotFound for another user's source."""
    source = selectors.sources(user_id=user.pk).filter(pk=source_id).first()
    if source is None:
        raise NotFound("Choose one of your sources.")
    return source


def chosen_source(request: HttpRequest, user: User) -> Source | None:
    """The source that a form names, None for none or a new one. Raises NotFound for one that is not the user's."""
    asked = request.POST.get("source", "")
    if asked in ("", NEW):
        return None
    source = next((s for s in selectors.sources(user_id=user.pk) if str(s.pk) == asked), None)
    if source is None:
        raise NotFound("Choose one of your sources.")
    return source


def own_run(user: User, run_id: UUID) -> ImportRun:
    """Raises NotFound for another user's run, TierRequired where the user may not see imports."""
    if user.effective_tier < Tier.NAVIGATOR:
        raise TierRequired("Seeing imports needs the navigator tier. Ask the owner of this installation.")
    run = selectors.import_runs(user_id=user.pk).filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run

"""A change that one page previews, handed to another page that previews it in money: signed, for its user, for minutes."""

from typing import Any
from uuid import UUID

from django.core.signing import BadSignature, dumps, loads

from accounts.models import User
from federation import services
from federation.services import Change
from ingestion.selectors import sources
from stackmotive.common.problems import NotFound

SALT = "previewed change"
SECONDS = 600


def signed_decision(user: User, *, kind: str, keys: dict[str, Any], value: dict[str, Any] | None = None) -> str:
    return dumps({"user": str(user.pk), "decision": {"kind": kind, "keys": keys, "value": value or {}}}, salt=SALT)


def signed_source(user: User, *, source: UUID, **values: int | bool) -> str:
    """values: priority or enabled."""
    return dumps({"user": str(user.pk), "source": str(source), "values": values}, salt=SALT)


def change_of(user: User, text: str) -> Change:
    """Raises NotFound for what was not signed for this user in the last minutes, and for a source that is gone."""
    try:
        told = loads(text, salt=SALT, max_age=SECONDS)
    except BadSignature as exc:
        raise NotFound("Ask for the preview again.") from exc
    if told["user"] != str(user.pk):
        raise NotFound("Ask for the preview again.")
    if "decision" in told:
        return services.decision_change(user=user, **told["decision"])
    source = sources(user_id=user.pk).filter(pk=told["source"]).first()
    if source is None:
        raise NotFound("Choose one of your sources.")
    return services.source_change(source=source, **told["values"])

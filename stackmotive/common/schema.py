"""The OpenAPI document: problem answers, tiers and decimals of every operation, written from the views themselves."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission

from stackmotive.common.problems import MEDIA_TYPE
from stackmotive.common.views import Public

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail", "code"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}, "code": {"type": "string"}},
            },
        },
        "request_id": {"type": ["string", "null"]},
    },
}
MEANINGS = {
    "400": "The request has a wrong form.",
    "401": "No valid token or session.",
    "403": "The tier or the account does not allow it.",
    "404": "Nothing of yours is here.",
    "406": "The asked form or version is not offered.",
    "409": "The current state does not allow it.",
    "412": "It was changed meanwhile.",
    "413": "The body is too large.",
    "415": "The body's type is not read.",
    "422": "The values break a rule.",
    "428": "If-Match is missing.",
    "429": "Too many requests; see Retry-After.",
    "503": "Something this needs does not answer.",
}


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the problems it can answer and the tier it needs."""

    def get_description(self) -> str:  # type: ignore[override]
        words = [super().get_description() or ""]
        if tier := self.tier():
            words.append(f"Tier: {tier} or higher.")
        return "\n\n".join(word for word in words if word)

    def get_operation(self, *args: Any, **named: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **named)
        if operation is not None and (tier := self.tier()):
            operation["x-tier"] = tier
        return operation

    def get_auth(self) -> list[dict[str, Any]]:
        return [] if self.rule() is Public else [{"bearer": []}, {"session": []}]

    def get_override_parameters(self) -> list[Any]:
        handler = getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)
        if not getattr(handler, "takes_idempotency_key", False):
            return []
        return [
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER,
                description="Again under the same key, the work is done once and the first answer kept for a day.",
            )
        ]  # fmt: skip

    def rule(self) -> type[BasePermission] | None:
        return getattr(self.view, "tiers", None)

    def tier(self) -> str | None:
        """The lowest tier that may, by name; None for public operations."""
        named = getattr(self.rule(), "tier_for", None)
        return named(self.method).label if named else None

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        problem = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM_SCHEMA, object="Problem"
        )
        self.registry.register_on_missing(problem)
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for code in self.problem_codes():
            bodies.setdefault(code, {"description": MEANINGS[code], "content": {MEDIA_TYPE: {"schema": problem.ref}}})
        return dict(sorted(bodies.items()))

    def problem_codes(self) -> list[str]:
        is_public, has_id, writes = self.rule() is Public, "{" in self.path, self.method in ("POST", "PUT", "PATCH")
        codes = ["400", "404" if has_id else "", "406", "429", "503"]
        codes += [] if is_public else ["401", "403"]
        codes += ["409", "413", "415", "422"] if writes else []
        codes += ["409"] if self.method == "DELETE" else []
        codes += ["412", "428"] if getattr(self.view, "answers_etag", False) and writes else []
        return sorted({code for code in codes if code})

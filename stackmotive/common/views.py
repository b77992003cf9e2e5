"""The base of every API view: who may, whose rows, how often.

A view states its rule once: `tiers = AtLeast(...)` of accounts.permissions, or `tiers = Public`. An action overrides it
by `@action(..., tiers=...)`. A view that states nothing is closed, and a test over all URLs fails on it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.filters import OrderingFilter
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from stackmotive.common.limits import take_costly
from stackmotive.common.problems import BadRequest, FieldError, NotFound


class Public(BasePermission):
    """Open to everybody: only for the operations that DESIGN 7 lists."""


class Undeclared(BasePermission):
    """The rule of a view that states none: closed."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class ApiRules:
    """Mixed into every view and viewset of the API."""

    tiers: type[BasePermission] = Undeclared
    costly: ClassVar[Mapping[str, str]] = {}
    """Action (or lower-case method of a plain view) -> the kind of costly work it starts (DESIGN 5.14)."""

    def get_permissions(self) -> list[BasePermission]:
        if self.tiers is Public:
            return [Public()]
        return [IsAuthenticated(), self.tiers()]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        kind = self.costly.get(getattr(self, "action", None) or (request.method or "").lower())
        if kind:
            take_costly(user_id=str(request.user.pk), kind=kind)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        response.setdefault("Cache-Control", "no-store")
        return response


class StrictOrdering(OrderingFilter):
    """`?ordering=` by the view's `ordering_fields` only; any other word is refused, not ignored."""

    def get_valid_fields(self, queryset: QuerySet[Any], view: APIView, context: Any = None) -> list[tuple[str, str]]:
        return [(name, name) for name in getattr(view, "ordering_fields", ())]

    def remove_invalid_fields(self, queryset: QuerySet[Any], fields: Any, view: APIView, request: Request) -> list[str]:
        known = {name for name, _ in self.get_valid_fields(queryset, view)}
        for term in fields:
            if term.removeprefix("-") not in known:
                allowed = ", ".join(sorted(known)) or "nothing"
                raise BadRequest(
                    f"This list can be ordered by {allowed}.", errors=[FieldError("#/ordering", "Unknown field.")]
                )
        return list(fields)


class ApiView(ApiRules, APIView):
    """A plain endpoint."""


class OwnedViewSet(ApiRules, GenericViewSet[Any]):
    """A viewset over the caller's own rows.

    `get_queryset` starts from `queryset.visible_to(request.user)`; override it with a selector that does the same.
    A foreign, a missing and a malformed id are one and the same 404. Lists are ordered and filtered by allow-lists.
    """

    filter_backends = [DjangoFilterBackend, StrictOrdering]
    ordering_fields: ClassVar[tuple[str, ...]] = ()
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> QuerySet[Any]:
        queryset: Any = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()  # type: ignore[no-any-return]
        return queryset.visible_to(self.request.user)  # type: ignore[no-any-return]

    def perform_create(self, serializer: Any) -> None:
        serializer.save(user=self.request.user)


def entity_tag(*parts: object) -> str:
    """A strong ETag of the parts that a state consists of."""
    return '"' + "-".join(str(part) for part in parts) + '"'


def accepted(data: Any, *, location: str) -> Response:
    """202: the work goes on; its row is at `location`."""
    return Response(data, status=202, headers={"Location": location})


__all__ = ["ApiRules", "ApiView", "NotFound", "OwnedViewSet", "Public", "StrictOrdering", "accepted", "entity_tag"]

"""Lists a page at a time: numbered pages, and keyset cursors for ledgers that grow while one reads."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Q, QuerySet
from rest_framework.pagination import BasePagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from stackmotive.common.problems import BadRequest, FieldError

PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
LONGEST_CURSOR = 2000


def page_size(request: Request) -> int:
    """`?page_size=`, at most 500; 50 where it is not given."""
    text = request.query_params.get("page_size", "")
    if not text:
        return PAGE_SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise BadRequest(
            "page_size is a whole number from 1 to 500.", errors=[FieldError("#/page_size", "Not 1 to 500.")]
        )
    return min(int(text), MAX_PAGE_SIZE)


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=`: {count, next, previous, results}. A page that does not exist is 404."""

    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE

    def get_page_size(self, request: Request) -> int:
        return page_size(request)


class Ledger(BasePagination):
    """`?cursor=` and `?page_size=`: {count?, next, previous, results}, in the queryset's own order.

    The cursor holds the ordering values of the row at the edge, so rows that arrive meanwhile neither repeat nor hide
    others. The primary key is added to the ordering as the last word. A view with `counts_rows = True` answers `count`.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.address = request.build_absolute_uri()
        self.count = queryset.count() if getattr(view, "counts_rows", False) else None
        self.ordering = total_ordering(queryset)
        size = page_size(request)
        backwards, edge = decode_cursor(request.query_params.get("cursor", ""))
        if edge is not None:
            queryset = queryset.filter(beyond(queryset, self.ordering, edge, backwards=backwards))
        rows = list(queryset.order_by(*directed(self.ordering, backwards=backwards))[: size + 1])
        more, rows = len(rows) > size, rows[:size]
        if backwards:
            rows.reverse()
        self.has_next = backwards or more
        self.has_previous = more if backwards else edge is not None
        self.rows = rows
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        body: dict[str, Any] = {} if self.count is None else {"count": self.count}
        body["next"] = self.link(self.rows[-1], backwards=False) if self.rows and self.has_next else None
        body["previous"] = self.link(self.rows[0], backwards=True) if self.rows and self.has_previous else None
        return Response(body | {"results": data})

    def link(self, row: Any, *, backwards: bool) -> str:
        values = [_text(_value(row, name)) for name, _ in self.ordering]
        text = json.dumps([int(backwards), values], separators=(",", ":"))
        cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return replace_query_param(remove_query_param(self.address, "cursor"), "cursor", cursor)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"count": {"type": "integer"}, "next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"},
             "description": "The value that `next` or `previous` gave."},
            {"name": "page_size", "in": "query", "required": False,
             "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}},
        ]  # fmt: skip


def total_ordering(queryset: QuerySet[Any]) -> list[tuple[str, bool]]:
    """(field, is_descending) of the queryset's plain ordering, made unique by the primary key."""
    names = [str(name) for name in queryset.query.order_by or queryset.model._meta.ordering or ()]
    ordering = [(name.removeprefix("-"), name.startswith("-")) for name in names]
    if not {"pk", "id"} & {name for name, _ in ordering}:
        ordering.append(("pk", ordering[-1][1] if ordering else True))
    return ordering


def directed(ordering: Sequence[tuple[str, bool]], *, backwards: bool) -> list[Any]:
    """Order expressions; unknown (null) values come last going forward."""
    return [
        F(name).desc(nulls_last=True) if descending and not backwards
        else F(name).asc(nulls_last=True) if not descending and not backwards
        else F(name).asc(nulls_first=True) if descending
        else F(name).desc(nulls_first=True)
        for name, descending in ordering
    ]  # fmt: skip


def beyond(
    queryset: QuerySet[Any], ordering: Sequence[tuple[str, bool]], edge: Sequence[str | None], *, backwards: bool
) -> Q:
    """The rows after (or before) the row whose ordering values are `edge`."""
    if len(edge) != len(ordering):
        raise _bad_cursor()
    condition, equal = Q(pk__in=[]), Q()
    for (name, descending), text in zip(ordering, edge, strict=True):
        value = _parsed(queryset, name, text)
        if value is None:
            step = Q(**{f"{name}__isnull": False}) if backwards else Q(pk__in=[])
            same = Q(**{f"{name}__isnull": True})
        else:
            comparison = "lt" if descending != backwards else "gt"
            step = Q(**{f"{name}__{comparison}": value})
            if not backwards and _is_nullable(queryset, name):
                step |= Q(**{f"{name}__isnull": True})
            same = Q(**{name: value})
        condition |= equal & step
        equal &= same
    return condition


def _field(queryset: QuerySet[Any], name: str) -> Any:
    model = queryset.model
    *path, last = name.split("__")
    for step in path:
        model = model._meta.get_field(step).related_model
    return model._meta.pk if last == "pk" else model._meta.get_field(last)


def _is_nullable(queryset: QuerySet[Any], name: str) -> bool:
    try:
        return "__" in name or bool(_field(queryset, name).null)
    except FieldDoesNotExist:  # an annotation
        return True


def _parsed(queryset: QuerySet[Any], name: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        annotation = queryset.query.annotations.get(name)
        field = annotation.output_field if annotation is not None else _field(queryset, name)
        return field.to_python(text)
    except (ValidationError, ValueError, ArithmeticError) as exc:
        raise _bad_cursor() from exc


def _value(row: Any, name: str) -> Any:
    for step in name.split("__"):
        row = row.get(step) if isinstance(row, Mapping) else getattr(row, step)
    return row


def _text(value: Any) -> str | None:
    return (
        None
        if value is None
        else value.isoformat()
        if hasattr(value, "isoformat")
        else str(getattr(value, "pk", value))
    )


def decode_cursor(cursor: str) -> tuple[bool, list[str | None] | None]:
    """(backwards, ordering values of the edge row); (False, None) for no cursor. Raises BadRequest for others."""
    if not cursor:
        return False, None
    if len(cursor) > LONGEST_CURSOR or not cursor.isascii():
        raise _bad_cursor()
    try:
        backwards, values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, TypeError, RecursionError) as exc:
        raise _bad_cursor() from exc
    if backwards not in (0, 1) or not isinstance(values, list) or not all(v is None or _is_plain(v) for v in values):
        raise _bad_cursor()
    return bool(backwards), values


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and (value.isascii() or value.isprintable())


def _bad_cursor() -> BadRequest:
    return BadRequest(
        "The cursor was not made by this list. Start again without it.",
        errors=[FieldError("#/cursor", "Unknown cursor.")],
    )

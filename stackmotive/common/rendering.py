"""JSON out: decimals as plain strings, times in UTC with Z."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

from stackmotive.common.money import plain

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS


def _default(value: Any) -> Any:
    """What orjson does not know by itself. Raises TypeError for the rest, an answer that nobody should build."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise TypeError("A number that is not finite cannot be answered; unknown is null with a reason.")
        return plain(value)
    if isinstance(value, Promise):
        return str(value)
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def to_json(data: Any) -> bytes:
    """`data` as JSON bytes: Decimal("1200.50") is "1200.5", an aware time ends in Z."""
    return orjson.dumps(data, default=_default, option=OPTIONS)


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 by definition
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else to_json(data)

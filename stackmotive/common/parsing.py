"""JSON and forms in, strictly: what PostgreSQL or the ledger could not hold is refused before a view sees it."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from stackmotive.common.problems import TooLarge

MAX_DEPTH = 32


class StrictJSONParser(BaseParser):
    """application/json: numbers with a point become Decimal; NaN, NUL, lone surrogates and doubled keys are refused."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return parse_json(read_bounded(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE))


class StrictMultiPartParser(MultiPartParser):
    """multipart/form-data whose text fields and file names hold no NUL."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        parsed = super().parse(stream, media_type, parser_context)
        texts = [(name, text) for name, texts in parsed.data.lists() for text in texts]
        names = [(name, upload.name or "") for name, uploads in parsed.files.lists() for upload in uploads]
        for name, text in [*texts, *names]:
            check_text(name)
            check_text(text)
        return parsed


def read_bounded(stream: IO[bytes], limit: int) -> bytes:
    """The body, or TooLarge once it holds more than `limit` bytes."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"Send at most {limit} bytes of JSON.")
    return body


def parse_json(body: bytes) -> Any:
    """The value of one JSON document. Raises ParseError with what to do."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_float=_number, parse_constant=_constant, object_pairs_hook=_object
        )
    except UnicodeDecodeError as exc:
        raise ParseError("The body is not UTF-8.") from exc
    except RecursionError as exc:
        raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.") from exc
    except json.JSONDecodeError as exc:
        raise ParseError(f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except ValueError as exc:  # an integer of thousands of digits
        raise ParseError("The body holds a number that is too long.") from exc
    check_value(value)
    return value


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise ParseError("The body holds a number whose exponent is too large.") from exc


def _constant(name: str) -> Any:
    raise ParseError(f"{name} is not a JSON number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ParseError("An object names the same member twice.")
    return value


def check_value(value: Any) -> None:
    """Refuse text that PostgreSQL cannot hold, and nesting beyond MAX_DEPTH."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
            waiting.extend((inner, depth + 1) for inner in _children(item))


def _children(item: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item.keys()
        yield from item.values()
    else:
        yield from item


def check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("Text must not hold the NUL character.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ParseError("Text must be valid Unicode: it holds half of a surrogate pair.")

"""`Idempotency-Key`: the same POST sent again does its work once, and gets the first answer for 24 hours.

The record's row stays locked while the first request runs, and the work and its answer commit together. So a process
that dies half-way leaves neither, frees the lock at once, and the next try starts afresh.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.errors import KeyReused, StillRunning
from accounts.models import IdempotencyRecord
from stackmotive.common.problems import BadRequest
from stackmotive.common.rendering import to_json

LASTS = dt.timedelta(hours=24)
SANE_KEY = re.compile(r"[\x21-\x7e]{1,200}")
Handler = Callable[..., HttpResponseBase]


def idempotent(handler: Handler) -> Handler:
    """Decorates the POST handler of a view or viewset action. Without the header it changes nothing.

    Another body under the same key is 422, a first request that still runs 409. An answer that refuses is not kept.
    """

    @wraps(handler)
    def guarded(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return handler(view, request, *args, **kwargs)
        if not SANE_KEY.fullmatch(key):
            raise BadRequest("Idempotency-Key is 1 to 200 visible ASCII characters without spaces, best a UUID.")
        named = {
            "user_id": caller(request).pk,
            "endpoint": hashlib.sha256(request.path.encode()).hexdigest(),
            "key": key,
        }
        return once(named, body_digest(request), lambda: handler(view, request, *args, **kwargs))

    guarded.takes_idempotency_key = True  # type: ignore[attr-defined]  # read by the OpenAPI document
    return guarded


def once(named: dict[str, Any], digest: str, work: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Do `work` under the record `named`, or answer as it was answered before."""
    IdempotencyRecord.objects.bulk_create([IdempotencyRecord(**named, body_digest=digest)], ignore_conflicts=True)
    records = IdempotencyRecord.objects.filter(**named)
    with transaction.atomic():
        record = records.select_for_update(skip_locked=True).first()
        if record is None:
            raise StillRunning("Wait for its answer, then send it again with the same key to read it.")
        is_answered = record.status_code is not None and record.created_at > timezone.now() - LASTS
        if is_answered and record.body_digest != digest:
            raise KeyReused("Use a new key for a new request.")
        if is_answered:
            return replayed(record)
        response = work()
        if response.status_code < 400:
            keep(record, digest, response)
        else:
            transaction.set_rollback(True)
    return response


def keep(record: IdempotencyRecord, digest: str, response: HttpResponseBase) -> None:
    record.body_digest, record.created_at = digest, timezone.now()
    record.status_code, record.location = response.status_code, response.get("Location", "")
    data = response.data if isinstance(response, Response) else None
    record.answer = "" if data is None else to_json(data).decode()
    record.save(update_fields=["body_digest", "created_at", "status_code", "location", "answer"])


def replayed(record: IdempotencyRecord) -> HttpResponse:
    response = HttpResponse(record.answer, status=record.status_code, content_type="application/json")
    response["Idempotency-Replayed"] = "true"
    if record.location:
        response["Location"] = record.location
    return response


def body_digest(request: Request) -> str:
    """SHA-256 over what was sent: JSON by its value, a form by its fields and the content of its files."""
    data: Any = request.data
    if not isinstance(data, QueryDict):
        return hashlib.sha256(to_json(sorted_members(data))).hexdigest()
    digest = hashlib.sha256()
    for name in sorted(data):
        for value in data.getlist(name):
            chunks = value.chunks() if hasattr(value, "chunks") else [str(value).encode()]
            part = hashlib.sha256()
            for chunk in chunks:
                part.update(chunk)
            if hasattr(value, "seek"):
                value.seek(0)
            digest.update(hashlib.sha256(name.encode()).digest() + part.digest())
    return digest.hexdigest()


def sorted_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted_members(value[name]) for name in sorted(value)}
    return [sorted_members(item) for item in value] if isinstance(value, list) else str(value)

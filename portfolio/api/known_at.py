"""`?known_at=`: what the API answers by the facts of an earlier time. A worker computes it; 202 until it is there."""

import datetime as dt
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from federation import selectors as federation
from federation.services.versions import Moment, moment_at, moment_of_version
from portfolio import tasks
from portfolio.api.callers import EVERYBODY, caller, parsed_id
from portfolio.models import KnownAnswer
from portfolio.replay import addressed
from portfolio.services import past
from portfolio.valuation_day import end_of_day
from stackmotive.common.fields import DayField, NumberField
from stackmotive.common.problems import BadRequest, FieldError, NotFound
from stackmotive.common.views import ApiView, accepted

LATEST_VERSION = 2**63 - 1
KNOWN_AT = OpenApiParameter(
    "known_at",
    OpenApiTypes.STR,
    description="Answer by what was known at this time (ISO 8601, or a day: its end where you live): the facts, prices "
    "and settings committed by then, under the rules of the first asking. Computed once and kept: 202 with `Location` "
    "until it is ready, then the same request answers 200.",
)
Handler = Callable[..., Any]


def knowable(check: Callable[[Any, Request], Any]) -> Callable[[Handler], Handler]:
    """A GET that also answers `?known_at=`. check: what refuses the other parameters before a worker is asked."""

    def wrapped(handler: Handler) -> Handler:
        @wraps(handler)
        def answered(self: Any, request: Request, *args: Any, **named: Any) -> Any:
            if "known_at" not in request.query_params or getattr(request, "is_replay", False):
                return handler(self, request, *args, **named)
            user, text = caller(request), request.query_params["known_at"]
            at = instant(text, request, name="known_at")
            check(self, request)
            asked = past.question(user=user, path=request.path, query=request.META.get("QUERY_STRING", ""), at=at)
            return told(request, tasks.enqueue_answer(user=user, asked=asked), known_at=text)

        return answered

    return wrapped


def filters_hold(view: Any, request: Request) -> None:
    """The check of a list: its filters, its page size and its cursor."""
    view.paginate_queryset(view.filter_queryset(view.get_queryset().none()))


def instant(text: str, request: Request, *, name: str) -> dt.datetime:
    """A time that has passed; a day is its end where the user lives. Raises BadRequest."""
    detail = "Write a time that has passed as ISO 8601, such as 2024-03-31T18:00:00Z, or a day."
    try:
        at = end_of_day(caller(request), DayField().to_internal_value(text)) if len(text) <= 10 else _time(text)
    except (serializers.ValidationError, ValueError) as exc:
        raise BadRequest(detail, errors=[FieldError(f"#/{name}", "Not a time.")]) from exc
    now = timezone.now()
    if at > now and len(text) <= 10 and at - now < dt.timedelta(days=1):
        return now  # the day that is not over yet
    if at > now:
        raise BadRequest(detail, errors=[FieldError(f"#/{name}", "This time is yet to come.")])
    return at


def _time(text: str) -> dt.datetime:
    """A plus that was not escaped comes as a blank."""
    if len(text) > 40 or not text.isascii():
        raise ValueError(text[:40])
    at: dt.datetime = serializers.DateTimeField(default_timezone=dt.UTC).to_internal_value(text.replace(" ", "+"))
    return at


def told(request: Request, row: KnownAnswer, *, known_at: str) -> HttpResponse | Response:
    if row.status != KnownAnswer.Status.DONE:
        return accepted(_shown(row), location=reverse("api-known-answer", args=[row.pk], request=request))
    body = addressed(row.answer, server=f"{request.scheme}://{request.get_host()}", known_at=quote(known_at, safe=""))
    code = row.status_code or 200
    kind = "application/json" if code < 400 else "application/problem+json"
    return HttpResponse(body, status=code, content_type=kind)


def _shown(row: KnownAnswer) -> dict[str, Any]:
    return {
        "id": row.pk,
        "status": row.status,
        "moments": row.moments,
        "path": row.path,
        "query": row.query,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


class MomentSerializer(serializers.Serializer[Any]):
    """What was known: the numbers of the newest facts of the user and of the shared ones, and of the ledger."""

    at = serializers.DateTimeField()
    fact_number = serializers.IntegerField()
    market_number = serializers.IntegerField()
    ledger_version = serializers.IntegerField()


class KnownAnswerSerializer(serializers.Serializer[Any]):
    """A question about an earlier time. Once `done`, the same request as before answers it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(KnownAnswer.Status.choices)
    moments = MomentSerializer(many=True)
    path = serializers.CharField()
    query = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


NOT_READY = OpenApiResponse(KnownAnswerSerializer, description="A worker computes it; watch `Location`.")


class KnownAnswerView(ApiView):
    """How far a question about an earlier time has come."""

    tiers = EVERYBODY

    @extend_schema(responses=KnownAnswerSerializer)
    def get(self, request: Request, id: str) -> Response:  # the name in the address
        row = KnownAnswer.objects.visible_to(caller(request)).filter(pk=parsed_id(id)).first()
        if row is None:
            raise NotFound
        return Response(_shown(row))


class RowSerializer(serializers.Serializer[Any]):
    """A row of the ledger as it was known; the fields of a transaction."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    trade_date = DayField()
    account_name = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)


class ChangedRowSerializer(serializers.Serializer[Any]):
    before = RowSerializer()
    after = RowSerializer()
    fields_changed = serializers.ListField(child=serializers.CharField())

    def get_fields(self) -> dict[str, Any]:
        found = super().get_fields()
        return {"before": found["before"], "after": found["after"], "fields": found["fields_changed"]}


class MovedFigureSerializer(serializers.Serializer[Any]):
    before = NumberField(allow_null=True)
    after = NumberField(allow_null=True)
    change = NumberField(allow_null=True)


class LearntFactSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    cause = serializers.CharField()
    committed_at = serializers.DateTimeField()


class VersionSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    cause = serializers.CharField()
    fact_number = serializers.IntegerField()
    market_number = serializers.IntegerField()
    rules_version = serializers.IntegerField()
    content_hash = serializers.CharField()
    created_at = serializers.DateTimeField()


class KnownMomentSerializer(serializers.Serializer[Any]):
    known_at = serializers.DateTimeField()
    fact_number = serializers.IntegerField()
    market_number = serializers.IntegerField()
    ledger_version = serializers.IntegerField()


class ChangesSerializer(serializers.Serializer[Any]):
    """What was learnt since. `figures`: of the day `as_of` by both states of knowledge, so that what moved is what was
    learnt and not the market. Lists hold the newest 500; `counts` counts all.
    """

    since = KnownMomentSerializer()
    until = KnownMomentSerializer()
    as_of = DayField()
    currency = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField())
    added = RowSerializer(many=True)
    removed = RowSerializer(many=True)
    changed = ChangedRowSerializer(many=True)
    figures = serializers.DictField(child=MovedFigureSerializer())
    facts = LearntFactSerializer(many=True)
    versions = VersionSerializer(many=True)


class ChangesView(ApiView):
    """What was learnt since a time or a version of the ledger, and what it did to the figures."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "since",
                OpenApiTypes.STR,
                required=True,
                description="A time that has passed (ISO 8601), a day (its end where you live) or the number of a "
                "version of the ledger.",
            ),
            OpenApiParameter(
                "known_at",
                OpenApiTypes.STR,
                description="Compare with what was known at this time, not before `since`; now, where it is left out.",
            ),
        ],
        responses={200: ChangesSerializer, 202: NOT_READY},
    )
    def get(self, request: Request) -> Any:
        text = request.query_params.get("since", "")
        since, until = _since(text, request), timezone.now()
        if "known_at" in request.query_params:
            until = instant(request.query_params["known_at"], request, name="known_at")
            if until < since.at:
                raise BadRequest(
                    "Name a time after `since`.", errors=[FieldError("#/known_at", "It lies before `since`.")]
                )
        asked = past.comparison(user=caller(request), path=request.path, since=since, until=until)
        return told(request, tasks.enqueue_answer(user=caller(request), asked=asked), known_at="")


def _since(text: str, request: Request) -> Moment:
    user = caller(request)
    if not (text.isascii() and text.isdigit()):
        return moment_at(user_id=user.pk, at=instant(text, request, name="since"))
    number = int(text) if len(text) < 20 else LATEST_VERSION + 1
    version = federation.versions(user).filter(number=number).first() if number <= LATEST_VERSION else None
    if version is None:
        raise BadRequest("Name a version that your ledger has had.", errors=[FieldError("#/since", "Unknown version.")])
    return moment_of_version(version=version)

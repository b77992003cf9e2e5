"""`/api/portfolio/explain/`: the tree of a figure."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from federation.models import BrokerAccount
from portfolio.api.callers import EVERYBODY, caller
from portfolio.api.figure_serializers import ScopeQuery
from portfolio.api.known_at import KNOWN_AT, NOT_READY, knowable
from portfolio.explain import FIGURES, MOST_CHILDREN, Node, Question, explain
from portfolio.selectors import BREAKDOWNS, standing
from stackmotive.common.fields import DayField, NumberField, OwnedRelatedField
from stackmotive.common.money import plain
from stackmotive.common.problems import NotFound
from stackmotive.common.views import ApiView

NAMES = sorted({name for names in FIGURES.values() for name in names})


class ExplainQuery(ScopeQuery):
    """Which figure of what. Name one thing at most; none is the portfolio, or the account."""

    figure = serializers.ChoiceField(NAMES)
    position = serializers.UUIDField(required=False)
    instrument = serializers.UUIDField(required=False, help_text="A holding over all its accounts.")
    cash = serializers.RegexField(
        r"^[0-9a-f-]{36}:[A-Z]{3}\Z", required=False, max_length=40, help_text="A balance: account id, colon, currency."
    )
    lot = serializers.UUIDField(required=False)
    gain = serializers.UUIDField(required=False)
    date = DayField(required=False, help_text="One day of the account, or of all.")
    by = serializers.ChoiceField(sorted(BREAKDOWNS), required=False, help_text="A breakdown; `key` names its part.")
    key = serializers.CharField(required=False, max_length=80)
    to = DayField(required=False)
    benchmark = serializers.UUIDField(required=False)
    offset = serializers.IntegerField(min_value=0, max_value=10_000_000, default=0, help_text="First child to show.")
    account = OwnedRelatedField(queryset=BrokerAccount.objects.all(), required=False)

    path = serializers.RegexField(
        r"^\d{1,6}(\.\d{1,6}){0,9}\Z", required=False, max_length=70, help_text="A child of a child, by their places."
    )

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": DayField(required=False)}

    def validate_cash(self, value: str) -> tuple[UUID, str]:
        account, _, currency = value.partition(":")
        try:
            return UUID(account), currency
        except ValueError as exc:
            raise serializers.ValidationError("Write the account's id, a colon and a currency.") from exc


class RefSerializer(serializers.Serializer[Any]):
    """The row that a value is read from: its id, or the fields that name it."""

    type = serializers.CharField()
    id = serializers.CharField(allow_null=True)
    href = serializers.CharField(allow_null=True)
    detail = serializers.DictField(child=serializers.CharField())


class TreeSerializer(serializers.Serializer[Any]):
    """A value and what it is made of. `value` is what `operation` makes of all `count` children, rounded half-even to
    `places` where given; at most 50 of them are shown, the rest by `next`. `href` opens a figure that is not opened
    here.
    """

    operation = serializers.CharField()
    statistic = serializers.CharField(allow_blank=True)
    value = NumberField(allow_null=True)
    unit = serializers.CharField()
    places = serializers.IntegerField(allow_null=True)
    date = DayField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    is_double = serializers.BooleanField(help_text="Kept as float64: equal to its parts to 1e-9.")
    count = serializers.IntegerField()
    ref = RefSerializer(allow_null=True)
    href = serializers.CharField(allow_null=True)
    next = serializers.CharField(allow_null=True)
    children = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        return {"label": serializers.CharField(), **super().get_fields()}

    @extend_schema_field({"type": "array", "items": {"$ref": "#/components/schemas/Tree"}})
    def get_children(self, node: Any) -> Any:
        return node["children"]


class ExplanationSerializer(TreeSerializer):
    """The tree of a figure, and how current it is."""

    figure = serializers.CharField()
    as_of = DayField()
    ledger_version = serializers.IntegerField()
    is_stale = serializers.BooleanField()


class ExplainView(ApiView):
    """Where a figure comes from: operations in words and numbers, down to rows, prices and rates."""

    tiers = EVERYBODY

    @extend_schema(parameters=[ExplainQuery, KNOWN_AT], responses={200: ExplanationSerializer, 202: NOT_READY})
    @knowable(lambda _view, request: _asked(request))
    def get(self, request: Request) -> Response:
        values = _asked(request)
        offset, path = values.pop("offset"), values.pop("path", "")
        node = explain(user=caller(request), question=Question(**values))
        if node is None:
            raise NotFound(f"Nothing of yours has the figure {values['figure']} by these words.")
        for place in filter(None, path.split(".")):
            if int(place) >= len(node.children):
                raise NotFound("The figure has no such part.")
            node = node.children[int(place)]
        now = standing(user=caller(request))
        return Response(
            {
                "figure": values["figure"],
                "as_of": values.get("as_of") or now.valued_on,
                "ledger_version": now.ledger_version,
                "is_stale": now.is_stale,
            }
            | shown(node, request, path=path, offset=offset)
        )


def _asked(request: Request) -> dict[str, Any]:
    """The checked words of the question. Raises ValidationError."""
    query = ExplainQuery(data=request.query_params.dict(), context={"request": request})
    query.is_valid(raise_exception=True)
    values = dict(query.validated_data)
    if "account" in values:
        values["account"] = values["account"].pk
    for word, name in (("from", "start"), ("to", "end")):
        if word in values:
            values[name] = values.pop(word)
    return values


def shown(node: Node, request: Request, *, path: str = "", offset: int = 0) -> dict[str, Any]:
    """A tree as the API answers it. path: the places that lead to it from the figure."""
    address = reverse("api-explain", request=request)
    end = offset + MOST_CHILDREN
    rest = None
    if len(node.children) > end:
        asked = request.query_params.dict() | {"offset": str(end)} | ({"path": path} if path else {})
        rest = f"{address}?{urlencode(asked)}"
    before = f"{path}." if path else ""
    return {
        "label": node.label,
        "operation": node.operation,
        "statistic": node.statistic,
        "value": None if node.value is None else plain(node.value),
        "unit": node.unit,
        "places": node.places,
        "date": node.on,
        "reason": node.reason,
        "is_double": node.is_double,
        "count": len(node.children),
        "ref": _ref(node, request),
        "href": f"{address}?{urlencode(node.question)}" if node.question else None,
        "next": rest,
        "children": [
            shown(child, request, path=f"{before}{place}")
            for place, child in enumerate(node.children[offset:end], start=offset)
        ],
    }


def _ref(node: Node, request: Request) -> dict[str, Any] | None:
    if node.ref is None:
        return None
    href = None
    if node.ref.type == "transaction":
        href = reverse("api-transaction-detail", args=[node.ref.id], request=request)
    return {"type": node.ref.type, "id": node.ref.id or None, "href": href, "detail": dict(node.ref.detail)}

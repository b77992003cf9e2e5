"""Computed figures, as the selectors answer them."""

from dataclasses import fields
from typing import Any

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from portfolio import selectors
from portfolio.api import figure_serializers, filters, serializers
from portfolio.api.callers import EVERYBODY, caller, parsed_id
from portfolio.api.known_at import KNOWN_AT, NOT_READY, filters_hold, knowable
from portfolio.models import CashBalance, Lot, Position, RealizedGain
from portfolio.selectors.positions import PositionRow
from stackmotive.common.pagination import Pages
from stackmotive.common.problems import NotFound
from stackmotive.common.views import ApiView, OwnedViewSet


def asked(query: type[Any], request: Request) -> dict[str, Any]:
    """The checked parameters of a query; `account` as an id. Raises ValidationError."""
    found = query(data=request.query_params.dict(), context={"request": request})
    found.is_valid(raise_exception=True)
    values = dict(found.validated_data)
    if "account" in values:
        values["account"] = values["account"].pk
    return values


class SummaryView(ApiView):
    """The headline figures."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[figure_serializers.ScopeQuery, KNOWN_AT],
        responses={200: figure_serializers.SummarySerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(figure_serializers.ScopeQuery, request))
    def get(self, request: Request) -> Response:
        values = asked(figure_serializers.ScopeQuery, request)
        return Response(selectors.summary(user=caller(request), **values).as_dict())


class PerformanceView(ApiView):
    """Returns and risk over a period, with the daily series behind them."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[figure_serializers.PerformanceQuery, KNOWN_AT],
        responses={200: figure_serializers.PerformanceSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(figure_serializers.PerformanceQuery, request))
    def get(self, request: Request) -> Response:
        values = asked(figure_serializers.PerformanceQuery, request)
        form = values.pop("series")
        found = selectors.performance(
            user=caller(request), start=values.pop("from", None), end=values.pop("to", None), **values
        )
        body = found.as_dict()
        if form == "columns":
            names = ("date", "value", "flow", "twr_index")
            body["series"] = {name: [point[name] for point in body["series"]] for name in names}
        return Response(body)


class AllocationView(ApiView):
    """How the known value splits."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[figure_serializers.AllocationQuery, KNOWN_AT],
        responses={200: figure_serializers.AllocationSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(figure_serializers.AllocationQuery, request))
    def get(self, request: Request) -> Response:
        values = asked(figure_serializers.AllocationQuery, request)
        return Response(selectors.allocation(user=caller(request), **values).as_dict())


POSITION_FIELDS = [field.name for field in fields(PositionRow)]


class PositionViewSet(OwnedViewSet):
    """What is held, largest value first."""

    tiers = EVERYBODY
    queryset = Position.objects.all()
    serializer_class = figure_serializers.PositionSerializer
    pagination_class = Pages
    filter_backends = []

    @extend_schema(
        parameters=[figure_serializers.PositionsQuery, KNOWN_AT],
        responses={200: figure_serializers.PositionSerializer(many=True), 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(figure_serializers.PositionsQuery, request))
    def list(self, request: Request) -> Response:
        values = {
            name: value
            for name, value in asked(figure_serializers.PositionsQuery, request).items()
            if name not in ("page", "page_size")
        }
        page: Any = self.paginate_queryset(selectors.positions(user=caller(request), **values))
        return self.get_paginated_response([_fields(row) for row in page])

    def retrieve(self, request: Request, pk: str) -> Response:
        wanted = parsed_id(pk)
        row = next((row for row in selectors.positions(user=caller(request)) if row.id == wanted), None)
        if row is None:
            raise NotFound
        return Response(_fields(row))


def _fields(row: PositionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in POSITION_FIELDS}


class RowsViewSet(OwnedViewSet):
    """A list of stored rows, answered without a model instance each."""

    tiers = EVERYBODY
    names: tuple[str, ...] = ()

    def shown(self, rows: QuerySet[Any]) -> Any:
        return rows.values(*self.names, account_name=F("account__name"), symbol=F("instrument__symbol"))

    @knowable(filters_hold)
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.shown(self.filter_queryset(self.get_queryset())))
        return self.get_paginated_response(page)


def stored_fields(serializer: Any) -> tuple[str, ...]:
    return tuple(name for name in serializer.Meta.fields if name not in ("account_name", "symbol"))


@extend_schema_view(
    list=extend_schema(parameters=[KNOWN_AT], responses={200: serializers.LotSerializer(many=True), 202: NOT_READY})
)
class LotViewSet(RowsViewSet):
    """Open lots, oldest first."""

    queryset = Lot.objects.order_by("acquired_on", "id")
    serializer_class = serializers.LotSerializer
    filterset_class = filters.HoldingFilter
    names = stored_fields(serializers.LotSerializer)


@extend_schema_view(
    list=extend_schema(
        parameters=[KNOWN_AT], responses={200: serializers.RealizedGainSerializer(many=True), 202: NOT_READY}
    )
)
class RealizedGainViewSet(RowsViewSet):
    """What sales relieved, newest first."""

    queryset = RealizedGain.objects.order_by("-closed_on", "-id")
    serializer_class = serializers.RealizedGainSerializer
    filterset_class = filters.RealizedGainFilter
    names = stored_fields(serializers.RealizedGainSerializer)


@extend_schema_view(
    list=extend_schema(
        parameters=[KNOWN_AT], responses={200: figure_serializers.CashBalanceSerializer(many=True), 202: NOT_READY}
    )
)
class CashBalanceViewSet(RowsViewSet):
    """Cash of today by account and currency."""

    queryset = CashBalance.objects.order_by("account__name", "account_id", "currency")
    serializer_class = figure_serializers.CashBalanceSerializer
    filterset_fields = ("currency",)
    names = ("account", "currency", "amount", "amount_base", "unexplained_amount", "reported_as_of", "as_of")

    def shown(self, rows: QuerySet[Any]) -> Any:
        return rows.values(*self.names, account_name=F("account__name"))

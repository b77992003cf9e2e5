"""The user's own prices and rates."""

from typing import Any, ClassVar

from django.db.models import F, QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent
from portfolio import observations, services
from portfolio.api import filters, serializers
from portfolio.api.callers import EVERYBODY, caller
from portfolio.api.parsing import CsvParser, CsvText
from portfolio.models import FxRate, Price
from stackmotive.common.pagination import Ledger
from stackmotive.common.parsing import StrictJSONParser
from stackmotive.common.views import OwnedViewSet

RECORDED = {201: OpenApiResponse(serializers.RecordedSerializer, description="Kept; figures follow in the worker.")}


class ObservationViewSet(OwnedViewSet):
    """Rows of the caller alone, newest day first; a JSON list or a CSV adds to them."""

    tiers = EVERYBODY
    parser_classes: ClassVar[list[type[BaseParser]]] = [StrictJSONParser, CsvParser]  # type: ignore[misc]
    pagination_class = Ledger


@extend_schema_view(list=extend_schema(responses=serializers.PriceSerializer(many=True)))
class PriceViewSet(ObservationViewSet):
    """Closes of the caller's own, before all other sources for them."""

    queryset = Price.objects.order_by("-date", "-id")
    serializer_class = serializers.PriceSerializer
    filterset_class = filters.PriceFilter

    def get_queryset(self) -> QuerySet[Price]:
        if getattr(self, "swagger_fake_view", False):
            return Price.objects.none()
        return Price.objects.filter(user=caller(self.request)).order_by("-date", "-id")

    def list(self, request: Request) -> Response:
        rows: Any = self.filter_queryset(self.get_queryset()).values(
            "id", "listing", "date", "close", "basis", "provider", "recorded_at",
            instrument=F("listing__instrument_id"), symbol=F("listing__instrument__symbol"),
            currency=F("listing__currency"),
        )  # fmt: skip
        return self.get_paginated_response(self.paginate_queryset(rows))

    @extend_schema(
        request={
            "application/json": serializers.PriceRequestSerializer(many=True),
            "text/csv": {
                "type": "string",
                "description": "Columns instrument or symbol or isin, date, close, currency.",
            },
        },
        responses=RECORDED,
    )
    @idempotent
    def create(self, request: Request) -> Response:
        rows = _rows(request.data, ("instrument|symbol|isin", "date", "close", "currency"))
        stated = observations.prices_of(rows)
        number = services.record_stated_prices(user=caller(request), rows=stated)
        return Response({"recorded": len(stated), "fact_number": number}, status=201)


@extend_schema_view(list=extend_schema(responses=serializers.RateSerializer(many=True)))
class FxRateViewSet(ObservationViewSet):
    """Rates of the caller's own, before all other sources for them."""

    queryset = FxRate.objects.order_by("-date", "-id")
    serializer_class = serializers.RateSerializer
    filterset_class = filters.RateFilter

    def get_queryset(self) -> QuerySet[FxRate]:
        if getattr(self, "swagger_fake_view", False):
            return FxRate.objects.none()
        return FxRate.objects.filter(user=caller(self.request)).order_by("-date", "-id")

    def list(self, request: Request) -> Response:
        rows: Any = self.filter_queryset(self.get_queryset()).values(*serializers.RateSerializer.Meta.fields)
        return self.get_paginated_response(self.paginate_queryset(rows))

    @extend_schema(
        request={
            "application/json": serializers.RateRequestSerializer(many=True),
            "text/csv": {"type": "string", "description": "Columns base, quote, date, rate."},
        },
        responses=RECORDED,
    )
    @idempotent
    def create(self, request: Request) -> Response:
        stated = observations.rates_of(_rows(request.data, ("base", "quote", "date", "rate")))
        rates = [services.OwnRate(row.base, row.quote, row.date, row.rate) for row in stated]
        number = services.record_rates(user_id=caller(request).pk, rates=rates)
        return Response({"recorded": len(rates), "fact_number": number}, status=201)


def _rows(data: Any, columns: tuple[str, ...]) -> Any:
    return observations.read_csv(data.text, required=columns) if isinstance(data, CsvText) else data

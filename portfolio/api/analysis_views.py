"""Returns by month and by holding, closed trades, and risk."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Tier
from accounts.permissions import AtLeast
from portfolio import selectors
from portfolio.api import analysis_serializers
from portfolio.api.callers import EVERYBODY, caller
from portfolio.api.figure_serializers import PeriodQuery
from portfolio.api.figure_views import asked
from portfolio.api.known_at import KNOWN_AT, NOT_READY, knowable
from portfolio.selectors.risk import Risk
from stackmotive.common.views import ApiView

WHOLE = ("drawdowns", "underwater", "window", "rolling", "exposures", "correlation")


def period(query: type[Any], request: Request) -> dict[str, Any]:
    """The checked parameters of a query over a period, `from` and `to` as start and end. Raises ValidationError."""
    values = asked(query, request)
    return values | {"start": values.pop("from", None), "end": values.pop("to", None)}


class MonthsView(ApiView):
    """Growth by calendar month and year."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[PeriodQuery, KNOWN_AT],
        responses={200: analysis_serializers.MonthsSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(PeriodQuery, request))
    def get(self, request: Request) -> Response:
        values = period(PeriodQuery, request)
        return Response(selectors.monthly(user=caller(request), **values).as_dict())


class ContributionView(ApiView):
    """What each holding added to the return."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[PeriodQuery, KNOWN_AT],
        responses={200: analysis_serializers.ContributionsSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(PeriodQuery, request))
    def get(self, request: Request) -> Response:
        values = period(PeriodQuery, request)
        return Response(selectors.contributions(user=caller(request), **values).as_dict())


class TradingMetricsView(ApiView):
    """How closed trades did."""

    tiers = EVERYBODY

    @extend_schema(
        parameters=[analysis_serializers.TradingQuery, KNOWN_AT],
        responses={200: analysis_serializers.TradingSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(analysis_serializers.TradingQuery, request))
    def get(self, request: Request) -> Response:
        values = period(analysis_serializers.TradingQuery, request)
        return Response(selectors.trading_metrics(user=caller(request), **values).as_dict())


class RiskView(ApiView):
    """Falls, rolling figures, concentration, exposures and correlations."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.NAVIGATOR)

    @extend_schema(
        parameters=[analysis_serializers.RiskQuery, KNOWN_AT],
        responses={200: analysis_serializers.RiskSerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(analysis_serializers.RiskQuery, request))
    def get(self, request: Request) -> Response:
        return Response(_shown(_risk(request)))


class RiskSummaryView(ApiView):
    """The figures of risk without their curves."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.NAVIGATOR)

    @extend_schema(
        parameters=[analysis_serializers.RiskQuery, KNOWN_AT],
        responses={200: analysis_serializers.RiskSummarySerializer, 202: NOT_READY},
    )
    @knowable(lambda _view, request: asked(analysis_serializers.RiskQuery, request))
    def get(self, request: Request) -> Response:
        return Response({name: told for name, told in _shown(_risk(request)).items() if name not in WHOLE})


def _risk(request: Request) -> Risk:
    values = period(analysis_serializers.RiskQuery, request)
    return selectors.risk(user=caller(request), window_size=values.pop("window"), **values)


def _shown(found: Risk) -> dict[str, Any]:
    body = found.as_dict()
    body["underwater"] = [{"date": day, "value": value} for day, value in found.underwater]
    return body

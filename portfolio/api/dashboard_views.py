"""The first screen in one call, and figures asked to catch up."""

from typing import Any

from django.db.models import Count
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from notifications.selectors import unread_count
from portfolio import selectors, tasks
from portfolio.api import figure_serializers
from portfolio.api.callers import EVERYBODY, caller
from portfolio.api.figure_views import asked
from portfolio.api.instrument_views import QuoteSerializer
from portfolio.selectors import quotes
from stackmotive.common.views import ApiView, accepted

CURVE_POINTS = 200
MOST_MOVERS = 5


class DashboardSerializer(serializers.Serializer[Any]):
    """Summary, breakdown by kind, the curve of value and return, movers, open findings by severity, unread news."""

    summary = figure_serializers.SummarySerializer()
    allocation = figure_serializers.AllocationSerializer()
    performance = figure_serializers.PerformanceSerializer()
    movers = QuoteSerializer(many=True)
    findings = serializers.DictField(child=serializers.IntegerField())
    unread_notifications = serializers.IntegerField()


class DashboardView(ApiView):
    """What the first screen shows, in one call."""

    tiers = EVERYBODY

    @extend_schema(parameters=[figure_serializers.PeriodQuery], responses=DashboardSerializer)
    def get(self, request: Request) -> Response:
        user = caller(request)
        period = asked(figure_serializers.PeriodQuery, request)
        scope = {name: value for name, value in period.items() if name in ("account", "currency")}
        open_findings = (
            selectors.findings(user, dismissed=False).order_by().values("severity").annotate(count=Count("pk"))
        )
        return Response(
            {
                "summary": selectors.summary(user=user, **scope).as_dict(),
                "allocation": selectors.allocation(user=user, by="kind", **scope).as_dict(),
                "performance": selectors.performance(
                    user=user, start=period.get("from"), end=period.get("to"), points=CURVE_POINTS, **scope
                ).as_dict(),
                "movers": [one.as_dict() for one in quotes.movers(user=user, most=MOST_MOVERS)],
                "findings": {row["severity"]: row["count"] for row in open_findings},
                "unread_notifications": unread_count(user_id=user.pk),
            }
        )


class RefreshSerializer(serializers.Serializer[Any]):
    ledger_version = serializers.IntegerField()
    is_stale = serializers.BooleanField()


class RefreshView(ApiView):
    """Figures are brought up to the ledger, prices, rates and the day in the worker; nothing changes where they are."""

    tiers = EVERYBODY

    @extend_schema(request=None, responses={202: RefreshSerializer})
    def post(self, request: Request) -> Response:
        user = caller(request)
        tasks.enqueue_refresh(user_id=user.pk)
        now = selectors.standing(user=user)
        body = {"ledger_version": now.ledger_version, "is_stale": now.is_stale}
        return accepted(body, location=reverse("api-summary", request=request))

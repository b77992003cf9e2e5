"""The health inbox."""

from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portfolio import selectors, services
from portfolio.api.callers import EVERYBODY, caller, parsed_id
from portfolio.models import Finding
from portfolio.selectors.findings import DISMISSED
from stackmotive.common.fields import DayField, NumberField
from stackmotive.common.pagination import Pages
from stackmotive.common.views import OwnedViewSet

LINKS = {
    "account": "/api/portfolio/accounts/{}/",
    "conflict": "/api/federation/conflicts/{}/",
    "instrument": "/api/portfolio/instruments/{}/",
    "position": "/api/portfolio/positions/{}/",
    "source": "/api/ingestion/sources/{}/",
    "transaction": "/api/portfolio/transactions/{}/",
}


class FindingRowSerializer(serializers.Serializer[Any]):
    """Something that a finding is about, and where it is."""

    type = serializers.ChoiceField(sorted(LINKS))
    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a member of the answer, not the field's own label
    url = serializers.SerializerMethodField()

    def get_url(self, row: dict[str, str]) -> str:
        return LINKS[row["type"]].format(row["id"])


class FindingSerializer(serializers.ModelSerializer[Finding]):
    """effect_base: size in base currency, null where it cannot be told. evidence: what a dismissal holds for."""

    account_name = serializers.CharField(source="account.name", default=None, allow_null=True)
    symbol = serializers.CharField(source="instrument.symbol", default=None, allow_null=True)
    day = DayField(allow_null=True)
    effect_base = NumberField(allow_null=True)
    rows = FindingRowSerializer(many=True)
    is_dismissed = serializers.BooleanField()

    class Meta:
        model = Finding
        fields = (
            "id", "kind", "severity", "key", "title", "detail", "account", "account_name", "instrument", "symbol",
            "day", "rows", "effect_base", "evidence", "is_dismissed", "first_seen", "last_seen",
        )  # fmt: skip
        read_only_fields = fields


class FindingFilter(filters.FilterSet):
    kind = filters.MultipleChoiceFilter(choices=Finding.Kind.choices)
    severity = filters.MultipleChoiceFilter(choices=Finding.Severity.choices)
    account = filters.UUIDFilter()
    dismissed = filters.BooleanFilter(method="by_dismissal", label="Only dismissed ones, or only the others.")

    class Meta:
        model = Finding
        fields: list[str] = []

    def by_dismissal(self, queryset: QuerySet[Finding], name: str, value: bool) -> QuerySet[Finding]:
        return queryset.filter(DISMISSED) if value else queryset.exclude(DISMISSED)


@extend_schema_view(
    list=extend_schema(responses=FindingSerializer(many=True)), retrieve=extend_schema(responses=FindingSerializer)
)
class FindingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """What wants attention: worst first, each with what it is about and what would mend it."""

    tiers = EVERYBODY
    queryset = Finding.objects.all()
    serializer_class = FindingSerializer
    pagination_class = Pages
    filterset_class = FindingFilter

    def get_queryset(self) -> QuerySet[Finding]:
        if getattr(self, "swagger_fake_view", False):
            return Finding.objects.none()
        return selectors.findings(caller(self.request))

    @extend_schema(request=None, responses=FindingSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str) -> Response:
        """Put it aside until its evidence changes."""
        found = services.dismiss_finding(user=caller(request), finding_id=parsed_id(pk))
        return Response(self.get_serializer(found).data)

    @extend_schema(request=None, responses=FindingSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Show it again."""
        found = services.restore_finding(user=caller(request), finding_id=parsed_id(pk))
        return Response(self.get_serializer(found).data)

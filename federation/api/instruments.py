"""A user's own instruments: which need a look, what they are called, which are one."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent
from accounts.models import Tier, User
from accounts.permissions import AtLeast
from federation import selectors, services
from federation.api.serializers import DecisionSerializer
from federation.models import Instrument, InstrumentAttribute, InstrumentKind, InstrumentLink
from stackmotive.common.problems import NotFound
from stackmotive.common.views import OwnedViewSet

MOST_NAMINGS = 100


class NamingSerializer(serializers.ModelSerializer[InstrumentLink]):
    source_name = serializers.CharField(source="source.name")

    class Meta:
        model = InstrumentLink
        fields = ["source", "source_name", "key"]
        read_only_fields = fields


class AttributeSerializer(serializers.ModelSerializer[InstrumentAttribute]):
    class Meta:
        model = InstrumentAttribute
        fields = ["key", "value", "valid_from", "created_at"]
        read_only_fields = fields


class OwnInstrumentSerializer(serializers.ModelSerializer[Instrument]):
    namings = NamingSerializer(source="links", many=True, read_only=True)
    history = AttributeSerializer(source="attribute_facts", many=True, read_only=True)

    class Meta:
        model = Instrument
        fields = ["id", "kind", "symbol", "name", "sector", "country", "needs_review", "namings", "history"]
        read_only_fields = fields


class InstrumentChangeSerializer(serializers.Serializer[Any]):
    symbol = serializers.CharField(max_length=60, required=False)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    kind = serializers.ChoiceField(InstrumentKind.choices, required=False)
    sector = serializers.CharField(max_length=60, required=False, allow_blank=True)
    country = serializers.RegexField(r"^([A-Z]{2})?$", required=False, allow_blank=True)
    valid_from = serializers.DateField(required=False, help_text="From which day; empty = always.")


class MergeSerializer(serializers.Serializer[Any]):
    into = serializers.UUIDField(help_text="The instrument that it is one with.")


class SplitSerializer(serializers.Serializer[Any]):
    namings = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=100), min_length=2, max_length=2),
        min_length=1,
        max_length=MOST_NAMINGS,
        help_text="[source id, key] of the namings that mean another instrument.",
    )


@extend_schema_view(
    list=extend_schema(responses=OwnInstrumentSerializer(many=True)),
    retrieve=extend_schema(responses=OwnInstrumentSerializer),
)
class OwnInstrumentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """The caller's own instruments; `?needs_review=true` lists those that nothing identifies."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)
    queryset = Instrument.objects.all()
    serializer_class = OwnInstrumentSerializer
    filterset_fields = ("needs_review", "kind")
    ordering_fields = ("symbol",)

    def _user(self) -> User:
        assert isinstance(self.request.user, User)  # noqa: S101  # closed to others
        return self.request.user

    def get_queryset(self) -> QuerySet[Instrument]:
        if getattr(self, "swagger_fake_view", False):
            return Instrument.objects.none()
        return selectors.own_instruments(self._user())

    @extend_schema(request=InstrumentChangeSerializer, responses={200: OwnInstrumentSerializer})
    @idempotent
    def partial_update(self, request: Request, pk: str) -> Response:
        """Call it something else. Its history keeps what it was called."""
        instrument = self.get_object()
        asked = InstrumentChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.describe_instrument(instrument=instrument, **asked.validated_data)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=MergeSerializer, responses={200: DecisionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def merge(self, request: Request, pk: str) -> Response:
        """It is one with another. The decision can be revoked."""
        instrument = self.get_object()
        asked = MergeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        into = self.get_queryset().filter(pk=asked.validated_data["into"]).first()
        if into is None:
            raise NotFound
        decision = services.merge_instruments(instrument=instrument, into=into)
        return Response(DecisionSerializer(decision).data)

    @extend_schema(request=SplitSerializer, responses={200: DecisionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def split(self, request: Request, pk: str) -> Response:
        """Some of its namings mean another instrument. The decision can be revoked."""
        instrument = self.get_object()
        asked = SplitSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        decision = services.split_instrument(instrument=instrument, namings=asked.validated_data["namings"])
        return Response(DecisionSerializer(decision).data)

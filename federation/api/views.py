"""The federation API: what sources disagree about, what the user decided, and where a row came from."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.idempotency import idempotent
from accounts.models import Tier, User
from accounts.permissions import AtLeast
from federation import provenance, selectors, services
from federation.api import serializers
from federation.holdings import holding_of
from federation.models import AccountLink, Conflict, Decision, LedgerVersion
from stackmotive.common.problems import NotFound
from stackmotive.common.views import ApiView, OwnedViewSet

SEE_AND_DECIDE = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)


def _user(request: Request) -> User:
    assert isinstance(request.user, User)  # noqa: S101  # every view here is closed to others
    return request.user


@extend_schema_view(
    list=extend_schema(responses=serializers.ConflictSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.ConflictSerializer),
)
class ConflictViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """What sources disagree about, the costliest first."""

    tiers = SEE_AND_DECIDE
    queryset = Conflict.objects.all()
    serializer_class = serializers.ConflictSerializer
    filterset_fields = ("status", "kind", "account", "instrument")
    ordering_fields = ("effect_base", "kind", "status")

    def get_queryset(self) -> QuerySet[Conflict]:
        if getattr(self, "swagger_fake_view", False):
            return Conflict.objects.none()
        return selectors.conflicts(_user(self.request))

    @extend_schema(request=serializers.ResolveSerializer, responses={200: serializers.DecisionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def resolve(self, request: Request, pk: str) -> Response:
        """Settle it by hand. The ledger follows before the answer; the decision can be revoked."""
        conflict: Conflict = self.get_object()
        asked = serializers.ResolveSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        decision = services.resolve_conflict(
            conflict=conflict,
            action=said["action"],
            source=said.get("choose"),
            match=said.get("match"),
            remember=said["remember"],
        )
        return Response(serializers.DecisionSerializer(decision).data)


@extend_schema_view(
    list=extend_schema(responses=serializers.DecisionSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.DecisionSerializer),
)
class DecisionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """What the user said once and for all later imports."""

    tiers = SEE_AND_DECIDE
    queryset = Decision.objects.all()
    serializer_class = serializers.DecisionSerializer
    filterset_fields = ("kind",)
    ordering_fields = ("created_at",)

    def get_queryset(self) -> QuerySet[Decision]:
        if getattr(self, "swagger_fake_view", False):
            return Decision.objects.none()
        return selectors.decisions(_user(self.request))

    @extend_schema(request=serializers.DecisionRequestSerializer, responses={201: serializers.DecisionSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        asked = serializers.DecisionRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        decision = services.decide(user=_user(request), **asked.validated_data)
        address = reverse("api-decision-detail", args=[decision.pk], request=request)
        return Response(self.get_serializer(decision).data, status=201, headers={"Location": address})

    @extend_schema(request=None, responses={200: serializers.DecisionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def revoke(self, request: Request, pk: str) -> Response:
        """Take it back: the ledger is again what the rules make it."""
        decision = services.revoke(decision=self.get_object())
        return Response(self.get_serializer(decision).data)


@extend_schema_view(
    list=extend_schema(responses=serializers.AccountLinkSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.AccountLinkSerializer),
)
class AccountLinkViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """Which account each reference of a source means."""

    tiers = SEE_AND_DECIDE
    queryset = AccountLink.objects.all()
    serializer_class = serializers.AccountLinkSerializer
    filterset_fields = ("source", "account", "state")
    ordering_fields = ("reference",)

    def get_queryset(self) -> QuerySet[AccountLink]:
        if getattr(self, "swagger_fake_view", False):
            return AccountLink.objects.none()
        return selectors.account_links(_user(self.request))

    @extend_schema(request=serializers.AccountLinkChangeSerializer, responses={200: serializers.AccountLinkSerializer})
    @idempotent
    def partial_update(self, request: Request, pk: str) -> Response:
        """Say what a reference means. It is a decision: revoking it brings back what the rules say."""
        link: AccountLink = self.get_object()
        asked = serializers.AccountLinkChangeSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        keys = {"reference": [str(link.source_id), link.reference]}
        account = asked.validated_data.get("account")
        if account is not None:
            value = {"account": str(account.pk)}
            services.decide(user=_user(request), kind=Decision.Kind.LINK_ACCOUNT, keys=keys, value=value)
        else:
            services.decide(user=_user(request), kind=Decision.Kind.IGNORE, keys=keys)
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema_view(
    list=extend_schema(responses=serializers.LedgerVersionSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.LedgerVersionSerializer),
)
class LedgerVersionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """The states the ledger went through, newest first."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)
    queryset = LedgerVersion.objects.all()
    serializer_class = serializers.LedgerVersionSerializer
    lookup_field = "number"
    ordering_fields = ("number",)

    def get_queryset(self) -> QuerySet[LedgerVersion]:
        if getattr(self, "swagger_fake_view", False):
            return LedgerVersion.objects.none()
        return selectors.versions(_user(self.request))


class ProvenanceView(ApiView):
    """Where a ledger row or a position came from."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)

    @extend_schema(
        parameters=[OpenApiParameter("transaction", str), OpenApiParameter("position", str)],
        responses=serializers.ProvenanceSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = serializers.ProvenanceQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        user = _user(request)
        if "transaction" in asked.validated_data:
            row = get_object_or_404(selectors.transactions(user), pk=asked.validated_data["transaction"])
            found = provenance.transaction_provenance(row)
        else:
            held = holding_of(user_id=user.pk, position_id=asked.validated_data["position"])
            if held is None:
                raise NotFound
            found = provenance.position_provenance(user, account=held[0], instrument=held[1])
        body: Any = serializers.ProvenanceSerializer(found).data
        return Response(body)

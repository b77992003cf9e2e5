"""Corporate actions: portfolio's edge on what federation makes of them."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.idempotency import idempotent
from accounts.models import Tier
from accounts.permissions import AtLeast
from federation import selectors as federation
from federation import services
from federation.models import CorporateAction, Instrument
from federation.services.corporate_actions import Terms
from portfolio.api import event_serializers as serializers
from portfolio.api.callers import caller
from portfolio.api.ledger_views import _instrument
from stackmotive.common.views import OwnedViewSet


@extend_schema_view(
    list=extend_schema(responses=serializers.CorporateActionSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.CorporateActionSerializer),
)
class CorporateActionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """What happened to instruments, stated once; accounts whose broker tells it keep the broker's quantities."""

    tiers = AtLeast(read=Tier.OBSERVER, write=Tier.OPERATOR)
    queryset = CorporateAction.objects.all()
    serializer_class = serializers.CorporateActionSerializer
    filterset_fields = ("kind", "instrument", "ex_date")
    ordering_fields = ("ex_date", "created_at")
    costly = {"preview": "preview"}  # as every view declares it

    def get_queryset(self) -> QuerySet[CorporateAction]:
        if getattr(self, "swagger_fake_view", False):
            return CorporateAction.objects.none()
        return federation.corporate_actions(caller(self.request))

    @extend_schema(
        request=serializers.CorporateActionRequestSerializer, responses={201: serializers.CorporateActionSerializer}
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """State an action; the ledger follows before the answer."""
        made = services.state_action(user=caller(request), terms=self.terms(makes_new=True))
        address = reverse("api-corporate-action-detail", args=[made.pk], request=request)
        return Response(self.get_serializer(made).data, status=201, headers={"Location": address})

    @extend_schema(request=serializers.CorporateActionRequestSerializer, responses=serializers.ActionPreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What stating it would do. Nothing is stored."""
        found = services.preview_action(user=caller(request), terms=self.terms(makes_new=False))
        body = {"added": map(asdict, found.added), "removed": map(asdict, found.removed), "claimed": found.claimed}
        answer: Any = serializers.ActionPreviewSerializer({name: list(value) for name, value in body.items()}).data
        return Response(answer)

    @extend_schema(responses={204: OpenApiResponse(description="Taken back: the ledger is as if it had not been.")})
    def destroy(self, request: Request, pk: str) -> Response:
        services.withdraw_action(action=self.get_object())
        return Response(status=204)

    def terms(self, *, makes_new: bool) -> Terms:
        """The action that the request states. A new instrument that nothing is known of is made, not for a preview."""
        asked = serializers.CorporateActionRequestSerializer(data=self.request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        values["instrument"] = self.instrument(values["instrument"], values, makes_new=False)
        if values.get("new_instrument") is not None:
            values["new_instrument"] = self.instrument(values["new_instrument"], values, makes_new=makes_new)
        terms = Terms(**values)
        services.check_terms(terms)
        return terms

    def instrument(self, named: Any, values: dict[str, Any], *, makes_new: bool) -> Instrument:
        user = caller(self.request)
        reference = _instrument(user, named, values.get("currency") or user.base_currency)
        if not isinstance(named, dict):
            return federation.instruments(user).get(pk=named)
        if reference is None:
            raise AssertionError("a named instrument always has a reference")
        if makes_new:
            return services.ensure_instrument(user=user, named=reference)[0]
        return federation.resolve_instrument(user, reference)[0]

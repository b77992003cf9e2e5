"""Transfers between the caller's own accounts: what was found, and what the caller says of it."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent
from accounts.models import Tier
from accounts.permissions import AtLeast
from federation import selectors as federation
from federation import services
from federation.models import BrokerAccount, Transaction, TransferLink
from portfolio.api import event_serializers as serializers
from portfolio.api.callers import caller
from portfolio.services import wallets
from stackmotive.common.problems import BadRequest, FieldError
from stackmotive.common.views import OwnedViewSet


@extend_schema_view(
    list=extend_schema(responses=serializers.TransferSerializer(many=True)),
    retrieve=extend_schema(responses=serializers.TransferSerializer),
)
class TransferViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """Transfers, newest first. They follow from the ledger and from what the caller says."""

    tiers = AtLeast(read=Tier.OBSERVER, write=Tier.OPERATOR)
    queryset = TransferLink.objects.all()
    serializer_class = serializers.TransferSerializer
    filterset_fields = ("rule", "instrument", "currency")
    ordering_fields = ("left_on", "arrived_on")

    def get_queryset(self) -> QuerySet[TransferLink]:
        if getattr(self, "swagger_fake_view", False):
            return TransferLink.objects.none()
        return federation.transfer_links(caller(self.request))

    @extend_schema(request=serializers.PairRequestSerializer, responses={201: serializers.SaidSerializer})
    @action(detail=False, methods=["post"])
    @idempotent
    def pair(self, request: Request) -> Response:
        """Say that rows are one transfer, whatever the rules think."""
        asked = self.asked(serializers.PairRequestSerializer)
        decision = services.pair_by_hand(user=caller(request), rows=asked["transactions"])
        return Response({"decision": str(decision.pk)}, status=201)

    @extend_schema(request=serializers.FarSideRequestSerializer, responses={201: serializers.SaidSerializer})
    @action(detail=False, methods=["post"])
    @idempotent
    def resolve(self, request: Request) -> Response:
        """Say what the far side of a row is: income, a payment, or an own wallet."""
        asked, user = self.asked(serializers.FarSideRequestSerializer), caller(request)
        row: Transaction = asked["transaction"]
        if asked["meaning"] != "own_wallet":
            decision = services.name_far_side(user=user, row=row, meaning=asked["meaning"])
            return Response({"decision": str(decision.pk)}, status=201)
        account = BrokerAccount.objects.visible_to(user).filter(pk=asked["account"]).first()
        if account is None:
            told = "Nothing of yours has this id."
            raise BadRequest(told, errors=[FieldError("#/account", told, "does_not_exist")])
        booked, decision = wallets.book_far_side(user=user, row=row, account=account)
        return Response({"decision": str(decision.pk), "transaction": str(booked)}, status=201)

    @extend_schema(responses={204: OpenApiResponse(description="Its rows are no transfer any more.")})
    def destroy(self, request: Request, pk: str) -> Response:
        """Say that the rows of a transfer do not belong together."""
        link: TransferLink = self.get_object()
        rows = list(
            Transaction.objects.visible_to(caller(request)).filter(pk__in=map(UUID, link.out_legs + link.in_legs))
        )
        services.unlink(user=caller(request), rows=rows)
        return Response(status=204)

    def asked(self, serializer: type[Any]) -> dict[str, Any]:
        found = serializer(data=self.request.data, context=self.get_serializer_context())
        found.is_valid(raise_exception=True)
        values: dict[str, Any] = found.validated_data
        return values

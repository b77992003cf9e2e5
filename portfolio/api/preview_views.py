"""POST /api/portfolio/preview/: what a change would do to the figures, before it is made."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Tier
from accounts.permissions import AtLeast
from federation.api.preview import PreviewRequestSerializer, asked_change
from portfolio.services.previewing import MoneyPreview, preview_in_money
from stackmotive.common.fields import DayField, NumberField
from stackmotive.common.views import ApiView


class MovedSerializer(serializers.Serializer[Any]):
    """Null is unknown; change is null where either is."""

    before = NumberField(allow_null=True)
    after = NumberField(allow_null=True)
    change = NumberField(allow_null=True)


class MovedHeadlinesSerializer(serializers.Serializer[Any]):
    market_value = MovedSerializer()
    cash = MovedSerializer()
    total_value = MovedSerializer()
    net_contribution = MovedSerializer()
    total_gain = MovedSerializer()
    realized_gain = MovedSerializer()
    unrealized_gain = MovedSerializer()
    income = MovedSerializer()
    fees = MovedSerializer()
    taxes = MovedSerializer()


class MovedAccountSerializer(serializers.Serializer[Any]):
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    market_value = MovedSerializer(source="figures.market_value")
    cash = MovedSerializer(source="figures.cash")
    unrealized_gain = MovedSerializer(source="figures.unrealized_gain")
    realized_gain = MovedSerializer(source="figures.realized_gain")


class MovedHoldingSerializer(serializers.Serializer[Any]):
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    quantity = MovedSerializer(source="figures.quantity")
    market_value = MovedSerializer(source="figures.market_value")
    cost_basis = MovedSerializer(source="figures.cost_basis")
    unrealized_gain = MovedSerializer(source="figures.unrealized_gain")
    realized_gain = MovedSerializer(source="figures.realized_gain")


class MoneyPreviewSerializer(serializers.Serializer[MoneyPreview]):
    """All in `currency`, the base currency, at the close of as_of. Accounts and holdings that would not move are left
    out; holdings are the first 200 of holding_count. row_count: ledger rows that would come, go or change.
    """

    currency = serializers.CharField()
    as_of = DayField()
    row_count = serializers.IntegerField()
    figures = MovedHeadlinesSerializer()
    accounts = MovedAccountSerializer(many=True)
    holdings = MovedHoldingSerializer(many=True)
    holding_count = serializers.IntegerField()


class MoneyPreviewView(ApiView):
    """What a change would do to the figures. Nothing is changed."""

    tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)
    costly = {"post": "preview"}

    @extend_schema(request=PreviewRequestSerializer, responses={200: MoneyPreviewSerializer})
    def post(self, request: Request) -> Response:
        found = preview_in_money(asked_change(request, view=self))
        return Response(MoneyPreviewSerializer(found).data)

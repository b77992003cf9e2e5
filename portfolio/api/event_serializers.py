"""Shapes of transfers and corporate actions."""

from typing import Any

from rest_framework import serializers

from federation.models import CorporateAction, Transaction, TransferLink
from portfolio.api.serializers import CurrencyField, InstrumentField
from stackmotive.common.fields import DayField, NumberField, OwnedRelatedField

MOST_LEGS = 50


class TransferSerializer(serializers.ModelSerializer[TransferLink]):
    """Rows that are one transfer. A side without rows lies outside; rule then says what it is: income or payment."""

    symbol = serializers.CharField(source="instrument.symbol", default=None)
    out_legs = serializers.ListField(child=serializers.UUIDField(), help_text="Ids of transactions.")
    in_legs = serializers.ListField(child=serializers.UUIDField(), help_text="Ids of transactions.")
    quantity_out = NumberField(allow_null=True)
    quantity_in = NumberField(allow_null=True)
    fee = NumberField(help_text="What did not arrive.")

    class Meta:
        model = TransferLink
        fields = [
            "id", "instrument", "symbol", "currency", "out_legs", "in_legs", "left_on", "arrived_on", "quantity_out",
            "quantity_in", "fee", "rule",
        ]  # fmt: skip
        read_only_fields = fields


class PairRequestSerializer(serializers.Serializer[Any]):
    """Rows that are one transfer: those that left and those that arrived."""

    transactions = serializers.ListField(
        child=OwnedRelatedField(queryset=Transaction.objects.all()), min_length=2, max_length=MOST_LEGS
    )


class FarSideRequestSerializer(serializers.Serializer[Any]):
    """What lies beyond a row without a partner. own_wallet books the other side in an account of yours."""

    transaction = OwnedRelatedField(queryset=Transaction.objects.all())
    meaning = serializers.ChoiceField(["income", "payment", "own_wallet"])
    account = serializers.UUIDField(required=False, help_text="Of own_wallet: where the other side is booked.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if (values["meaning"] == "own_wallet") != ("account" in values):
            raise serializers.ValidationError({"account": "State the account for own_wallet, and only then."})
        return values


class SaidSerializer(serializers.Serializer[Any]):
    """The decision that was recorded; revoking it brings back what the rules say."""

    decision = serializers.UUIDField()
    transaction = serializers.UUIDField(required=False, help_text="The row that was booked for it.")


class CorporateActionRequestSerializer(serializers.Serializer[Any]):
    """An action, stated once for every account that holds the instrument."""

    kind = serializers.ChoiceField(CorporateAction.Kind.choices)
    instrument = InstrumentField()
    new_instrument = InstrumentField(required=False, allow_null=True)
    ex_date = DayField()
    ratio = NumberField(required=False, allow_null=True, help_text="New units for one old.")
    cash_per_unit = NumberField(required=False, allow_null=True, help_text="For one old unit; an exercise pays it.")
    currency = CurrencyField(required=False, help_text="Of the cash.")
    allocation = NumberField(required=False, allow_null=True, help_text="Share of the cost that goes over, 0 to 1.")
    cash_in_lieu = NumberField(
        required=False, allow_null=True, help_text="For one new unit; fractions are sold for it."
    )
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class CorporateActionSerializer(serializers.ModelSerializer[CorporateAction]):
    """An action in force. is_shared: of the catalog, not the caller's own."""

    symbol = serializers.CharField(source="instrument.symbol")
    new_symbol = serializers.CharField(source="new_instrument.symbol", default=None)
    ratio = NumberField(allow_null=True)
    cash_per_unit = NumberField(allow_null=True)
    allocation = NumberField(allow_null=True)
    cash_in_lieu = NumberField(allow_null=True)
    is_shared = serializers.SerializerMethodField()

    class Meta:
        model = CorporateAction
        fields = [
            "id", "kind", "instrument", "symbol", "new_instrument", "new_symbol", "ex_date", "ratio", "cash_per_unit",
            "currency", "allocation", "cash_in_lieu", "note", "is_shared", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_is_shared(self, action: CorporateAction) -> bool:
        return action.user_id is None


class ActionRowSerializer(serializers.Serializer[Any]):
    """A ledger row that comes or goes."""

    account = serializers.UUIDField()
    instrument = serializers.UUIDField(allow_null=True)
    kind = serializers.CharField()
    trade_date = serializers.DateField()
    quantity = NumberField(allow_null=True, help_text="null for a split: the ratio acts on what is held.")
    ratio = NumberField(allow_null=True)
    cash_amount = NumberField(allow_null=True)
    currency = serializers.CharField()


class ActionPreviewSerializer(serializers.Serializer[Any]):
    """claimed: accounts whose own source tells what happened; their rows stay as they are."""

    added = ActionRowSerializer(many=True)
    removed = ActionRowSerializer(many=True)
    claimed = serializers.ListField(child=serializers.UUIDField())

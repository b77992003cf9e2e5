"""Bodies and queries of the portfolio API, and the rows it answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from federation.models import BrokerAccount, CostBasisMethod, Instrument, InstrumentKind, Transaction
from ingestion.adapters.kinds import KIND_RULES
from portfolio.models import FxRate, Lot, Price, RealizedGain
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.fields import DayField, InstantField, NumberField, OwnedRelatedField


class CurrencyField(serializers.CharField):
    """An ISO 4217 code."""

    default_error_messages = {"unknown": "Write an ISO 4217 code such as EUR."}

    def __init__(self, **named: Any) -> None:
        super().__init__(max_length=3, **named)

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if code and code.upper() not in ISO_4217:
            self.fail("unknown")
        return code.upper()


# --- accounts ----------------------------------------------------------


class AccountSerializer(serializers.ModelSerializer[BrokerAccount]):
    """An account. is_claimed: a source speaks of it, so it cannot be deleted. merged_into: it is a part of that one."""

    institution = serializers.CharField(source="institution.name", default="", read_only=True)
    is_claimed = serializers.BooleanField(read_only=True, default=False)

    class Meta:
        model = BrokerAccount
        fields = [
            "id", "name", "institution", "reference", "currency", "kind", "tracking", "cash_mode", "allows_short",
            "cost_basis_method", "is_claimed", "merged_into", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class AccountRequestSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    institution = serializers.CharField(max_length=100, required=False, allow_blank=True)
    reference = serializers.CharField(max_length=100, required=False, allow_blank=True)
    currency = CurrencyField()
    kind = serializers.ChoiceField(BrokerAccount.Kind.choices, required=False)
    tracking = serializers.ChoiceField(BrokerAccount.Tracking.choices, required=False)
    cash_mode = serializers.ChoiceField(BrokerAccount.CashMode.choices, required=False)
    allows_short = serializers.BooleanField(required=False)
    cost_basis_method = serializers.ChoiceField(CostBasisMethod.choices, required=False)


# --- instruments ----------------------------------------------------------


class ListingSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    exchange = serializers.CharField()
    currency = serializers.CharField()
    quote_unit = serializers.CharField()


class InstrumentSerializer(serializers.ModelSerializer[Instrument]):
    """is_shared: from the catalog that all users see; otherwise the caller's own."""

    is_shared = serializers.SerializerMethodField()
    listings = ListingSerializer(many=True, read_only=True)

    class Meta:
        model = Instrument
        fields = [
            "id", "kind", "symbol", "name", "multiplier", "sector", "country", "needs_review", "is_shared", "listings"
        ]  # fmt: skip
        read_only_fields = fields

    def get_is_shared(self, row: Instrument) -> bool:
        return row.user_id is None


class NamedInstrumentSerializer(serializers.Serializer[Any]):
    """How an instrument is named by hand where its id is not known."""

    symbol = serializers.CharField(max_length=60, required=False, allow_blank=True)
    kind = serializers.ChoiceField(InstrumentKind.choices, required=False)
    currency = CurrencyField(required=False)
    exchange = serializers.CharField(max_length=40, required=False, allow_blank=True)
    isin = serializers.CharField(max_length=12, required=False, allow_blank=True)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    multiplier = NumberField(required=False)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("symbol") and not values.get("isin"):
            raise serializers.ValidationError({"symbol": "Name it by its symbol or its ISIN."})
        return values


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "format": "uuid"},
            {
                "type": "object",
                "properties": {
                    name: {"type": "string"}
                    for name in ("symbol", "kind", "currency", "exchange", "isin", "name", "multiplier")
                },
            },
        ]
    }
)
class InstrumentField(serializers.Field[Any, Any, Any, Any]):
    """An instrument's id, or how it is named."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            named = NamedInstrumentSerializer(data=data)
            if not named.is_valid():
                raise serializers.ValidationError(named.errors)
            return named.validated_data
        return serializers.UUIDField().to_internal_value(data)

    def to_representation(self, value: Any) -> Any:
        return str(value)


# --- transactions ----------------------------------------------------------


class TransactionRequestSerializer(serializers.Serializer[Any]):
    """A row typed by hand. Where the kind fixes the direction, signs may be left out; a contradiction is refused."""

    account = OwnedRelatedField(queryset=BrokerAccount.objects.all())
    instrument = InstrumentField(required=False, allow_null=True)
    kind = serializers.ChoiceField(sorted(KIND_RULES))
    trade_date = DayField(required=False)
    traded_at = InstantField(required=False)
    settled_on = DayField(required=False, allow_null=True)
    quantity = NumberField(required=False, allow_null=True)
    price = NumberField(required=False, allow_null=True)
    currency = CurrencyField()
    fee = NumberField(required=False, allow_null=True)
    fee_currency = serializers.CharField(max_length=12, required=False, allow_blank=True)
    tax = NumberField(required=False, allow_null=True)
    cash_amount = NumberField(required=False, allow_null=True)
    cash_currency = CurrencyField(required=False, allow_blank=True)
    fx_rate = NumberField(required=False, allow_null=True)
    ratio = NumberField(required=False, allow_null=True)
    group = serializers.CharField(max_length=100, required=False, allow_blank=True)
    note = serializers.CharField(max_length=2000, required=False, allow_blank=True)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self.partial and not values.get("trade_date") and not values.get("traded_at"):
            raise serializers.ValidationError({"trade_date": "State trade_date or traded_at."})
        return values


class TransactionSerializer(serializers.ModelSerializer[Transaction]):
    """A ledger row. Signs: + into the account; fees and taxes are positive costs. source null: follows from reports."""

    account_name = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    instrument_name = serializers.CharField(allow_null=True)
    ledger_version = serializers.IntegerField()
    decided_fields = serializers.ListField(
        child=serializers.CharField(), help_text="Those whose values the caller set by decision."
    )

    class Meta:
        model = Transaction
        fields = [
            "id", "account", "account_name", "instrument", "symbol", "instrument_name", "listing", "kind", "trade_date",
            "traded_at", "settled_on", "quantity", "price", "currency", "fee", "fee_currency", "tax", "cash_amount",
            "cash_currency", "fx_rate", "ratio", "group", "leg", "note", "source", "is_manual",
            "decided_fields", "ledger_version",
        ]  # fmt: skip
        read_only_fields = fields


class BookedSerializer(TransactionSerializer):
    """A row by hand as booked. matched_with: the row of another source that it joined."""

    possible_duplicate_of = serializers.UUIDField(allow_null=True)
    matched_with = serializers.UUIDField(allow_null=True)

    class Meta(TransactionSerializer.Meta):
        fields = [*TransactionSerializer.Meta.fields, "possible_duplicate_of", "matched_with"]
        read_only_fields = fields


# --- manual positions ----------------------------------------------------------


class ManualPositionRequestSerializer(serializers.Serializer[Any]):
    """A holding by the user's own word. An edit is a report of its day; closed_on reports that nothing is held any
    more.
    """

    account = OwnedRelatedField(queryset=BrokerAccount.objects.all())
    instrument = InstrumentField()
    quantity = NumberField()
    cost_basis = NumberField(required=False, allow_null=True)
    currency = CurrencyField()
    as_of = DayField()
    closed_on = DayField(required=False, allow_null=True)


class ManualPositionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    instrument = serializers.UUIDField(allow_null=True)
    symbol = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    quantity = NumberField()
    cost_basis = NumberField(allow_null=True)
    currency = serializers.CharField()
    as_of = DayField()
    closed_on = DayField(allow_null=True)


# --- observations ----------------------------------------------------------


class PriceRequestSerializer(serializers.Serializer[Any]):
    """A close of the user's own, as the exchange quotes it: currency may be a quote unit (GBX)."""

    instrument = InstrumentField()
    date = DayField()
    close = NumberField()
    currency = serializers.CharField(max_length=3)


class RateRequestSerializer(serializers.Serializer[Any]):
    """One `base` is `rate` of `quote`."""

    base = CurrencyField()
    quote = CurrencyField()
    date = DayField()
    rate = NumberField()


class RecordedSerializer(serializers.Serializer[Any]):
    """recorded: rows kept. fact_number: the commit they belong to; figures follow in the worker."""

    recorded = serializers.IntegerField()
    fact_number = serializers.IntegerField()


class PriceSerializer(serializers.ModelSerializer[Price]):
    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    currency = serializers.CharField()

    class Meta:
        model = Price
        fields = [
            "id",
            "listing",
            "instrument",
            "symbol",
            "date",
            "close",
            "currency",
            "basis",
            "provider",
            "recorded_at",
        ]
        read_only_fields = fields


class RateSerializer(serializers.ModelSerializer[FxRate]):
    class Meta:
        model = FxRate
        fields = ["id", "base", "quote", "date", "rate", "provider", "recorded_at"]
        read_only_fields = fields


# --- lots and gains ----------------------------------------------------------


class LotSerializer(serializers.ModelSerializer[Lot]):
    """Units bought together and still held. Cost includes fee and tax; null is unknown."""

    account_name = serializers.CharField()
    symbol = serializers.CharField()

    class Meta:
        model = Lot
        fields = [
            "id", "account", "account_name", "instrument", "symbol", "opened_by", "acquired_on", "held_from",
            "quantity",
            "currency", "cost", "fee", "tax", "cost_base",
        ]  # fmt: skip
        read_only_fields = fields


class RealizedGainSerializer(serializers.ModelSerializer[RealizedGain]):
    """A part of a lot that a sale relieved; proceeds and cost after fee and tax. Null is unknown."""

    account_name = serializers.CharField()
    symbol = serializers.CharField()

    class Meta:
        model = RealizedGain
        fields = [
            "id", "account", "account_name", "instrument", "symbol", "closed_by", "opened_by", "acquired_on",
            "closed_on",
            "quantity", "currency", "proceeds", "proceeds_fee", "proceeds_tax", "cost", "cost_fee", "cost_tax", "gain",
            "proceeds_base", "cost_base", "gain_base", "fx_gain_base", "side",
        ]  # fmt: skip
        read_only_fields = fields

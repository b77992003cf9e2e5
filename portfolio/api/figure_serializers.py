"""Queries and answers of computed figures. Answers are what selectors give; these classes document them."""

from typing import Any

from rest_framework import serializers

from federation.models import BrokerAccount
from federation.selectors import instruments
from portfolio.api.serializers import CurrencyField
from portfolio.selectors import BREAKDOWNS
from portfolio.valuation_day import valuation_day
from stackmotive.common.fields import DayField, NumberField, OwnedRelatedField
from stackmotive.common.page_filters import PERIODS, start_of


class ScopeQuery(serializers.Serializer[Any]):
    """Which account, day and currency."""

    account = OwnedRelatedField(queryset=BrokerAccount.objects.all(), required=False)
    as_of = DayField(required=False)
    currency = CurrencyField(required=False)


class PositionsQuery(ScopeQuery):
    group_by = serializers.ChoiceField(["instrument"], required=False)


class AllocationQuery(ScopeQuery):
    by = serializers.ChoiceField(sorted(BREAKDOWNS), default="kind")


RANGES = sorted({one.code for one in PERIODS} | {"6m", "max"})


class PeriodQuery(serializers.Serializer[Any]):
    """The period from the close of `from` to the close of `to`, or a `range` up to the valuation day."""

    account = OwnedRelatedField(queryset=BrokerAccount.objects.all(), required=False)
    to = DayField(required=False)
    currency = CurrencyField(required=False)
    range = serializers.ChoiceField(RANGES, required=False, help_text="In place of `from` and `to`.")

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": DayField(required=False)}

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("from") and values.get("to") and values["from"] > values["to"]:
            raise serializers.ValidationError({"to": "The period ends before it starts."})
        asked = values.pop("range", None)
        if asked and (values.get("from") or values.get("to")):
            raise serializers.ValidationError({"range": "Give a range, or the days; not both."})
        start = start_of(asked, valuation_day(self.context["request"].user)) if asked else None
        return values | ({"from": start} if start else {})


class PerformanceQuery(PeriodQuery):
    instrument = serializers.UUIDField(required=False, help_text="A holding alone: what trades pay are its flows.")
    benchmark = serializers.UUIDField(required=False, help_text="An instrument: its closes give beta.")
    series = serializers.ChoiceField(["objects", "columns"], default="objects")
    points = serializers.IntegerField(min_value=2, max_value=2000, required=False)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        for name in ("benchmark", "instrument"):
            asked = values.get(name)
            if asked and not instruments(self.context["request"].user).filter(pk=asked).exists():
                raise serializers.ValidationError({name: "Nothing of yours has this id."})
        return super().validate(values)


def unknown(field: type[serializers.Field[Any, Any, Any, Any]] = NumberField) -> Any:
    return field(allow_null=True)


class StandingSerializer(serializers.Serializer[Any]):
    """as_of: the valuation day. is_stale: the ledger moved on and a refresh is under way."""

    as_of = DayField()
    ledger_version = serializers.IntegerField()
    is_stale = serializers.BooleanField()


class UnpricedSerializer(serializers.Serializer[Any]):
    position = serializers.UUIDField(allow_null=True)
    account = serializers.UUIDField()
    instrument = serializers.UUIDField(allow_null=True)
    symbol = serializers.CharField()
    quantity = NumberField()
    cost_basis = unknown()
    currency = serializers.CharField()
    reason = serializers.CharField()


class SummarySerializer(StandingSerializer):
    """Headline figures. Sums hold what is known; null is unknown, with the reason in `reasons`."""

    currency = serializers.CharField()
    market_value = unknown()
    cash = unknown()
    in_transit = NumberField(help_text="On its way between two of the caller's accounts: in the total, in no account.")
    total_value = unknown()
    net_contribution = NumberField()
    payments = NumberField(help_text="What the caller called payments: a part of what left, as a positive amount.")
    total_gain = unknown()
    realized_gain = NumberField()
    unrealized_gain = unknown()
    cost_basis = unknown()
    income = NumberField()
    dividends = NumberField()
    interest = NumberField()
    fees = NumberField()
    taxes = NumberField()
    day_change = unknown()
    day_change_ratio = unknown()
    coverage = unknown()
    coverage_by_cost = unknown()
    unpriced = UnpricedSerializer(many=True)
    open_conflicts = serializers.IntegerField()
    reasons = serializers.DictField(child=serializers.CharField())


class PositionSerializer(serializers.Serializer[Any]):
    """A holding. Money in `currency` unless `_base`, which is in `base_currency`. Null is unknown: see `reason`."""

    id = serializers.UUIDField(allow_null=True)
    account = serializers.UUIDField(allow_null=True)
    account_name = serializers.CharField()
    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    sector = serializers.CharField()
    country = serializers.CharField()
    quantity = NumberField()
    currency = serializers.CharField()
    average_cost = unknown()
    cost_basis = unknown()
    cost_basis_base = unknown()
    price = unknown()
    price_as_of = DayField(allow_null=True)
    price_provider = serializers.CharField()
    market_value = unknown()
    market_value_base = unknown()
    unrealized_gain = unknown()
    unrealized_gain_base = unknown()
    realized_gain_base = unknown()
    income_base = unknown()
    day_change_base = unknown()
    weight = unknown()
    unexplained_quantity = NumberField()
    reported_as_of = DayField(allow_null=True)
    missing_quantity = NumberField()
    is_stale = serializers.BooleanField()
    reason = serializers.CharField()
    base_currency = serializers.CharField()
    as_of = DayField()


class CashBalanceSerializer(serializers.Serializer[Any]):
    account = serializers.UUIDField()
    account_name = serializers.CharField()
    currency = serializers.CharField()
    amount = NumberField()
    amount_base = unknown()
    unexplained_amount = NumberField()
    reported_as_of = DayField(allow_null=True)
    as_of = DayField()


class DrawdownSerializer(serializers.Serializer[Any]):
    value = unknown()
    peak_on = DayField(allow_null=True)
    trough_on = DayField(allow_null=True)
    recovered_on = DayField(allow_null=True)


class PointSerializer(serializers.Serializer[Any]):
    """flow: external, net, at the end of the day. twr_index: worth of one unit of money since the opening."""

    date = DayField()
    value = unknown()
    flow = NumberField()
    twr_index = NumberField()


class BenchmarkSerializer(serializers.Serializer[Any]):
    """basis: what its closes hold; `price` is without dividends."""

    instrument = serializers.UUIDField()
    symbol = serializers.CharField()
    basis = serializers.CharField()


class PerformanceSerializer(StandingSerializer):
    """Returns are fractions (0.1 is +10 %). `?series=columns` answers `series` as one list per member."""

    currency = serializers.CharField()
    start = DayField(allow_null=True)
    end = DayField(allow_null=True)
    twr = unknown()
    twr_annualized = unknown()
    xirr = unknown()
    modified_dietz = unknown()
    period_gain = unknown()
    volatility = unknown()
    sharpe = unknown()
    sortino = unknown()
    max_drawdown = DrawdownSerializer()
    calmar = unknown()
    omega = unknown()
    downside_deviation = unknown()
    benchmark = BenchmarkSerializer(allow_null=True)
    beta = unknown()
    alpha = unknown()
    tracking_error = unknown()
    information_ratio = unknown()
    var_95 = unknown()
    cvar_95 = unknown()
    n_obs = serializers.IntegerField()
    periods_per_year = serializers.IntegerField()
    method = serializers.DictField(
        child=serializers.CharField(), help_text="What the returns are: method, net and gross of which costs, of what."
    )
    adjustments_ratio = unknown()
    reasons = serializers.DictField(child=serializers.CharField())
    series = PointSerializer(many=True)


class SliceSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a member of the answer, not the field's own label
    value = NumberField()
    share = unknown()
    count = serializers.IntegerField()


class AllocationSerializer(StandingSerializer):
    """Shares add up to 1. left_out: holdings without a value."""

    by = serializers.CharField()
    currency = serializers.CharField()
    total = NumberField()
    left_out = serializers.IntegerField()
    slices = SliceSerializer(many=True)

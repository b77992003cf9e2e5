"""Queries and answers of returns cut into months, parts and trades, and of risk."""

from typing import Any

from rest_framework import serializers

from portfolio.api.figure_serializers import PeriodQuery, StandingSerializer, unknown
from portfolio.selectors.trading import PERIODS
from stackmotive.common.fields import DayField, NumberField


class RiskQuery(PeriodQuery):
    window = serializers.IntegerField(
        min_value=5, max_value=1000, default=63, help_text="Observations of a rolling figure; 63 is a quarter."
    )


class TradingQuery(PeriodQuery):
    period = serializers.ChoiceField(PERIODS, default="all")


class MonthlyReturnSerializer(serializers.Serializer[Any]):
    """is_whole: the period holds all days of the month."""

    year = serializers.IntegerField()
    month = serializers.IntegerField()
    change = NumberField()
    is_whole = serializers.BooleanField()


class MonthsSerializer(StandingSerializer):
    """Time-weighted growth by calendar month and year; linked, the months are the whole."""

    currency = serializers.CharField()
    start = DayField(allow_null=True)
    end = DayField(allow_null=True)
    months = MonthlyReturnSerializer(many=True)
    years = serializers.ListField(child=serializers.DictField())


class ContributorSerializer(serializers.Serializer[Any]):
    instrument = serializers.UUIDField(allow_null=True)
    symbol = serializers.CharField()
    name = serializers.CharField()
    gain = NumberField()
    contribution = NumberField()


class ContributionsSerializer(StandingSerializer):
    """The parts and `unattributed` add up to `twr`. instrument null: cash of the currency that `symbol` names."""

    currency = serializers.CharField()
    start = DayField(allow_null=True)
    end = DayField(allow_null=True)
    twr = unknown()
    unattributed = unknown()
    results = ContributorSerializer(many=True)


class TradeFiguresSerializer(serializers.Serializer[Any]):
    period = serializers.CharField()
    trades = serializers.IntegerField()
    wins = serializers.IntegerField()
    losses = serializers.IntegerField()
    without_gain = serializers.IntegerField()
    realized_gain = NumberField()
    win_rate = unknown()
    average_win = unknown()
    average_loss = unknown()
    largest_win = unknown()
    largest_loss = unknown()
    profit_factor = unknown()
    holding_days = unknown()
    reasons = serializers.DictField(child=serializers.CharField())


class TradingSerializer(StandingSerializer):
    """Closed trades by period, the newest first."""

    currency = serializers.CharField()
    results = TradeFiguresSerializer(many=True)


class FallSerializer(serializers.Serializer[Any]):
    value = NumberField()
    peak_on = DayField()
    trough_on = DayField()
    recovered_on = DayField(allow_null=True)


class RollingSerializer(serializers.Serializer[Any]):
    date = DayField()
    change = NumberField()
    volatility = NumberField()
    sharpe = unknown()


class UnderwaterSerializer(serializers.Serializer[Any]):
    date = DayField()
    value = NumberField()


class ConcentrationSerializer(serializers.Serializer[Any]):
    largest = unknown()
    top_5 = unknown()
    top_10 = unknown()
    hhi = unknown()
    effective_number = unknown()
    label = serializers.CharField()  # type: ignore[assignment]  # a member of the answer, not the field's own label
    curve = serializers.ListField(child=NumberField())


class CorrelationSerializer(serializers.Serializer[Any]):
    instruments = serializers.ListField(child=serializers.DictField())
    matrix = serializers.ListField(child=serializers.ListField(child=unknown()))


class RiskSummarySerializer(StandingSerializer):
    """Fractions of value; a loss is negative. Null has its reason in `reasons`."""

    currency = serializers.CharField()
    start = DayField(allow_null=True)
    end = DayField(allow_null=True)
    volatility = unknown()
    downside_deviation = unknown()
    var_95 = unknown()
    var_99 = unknown()
    cvar_95 = unknown()
    max_drawdown = unknown()
    current_drawdown = unknown()
    n_obs = serializers.IntegerField()
    periods_per_year = serializers.IntegerField()
    concentration = ConcentrationSerializer()
    reasons = serializers.DictField(child=serializers.CharField())


class RiskSerializer(RiskSummarySerializer):
    """With the falls, the underwater curve, rolling figures, exposures and correlations."""

    drawdowns = FallSerializer(many=True)
    underwater = UnderwaterSerializer(many=True)
    window = serializers.IntegerField()
    rolling = RollingSerializer(many=True)
    exposures = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))
    correlation = CorrelationSerializer()

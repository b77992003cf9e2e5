"""Query parameters of the lists."""

import django_filters as filters

from federation.models import Instrument, Transaction, TransactionKind
from portfolio.models import FxRate, Lot, Price, RealizedGain


class TransactionFilter(filters.FilterSet):
    account = filters.UUIDFilter()
    instrument = filters.UUIDFilter()
    source = filters.UUIDFilter()
    kind = filters.MultipleChoiceFilter(choices=TransactionKind.choices)
    to = filters.DateFilter(field_name="trade_date", lookup_expr="lte")
    is_manual = filters.BooleanFilter()

    class Meta:
        model = Transaction
        fields: list[str] = []


# `from` is a word of Python, so it is declared by its name.
TransactionFilter.base_filters["from"] = filters.DateFilter(field_name="trade_date", lookup_expr="gte")


class HoldingFilter(filters.FilterSet):
    account = filters.UUIDFilter()
    instrument = filters.UUIDFilter()

    class Meta:
        model = Lot
        fields: list[str] = []


class RealizedGainFilter(HoldingFilter):
    year = filters.NumberFilter(field_name="closed_on", lookup_expr="year", min_value=1900, max_value=2200)

    class Meta:
        model = RealizedGain
        fields: list[str] = []


class PriceFilter(filters.FilterSet):
    instrument = filters.UUIDFilter(field_name="listing__instrument")
    listing = filters.UUIDFilter()

    class Meta:
        model = Price
        fields: list[str] = []


class RateFilter(filters.FilterSet):
    base = filters.CharFilter(max_length=3)
    quote = filters.CharFilter(max_length=3)

    class Meta:
        model = FxRate
        fields: list[str] = []


class InstrumentFilter(filters.FilterSet):
    kind = filters.CharFilter(max_length=12)
    q = filters.CharFilter(method="by_words", max_length=60, label="Symbol, name or ISIN, or how it begins.")

    class Meta:
        model = Instrument
        fields: list[str] = []

    def by_words(self, queryset, name, value):  # type: ignore[no-untyped-def]  # django-filter has no types
        from django.db.models import Q

        return queryset.filter(
            Q(symbol__istartswith=value) | Q(name__icontains=value) | Q(identifiers__value__iexact=value)
        ).distinct()

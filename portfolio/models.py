"""Figures: prices and rates as observed, and everything computed from the ledger, which can be computed again."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import OwnedQuerySet
from federation.models import BrokerAccount, Instrument, Listing
from stackmotive.common.ids import uuid7
from stackmotive.common.money import MoneyField, RecordedField


class Price(models.Model):
    """One observation of a close. Append-only: a restatement is a later row. user null = shared by all."""

    class Basis(models.TextChoices):
        TRADED = "traded"
        SPLIT_ADJUSTED = "split_adjusted"
        TOTAL_RETURN = "total_return"

    listing = models.ForeignKey(Listing, models.CASCADE, related_name="prices")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="prices")
    date = models.DateField()
    close = RecordedField()
    basis = models.CharField(max_length=15, choices=Basis.choices, default=Basis.TRADED)
    provider = models.CharField(max_length=40)  # own, broker:<source id>, demo, ...
    number = models.PositiveBigIntegerField()  # FactVersion of the user, or of the shared facts
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["listing", "date"], name="price_by_day")]

    def __str__(self) -> str:
        return f"{self.close} on {self.date}"


class FxRate(models.Model):
    """One `base` is `rate` of `quote` on `date`. user null = shared by all (ECB: base EUR)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="fx_rates")
    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    date = models.DateField()
    rate = RecordedField()
    provider = models.CharField(max_length=40)
    number = models.PositiveBigIntegerField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["base", "quote", "date"], name="fxrate_by_day")]

    def __str__(self) -> str:
        return f"{self.base}{self.quote} {self.rate} on {self.date}"


class PriceSeries(models.Model):
    """The closes in force of a listing, packed for valuation: doubles by day from `first_day`, NaN where none. A cache of Price."""

    listing = models.ForeignKey(Listing, models.CASCADE, related_name="series")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    first_day = models.DateField()
    closes = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["listing", "user"], name="priceseries_once", nulls_distinct=False)]

    def __str__(self) -> str:
        return f"{self.listing_id} from {self.first_day}"


class Position(models.Model):
    """What an account holds of an instrument today, with its cost and value. Money in the listing's currency unless `_base`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="positions")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="positions")
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="positions")
    listing = models.ForeignKey(Listing, models.CASCADE, null=True, related_name="positions")
    quantity = RecordedField()
    currency = models.CharField(max_length=3)
    cost_basis = MoneyField(null=True)
    cost_basis_base = MoneyField(null=True)
    average_cost = RecordedField(null=True)
    price = RecordedField(null=True)
    price_as_of = models.DateField(null=True)
    price_provider = models.CharField(max_length=40, blank=True)
    market_value = MoneyField(null=True)
    market_value_base = MoneyField(null=True)
    unrealized_gain = MoneyField(null=True)
    unrealized_gain_base = MoneyField(null=True)
    realized_gain_base = MoneyField(null=True)
    income_base = MoneyField(null=True)
    unexplained_quantity = RecordedField(default=0)
    reported_as_of = models.DateField(null=True)
    missing_quantity = RecordedField(default=0)
    is_stale = models.BooleanField(default=False)
    reason = models.CharField(max_length=40, blank=True)  # why a figure is null
    as_of = models.DateField()
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "instrument"], name="position_once")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.instrument_id}"


class CashBalance(models.Model):
    """Cash of an account in one currency today."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="cash_balances")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="cash_balances")
    currency = models.CharField(max_length=3)
    amount = RecordedField()
    amount_base = MoneyField(null=True)
    unexplained_amount = RecordedField(default=0)
    reported_as_of = models.DateField(null=True)
    as_of = models.DateField()
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "currency"], name="cashbalance_once")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Lot(models.Model):
    """Units bought together and still held. Cost = gross + fee + tax, in the trade currency and, `_base`, at that day's rate."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="lots")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="lots")
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="lots")
    opened_by = models.UUIDField()  # Transaction
    acquired_on = models.DateField()
    held_from = models.DateField()  # in this account: later than acquired_on where the lot was transferred
    quantity = RecordedField()
    currency = models.CharField(max_length=3)
    cost = RecordedField(null=True)
    fee = RecordedField(default=0)  # the part of cost
    tax = RecordedField(default=0)
    cost_base = RecordedField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "instrument", "acquired_on"], name="lot_by_instrument")]

    def __str__(self) -> str:
        return f"{self.quantity} from {self.acquired_on}"


class RealizedGain(models.Model):
    """A part of a lot that a sale relieved: proceeds less its cost, both after fee and tax."""

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="realized_gains")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="realized_gains")
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="realized_gains")
    closed_by = models.UUIDField()  # Transaction
    opened_by = models.UUIDField()
    acquired_on = models.DateField()
    closed_on = models.DateField()
    quantity = RecordedField()
    currency = models.CharField(max_length=3)
    proceeds = RecordedField()
    proceeds_fee = RecordedField(default=0)
    proceeds_tax = RecordedField(default=0)
    cost = RecordedField(null=True)
    cost_fee = RecordedField(default=0)
    cost_tax = RecordedField(default=0)
    gain = RecordedField(null=True)
    proceeds_base = RecordedField(null=True)
    cost_base = RecordedField(null=True)
    gain_base = RecordedField(null=True)
    fx_gain_base = RecordedField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "closed_on"], name="realizedgain_by_day")]

    def __str__(self) -> str:
        return f"{self.gain} on {self.closed_on}"


class ValueSeries(models.Model):
    """Daily figures of one account and instrument (or cash currency), packed as doubles from `first_day`; NaN = unknown.

    In base currency but `quantity` (units). Built by workers, sliced and summed by the web process."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="value_series")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="value_series")
    instrument = models.ForeignKey(Instrument, models.CASCADE, null=True, related_name="value_series")
    currency = models.CharField(max_length=3, blank=True)  # of a cash series
    first_day = models.DateField()
    quantity = models.BinaryField()
    value = models.BinaryField()
    external_flow = models.BinaryField()
    internal_flow = models.BinaryField()
    income = models.BinaryField()
    fees = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "instrument", "currency"], name="valueseries_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.instrument_id or self.currency} from {self.first_day}"


class DailyValue(models.Model):
    """An account's day in base currency: value at the close and what flowed in from outside."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="daily_values")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="daily_values")
    date = models.DateField()
    value = MoneyField(null=True)
    cash = MoneyField(default=0)
    external_flow = MoneyField(default=0)
    income = MoneyField(default=0)
    fees = MoneyField(default=0)
    unpriced_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "date"], name="dailyvalue_once")]
        indexes = [models.Index(fields=["user", "date"], name="dailyvalue_by_day")]

    def __str__(self) -> str:
        return f"{self.value} on {self.date}"

"""Figures: prices and rates as observed, and everything computed from the ledger, which can be computed again."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import OwnedQuerySet
from federation.models import BrokerAccount, Instrument, Listing
from ingestion.models import Source
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
    provider = models.CharField(max_length=40)  # own, demo, ...
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


class BrokerMark(models.Model):
    """A close as one of the user's sources marks it, derived from its contents in force. priority: the source's."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="broker_marks")
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    listing = models.ForeignKey(Listing, models.CASCADE, related_name="broker_marks")
    date = models.DateField()
    close = RecordedField()
    priority = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["listing", "date", "source"], name="brokermark_once")]

    def __str__(self) -> str:
        return f"{self.close} on {self.date}"


class BrokerRate(models.Model):
    """A rate as one of the user's sources states it, derived from its contents in force. priority: the source's."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="broker_rates")
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    date = models.DateField()
    rate = RecordedField()
    priority = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "base", "quote", "date"], name="brokerrate_once")]

    def __str__(self) -> str:
        return f"{self.base}{self.quote} {self.rate} on {self.date}"


class PriceSeries(models.Model):
    """The closes in force of a listing, packed for valuation: doubles by day from `first_day`, NaN where none. A cache
    of Price.

    user null: of the shared prices; otherwise the whole series as that user sees it, kept only where they have prices
    of their own.
    """

    listing = models.ForeignKey(Listing, models.CASCADE, related_name="series")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    first_day = models.DateField()
    closes = models.BinaryField()
    number = models.PositiveBigIntegerField(default=0)  # grows with every change

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "user"], name="priceseries_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} from {self.first_day}"


class Position(models.Model):
    """What an account holds of an instrument today, with its cost and value. Money in the listing's currency unless
    `_base`.
    """

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
    day_change_base = MoneyField(null=True)  # today's gain: value less yesterday's and less what was bought, in base
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
    """Units bought together and still held. Cost = gross + fee + tax, in the trade currency and, `_base`, at that day's
    rate.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="lots", db_index=False)
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
    """A part of a lot that a sale relieved: proceeds less its cost, both after fee and tax.

    Computed by the thousand from rows that hold these keys, so the database does not look each of them up again.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="realized_gains", db_constraint=False, db_index=False
    )  # the index by day begins with it
    account = models.ForeignKey(
        BrokerAccount, models.CASCADE, related_name="realized_gains", db_constraint=False, db_index=False
    )
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="realized_gains", db_constraint=False)
    closed_by = models.UUIDField()  # Transaction
    opened_by = models.UUIDField(null=True)  # null: sold beyond what is known
    acquired_on = models.DateField(null=True)
    closed_on = models.DateField()
    quantity = RecordedField()
    currency = models.CharField(max_length=3)
    proceeds = RecordedField(null=True)
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
    side = models.CharField(max_length=5, default="long")  # short: a purchase that covered one
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "closed_on"], name="realizedgain_by_day")]

    def __str__(self) -> str:
        return f"{self.gain} on {self.closed_on}"


class ValueSeries(models.Model):
    """Daily figures of one account and instrument (or cash currency), packed as doubles or runs of doubles from
    `first_day` (series.unpack); NaN = unknown.

    In base currency but `quantity` (units). Built by workers, sliced and summed by the web process. external_flow
    crosses the border of the account (paired transfers too, which `transfer_flow` repeats), internal_flow runs between
    its holdings.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="value_series")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="value_series")
    instrument = models.ForeignKey(Instrument, models.CASCADE, null=True, related_name="value_series")
    currency = models.CharField(max_length=3, blank=True)  # of a cash series
    first_day = models.DateField()
    quantity = models.BinaryField()
    value = models.BinaryField()
    external_flow = models.BinaryField()
    internal_flow = models.BinaryField()
    transfer_flow = models.BinaryField(default=b"")
    border_flow = models.BinaryField(default=b"")  # what returns count as external because a value was unknown
    income = models.BinaryField()
    fees = models.BinaryField()
    is_fresh = models.BinaryField(default=b"")  # one byte a day: 1 where the price is inside its horizon
    digest = models.CharField(max_length=64, default="")  # of all columns: equal series are not written again
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "instrument", "currency"], name="valueseries_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.instrument_id or self.currency} from {self.first_day}"


class HoldingStep(models.Model):
    """What an account held of an instrument, or of a cash currency, from the close of `day` on, with its cost.

    One row for each day on which it changed: exact quantities and costs of any past day without building lots. Money in
    the lots' currency unless `_base`; a cost is null where a lot's is unknown. Its keys are not looked up again, as
    those of RealizedGain.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="holding_steps", db_constraint=False, db_index=False
    )
    account = models.ForeignKey(
        BrokerAccount, models.CASCADE, related_name="holding_steps", db_constraint=False, db_index=False
    )
    instrument = models.ForeignKey(
        Instrument, models.CASCADE, null=True, related_name="holding_steps", db_constraint=False, db_index=False
    )
    currency = models.CharField(max_length=3, blank=True)  # of a cash balance; of the cost where the lots share one
    day = models.DateField()
    quantity = RecordedField()
    cost = RecordedField(null=True)
    cost_base = RecordedField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "day"], name="holdingstep_by_day")]
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "account", "day"],
                condition=models.Q(instrument__isnull=False),
                name="holdingstep_once_a_day",
            ),
            models.UniqueConstraint(
                fields=["account", "currency", "day"],
                condition=models.Q(instrument__isnull=True),
                name="holdingstep_cash_once_a_day",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} from {self.day}"


class DailyValue(models.Model):
    """An account's day in base currency: value at the close and what flowed in from outside.

    value: of what is known, null where something is held and nothing known. external_flow: over the account's border,
    in kind at the close. transfer_flow: the part of it that stays inside the portfolio (paired transfers). border_flow:
    between what is measured and holdings without a value, which returns count as external too. in_transit: what legs of
    paired transfers have on the way, in no account's value and in the total's. payments: the part of external_flow, as a
    positive amount, that the user called payments. income, fees and taxes are gross. Its keys are not looked up again,
    as those of RealizedGain.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="daily_values", db_constraint=False, db_index=False
    )
    account = models.ForeignKey(
        BrokerAccount, models.CASCADE, related_name="daily_values", db_constraint=False, db_index=False
    )
    date = models.DateField()
    value = MoneyField(null=True)
    cash = MoneyField(default=0)
    external_flow = MoneyField(default=0)
    transfer_flow = MoneyField(default=0)
    border_flow = MoneyField(default=0)
    in_transit = MoneyField(default=0)
    payments = MoneyField(default=0)
    dividends = MoneyField(default=0)
    interest = MoneyField(default=0)
    income = MoneyField(default=0)  # dividends, interest and rewards
    fees = MoneyField(default=0)
    taxes = MoneyField(default=0)
    unpriced_count = models.PositiveIntegerField(default=0)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "date"], name="dailyvalue_once")]
        indexes = [models.Index(fields=["user", "date"], name="dailyvalue_by_day")]

    def __str__(self) -> str:
        return f"{self.value} on {self.date}"


class FigureState(models.Model):
    """What a user's figures were last computed from: the day, the currency and the prices and rates they include."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="figure_state")
    valued_on = models.DateField(null=True)
    base_currency = models.CharField(max_length=3, blank=True)
    market_number = models.PositiveBigIntegerField(default=0)
    facts_number = models.PositiveBigIntegerField(default=0)  # the FactVersion that the findings include
    inputs = models.JSONField(default=dict)  # key of a holding or account -> digest of what its figures rest on

    def __str__(self) -> str:
        return f"valued on {self.valued_on}"


class Finding(models.Model):
    """Something in a user's data that wants attention, as of the last refresh; gone once it no longer holds.

    rows: [{type, id, label}], what it is about. evidence: digest of what it was concluded from; a dismissal holds for
    that evidence only.
    """

    class Kind(models.TextChoices):
        UNEXPLAINED_QUANTITY = "unexplained_quantity"
        UNEXPLAINED_CASH = "unexplained_cash"
        DEPOSITS_MISSING = "deposits_missing"
        MISSING_MONTHS = "missing_months"
        STALE_SOURCE = "stale_source"
        UNRESOLVED_INSTRUMENT = "unresolved_instrument"
        OPEN_CONFLICT = "open_conflict"
        MASS_WITHDRAWAL = "mass_withdrawal"
        MISSING_QUANTITY = "missing_quantity"
        UNPRICED_HOLDING = "unpriced_holding"
        CASH_EQUATION = "cash_equation"
        MANUAL_ON_OWNED_DAY = "manual_on_owned_day"
        ROW_NOT_BOOKED = "row_not_booked"
        OPENING_LOTS_UNFIT = "opening_lots_unfit"

    class Severity(models.TextChoices):
        CRITICAL = "critical"  # figures are wrong until it is mended
        WARNING = "warning"  # figures may be wrong, or a part of them is left out
        INFO = "info"  # worth knowing

    id = models.UUIDField(primary_key=True, editable=False)  # derived from user and key
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="findings")
    kind = models.CharField(max_length=30, choices=Kind.choices)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    key = models.CharField(max_length=300)
    account = models.ForeignKey(BrokerAccount, models.CASCADE, null=True, related_name="findings")
    instrument = models.ForeignKey(Instrument, models.CASCADE, null=True, related_name="findings")
    day = models.DateField(null=True)  # the first bad one
    title = models.CharField(max_length=300)
    detail = models.TextField()
    rows = models.JSONField(default=list)
    effect_base = MoneyField(null=True)  # size in base currency; null where it cannot be told
    evidence = models.CharField(max_length=64)
    dismissed_evidence = models.CharField(max_length=64, blank=True)
    first_seen = models.DateField()
    last_seen = models.DateField()
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="finding_once_per_key")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_dismissed(self) -> bool:
        return self.dismissed_evidence == self.evidence


class ValuationSetting(models.Model):
    """Append-only: what a user set about valuation, newest number in force. trade_prices: value a holding without any
    quote at its last trade, marked as such (on unless set).
    """

    class Key(models.TextChoices):
        TRADE_PRICES = "trade_prices"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="valuation_settings")
    key = models.CharField(max_length=20, choices=Key.choices)
    value = models.JSONField()
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class InstrumentNote(models.Model):
    """What a user writes down about an instrument; of no figure."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="instrument_notes")
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="notes")
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "instrument", "-created_at"], name="note_by_instrument")]

    def __str__(self) -> str:
        return self.text[:60]


class KnownAnswer(models.Model):
    """What the API answers by the facts of an earlier time: asked once, computed by a worker, kept.

    moments: [{at, fact_number, market_number, ledger_version}], one or the two that are compared. digest: of path,
    query and moments. answer: the body as it was made, with a mark where links name the server and `known_at`.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="known_answers")
    digest = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    query = models.TextField(blank=True)
    moments = models.JSONField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    status_code = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True)
    lease_until = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="knownanswer_once")]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(status__in=["queued", "running"]),
                name="knownanswer_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.path} {self.status}"

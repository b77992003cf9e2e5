"""Truth: whose account is whose, what instrument is meant, whom to believe, and the one ledger that follows.

Transactions, claims, reported balances and conflicts are computed from the facts and can be thrown away and
computed again with the same ids; decisions are facts.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.deletion import Collector
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import OwnedQuerySet, User
from ingestion.models import Source, StagedTransaction
from stackmotive.common.ids import uuid7
from stackmotive.common.money import RecordedField


def with_its_user(collector: Collector, field: Any, rows: Any, using: str) -> None:
    """on_delete of facts: they outlive what they speak of, and go with their user alone."""
    if getattr(collector.origin, "model", type(collector.origin)) is User:
        models.CASCADE(collector, field, rows, using)


class Institution(models.Model):
    """A broker, bank or exchange, shared by all users."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class CostBasisMethod(models.TextChoices):
    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    AVERAGE = "average"


class BrokerAccount(models.Model):
    """One account of a user at an institution, or a drawer with gold in it."""

    class Kind(models.TextChoices):
        BROKERAGE = "brokerage"
        EXCHANGE = "exchange"
        BANK = "bank"
        WALLET = "wallet"
        PROPERTY = "property"
        PAPER = "paper"

    class Tracking(models.TextChoices):
        TRANSACTIONS = "transactions"
        POSITIONS = "positions"

    class CashMode(models.TextChoices):
        TRACKED = "tracked"
        EXTERNAL = "external"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="broker_accounts")
    institution = models.ForeignKey(Institution, models.PROTECT, null=True, blank=True, related_name="accounts")
    name = models.CharField(max_length=100)
    reference = models.CharField(max_length=100, blank=True)
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.BROKERAGE)
    tracking = models.CharField(max_length=12, choices=Tracking.choices, default=Tracking.TRANSACTIONS)
    cash_mode = models.CharField(max_length=8, choices=CashMode.choices, default=CashMode.EXTERNAL)
    allows_short = models.BooleanField(default=False)
    cost_basis_method = models.CharField(max_length=8, choices=CostBasisMethod.choices, default=CostBasisMethod.FIFO)
    merged_into = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, editable=False, related_name="parts"
    )  # by decision; all that is said of this account counts for that one
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class AccountSetting(models.Model):
    """Append-only: what a user set on an account, from which day (method, tracking, cash mode, shorts)."""

    account = models.ForeignKey(BrokerAccount, with_its_user, related_name="setting_facts", db_constraint=False)
    key = models.CharField(max_length=20)
    value = models.JSONField()
    valid_from = models.DateField(null=True)
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class AccountLink(models.Model):
    """A source's account reference and the account it means."""

    class State(models.TextChoices):
        LINKED = "linked"
        PROPOSED = "proposed"
        IGNORED = "ignored"

    source = models.ForeignKey(Source, models.CASCADE, related_name="account_links")
    reference = models.CharField(max_length=100, blank=True)  # as stated, "" where the source names none
    account = models.ForeignKey(BrokerAccount, models.PROTECT, null=True, related_name="links")
    automatic = models.ForeignKey(
        BrokerAccount, models.PROTECT, null=True, related_name="+"
    )  # where no decision says otherwise
    state = models.CharField(max_length=10, choices=State.choices, default=State.LINKED)
    evidence = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "reference"], name="accountlink_one_per_reference")]

    def __str__(self) -> str:
        return f"{self.reference or 'unnamed'} -> {self.account_id}"


class InstrumentKind(models.TextChoices):
    EQUITY = "equity"
    ETF = "etf"
    FUND = "fund"
    BOND = "bond"
    CRYPTO = "crypto"
    COMMODITY = "commodity"
    OPTION = "option"
    FUTURE = "future"
    PROPERTY = "property"
    OTHER = "other"


class Instrument(models.Model):
    """Something that can be held. Catalog rows (user null) are shared and not changed by any user's facts;
    others are private.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="instruments"
    )
    kind = models.CharField(max_length=12, choices=InstrumentKind.choices, default=InstrumentKind.OTHER)
    symbol = models.CharField(max_length=60)
    name = models.CharField(max_length=200, blank=True)
    multiplier = RecordedField(default=1)
    sector = models.CharField(max_length=60, blank=True)
    country = models.CharField(max_length=2, blank=True)
    needs_review = models.BooleanField(default=False)
    made_number = models.PositiveBigIntegerField(
        default=0, editable=False
    )  # the database writes its user's FactVersion
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.symbol


class Listing(models.Model):
    """One price series of an instrument: where and in what it is quoted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="listings")
    exchange = models.CharField(max_length=40, blank=True)
    currency = models.CharField(max_length=3)
    quote_unit = models.CharField(max_length=3, blank=True)  # GBX where prices come in pence; "" = the currency itself

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "exchange", "currency"], name="listing_once_per_exchange_and_currency"
            )
        ]

    def __str__(self) -> str:
        return f"{self.exchange or '-'} {self.currency}"


class InstrumentIdentifier(models.Model):
    """A name an instrument goes by, and when: tickers are reused."""

    class Scheme(models.TextChoices):
        ISIN = "isin"
        FIGI = "figi"
        CUSIP = "cusip"
        CONID = "conid"
        TICKER = "ticker"  # value "SYMBOL@EXCHANGE"
        KUCOIN = "kucoin"

    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="identifiers")
    scheme = models.CharField(max_length=8, choices=Scheme.choices)
    value = models.CharField(max_length=100)
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True)

    class Meta:
        indexes = [models.Index(fields=["scheme", "value"], name="instrumentidentifier_value")]

    def __str__(self) -> str:
        return f"{self.scheme} {self.value}"


class InstrumentAttribute(models.Model):
    """Append-only: what a user calls an instrument of theirs, from which day (symbol, name, kind, sector, country)."""

    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="attribute_facts")
    key = models.CharField(max_length=20)
    value = models.CharField(max_length=200)
    valid_from = models.DateField(null=True)
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class InstrumentLink(models.Model):
    """What a source's way of naming an instrument (StagedInstrument.key) means for its user.

    valid_from: null = always, or until the next one: a ticker given to another company means that one from a day on.
    """

    source = models.ForeignKey(Source, models.CASCADE, related_name="instrument_links")
    key = models.CharField(max_length=32)
    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="links")
    listing = models.ForeignKey(Listing, models.PROTECT, null=True, related_name="links")
    own = models.ForeignKey(
        Instrument, models.PROTECT, null=True, related_name="+"
    )  # made for this key: returns when a join is undone
    valid_from = models.DateField(null=True)
    made_number = models.PositiveBigIntegerField(default=0, editable=False)  # as an instrument's

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "key", "valid_from"], name="instrumentlink_one_per_key_and_day", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.key} -> {self.instrument_id}"


class TransactionKind(models.TextChoices):
    BUY = "buy"
    SELL = "sell"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    FEE = "fee"
    TAX = "tax"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER_IN = "transfer_in"
    TRANSFER_OUT = "transfer_out"
    SPLIT = "split"
    SPINOFF = "spinoff"
    MERGER = "merger"
    SYMBOL_CHANGE = "symbol_change"
    RETURN_OF_CAPITAL = "return_of_capital"
    STOCK_DIVIDEND = "stock_dividend"
    RIGHTS = "rights"
    EXERCISE = "exercise"
    EXPIRY = "expiry"
    REWARD = "reward"
    FX = "fx"
    ADJUSTMENT = "adjustment"


TYING_KINDS = ("transfer_in", "transfer_out", "spinoff", "merger", "symbol_change", "exercise", "rights")


class Transaction(models.Model):
    """The ledger: one leg of one event, as the winning source stated it. Signs: + into the account."""

    id = models.UUIDField(primary_key=True, editable=False)  # of the first recorded fact of its cluster
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="transactions")
    account = models.ForeignKey(BrokerAccount, models.PROTECT, related_name="transactions")
    instrument = models.ForeignKey(Instrument, models.PROTECT, null=True, related_name="transactions")
    listing = models.ForeignKey(Listing, models.PROTECT, null=True, related_name="transactions")
    kind = models.CharField(max_length=20, choices=TransactionKind.choices)
    trade_date = models.DateField()
    traded_at = models.DateTimeField(null=True)
    settled_on = models.DateField(null=True)
    quantity = RecordedField(null=True)
    price = RecordedField(null=True)
    currency = models.CharField(max_length=3)
    fee = RecordedField(null=True)
    fee_currency = models.CharField(max_length=12, blank=True)
    tax = RecordedField(null=True)
    cash_amount = RecordedField(null=True)
    cash_currency = models.CharField(max_length=3, blank=True)
    fx_rate = RecordedField(null=True)
    ratio = RecordedField(null=True)
    group = models.UUIDField(null=True)  # legs of one event share it
    leg = models.PositiveSmallIntegerField(default=0)
    position = models.PositiveIntegerField(default=0)  # order inside its day (DESIGN 5.10)
    note = models.TextField(blank=True)
    source = models.ForeignKey(
        Source, models.PROTECT, null=True, related_name="won_transactions"
    )  # null for adjustments
    is_manual = models.BooleanField(default=False)
    decided = models.CharField(max_length=200, blank=True, default="")  # fields the user set, joined by commas
    lots = models.TextField(blank=True, default="")  # of an opening balance; see `opening_lots`
    objects = OwnedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-trade_date", "-position", "-id"], name="transaction_newest"),
            models.Index(fields=["account", "instrument", "trade_date", "position"], name="transaction_by_holding"),
            # What ties rows and instruments to each other is rare, and asked for at every refresh.
            models.Index(fields=["user", "group"], condition=Q(kind__in=TYING_KINDS), name="transaction_tying_others"),
        ]

    def __str__(self) -> str:
        return f"{self.trade_date} {self.kind} {self.quantity or self.cash_amount}"


class Claim(models.Model):
    """A staged row that speaks for a ledger row, and whether it gave that row its values."""

    transaction = models.ForeignKey(Transaction, models.CASCADE, related_name="claims")
    staged = models.ForeignKey(StagedTransaction, models.CASCADE, related_name="claims")
    source = models.ForeignKey(Source, models.CASCADE, related_name="claims")
    won = models.BooleanField()
    rule = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["staged"], name="claim_one_per_staged_row")]

    def __str__(self) -> str:
        return f"{self.staged_id} {'won' if self.won else 'lost'} ({self.rule})"


class ReportedBalance(models.Model):
    """What is believed an account held on a day by report: the winning candidate, and all of them.

    candidates: [{source, value, as_of, cost_basis?}], values as decimal strings, the winner included."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reported_balances")
    account = models.ForeignKey(BrokerAccount, models.CASCADE, related_name="reported_balances")
    instrument = models.ForeignKey(
        Instrument, models.PROTECT, null=True, related_name="reported_balances"
    )  # null = cash
    currency = models.CharField(max_length=3, blank=True)
    as_of = models.DateField()
    value = RecordedField()
    cost_basis = RecordedField(null=True)
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    rule = models.CharField(max_length=40)
    candidates = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "instrument", "currency", "as_of"],
                name="reportedbalance_once_per_day",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.value} on {self.as_of}"


class Conflict(models.Model):
    """Candidates that differ beyond their precision, with the rule that settled it or none yet."""

    class Status(models.TextChoices):
        OPEN = "open"
        SETTLED = "settled"  # by rule
        RESOLVED = "resolved"  # by the user

    id = models.UUIDField(primary_key=True, editable=False)  # derived from user and key
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="conflicts")
    kind = models.CharField(max_length=30)  # quantity, cash, field, only_in_one_source, ambiguous, mass_withdrawal
    key = models.CharField(max_length=200)
    account = models.ForeignKey(BrokerAccount, models.CASCADE, null=True, related_name="conflicts", db_index=False)
    instrument = models.ForeignKey(Instrument, models.CASCADE, null=True, related_name="conflicts")
    candidates = models.JSONField()  # [{source, value, as_of}]
    winner = models.UUIDField(null=True)  # source
    rule = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices)
    difference = RecordedField(null=True)  # between the winner and the farthest candidate, in units or currency
    difference_currency = models.CharField(max_length=3, blank=True)  # "" = units
    effect_base = RecordedField(null=True)  # the same in base currency; null while unpriced
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="conflict_once_per_key")]
        indexes = [
            models.Index(fields=["account", "status", "effect_base"], name="conflict_by_weight"),
            models.Index(fields=["account", "kind"], condition=~Q(kind="field"), name="conflict_not_of_fields"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"


class Decision(models.Model):
    """What the user said, once and for all later syncs: append-only, keyed by source-side identities,
    revocable.
    """

    class Kind(models.TextChoices):
        CHOOSE = "choose"
        IGNORE = "ignore"
        BOOK = "book"
        LINK_ACCOUNT = "link_account"
        ACCEPT = "accept"  # an edition that withdraws much
        SAME = "same"
        DIFFERENT = "different"
        MERGE_INSTRUMENTS = "merge_instruments"
        SPLIT_INSTRUMENT = "split_instrument"
        PAIR_TRANSFER = "pair_transfer"
        SET_VALUE = "set_value"
        OPENING_LOTS = "opening_lots"
        MERGE_ACCOUNTS = "merge_accounts"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    keys = models.JSONField()
    value = models.JSONField(default=dict)
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    objects = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.kind} {self.keys}"


class DecisionRevocation(models.Model):
    """A decision taken back."""

    decision = models.OneToOneField(Decision, models.CASCADE, related_name="revocation")
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"revoked at {self.number}"


class TransferLink(models.Model):
    """Ledger rows that are one transfer between accounts of the user; their kinds stay as stated.

    A side without legs lies outside, and `rule` says what the user called it. Quantities are positive, of the
    instrument or in the currency; fee is what did not arrive.
    """

    class Rule(models.TextChoices):
        DECISION = "decision"
        GROUP = "group"  # one source states both sides
        HASH = "hash"  # one transaction on a chain
        RULE = "rule"  # amount and days
        INCOME = "income"
        PAYMENT = "payment"

    id = models.UUIDField(primary_key=True, editable=False)  # derived from its legs
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="transfer_links")
    instrument = models.ForeignKey(Instrument, models.CASCADE, null=True, related_name="+")
    currency = models.CharField(max_length=3, blank=True)
    out_legs = models.JSONField()  # ids of transactions
    in_legs = models.JSONField()
    left_on = models.DateField(null=True)
    arrived_on = models.DateField(null=True)
    quantity_out = RecordedField(null=True)
    quantity_in = RecordedField(null=True)
    fee = RecordedField()
    rule = models.CharField(max_length=10, choices=Rule.choices)
    objects = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.quantity_out} -> {self.quantity_in} ({self.rule})"


class CorporateAction(models.Model):
    """What happened to an instrument on a day, stated once for every account that holds it; append-only.

    ratio: new units for one old. cash_per_unit: for one old unit, received (paid for an exercise). allocation:
    the share of the cost that goes to the new instrument. cash_in_lieu: for one new unit; fractions are sold for it.
    """

    class Kind(models.TextChoices):
        SPLIT = "split"
        SPINOFF = "spinoff"
        MERGER = "merger"
        SYMBOL_CHANGE = "symbol_change"
        RETURN_OF_CAPITAL = "return_of_capital"
        STOCK_DIVIDEND = "stock_dividend"
        RIGHTS = "rights"
        EXERCISE = "exercise"
        EXPIRY = "expiry"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="corporate_actions"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="corporate_actions")
    new_instrument = models.ForeignKey(Instrument, models.PROTECT, null=True, blank=True, related_name="+")
    ex_date = models.DateField()
    ratio = RecordedField(null=True)
    cash_per_unit = RecordedField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    allocation = RecordedField(null=True)
    cash_in_lieu = RecordedField(null=True)
    note = models.TextField(blank=True)
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    objects = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.kind} {self.ex_date}"


class CorporateActionWithdrawal(models.Model):
    """An action taken back: canceled, or stated wrongly."""

    action = models.OneToOneField(CorporateAction, models.CASCADE, related_name="withdrawal")
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"withdrawn at {self.number}"


class LedgerVersion(models.Model):
    """One state of a user's ledger: which facts it includes, under which rules, and the hash of its rows."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="ledger_versions")
    number = models.PositiveBigIntegerField()
    fact_number = models.PositiveBigIntegerField()
    market_number = models.PositiveBigIntegerField()
    rules_version = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    cause = models.CharField(max_length=40)
    touched = models.JSONField(null=True)  # ledger.holdings_touched; null: nobody said, it may be anything
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "number"], name="ledgerversion_numbers_are_unique")]

    def __str__(self) -> str:
        return str(self.number)


class LedgerState(models.Model):
    """How far a user's truth and figures have come: the durable queue that signals wake and beat sweeps
    (DESIGN 5.12).
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="ledger_state")
    facts_version = models.PositiveBigIntegerField(default=0)  # the FactVersion that the ledger includes
    ledger_version = models.PositiveBigIntegerField(default=0)
    valued_version = models.PositiveBigIntegerField(default=0)  # the LedgerVersion that the figures include
    market_version = models.PositiveBigIntegerField(default=0)  # the shared facts that the figures include
    dirty_from = models.DateField(null=True)  # first day whose figures are behind; null = none
    dirty_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(valued_version__lte=models.F("ledger_version")), name="ledgerstate_in_order"
            )
        ]

    def __str__(self) -> str:
        return f"facts {self.facts_version}, ledger {self.ledger_version}, valued {self.valued_version}"


class FormerName(models.Model):
    """Append-only: a row of names (account, link, instrument, listing, identifier) as it was before it was changed or
    removed. Written by the database itself.

    until: the FactVersion with which it changed; what was known before that number knew it so.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_constraint=False)
    table = models.CharField(max_length=40)
    row = models.CharField(max_length=36)  # primary key
    before = models.JSONField()
    until = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["user", "table", "until"], name="formername_by_number")]

    def __str__(self) -> str:
        return f"{self.table} {self.row} until {self.until}"

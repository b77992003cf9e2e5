"""Facts: sources, what arrived from them, and the rows staged from it. Staged rows, contents, arrivals, withdrawals and
coverage are never updated or deleted; what is in force follows from their numbers (DESIGN 5.1 to 5.3)."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import OwnedQuerySet
from stackmotive.common.ids import uuid7
from stackmotive.common.money import RecordedField


class SourceKind(models.TextChoices):
    IBKR_FLEX = "ibkr_flex"
    KUCOIN = "kucoin"
    CSV = "csv"
    MANUAL = "manual"


DEFAULT_PRIORITIES = {SourceKind.IBKR_FLEX: 10, SourceKind.KUCOIN: 20, SourceKind.CSV: 30, SourceKind.MANUAL: 40}


class JobStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    NEEDS_MAPPING = "needs_mapping"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCHANGED = "unchanged"


OPEN_STATUSES = (JobStatus.QUEUED, JobStatus.RUNNING)


class Health(models.TextChoices):
    """How a source that can be pulled answered last."""

    UNVERIFIED = "unverified"
    OK = "ok"
    UNAVAILABLE = "unavailable"  # it does not answer: may heal by itself
    REFUSED = "refused"  # it answered no: its user has to do something
    FAILING = "failing"  # it answered, and what it sent could not be taken in whole


class Schedule(models.TextChoices):
    """How often a source is pulled unasked; "" = never."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


class Source(models.Model):
    """Where facts come from: a broker's account, a bank's files, the user's own hand.

    Lower priority numbers are believed first.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=20, choices=SourceKind.choices)
    layout = models.CharField(max_length=40, blank=True)  # the default source of one CSV layout; "" otherwise
    name = models.CharField(max_length=100)
    priority = models.PositiveIntegerField(default=100)
    enabled = models.BooleanField(default=True)  # False = not believed (DESIGN 5.8)
    schedule = models.CharField(max_length=20, choices=Schedule.choices, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    credentials = models.BinaryField(null=True, editable=False)  # sealed; never read outside an adapter call
    health = models.CharField(max_length=20, choices=Health.choices, default=Health.UNVERIFIED)
    health_detail = models.TextField(blank=True)
    checked_at = models.DateTimeField(null=True, editable=False)  # when the broker last answered or refused
    pulled_at = models.DateTimeField(null=True, editable=False)  # start of the last pull that was taken in whole
    is_default = models.BooleanField(default=False, editable=False)
    retired_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind", "layout"], condition=Q(is_default=True), name="source_one_default_per_layout"
            )
        ]

    def __str__(self) -> str:
        return self.name


class SourceSetting(models.Model):
    """Append-only history of what a user set on a source (priority, enabled); Source's columns hold the latest."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="setting_facts")
    key = models.CharField(max_length=20)
    value = models.JSONField()
    number = models.PositiveBigIntegerField()  # FactVersion of the user
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class ImportProfile(models.Model):
    """A confirmed mapping of CSV columns, found again by the header it was made for."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="import_profiles")
    name = models.CharField(max_length=100)
    header_digest = models.CharField(max_length=64)
    options = models.JSONField()  # mapping, date_order, number_format, encoding
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "header_digest"], name="importprofile_one_per_header")]

    def __str__(self) -> str:
        return self.name


class ContentQuerySet(models.QuerySet["Content"]):
    def in_force(self) -> Self:
        """Contents that arrived after they were last withdrawn, each with `arrived_number`, its newest arrival."""
        newest_arrival = (
            Arrival.objects.filter(content=OuterRef("pk")).values("content").annotate(n=Max("number")).values("n")
        )
        newest_withdrawal = (
            Withdrawal.objects.filter(content=OuterRef("pk")).values("content").annotate(n=Max("number")).values("n")
        )
        return self.annotate(
            arrived_number=Subquery(newest_arrival), withdrawn_number=Coalesce(Subquery(newest_withdrawal), -1)
        ).filter(arrived_number__gt=models.F("withdrawn_number"))


class Content(models.Model):
    """What a file or reply said, once per digest: the owner of its staged rows. A row typed by hand is one too."""

    source = models.ForeignKey(Source, models.CASCADE, related_name="contents")
    scope = models.CharField(max_length=40, default="file")
    digest = models.CharField(
        max_length=64
    )  # SHA-256 over the canonical rows, mapping and default account; "manual:<uid>:<n>" by hand
    layout = models.CharField(max_length=40)
    parser_version = models.PositiveSmallIntegerField(default=1)  # of the adapter that first read it so
    institution = models.CharField(max_length=100, blank=True)
    references_issued = models.BooleanField(default=False)
    generated_at = models.DateTimeField(null=True)
    default_account = models.UUIDField(null=True)  # broker account for rows that name none, as its user chose
    cash_mode = models.CharField(max_length=10, default="external")  # proposed by the adapter for accounts it makes
    time_order = models.CharField(max_length=10, default="ascending")
    base_currencies = models.JSONField(default=dict)  # account reference -> currency
    created_at = models.DateTimeField(default=timezone.now)
    objects = ContentQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "scope", "digest"], name="content_once_per_digest")]

    def __str__(self) -> str:
        return f"{self.layout} {self.digest[:12]}"


class SyncRun(models.Model):
    """One pass over all sources of a user that can be pulled: ends when each of its pulls has ended."""

    class Trigger(models.TextChoices):
        API = "api"
        MANUAL = "manual"
        SCHEDULED = "scheduled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sync_runs")
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    status = models.CharField(max_length=15, choices=JobStatus.choices, default=JobStatus.QUEUED)
    stats = models.JSONField(default=dict)  # {inserted, updated, unchanged, closed, conflicts[]}
    conflicts_before = models.JSONField(default=list)  # keys open when it began
    heartbeat_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(status__in=["queued", "running"]), name="syncrun_one_live_per_user"
            )
        ]
        indexes = [models.Index(fields=["user", "-created_at"], name="syncrun_newest")]

    def __str__(self) -> str:
        return f"{self.trigger} {self.status}"


class SourcePull(models.Model):
    """One source's part of a sync run: queued -> running (fetching, then its imports) -> an end.

    code and detail say why where it failed, was left out, or brought a part only.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        PARTIAL = "partial"
        FAILED = "failed"
        CANCELLED = "cancelled"
        UNCHANGED = "unchanged"
        SKIPPED = "skipped"

    sync_run = models.ForeignKey(SyncRun, models.CASCADE, related_name="pulls")
    source = models.ForeignKey(Source, models.CASCADE, related_name="pulls")
    status = models.CharField(max_length=15, choices=Status.choices, default=Status.QUEUED)
    code = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)
    fetched_at = models.DateTimeField(null=True)  # what the source sent is stored as import runs
    retry_at = models.DateTimeField(null=True)  # it did not answer: not to be asked again before
    tries = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_run", "source"], name="sourcepull_once_per_run")]

    def __str__(self) -> str:
        return f"{self.source_id} {self.status}"


class ImportRun(models.Model):
    """One pass over one file or reply: queued -> running -> done | partial | failed | needs_mapping | unchanged."""

    class Trigger(models.TextChoices):
        UPLOAD = "upload"
        PULL = "pull"
        SCHEDULED = "scheduled"
        COMMAND = "command"

    class Stage(models.TextChoices):
        PARSING = "parsing"
        STAGING = "staging"
        RECONCILING = "reconciling"
        VALUING = "valuing"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="import_runs")
    source = models.ForeignKey(
        Source, models.CASCADE, null=True, related_name="import_runs"
    )  # null until the layout is detected
    sync_run = models.ForeignKey(SyncRun, models.SET_NULL, null=True, related_name="import_runs")
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.UPLOAD)
    status = models.CharField(max_length=15, choices=JobStatus.choices, default=JobStatus.QUEUED)
    stage = models.CharField(max_length=15, choices=Stage.choices, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    filename = models.CharField(max_length=255, blank=True)  # a label only, never a path
    raw = models.BinaryField(null=True, editable=False)  # the bytes as they came: compressed, sealed; null once purged
    raw_digest = models.CharField(max_length=64)  # SHA-256 of the bytes
    raw_size = models.PositiveBigIntegerField()
    request_digest = models.CharField(max_length=64)  # bytes and options: equal open uploads join one run
    options = models.JSONField(default=dict)
    layout = models.CharField(max_length=40, blank=True)
    parser_version = models.PositiveSmallIntegerField(default=1)  # of the adapter that read the bytes last
    digest = models.CharField(max_length=64, blank=True)  # of the content
    content = models.ForeignKey(Content, models.RESTRICT, null=True, related_name="runs")
    rows = models.PositiveIntegerField(default=0)  # = staged + unchanged + rejected + ignored
    staged = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    ignored = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)  # of the staged: rows that say anew what the source said before
    closed = models.PositiveIntegerField(default=0)  # holdings that a whole statement no longer lists
    error = models.JSONField(null=True)  # {code, detail, line}
    questions = models.JSONField(null=True)  # of needs_mapping
    fact_number = models.PositiveBigIntegerField(null=True)
    ledger_version = models.PositiveBigIntegerField(null=True)
    undone_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)  # the bytes are gone; digest and counts stay
    lease_until = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "request_digest"],
                condition=Q(status__in=["queued", "running"], trigger="upload"),
                name="importrun_equal_uploads_join",
            )
        ]
        indexes = [models.Index(fields=["user", "-created_at"], name="importrun_newest")]

    def __str__(self) -> str:
        return f"{self.filename or self.layout} {self.status}"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES


class ImportRow(models.Model):
    """A row of a file that was not staged: rejected with a reason its user understands, or ignored by a named rule."""

    class Verdict(models.TextChoices):
        REJECTED = "rejected"
        IGNORED = "ignored"

    run = models.ForeignKey(ImportRun, models.CASCADE, related_name="left_out")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    line = models.PositiveIntegerField()
    count = models.PositiveIntegerField(default=1)  # rows it stands for: an unread section is one entry
    code = models.CharField(max_length=40)
    detail = models.TextField()
    field = models.CharField(max_length=60, blank=True)
    raw = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["run", "verdict", "line", "id"], name="importrow_by_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"


class Arrival(models.Model):
    """A content came in (again): a candidate from this number on."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="arrivals")
    run = models.ForeignKey(
        ImportRun, models.CASCADE, null=True, related_name="arrivals"
    )  # null for rows typed by hand; more than one where a mended adapter read the run's bytes again
    number = models.PositiveBigIntegerField()
    generated_at = models.DateTimeField(
        null=True
    )  # when this statement says it was made; the same content may be again
    arrived_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.content_id} at {self.number}"


class Withdrawal(models.Model):
    """A content was taken back (undo, delete, replaced by an edit): with all its arrivals up to this number."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="withdrawals")
    number = models.PositiveBigIntegerField()
    withdrawn_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.content_id} at {self.number}"


class Coverage(models.Model):
    """What a content says it holds of one account reference: a window (transactions) or one day (positions, cash)."""

    class Section(models.TextChoices):
        TRANSACTIONS = "transactions"
        POSITIONS = "positions"
        CASH = "cash"

    class Completeness(models.TextChoices):
        DECLARED = "declared"
        INFERRED = "inferred"
        BROKEN = "broken"

    content = models.ForeignKey(Content, models.CASCADE, related_name="coverage")
    account_ref = models.CharField(max_length=100, blank=True)
    section = models.CharField(max_length=15, choices=Section.choices)
    start = models.DateField()
    end = models.DateField()
    completeness = models.CharField(max_length=10, choices=Completeness.choices)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(end__gte=models.F("start")), name="coverage_ends_after_start")
        ]

    def __str__(self) -> str:
        return f"{self.section} {self.start} to {self.end} ({self.completeness})"


class StagedInstrument(models.Model):
    """How a content names an instrument. `key` is a digest of what the source said, equal across its files."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="instruments")
    key = models.CharField(max_length=32)
    symbol = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=12, blank=True)
    isin = models.CharField(max_length=12, blank=True)
    figi = models.CharField(max_length=12, blank=True)
    cusip = models.CharField(max_length=9, blank=True)
    conid = models.CharField(max_length=20, blank=True)
    exchange = models.CharField(max_length=40, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    multiplier = RecordedField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["content", "key"], name="stagedinstrument_once_per_content")]

    def __str__(self) -> str:
        return self.symbol or self.isin or self.name


class StagedTransaction(models.Model):
    """One leg as a source stated it. `identity` is built from source-side references and the ordinal among equal rows;
    `uid` is given when that identity is first recorded and kept by every later content of the source (DESIGN 5.6)."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="transactions", db_index=False)  # see Meta
    uid = models.UUIDField()
    identity = models.CharField(max_length=32)
    ordinal = models.PositiveIntegerField(default=0)
    has_own_id = models.BooleanField(default=False)  # identity is the source's own id
    line = models.PositiveIntegerField()
    account_ref = models.CharField(max_length=100, blank=True)
    instrument_key = models.CharField(max_length=32, blank=True)
    kind = models.CharField(max_length=20)
    trade_date = models.DateField()
    traded_at = models.DateTimeField(null=True)
    local_time = models.CharField(max_length=15, blank=True)  # as stated, where no zone is: orders rows inside a day
    settled_on = models.DateField(null=True)
    reported_on = models.DateField(null=True)  # the day whose statement first shows the row, where it is not trade_date
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
    external_id = models.CharField(max_length=100, blank=True)
    group = models.CharField(max_length=100, blank=True)
    leg = models.PositiveSmallIntegerField(default=0)
    note = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["identity"], name="stagedtransaction_identity"),
            models.Index(fields=["content", "trade_date"], name="stagedtransaction_by_day"),
            models.Index(fields=["group"], condition=~Q(group=""), name="stagedtransaction_group"),
            models.Index(fields=["external_id"], condition=Q(has_own_id=True), name="stagedtransaction_own_id"),
        ]

    def __str__(self) -> str:
        return f"{self.trade_date} {self.kind} {self.quantity or self.cash_amount}"


class StagedPosition(models.Model):
    """A source's report of what an account held at the close of a day."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="positions")
    line = models.PositiveIntegerField()
    account_ref = models.CharField(max_length=100, blank=True)
    instrument_key = models.CharField(max_length=32)
    quantity = RecordedField()
    cost_basis = RecordedField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    as_of = models.DateField()

    def __str__(self) -> str:
        return f"{self.quantity} on {self.as_of}"


class StagedCash(models.Model):
    """A source's report of a cash balance at the close of a day."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="cash")
    line = models.PositiveIntegerField()
    account_ref = models.CharField(max_length=100, blank=True)
    currency = models.CharField(max_length=3)
    balance = RecordedField()
    as_of = models.DateField()

    def __str__(self) -> str:
        return f"{self.balance} {self.currency} on {self.as_of}"


class StagedPrice(models.Model):
    """A mark a source used, private to its user."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="prices")
    instrument_key = models.CharField(max_length=32)
    day = models.DateField()
    close = RecordedField()
    currency = models.CharField(max_length=3)

    def __str__(self) -> str:
        return f"{self.close} {self.currency} on {self.day}"


class ContentUsage(models.Model):
    """How often, and from which day to which, a content names an account, an instrument and a currency in a section.

    Counted once when the content is written, since it never changes: who asks what is named reads no staged rows.
    """

    content = models.ForeignKey(Content, models.CASCADE, related_name="usages")
    account_ref = models.CharField(max_length=100, blank=True)
    section = models.CharField(max_length=15, choices=Coverage.Section.choices)
    instrument_key = models.CharField(max_length=32, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    rows = models.PositiveIntegerField()
    first_day = models.DateField(null=True)  # null where only coverage names the account
    last_day = models.DateField(null=True)

    def __str__(self) -> str:
        return f"{self.rows} {self.section} of {self.instrument_key or self.currency or self.account_ref}"


class StagedRate(models.Model):
    """A rate a source used: one `base` is `rate` of `quote`."""

    content = models.ForeignKey(Content, models.CASCADE, related_name="rates")
    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    day = models.DateField()
    rate = RecordedField()

    def __str__(self) -> str:
        return f"{self.base}{self.quote} {self.rate} on {self.day}"

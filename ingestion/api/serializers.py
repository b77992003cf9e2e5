"""Shape of sources, imports and profiles, in and out."""

import json
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from ingestion.api.parsing import check_size, limit_of
from ingestion.coverage_grid import MONTH_STATES
from ingestion.models import (
    OPEN_STATUSES,
    Coverage,
    ImportProfile,
    ImportRow,
    ImportRun,
    Schedule,
    Source,
    SourceKind,
    SourcePull,
    SyncRun,
)
from ingestion.options import ImportOptions
from ingestion.selectors import StagedRow
from stackmotive.common.fields import DayField, NumberField, OwnedRelatedField
from stackmotive.common.parsing import check_value

MOST_COLUMNS = 200
LONGEST_CELL = 200
LONGEST_SECRET = 1000
DATE_ORDERS = ("dmy", "mdy", "ymd")
NUMBER_FORMATS = ("1,234.56", "1.234,56")
ENCODINGS = ("utf-8", "cp1252")


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class TextMapField(serializers.Field):  # type: ignore[type-arg]
    """An object of texts; in a form, its JSON."""

    default_error_messages = {
        "invalid": "Send a JSON object of texts.",
        "too_many": f"At most {MOST_COLUMNS} members of {LONGEST_CELL} characters.",
    }

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, str):
            try:
                data = json.loads(data) if data.strip() else {}
            except (ValueError, RecursionError):
                self.fail("invalid")
        if not isinstance(data, dict):
            self.fail("invalid")
        check_value(data)
        if not all(isinstance(value, str) for value in data.values()):
            self.fail("invalid")
        if len(data) > MOST_COLUMNS or any(len(text) > LONGEST_CELL for pair in data.items() for text in pair):
            self.fail("too_many")
        return dict(data)

    def to_representation(self, value: Any) -> dict[str, str]:
        return dict(value)


# --- sources ---


class SourceSerializer(serializers.ModelSerializer[Source]):
    """A source as it is; its credentials never come back out."""

    has_credentials = serializers.SerializerMethodField()

    class Meta:
        model = Source
        fields = [
            "id", "kind", "layout", "name", "priority", "enabled", "schedule", "settings", "has_credentials", "health",
            "health_detail", "checked_at", "pulled_at", "is_default", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_has_credentials(self, source: Source) -> bool:
        return source.credentials is not None


class SourceChangeSerializer(serializers.Serializer[Any]):
    """What a user sets on a source."""

    name = serializers.CharField(max_length=100)
    priority = serializers.IntegerField(min_value=0, max_value=1_000_000, required=False)
    enabled = serializers.BooleanField(required=False)
    schedule = serializers.ChoiceField(choices=Schedule.choices, required=False, allow_blank=True)
    settings = TextMapField(required=False)
    credentials = serializers.DictField(
        child=serializers.CharField(max_length=LONGEST_SECRET, trim_whitespace=False), required=False, write_only=True
    )


class SourceRequestSerializer(SourceChangeSerializer):
    kind = serializers.ChoiceField(choices=SourceKind.choices)


class SourceTestSerializer(serializers.Serializer[Any]):
    """code: "ok", "not_pullable" (its files are uploaded), "unavailable", or the broker's own refusal."""

    ok = serializers.BooleanField()
    code = serializers.CharField()
    detail = serializers.CharField()
    checked_at = serializers.DateTimeField()


# --- sync runs ---


class SyncRequestSerializer(serializers.Serializer[Any]):
    sources = serializers.ListField(
        child=OwnedRelatedField(queryset=Source.objects.filter(retired_at=None)), required=False, min_length=1,
        max_length=100, help_text="Without it: all sources in use.",
    )  # fmt: skip


class SyncStatsSerializer(serializers.Serializer[Any]):
    """Rows by what they did; holdings that a whole statement no longer lists; keys of conflicts that are new."""

    inserted = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    closed = serializers.IntegerField()
    conflicts = serializers.ListField(child=serializers.CharField())


class SourcePullSerializer(serializers.ModelSerializer[SourcePull]):
    """One source's part. code and detail: why it failed, was left out, or brought a part only."""

    name = serializers.CharField(source="source.name")
    kind = serializers.CharField(source="source.kind")
    imports = serializers.SerializerMethodField()

    class Meta:
        model = SourcePull
        fields = ["source", "name", "kind", "status", "code", "detail", "imports", "started_at", "finished_at"]
        read_only_fields = fields

    def get_imports(self, pull: SourcePull) -> list[str]:
        """Ids of the imports of what it sent, the oldest first."""
        runs: dict[Any, list[str]] = self.context.get("imports", {})
        return runs.get(pull.source_id, [])


class SyncProgressSerializer(serializers.Serializer[Any]):
    """Sources that have ended, of those that were asked."""

    done = serializers.IntegerField()
    total = serializers.IntegerField()


class SyncRunSerializer(serializers.ModelSerializer[SyncRun]):
    """A sync: the job to watch. It is done once ledger and today's values include what it brought."""

    sources = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    stats = SyncStatsSerializer()

    class Meta:
        model = SyncRun
        fields = ["id", "status", "trigger", "progress", "sources", "stats", "created_at", "started_at", "finished_at"]
        read_only_fields = fields

    @extend_schema_field(SourcePullSerializer(many=True))
    def get_sources(self, run: SyncRun) -> Any:
        imports: dict[Any, list[str]] = {}
        for one in run.import_runs.all():
            imports.setdefault(one.source_id, []).append(str(one.pk))
        return SourcePullSerializer(run.pulls.all(), many=True, context={"imports": imports}).data

    @extend_schema_field(SyncProgressSerializer)
    def get_progress(self, run: SyncRun) -> dict[str, int]:
        asked = [pull for pull in run.pulls.all() if pull.status != SourcePull.Status.SKIPPED]
        return {"done": sum(pull.status not in OPEN_STATUSES for pull in asked), "total": len(asked)}


# --- coverage ---


class MonthSerializer(serializers.Serializer[Any]):
    """state: declared (all its days), inferred, broken, missing. files: how many speak of it."""

    month = serializers.CharField()
    state = serializers.ChoiceField(choices=list(MONTH_STATES))
    files = serializers.IntegerField()
    declared_days = serializers.IntegerField()
    days = serializers.IntegerField()


class CoverageLineSerializer(serializers.Serializer[Any]):
    """account: the account of yours for rows that name none; account_ref: the source's own name of it."""

    source = serializers.UUIDField(source="source_id")  # type: ignore[assignment]
    source_name = serializers.CharField()
    account_ref = serializers.CharField()
    account = serializers.UUIDField(allow_null=True)
    section = serializers.ChoiceField(choices=Coverage.Section.choices)
    start = serializers.DateField()
    end = serializers.DateField()
    months = MonthSerializer(many=True)


class CoverageAnswerSerializer(serializers.Serializer[Any]):
    """Every line of the user: it is one page."""

    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    until = serializers.DateField()
    results = CoverageLineSerializer(many=True)


class CoverageQuerySerializer(serializers.Serializer[Any]):
    source = serializers.UUIDField(required=False)  # type: ignore[assignment]
    until = DayField(required=False)


# --- imports ---


class ImportAnswersSerializer(serializers.Serializer[Any]):
    """What the file does not say and its user does."""

    mapping = TextMapField(required=False, help_text="Column of the file -> field of the generic layout, as JSON.")
    words = TextMapField(required=False, help_text="Word of the kind column -> kind.")
    constants = TextMapField(required=False, help_text="Field -> value that no column states.")
    account = serializers.UUIDField(required=False, help_text="The account for rows that name none.")
    on_error = serializers.ChoiceField(choices=["refuse", "skip"], required=False)
    encoding = serializers.ChoiceField(choices=ENCODINGS, required=False)
    date_order = serializers.ChoiceField(choices=DATE_ORDERS, required=False)
    number_format = serializers.ChoiceField(choices=NUMBER_FORMATS, required=False)
    as_of = DayField(required=False, help_text="The day of a positions file that states none.")
    whole = serializers.BooleanField(required=False, help_text="False: a positions file lists only a part.")

    def to_internal_value(self, data: Any) -> Any:
        """A form sends a field that was left alone as an empty text: it says nothing."""
        if hasattr(data, "items"):
            data = {name: value for name, value in data.items() if value != ""}
        return super().to_internal_value(data)

    def said(self) -> dict[str, Any]:
        """As fields of ImportOptions."""
        names = ImportOptions.__dataclass_fields__.keys()
        return {name: value for name, value in self.validated_data.items() if name in names}


class ImportRequestSerializer(ImportAnswersSerializer):
    file = serializers.FileField(max_length=None, allow_empty_file=False)
    source = OwnedRelatedField(  # type: ignore[assignment]
        queryset=Source.objects.filter(retired_at=None).exclude(kind=SourceKind.MANUAL), required=False
    )
    profile = OwnedRelatedField(queryset=ImportProfile.objects.all(), required=False)
    dry_run = serializers.BooleanField(required=False)

    def validate_file(self, file: "UploadedFile[bytes]") -> "UploadedFile[bytes]":
        head = file.read(1024)
        file.seek(0)
        check_size(file.size or 0, limit_of(head))
        return file

    def options(self) -> ImportOptions:
        options = ImportOptions(**self.said())
        profile: ImportProfile | None = self.validated_data.get("profile")
        return options.with_profile(profile.options) if profile else options


class CountsSerializer(serializers.Serializer[Any]):
    """rows is the sum of the other four."""

    rows = serializers.IntegerField()
    staged = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rejected = serializers.IntegerField()
    ignored = serializers.IntegerField()


class ProgressSerializer(serializers.Serializer[Any]):
    stage = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class RefusalSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    line = serializers.IntegerField(allow_null=True)


class QuestionSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField())


class GuessSerializer(serializers.Serializer[Any]):
    column = serializers.CharField()
    field = serializers.CharField()
    confidence = serializers.FloatField()


class QuestionsSerializer(serializers.Serializer[Any]):
    """What a run with status needs_mapping asks; answer with POST .../mapping/."""

    questions = QuestionSerializer(many=True)
    guesses = GuessSerializer(many=True)
    columns = serializers.ListField(child=serializers.CharField())
    header_digest = serializers.CharField()


class ImportRunSerializer(serializers.ModelSerializer[ImportRun]):
    """A run: the job to watch. `digest` is of what the file says, null until it was read."""

    source_name = serializers.SerializerMethodField()
    progress = ProgressSerializer(source="*")
    counts = CountsSerializer(source="*")
    digest = serializers.SerializerMethodField()
    error = RefusalSerializer(allow_null=True)
    questions = QuestionsSerializer(allow_null=True)
    is_undoable = serializers.SerializerMethodField()
    problems_url = serializers.SerializerMethodField()

    class Meta:
        model = ImportRun
        fields = [
            "id",
            "source",
            "source_name",
            "sync_run",
            "trigger",
            "status",
            "progress",
            "filename",
            "layout",
            "counts",
            "digest",
            "error",
            "questions",
            "ledger_version",
            "is_undoable",
            "undone_at",
            "purged_at",
            "problems_url",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields

    def get_source_name(self, run: ImportRun) -> str | None:
        return run.source.name if run.source else None

    def get_digest(self, run: ImportRun) -> str | None:
        return run.digest or None

    def get_is_undoable(self, run: ImportRun) -> bool:
        return run.content_id is not None and run.undone_at is None

    def get_problems_url(self, run: ImportRun) -> str:
        address = reverse("api-import-rows", args=[run.pk], request=self.context.get("request"))
        return f"{address}?status=rejected"


class LeftOutSerializer(serializers.ModelSerializer[ImportRow]):
    """A row that was not staged, and why."""

    status = serializers.CharField(source="verdict")

    class Meta:
        model = ImportRow
        fields = ["line", "status", "count", "code", "detail", "field", "raw"]
        read_only_fields = fields


class StagedRowSerializer(serializers.Serializer[StagedRow]):
    """A row as it was understood; what its section does not have is null."""

    line = serializers.IntegerField()
    status = serializers.SerializerMethodField()
    section = serializers.CharField()
    account = serializers.CharField(source="row.account_ref")
    kind = serializers.SerializerMethodField()
    day = serializers.SerializerMethodField()
    symbol = serializers.SerializerMethodField()
    isin = serializers.SerializerMethodField()
    quantity = serializers.SerializerMethodField()
    price = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(source="row.currency")

    def get_status(self, staged: StagedRow) -> str:
        return "staged"

    def get_kind(self, staged: StagedRow) -> str | None:
        return getattr(staged.row, "kind", None)

    def get_day(self, staged: StagedRow) -> str:
        return str(getattr(staged.row, "trade_date", None) or staged.row.as_of)  # type: ignore[union-attr]

    def get_symbol(self, staged: StagedRow) -> str | None:
        return staged.instrument.symbol if staged.instrument else None

    def get_isin(self, staged: StagedRow) -> str | None:
        return (staged.instrument.isin or None) if staged.instrument else None

    def get_quantity(self, staged: StagedRow) -> str | None:
        return self._number(staged, "quantity")

    def get_price(self, staged: StagedRow) -> str | None:
        return self._number(staged, "price")

    def get_amount(self, staged: StagedRow) -> str | None:
        return self._number(staged, "cash_amount", "cost_basis", "balance")

    def _number(self, staged: StagedRow, *names: str) -> str | None:
        for name in names:
            value = getattr(staged.row, name, None)
            if value is not None:
                return NumberField().to_representation(value)
        return None


class RowsQuerySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["rejected", "ignored", "staged"], required=False)


# --- preview ---


class ColumnSerializer(GuessSerializer):
    example = serializers.CharField()


class PreviewRowSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    section = serializers.CharField()
    account = serializers.CharField()
    day = serializers.DateField()
    kind = serializers.CharField()
    symbol = serializers.CharField()
    isin = serializers.CharField()
    name = serializers.CharField()
    quantity = NumberField(allow_null=True)
    price = NumberField(allow_null=True)
    amount = NumberField(allow_null=True)
    currency = serializers.CharField()


class ProblemRowSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField()
    raw = serializers.CharField()


class ImportPreviewSerializer(serializers.Serializer[Any]):
    """What an import would do. With questions open, rows and counts are empty."""

    layout = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    source_name = serializers.CharField()
    on_error = serializers.CharField()
    header_digest = serializers.CharField()
    columns = ColumnSerializer(many=True)
    questions = QuestionSerializer(many=True)
    rows = PreviewRowSerializer(many=True)
    problems = ProblemRowSerializer(many=True)
    counts = CountsSerializer()
    digest = serializers.CharField()


# --- profiles ---


class ProfileOptionsSerializer(serializers.Serializer[Any]):
    mapping = TextMapField(required=False)
    words = TextMapField(required=False)
    constants = TextMapField(required=False)
    encoding = serializers.ChoiceField(choices=ENCODINGS, required=False)
    date_order = serializers.ChoiceField(choices=DATE_ORDERS, required=False)
    number_format = serializers.ChoiceField(choices=NUMBER_FORMATS, required=False)


class ImportProfileSerializer(serializers.ModelSerializer[ImportProfile]):
    options = ProfileOptionsSerializer()

    class Meta:
        model = ImportProfile
        fields = ["id", "name", "header_digest", "options", "created_at"]
        read_only_fields = fields


class ImportProfileChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100, required=False)
    options = ProfileOptionsSerializer(required=False)


class ImportProfileRequestSerializer(serializers.Serializer[Any]):
    """columns: the header the profile is for, in any order."""

    name = serializers.CharField(max_length=100)
    columns = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_CELL), min_length=1, max_length=MOST_COLUMNS
    )
    options = ProfileOptionsSerializer()

"""Staff's view of sources and imports. Secrets and files are never shown; changes go through the API's services."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from ingestion import services, tasks
from ingestion.models import ImportProfile, ImportRow, ImportRun, Source, SourcePull, SourceSetting, SyncRun
from stackmotive.common.problems import Problem


class ReadOnly:
    """Rows that nobody makes, changes or deletes here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SourceSettingInline(ReadOnly, TabularInline):
    model = SourceSetting
    fields = ("key", "value", "number", "created_at")
    ordering = ("-number", "key")
    extra = 0
    verbose_name_plural = "What its user set"


@admin.register(Source)
class SourceAdmin(ReadOnly, ModelAdmin):
    list_display = ("name", "kind", "user", "priority", "enabled", "has_credentials", "health", "retired_at")
    list_filter = ("kind", "enabled", "health")
    list_select_related = ("user",)
    search_fields = ("name", "user__email")
    ordering = ("-created_at",)
    fields = (
        "id", "user", "kind", "layout", "name", "priority", "enabled", "schedule", "has_credentials", "health",
        "is_default", "retired_at", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    inlines = (SourceSettingInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        rows: QuerySet[Source] = super().get_queryset(request)
        return rows.select_related("user")

    @admin.display(boolean=True, description="credentials set")
    def has_credentials(self, source: Source) -> bool:
        return source.credentials is not None


class ImportRowInline(ReadOnly, TabularInline):
    model = ImportRow
    fields = ("line", "verdict", "code", "detail", "field", "raw")
    ordering = ("line", "id")
    extra = 0
    per_page = 50
    verbose_name_plural = "Rows left out"


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "filename",
        "user",
        "source",
        "status",
        "stage",
        "rows",
        "staged",
        "unchanged",
        "rejected",
        "created_at",
    )
    list_filter = ("status", "layout", "trigger")
    list_select_related = ("user", "source")
    search_fields = ("filename", "user__email", "digest", "raw_digest")
    ordering = ("-created_at",)
    fields = (
        "id",
        "user",
        "source",
        "trigger",
        "filename",
        "raw_size",
        "raw_digest",
        "layout",
        "options",
        "status",
        "stage",
        "done",
        "total",
        "rows",
        "staged",
        "unchanged",
        "rejected",
        "ignored",
        "error",
        "questions",
        "digest",
        "fact_number",
        "ledger_version",
        "deliveries",
        "lease_until",
        "created_at",
        "started_at",
        "finished_at",
        "undone_at",
    )
    readonly_fields = fields
    inlines = (ImportRowInline,)
    actions = ("undo", "retry")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRun]:
        rows: QuerySet[ImportRun] = super().get_queryset(request)
        return rows.defer("raw").select_related("user", "source")

    @admin.action(description="Undo: take the rows of these imports back", permissions=["repair"])
    def undo(self, request: HttpRequest, runs: QuerySet[ImportRun]) -> None:
        for run in runs:
            self._do(request, run, lambda run: services.undo_import(run=run), "is undone")

    @admin.action(description="Retry: read the kept file of failed imports again", permissions=["repair"])
    def retry(self, request: HttpRequest, runs: QuerySet[ImportRun]) -> None:
        for run in runs:
            self._do(request, run, lambda run: tasks.enqueue_retry(run=run), "is queued again")

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("ingestion.change_importrun")

    def _do(self, request: HttpRequest, run: ImportRun, act: Any, done: str) -> None:
        try:
            act(run)
        except Problem as exc:
            self.message_user(request, f"{run.filename}: {exc.detail}", messages.ERROR)
        else:
            self.message_user(request, f"{run.filename} {done}.", messages.SUCCESS)


@admin.register(ImportProfile)
class ImportProfileAdmin(ReadOnly, ModelAdmin):
    list_display = ("name", "user", "created_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__email")
    ordering = ("-created_at",)
    fields = readonly_fields = ("id", "user", "name", "header_digest", "options", "created_at")


class SourcePullInline(ReadOnly, TabularInline):
    model = SourcePull
    fields = ("source", "status", "code", "detail", "tries", "deliveries", "started_at", "finished_at")
    ordering = ("id",)
    extra = 0
    verbose_name_plural = "Its sources"


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnly, ModelAdmin):
    list_display = ("created_at", "user", "trigger", "status", "heartbeat_at", "finished_at")
    list_filter = ("status", "trigger")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    ordering = ("-created_at",)
    fields = readonly_fields = (
        "id", "user", "trigger", "status", "stats", "heartbeat_at", "created_at", "started_at", "finished_at",
    )  # fmt: skip
    inlines = (SourcePullInline,)
    actions = ("cancel",)

    @admin.action(description="Cancel: fetch and read nothing more", permissions=["repair"])
    def cancel(self, request: HttpRequest, runs: QuerySet[SyncRun]) -> None:
        for run in runs.select_related("user"):
            try:
                services.cancel_sync(run=run)
            except Problem as exc:
                self.message_user(request, f"{run.user.email}: {exc.detail}", messages.ERROR)
            else:
                self.message_user(request, f"The sync of {run.user.email} is cancelled.", messages.SUCCESS)

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("ingestion.change_syncrun")

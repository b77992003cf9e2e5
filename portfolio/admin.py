"""Staff's view of prices, rates and positions: to look, not to change."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from portfolio import tasks
from portfolio.models import FigureState, Finding, FxRate, Position, Price


class ReadOnly(ModelAdmin):
    """Computed rows and facts are not edited by hand."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Price)
class PriceAdmin(ReadOnly):
    list_display = ("listing", "symbol", "date", "close", "provider", "basis", "user", "recorded_at")
    list_filter = ("provider", "basis")
    list_select_related = ("listing__instrument", "user")
    search_fields = ("listing__instrument__symbol",)
    date_hierarchy = "date"

    @admin.display(description="Instrument")
    def symbol(self, row: Price) -> str:
        return row.listing.instrument.symbol


@admin.register(FxRate)
class FxRateAdmin(ReadOnly):
    list_display = ("base", "quote", "date", "rate", "provider", "user")
    list_filter = ("provider", "quote")
    list_select_related = ("user",)
    date_hierarchy = "date"


@admin.register(Position)
class PositionAdmin(ReadOnly):
    list_display = (
        "user",
        "account",
        "instrument",
        "quantity",
        "price",
        "price_as_of",
        "price_provider",
        "is_stale",
        "reason",
    )
    list_filter = ("is_stale", "reason", "price_provider")
    list_select_related = ("user", "account", "instrument")
    search_fields = ("user__email", "instrument__symbol")


@admin.register(Finding)
class FindingAdmin(ReadOnly):
    list_display = ("user", "severity", "kind", "title", "effect_base", "first_seen", "last_seen")
    list_filter = ("severity", "kind")
    list_select_related = ("user",)
    search_fields = ("user__email",)


@admin.register(FigureState)
class FigureStateAdmin(ReadOnly):
    list_display = ("user", "valued_on", "base_currency", "market_number")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    actions = ("refresh",)

    @admin.action(description="Refresh figures now", permissions=["view"])
    def refresh(self, request: HttpRequest, queryset: QuerySet[FigureState]) -> None:
        ids: list[Any] = list(queryset.values_list("pk", flat=True))
        for user_id in ids:
            tasks.enqueue_refresh(user_id=user_id)
        self.message_user(request, f"{len(ids)} refreshes started.")

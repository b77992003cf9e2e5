"""Staff's view of truth. Only accounts' and instruments' words are edited here; everything computed is
read-only.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action

from federation import services
from federation.models import (
    AccountLink,
    BrokerAccount,
    Conflict,
    CorporateAction,
    Decision,
    Institution,
    Instrument,
    InstrumentIdentifier,
    LedgerVersion,
    Listing,
    TransferLink,
)


class ReadOnlyAdmin(ModelAdmin):
    """Rows that follow from facts, or are facts: shown, never changed here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AccountLinkInline(TabularInline):
    model = AccountLink
    fk_name = "account"
    extra = 0
    fields = readonly_fields = ("source", "reference", "state")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Institution)
class InstitutionAdmin(ModelAdmin):
    list_display = ("name", "slug")
    search_fields = ("name",)


@admin.register(BrokerAccount)
class BrokerAccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "institution", "currency", "kind", "tracking", "cash_mode")
    list_filter = ("kind", "tracking", "cash_mode")
    list_select_related = ("user", "institution")
    search_fields = ("name", "reference", "user__email")
    inlines = (AccountLinkInline,)


class IdentifierInline(TabularInline):
    model = InstrumentIdentifier
    extra = 0
    fields = ("scheme", "value", "valid_from", "valid_to")


class ListingInline(TabularInline):
    model = Listing
    extra = 0
    fields = ("exchange", "currency", "quote_unit")


@admin.register(Instrument)
class InstrumentAdmin(ModelAdmin):
    """Catalog rows can be edited; a user's private ones follow from what their sources say."""

    list_display = ("symbol", "name", "kind", "user", "needs_review")
    list_filter = ("kind", "needs_review")
    list_select_related = ("user",)
    search_fields = ("symbol", "name", "identifiers__value")
    readonly_fields = ("user", "needs_review")
    inlines = (IdentifierInline, ListingInline)

    def has_change_permission(self, request: HttpRequest, obj: Instrument | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.user_id is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Conflict)
class ConflictAdmin(ReadOnlyAdmin):
    list_display = ("key", "user", "kind", "status", "rule", "difference", "effect_base")
    list_filter = ("status", "kind", "rule")
    list_select_related = ("user",)
    search_fields = ("key", "user__email", "instrument__symbol")
    ordering = ("-effect_base", "key")
    actions = ("believe_winner", "book_row")

    @action(description="Keep to the source that the rule chose")
    def believe_winner(self, request: HttpRequest, queryset: QuerySet[Conflict]) -> None:
        chosen = list(queryset.exclude(winner=None).exclude(kind__in=("only_in_one_source", "ambiguous")))
        for conflict in chosen:
            services.resolve_conflict(conflict=conflict, action="choose", source=conflict.winner)
        self.message_user(request, f"{len(chosen)} settled for their user.", messages.SUCCESS)

    @action(description="Book the row that one source alone has")
    def book_row(self, request: HttpRequest, queryset: QuerySet[Conflict]) -> None:
        rows = list(queryset.filter(kind="only_in_one_source"))
        for conflict in rows:
            services.resolve_conflict(conflict=conflict, action="book")
        self.message_user(request, f"{len(rows)} booked for their user.", messages.SUCCESS)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    list_display = ("kind", "user", "keys", "value", "created_at", "is_revoked")
    list_filter = ("kind",)
    list_select_related = ("user", "revocation")
    search_fields = ("user__email",)
    ordering = ("-created_at",)
    actions = ("revoke",)

    @admin.display(boolean=True)
    def is_revoked(self, decision: Decision) -> bool:
        return hasattr(decision, "revocation")

    @action(description="Take back")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Decision]) -> None:
        standing = list(queryset.filter(revocation=None))
        for decision in standing:
            services.revoke(decision=decision)
        self.message_user(request, f"{len(standing)} taken back.", messages.SUCCESS)


@admin.register(LedgerVersion)
class LedgerVersionAdmin(ReadOnlyAdmin):
    list_display = ("user", "number", "fact_number", "cause", "content_hash", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    ordering = ("-created_at",)


@admin.register(CorporateAction)
class CorporateActionAdmin(ReadOnlyAdmin):
    list_display = ("kind", "instrument", "ex_date", "ratio", "user", "created_at", "is_withdrawn")
    list_filter = ("kind",)
    list_select_related = ("user", "instrument", "withdrawal")
    search_fields = ("user__email", "instrument__symbol")
    ordering = ("-created_at",)
    actions = ("withdraw",)

    @admin.display(boolean=True)
    def is_withdrawn(self, action: CorporateAction) -> bool:
        return hasattr(action, "withdrawal")

    @action(description="Take back")
    def withdraw(self, request: HttpRequest, queryset: QuerySet[CorporateAction]) -> None:
        standing = list(queryset.filter(withdrawal=None).exclude(user=None))
        for stated in standing:
            services.withdraw_action(action=stated)
        self.message_user(request, f"{len(standing)} taken back.", messages.SUCCESS)


@admin.register(TransferLink)
class TransferLinkAdmin(ReadOnlyAdmin):
    list_display = ("user", "instrument", "currency", "left_on", "arrived_on", "quantity_out", "quantity_in", "rule")
    list_filter = ("rule",)
    list_select_related = ("user", "instrument")
    search_fields = ("user__email", "instrument__symbol")
    ordering = ("-left_on",)

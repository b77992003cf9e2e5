"""Staff's view of people: tiers, grants and sessions. Tiers change through the same service as the command's."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import services
from accounts.models import LoginSession, Tier, TierGrant, User

admin.site.unregister(Group)  # tiers say who may do what


class NewPasswordForm(AdminPasswordChangeForm):
    """A password that staff sets ends all sessions of its user."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=commit)
        services.log_out_everywhere(user=user, reason="password_changed")
        return user


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "tier")

    def clean_email(self) -> str:
        return services.normalized_email(self.cleaned_data["email"])


class ChangedUserForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"  # the admin's fieldsets below name them
        field_classes: dict[str, type[forms.Field]] = {}


class TierGrantInline(TabularInline):
    model = TierGrant
    extra = 0


class LoginSessionInline(TabularInline):
    model = LoginSession
    extra = 0
    fields = readonly_fields = ("device", "created_at", "last_used_at", "expires_at", "revoked_at", "revoked_reason")
    ordering = ("-created_at",)
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form, add_form, change_password_form = ChangedUserForm, NewUserForm, NewPasswordForm
    list_display = ("email", "tier", "effective", "is_active", "is_staff", "date_joined")
    list_filter = ("tier", "is_active", "is_staff")
    search_fields = ("email",)
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("date_joined", "last_login", "effective", "fact_number")
    inlines = (TierGrantInline, LoginSessionInline)
    actions = ("end_sessions",)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Tier", {"fields": ("tier", "effective")}),
        ("Settings", {"fields": ("base_currency", "timezone")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Record", {"fields": ("date_joined", "last_login", "fact_number")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "tier", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        granted = TierGrant.objects.live().filter(user=OuterRef("pk")).order_by("-tier").values("tier")[:1]
        users: QuerySet[User] = super().get_queryset(request)
        return users.annotate(highest_tier=Greatest("tier", Coalesce(Subquery(granted), 0)))

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # facts of theirs are not the application's to delete: a person is deactivated

    @admin.display(description="Effective tier", ordering="highest_tier")
    def effective(self, user: Any) -> str:
        return Tier(user.highest_tier).label

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "tier" in form.changed_data:
            services.set_tier(user=obj, tier=Tier(obj.tier))
        if change and "is_active" in form.changed_data and not obj.is_active:
            services.log_out_everywhere(user=obj, reason="deactivated")

    @admin.action(description="End all sessions")
    def end_sessions(self, request: HttpRequest, users: QuerySet[User]) -> None:
        ended = sum(services.log_out_everywhere(user=user, reason="ended_by_staff") for user in users)
        self.message_user(request, f"{ended} sessions ended.", messages.SUCCESS)

"""Shapes of the accounts API."""

import zoneinfo
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework import serializers

from accounts import selectors
from accounts.models import LoginSession, Tier, User
from accounts.services import LONGEST_PASSWORD, normalized_email
from accounts.tiers import features
from accounts.tokens import LONGEST_TOKEN
from stackmotive.common.currencies import ISO_4217


class PasswordField(serializers.CharField):
    """A password, used exactly as sent."""

    def __init__(self, **named: Any) -> None:
        super().__init__(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, **named)


class RegisterSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = PasswordField()

    def validate_email(self, email: str) -> str:
        return normalized_email(email)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            validate_password(attrs["password"], User(email=attrs["email"]))
        except ValidationError as exc:
            raise serializers.ValidationError({"password": exc.messages}) from exc
        return attrs


class RegisteredSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField()


class LoginSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = PasswordField()


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=LONGEST_TOKEN, write_only=True)


class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField()


class LimitsSerializer(serializers.Serializer[Any]):
    requests_per_minute = serializers.IntegerField()
    costly_requests_per_minute = serializers.IntegerField()
    sources = serializers.IntegerField()
    running_jobs = serializers.IntegerField()
    sockets = serializers.IntegerField()
    topics_per_socket = serializers.IntegerField()


class TierSerializer(serializers.Serializer[Tier]):
    """What a tier may do and how much of it."""

    name = serializers.CharField(source="label")
    level = serializers.IntegerField(source="value")
    limits = serializers.SerializerMethodField()
    features = serializers.SerializerMethodField()

    def get_limits(self, tier: Tier) -> LimitsSerializer:
        return LimitsSerializer(selectors.limits(tier)).data  # type: ignore[return-value]

    def get_features(self, tier: Tier) -> list[str]:
        return features(tier)


class TierListSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = TierSerializer(many=True)


class MeSerializer(serializers.ModelSerializer[User]):
    """The caller."""

    tier = serializers.CharField(source="get_tier_display", read_only=True)
    effective_tier = serializers.CharField(source="effective_tier.label", read_only=True)
    limits = serializers.SerializerMethodField()
    features = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = (
            "id",
            "email",
            "tier",
            "effective_tier",
            "base_currency",
            "timezone",
            "limits",
            "features",
            "date_joined",
        )
        read_only_fields = fields

    def get_limits(self, user: User) -> LimitsSerializer:
        return LimitsSerializer(selectors.limits(user.effective_tier)).data  # type: ignore[return-value]

    def get_features(self, user: User) -> list[str]:
        return features(user.effective_tier)


class MeChangeSerializer(serializers.Serializer[Any]):
    base_currency = serializers.CharField(max_length=3, required=False)
    timezone = serializers.CharField(max_length=64, required=False)

    def validate_base_currency(self, code: str) -> str:
        if code.upper() not in ISO_4217:
            raise serializers.ValidationError("Write an ISO 4217 code, such as EUR.", code="unknown_currency")
        return code.upper()

    def validate_timezone(self, name: str) -> str:
        if name not in zoneinfo.available_timezones():
            raise serializers.ValidationError("Write a zone name, such as Europe/Berlin.", code="unknown_timezone")
        return name


class LoginSessionSerializer(serializers.ModelSerializer[LoginSession]):
    """A device that is logged in. `is_current` marks the one that asks."""

    is_current = serializers.SerializerMethodField()

    class Meta:
        model = LoginSession
        fields = ("id", "device", "created_at", "last_used_at", "expires_at", "is_current")
        read_only_fields = fields

    def get_is_current(self, session: LoginSession) -> bool:
        current = self.context["request"].auth
        return isinstance(current, LoginSession) and current.pk == session.pk

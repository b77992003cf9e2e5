"""People: users, what tier they hold, their login sessions, and the numbering of what is known about them."""

import datetime as dt
from typing import Any, ClassVar, Self
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.functional import cached_property
from django.utils.timezone import now

from stackmotive.common.ids import uuid7


class Tier(models.IntegerChoices):
    """What a user may do; each tier may do all that the ones below it may (INVENTORY 13)."""

    OBSERVER = 1, "observer"
    NAVIGATOR = 2, "navigator"
    OPERATOR = 3, "operator"
    SOVEREIGN = 4, "sovereign"


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, tier=Tier.SOVEREIGN, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The e-mail, lower case, is the login. `fact_number` counts the commits that changed their facts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    tier = models.PositiveSmallIntegerField(choices=Tier.choices, default=Tier.OBSERVER)
    base_currency = models.CharField(max_length=3, default="USD")
    timezone = models.CharField(max_length=64, default="UTC")
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    fact_number = models.PositiveBigIntegerField(default=0, editable=False)
    date_joined = models.DateTimeField(default=now, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_is_lower_case"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="user_tier_is_known"),
        ]

    def __str__(self) -> str:
        return self.email

    @cached_property
    def effective_tier(self) -> Tier:
        """The highest of the user's own tier and the live grants. A request's user brings it along (live_session)."""
        granted = self.tier_grants.live().aggregate(highest=models.Max("tier"))["highest"]
        return Tier(max(self.tier, granted or 0))


class TierGrantQuerySet(models.QuerySet["TierGrant"]):
    def live(self, at: dt.datetime | None = None) -> Self:
        at = at or now()
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at)


class TierGrant(models.Model):
    """A tier held for a time (a trial, a gift): the effective tier is the highest live one, never below User.tier."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tier_grants")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices)
    starts_at = models.DateTimeField(default=now)
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    objects = TierGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")), name="tiergrant_ends_after_start"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_tier_display()} from {self.starts_at:%Y-%m-%d}"


class LoginSessionQuerySet(models.QuerySet["LoginSession"]):
    def visible_to(self, user: "User | UUID") -> Self:
        return self.filter(user=user)

    def live(self, at: dt.datetime | None = None) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=at or now(), user__is_active=True)


class LoginSession(models.Model):
    """One refresh family: a device that logged in.

    Its id is the `sid` of every token; `refresh_jti` names the one live refresh token.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="login_sessions")
    refresh_jti = models.CharField(max_length=64)
    device = models.CharField(max_length=200, blank=True)
    address_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=now)
    last_used_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=40, blank=True)

    objects = LoginSessionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="loginsession_user_newest")]

    def __str__(self) -> str:
        return f"{self.device or 'unknown device'} since {self.created_at:%Y-%m-%d}"


class FactVersion(models.Model):
    """One commit that changed a user's facts, or, with no user, the facts all users share (prices, rates)."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="fact_versions")
    number = models.PositiveBigIntegerField()
    committed_at = models.DateTimeField(default=now)
    cause = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "number"], name="factversion_numbers_are_unique", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.cause}"


class UserSetting(models.Model):
    """Append-only: a setting that figures rest on (base_currency, timezone), before and from this number on."""

    user = models.ForeignKey(User, models.CASCADE, related_name="setting_facts")
    key = models.CharField(max_length=20)
    before = models.CharField(max_length=64)
    value = models.CharField(max_length=64)
    number = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.value}"


class IdempotencyRecord(models.Model):
    """The first answer to a POST that carried an `Idempotency-Key`, replayed for 24 hours."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    body_digest = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True)  # null while the first request still runs
    answer = models.TextField(blank=True)  # the body as it was sent, byte for byte
    location = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "endpoint", "key"], name="idempotency_key_is_unique")]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.key}"


class RateCounter(models.Model):
    """Calls counted while Redis is away, by stackmotive.common.limits. The table is unlogged: a crash empties it."""

    key = models.CharField(primary_key=True, max_length=200)
    used = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows of one person: the one place that says whose rows a user sees."""

    owner_field = "user"

    def visible_to(self, user: "User | UUID") -> Self:
        return self.filter(**{self.owner_field: user})

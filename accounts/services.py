"""Use cases around people: sign up, log in, refresh, log out, tickets for sockets, tiers."""

import datetime as dt
import hashlib
import secrets
import unicodedata
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from accounts.errors import SignupClosed, TokenRefused
from accounts.facts import next_fact_number
from accounts.models import LoginSession, Tier, TierGrant, User, UserSetting
from accounts.selectors import live_session
from accounts.signals import session_ended, settings_changed
from accounts.tokens import TokenInvalid, issue, new_jti, verify
from stackmotive.common.limits import Bucket, Taken, give_back, hashed, take
from stackmotive.common.problems import TooManyRequests, UpstreamUnavailable
from stackmotive.common.store import store

logger = structlog.get_logger(__name__)

LONGEST_PASSWORD = 256
FAILED_LOGIN_SECONDS = 300
TICKET_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str
    refresh: str


# --- accounts --------------------------------------------------------------------------------------------------------


def tier_named(name: str) -> Tier:
    """The tier of that name. Raises ValueError with the names there are."""
    for tier in Tier:
        if tier.label == name.strip().lower():
            return tier
    raise ValueError(f"{name!r} is no tier; say one of {', '.join(Tier.labels)}.")


def create_user(*, email: str, password: str, tier: Tier = Tier.OBSERVER, is_staff: bool = False) -> User:
    """A new user. Raises ValidationError for a weak password or a known e-mail."""
    user = User(email=normalized_email(email), tier=tier, is_staff=is_staff, is_superuser=is_staff)
    user.set_password(password)
    user.full_clean()
    validate_password(password, user)
    user.save()
    return user


def register(*, email: str, password: str) -> None:
    """Sign up with a validated password. A known e-mail changes nothing and takes as long; the caller cannot tell."""
    if not settings.SIGNUP_OPEN:
        raise SignupClosed("Ask the person who runs this instance for an account.")
    user = User(email=normalized_email(email), password=make_password(password), tier=tier_named(settings.SIGNUP_TIER))
    User.objects.bulk_create([user], ignore_conflicts=True)


def normalized_email(email: str) -> str:
    return unicodedata.normalize("NFKC", email).strip().lower()


def set_tier(*, user: User, tier: Tier) -> int:
    """Make `tier` the user's tier, and end every higher grant. Returns how many grants ended."""
    now = timezone.now()
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(tier=tier)
        ended = TierGrant.objects.live(now).filter(user=user, tier__gt=tier).update(ends_at=now)
        TierGrant.objects.filter(user=user, tier__gt=tier, starts_at__gt=now).delete()
    user.tier = tier
    user.__dict__.pop("effective_tier", None)
    logger.info("tier_set", user_id=str(user.pk), tier=tier.label, grants_ended=ended)
    return ended


def change_settings(*, user: User, base_currency: str | None = None, timezone_name: str | None = None) -> User:
    """Change the currency that figures are in, or the zone that decides "today". Either makes the figures stale."""
    with transaction.atomic():
        user = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        wanted = {"base_currency": base_currency, "timezone": timezone_name}
        changed = {key: value for key, value in wanted.items() if value is not None and value != getattr(user, key)}
        if changed:
            number = next_fact_number(user_id=user.pk, cause=next(iter(changed)))
            UserSetting.objects.bulk_create(
                UserSetting(user=user, key=key, before=getattr(user, key), value=value, number=number)
                for key, value in changed.items()
            )
            for key, value in changed.items():
                setattr(user, key, value)
            user.save(update_fields=list(changed))
            transaction.on_commit(partial(settings_changed.send_robust, User, user_id=user.pk), robust=True)
    return user


# --- logging in and out ----------------------------------------------------------------------------------------------


def verified_user(*, email: str, password: str, address: str) -> User | None:
    """The user with that e-mail and password, or None. Unknown names cost the same time as wrong passwords.

    Counts failures per name and per address before it looks; raises TooManyRequests for either. Success is uncounted.
    """
    name = normalized_email(email)
    counted: list[Taken] = []
    for bucket in (
        Bucket("failed-logins-of-name", hashed(name), settings.FAILED_LOGINS_PER_NAME, FAILED_LOGIN_SECONDS),
        Bucket("failed-logins-from-address", hashed(address), settings.FAILED_LOGINS_PER_ADDRESS, FAILED_LOGIN_SECONDS),
    ):
        taken = take(bucket)
        if not taken.is_allowed:
            for earlier in counted:
                give_back(earlier)
            raise TooManyRequests("Too many failed log-ins. Wait, then try again.", retry_after=taken.retry_after)
        counted.append(taken)
    user = User.objects.filter(email=name).first() if "\0" not in name else None
    if len(password) > LONGEST_PASSWORD or user is None:
        make_password(password[:LONGEST_PASSWORD])  # as slow as the check of a real password
        return None
    if not check_password(password, user.password, setter=partial(_rehash, user)) or not user.is_active:
        return None
    for taken in counted:
        give_back(taken)
    return user


def _rehash(user: User, raw_password: str) -> None:
    """Store a hash made with older parameters again, with today's."""
    User.objects.filter(pk=user.pk, password=user.password).update(password=make_password(raw_password))


def open_session(*, user: User, address: str, device: str) -> LoginSession:
    """A device has logged in. `address` is kept as a digest only."""
    return LoginSession.objects.create(
        user=user, refresh_jti=new_jti(), device=device[:200], address_hash=hashed(address),
        expires_at=timezone.now() + settings.REFRESH_TOKEN_LIFETIME,
    )  # fmt: skip


def tokens_of(session: LoginSession) -> Tokens:
    tier = session.user.effective_tier.label
    return Tokens(
        access=issue(
            "access", user_id=session.user_id, session_id=session.pk, jti=new_jti(),
            lifetime=settings.ACCESS_TOKEN_LIFETIME, tier=tier,
        ),
        refresh=issue(
            "refresh", user_id=session.user_id, session_id=session.pk, jti=session.refresh_jti,
            lifetime=settings.REFRESH_TOKEN_LIFETIME, tier=tier,
        ),
    )  # fmt: skip


def refresh_session(*, refresh: str) -> Tokens:
    """Exchange a refresh token for new tokens. Only one caller wins; a token used before ends its session.

    Raises TokenRefused.
    """
    try:
        claims = verify(refresh, "refresh")
    except TokenInvalid as exc:
        raise TokenRefused("Log in again.") from exc
    now, jti = timezone.now(), new_jti()
    # Plain columns only: the database decides the winner by re-reading this very row under its lock.
    won = LoginSession.objects.filter(
        pk=claims.session_id, user_id=claims.user_id, refresh_jti=claims.jti, revoked_at=None, expires_at__gt=now
    ).update(refresh_jti=jti, last_used_at=now, expires_at=now + settings.REFRESH_TOKEN_LIFETIME)
    if not won:
        if end_session(session_id=claims.session_id, user_id=claims.user_id, reason="refresh_reused"):
            logger.warning("refresh_token_reused", user_id=str(claims.user_id), session_id=str(claims.session_id))
        raise TokenRefused("Log in again: this token was used before or its session has ended.")
    session = live_session(claims.session_id)
    if session is None:
        raise TokenRefused("Log in again: this account is not active.")
    return tokens_of(session)


def end_session(*, session_id: UUID, user_id: UUID, reason: str) -> bool:
    """End one session: its tokens and sockets stop at once. False where it had ended before."""
    ended = LoginSession.objects.filter(pk=session_id, user_id=user_id, revoked_at=None).update(
        revoked_at=timezone.now(), revoked_reason=reason
    )
    if ended:
        transaction.on_commit(partial(_announce_end, user_id, session_id), robust=True)
    return bool(ended)


def _announce_end(user_id: UUID, session_id: UUID) -> None:
    session_ended.send_robust(LoginSession, user_id=user_id, session_id=session_id)


def log_out(*, user: User, refresh: str) -> None:
    """End the session that a refresh token belongs to. Raises TokenRefused unless it is the user's own."""
    try:
        claims = verify(refresh, "refresh")
    except TokenInvalid as exc:
        raise TokenRefused("Send the refresh token of the session that is to end.") from exc
    if claims.user_id != user.pk:
        raise TokenRefused("Send the refresh token of the session that is to end.")
    end_session(session_id=claims.session_id, user_id=user.pk, reason="logged_out")


def log_out_everywhere(*, user: User, reason: str = "logged_out_everywhere", but: UUID | None = None) -> int:
    """End all sessions of `user`, save `but`. Returns how many ended."""
    others = LoginSession.objects.filter(user=user, revoked_at=None)
    if but is not None:
        others = others.exclude(pk=but)
    live = others.values_list("pk", flat=True)
    return sum(end_session(session_id=session_id, user_id=user.pk, reason=reason) for session_id in list(live))


# --- tickets for sockets ---------------------------------------------------------------------------------------------


def issue_ws_ticket(*, session: LoginSession) -> str:
    """A ticket that opens one socket within 30 seconds. Raises UpstreamUnavailable where Redis is away."""
    ticket = secrets.token_urlsafe(32)
    try:
        store().set(_ticket_key(ticket), str(session.pk), ex=TICKET_SECONDS)
    except redis.RedisError as exc:
        raise UpstreamUnavailable(
            "Live updates are away for the moment. Try again shortly.", headers={"Retry-After": "5"}
        ) from exc
    return ticket


def redeem_ws_ticket(ticket: str) -> LoginSession | None:
    """The live session of a ticket, once; None for an unknown, used or late one."""
    try:
        session_id = store().getdel(_ticket_key(ticket))
    except redis.RedisError:
        return None
    return live_session(UUID(session_id.decode())) if isinstance(session_id, bytes) else None


def _ticket_key(ticket: str) -> str:
    return "ws-ticket:" + hashlib.sha256(ticket.encode(errors="replace")).hexdigest()


def purge_expired(*, now: dt.datetime | None = None) -> int:
    """Delete counters, replayed answers and long ended sessions. Returns how many rows went."""
    from accounts.models import IdempotencyRecord, RateCounter

    now = now or timezone.now()
    day, month = dt.timedelta(days=1), dt.timedelta(days=30)
    deleted = RateCounter.objects.filter(ends_at__lt=now).delete()[0]
    deleted += IdempotencyRecord.objects.filter(created_at__lt=now - day).delete()[0]
    deleted += LoginSession.objects.filter(expires_at__lt=now - month).delete()[0]
    return deleted

"""Who is it, and what may they do: read from the database on every request, never from the token."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from accounts.models import LoginSession, LoginSessionQuerySet, Tier, TierGrant, User


def live_session(session_id: UUID) -> LoginSession | None:
    """The session with its user and effective tier, in one query; None where it ended or the user is inactive."""
    granted = TierGrant.objects.live().filter(user=OuterRef("user")).order_by("-tier").values("tier")[:1]
    session = (
        LoginSession.objects.live()
        .filter(pk=session_id)
        .select_related("user")
        .annotate(granted_tier=Coalesce(Subquery(granted), 0))
        .first()
    )
    if session is not None:
        annotated: Any = session
        session.user.effective_tier = Tier(max(session.user.tier, annotated.granted_tier))
    return session


def effective_tier(user: User) -> Tier:
    """The highest live tier of `user` now, read afresh."""
    user.__dict__.pop("effective_tier", None)
    return user.effective_tier


def login_sessions(*, user: User) -> LoginSessionQuerySet:
    """The live sessions of `user`, newest first."""
    return LoginSession.objects.live().visible_to(user).order_by("-created_at", "-pk")


def limits(tier: Tier) -> dict[str, int]:
    """The numbers that a tier may use."""
    return {
        "requests_per_minute": settings.TIER_REQUESTS_PER_MINUTE[tier.label],
        "costly_requests_per_minute": settings.COSTLY_REQUESTS_PER_MINUTE,
        "sources": settings.TIER_SOURCES[tier.label],
        "running_jobs": settings.TIER_RUNNING_JOBS[tier.label],
        "sockets": settings.TIER_SOCKETS[tier.label],
        "topics_per_socket": settings.TIER_TOPICS[tier.label],
    }

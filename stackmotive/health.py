"""Health of the process and of what it needs: no versions, no addresses."""

import datetime as dt
from collections.abc import Callable

import redis
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from stackmotive.common.problems import UpstreamUnavailable
from stackmotive.common.store import store

HEARTBEAT_KEY = "worker:heartbeat"
HEARTBEAT_LASTS = dt.timedelta(seconds=90)


class NotReady(UpstreamUnavailable):
    code = "not_ready"
    title = "Not ready to serve"


def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """PostgreSQL and Redis answer, and a worker has beaten within 90 seconds; else a 503 that names what is missing."""
    checks: dict[str, Callable[[], bool]] = {
        "database": database_answers,
        "redis": redis_answers,
        "worker": worker_beats,
    }
    found = {name: check() for name, check in checks.items()}
    missing = [name for name, is_well in found.items() if not is_well]
    if missing:
        raise NotReady(f"Waiting for: {', '.join(missing)}.", headers={"Retry-After": "5"}, checks=found)
    return JsonResponse({"status": "ok", "checks": found})


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def redis_answers() -> bool:
    try:
        return bool(store().ping())
    except redis.RedisError:
        return False


def worker_beats() -> bool:
    try:
        return store().get(HEARTBEAT_KEY) is not None
    except redis.RedisError:
        return False


def beat() -> None:
    """Say that a worker is alive. The sign fades by itself."""
    store().set(HEARTBEAT_KEY, timezone.now().isoformat(), ex=HEARTBEAT_LASTS)


urlpatterns = [path("live/", live, name="health-live"), path("ready/", ready, name="health-ready")]

"""Liveness needs nothing; readiness names what is missing."""

from typing import Any

import redis

from stackmotive import health
from stackmotive.common.store import store
from stackmotive.tasks import beat_heart


def test_live_needs_neither_store(client: Any) -> None:
    answer = client.get("/health/live/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_needs_a_worker_that_beats(db: None, client: Any) -> None:
    before = client.get("/health/ready/")
    assert (before.status_code, before["Content-Type"]) == (503, "application/problem+json")
    assert before.json()["checks"] == {"database": True, "redis": True, "worker": False}
    beat_heart()
    after = client.get("/health/ready/")
    assert (after.status_code, after.json()["status"]) == (200, "ok")


def test_a_heartbeat_fades(db: None) -> None:
    beat_heart()
    assert 80 < int(store().ttl(health.HEARTBEAT_KEY)) <= 90


def test_ready_says_that_redis_is_away(db: None, client: Any, monkeypatch: Any) -> None:
    away = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=0.2)
    monkeypatch.setattr(health, "store", lambda: away)
    answer = client.get("/health/ready/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["detail"] == "Waiting for: redis, worker."

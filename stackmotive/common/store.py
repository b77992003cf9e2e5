"""The one Redis client of a process, for counters and tickets; its absence is noticed within a second."""

from functools import cache

import redis
from django.conf import settings


@cache
def store() -> "redis.Redis":
    """Commands raise redis.RedisError within a second where the server is away."""
    return redis.Redis.from_url(
        str(settings.CACHES["default"]["LOCATION"]),
        socket_connect_timeout=0.5,
        socket_timeout=0.5,
        health_check_interval=30,
    )

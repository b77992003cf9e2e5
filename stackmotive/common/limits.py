"""How often somebody may: exact, atomic counting in Redis; in PostgreSQL while Redis is away. Limits never open.

Redis keeps the times of the allowed calls of the last `seconds` (a sliding log in one script), so no burst at the edge
of a clock minute passes twice the limit. PostgreSQL keeps one row per bucket and window that begins with the first
call (one INSERT ... ON CONFLICT ... RETURNING). Refused calls use nothing up.
"""

import hashlib
import math
import secrets
import time
from dataclasses import dataclass
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from stackmotive.common.problems import TooManyRequests
from stackmotive.common.store import store

logger = structlog.get_logger(__name__)

SLIDING_LOG = """
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local span = tonumber(ARGV[2]) * 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at - span)
local used = redis.call('ZCARD', KEYS[1])
local allowed = 0
if used < tonumber(ARGV[1]) then
  redis.call('ZADD', KEYS[1], at, ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  used = used + 1
  allowed = 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {allowed, used, math.ceil((tonumber(oldest[2]) + span - at) / 1000)}
"""

COUNT_ROW = """
INSERT INTO accounts_ratecounter AS row (key, used, ends_at)
VALUES (%s, 1, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET
  used = CASE WHEN row.ends_at <= clock_timestamp() THEN 1 ELSE row.used + 1 END,
  ends_at = CASE WHEN row.ends_at <= clock_timestamp() THEN EXCLUDED.ends_at ELSE row.ends_at END
RETURNING used, extract(epoch FROM ends_at - clock_timestamp())::float
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted: a name for the policy, whose it is, how many in how many seconds."""

    name: str
    owner: str
    limit: int
    seconds: int = 60

    @property
    def key(self) -> str:
        return f"limit:{self.name}:{self.owner}"


@dataclass(frozen=True, slots=True)
class Taken:
    """The state of a bucket after one call was asked for. `ticket` gives that call back."""

    bucket: Bucket
    is_allowed: bool
    used: int
    resets_in: float
    ticket: str

    @property
    def remaining(self) -> int:
        return max(0, self.bucket.limit - self.used)

    @property
    def retry_after(self) -> int:
        return max(1, math.ceil(self.resets_in))

    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers: quota and window; remaining and seconds until more."""
        name = self.bucket.name
        return {
            "RateLimit-Policy": f'"{name}";q={self.bucket.limit};w={self.bucket.seconds}',
            "RateLimit": f'"{name}";r={self.remaining};t={self.retry_after}',
        }


class _Away:
    """Since when Redis is known to be away: asking it again for each request would slow all of them down."""

    until = 0.0
    PAUSE = 2.0


def take(bucket: Bucket) -> Taken:
    """Count one call against `bucket`, atomically."""
    ticket = secrets.token_hex(8)
    if time.monotonic() >= _Away.until:
        try:
            allowed, used, wait = store().eval(SLIDING_LOG, 1, bucket.key, bucket.limit, bucket.seconds, ticket)
            return Taken(bucket, bool(allowed), int(used), int(wait) / 1000, ticket)
        except redis.RedisError as exc:
            _Away.until = time.monotonic() + _Away.PAUSE
            logger.warning("limits_counted_in_postgresql", error=type(exc).__name__)
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ROW, [bucket.key, bucket.seconds])
        row = cursor.fetchone()
    assert row is not None  # noqa: S101  # RETURNING answers the row
    return Taken(bucket, row[0] <= bucket.limit, min(row[0], bucket.limit), max(0.0, row[1]), "")


def give_back(taken: Taken) -> None:
    """Uncount a call that turned out not to count (a log-in that succeeded)."""
    if taken.ticket:
        try:
            store().zrem(taken.bucket.key, taken.ticket)
        except redis.RedisError:
            logger.warning("limit_not_given_back", bucket=taken.bucket.name)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_ratecounter SET used = greatest(used - 1, 0) WHERE key = %s", [taken.bucket.key]
        )


def require(bucket: Bucket, *, detail: str = "") -> Taken:
    """`take`, or TooManyRequests."""
    taken = take(bucket)
    if not taken.is_allowed:
        raise TooManyRequests(detail, retry_after=taken.retry_after)
    return taken


def take_costly(*, user_id: UUID | str, kind: str) -> None:
    """Count one costly piece of work of a kind (import, sync, export ...). Raises TooManyRequests."""
    limit = settings.COSTLY_REQUESTS_PER_MINUTE
    require(
        Bucket(f"costly-{kind}", str(user_id), limit),
        detail=f"At most {limit} a minute of this kind. Wait until the time in Retry-After has passed.",
    )


def client_address(request: HttpRequest) -> str:
    """Who calls: the peer, or the entry of X-Forwarded-For that the configured number of proxies vouches for."""
    peer: str = request.META.get("REMOTE_ADDR") or "unknown"
    proxies = settings.TRUSTED_PROXIES
    if not proxies:
        return peer
    chain = [entry.strip() for entry in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if entry.strip()]
    # The proxy next to us appended the peer that it saw: with n proxies the n-th entry from the right is the client.
    return chain[-min(proxies, len(chain))] if chain else peer


def hashed(text: str) -> str:
    """A short digest for the keys of counters: no name or address is kept in the clear."""
    return hashlib.blake2b(text.encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16).hexdigest()

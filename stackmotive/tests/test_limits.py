"""Limits: exact under bursts, in Redis and without it, by user and by address."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import RequestFactory

from accounts.models import RateCounter, Tier, TierGrant, User
from stackmotive.common import limits
from stackmotive.common.limits import Bucket, client_address, give_back, take
from stackmotive.tests.people import PASSWORD

ME, TOKEN = "/api/me/", "/api/auth/token/"


@pytest.fixture
def no_redis(monkeypatch: Any) -> Iterator[None]:
    """Redis is away: its address answers nothing."""
    away = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=0.2)
    monkeypatch.setattr(limits, "store", lambda: away)
    monkeypatch.setattr(limits._Away, "until", 0.0)
    yield
    limits._Away.until = 0.0


def burst(call: Any, times: int) -> list[Any]:
    def one(_: int) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(one, range(times)))


def test_a_parallel_burst_lets_exactly_the_limit_through() -> None:
    bucket = Bucket("test", "burst", 30)
    allowed = [taken.is_allowed for taken in burst(lambda: take(bucket), 55)]
    assert (allowed.count(True), allowed.count(False)) == (30, 25)


@pytest.mark.django_db(transaction=True)
def test_without_redis_a_parallel_burst_is_counted_in_postgresql(no_redis: None) -> None:
    bucket = Bucket("test", "burst", 30)
    allowed = [taken.is_allowed for taken in burst(lambda: take(bucket), 55)]
    assert (allowed.count(True), allowed.count(False)) == (30, 25)
    assert RateCounter.objects.get().used == 55


@pytest.mark.django_db
@pytest.mark.usefixtures("no_redis")
def test_a_window_in_postgresql_starts_afresh_when_it_ends() -> None:
    bucket = Bucket("test", "window", 1)
    assert [take(bucket).is_allowed for _ in range(2)] == [True, False]
    RateCounter.objects.update(ends_at="2020-01-01T00:00:00Z")
    assert [take(bucket).is_allowed for _ in range(2)] == [True, False]


def test_what_is_given_back_was_not_counted() -> None:
    bucket = Bucket("test", "back", 1)
    first = take(bucket)
    assert (first.is_allowed, first.remaining) == (True, 0)
    give_back(first)
    assert [take(bucket).is_allowed for _ in range(2)] == [True, False]


@pytest.mark.django_db
@pytest.mark.usefixtures("no_redis")
def test_what_is_given_back_without_redis_was_not_counted() -> None:
    bucket = Bucket("test", "back", 1)
    give_back(take(bucket))
    assert [take(bucket).is_allowed for _ in range(2)] == [True, False]


def test_the_window_slides(monkeypatch: Any) -> None:
    import time

    bucket = Bucket("test", "slide", 2, seconds=1)
    assert [take(bucket).is_allowed for _ in range(3)] == [True, True, False]
    time.sleep(1.05)
    assert take(bucket).is_allowed


@pytest.mark.parametrize(("tier", "limit"), [(Tier.OBSERVER, 3), (Tier.SOVEREIGN, 5)])
def test_a_tier_has_its_own_number_and_an_answer_says_so(
    make_user: Any, api: Any, settings: Any, tier: Tier, limit: int
) -> None:
    client = api(make_user(tier=tier))
    settings.TIER_REQUESTS_PER_MINUTE = {"observer": 3, "navigator": 4, "operator": 4, "sovereign": 5}
    answers = [client.get(ME) for _ in range(limit + 2)]
    assert [answer.status_code for answer in answers] == [200] * limit + [429] * 2
    assert answers[0]["RateLimit-Policy"] == f'"api";q={limit};w=60'
    assert answers[0]["RateLimit"].startswith(f'"api";r={limit - 1};t=')
    refused = answers[-1]
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/too_many_requests"
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit"].startswith('"api";r=0;t=')


def test_all_sessions_of_a_user_share_one_bucket_and_users_share_none(
    owner: User, stranger: User, api: Any, settings: Any
) -> None:
    tokens = [api().post(TOKEN, {"email": owner.email, "password": PASSWORD}).json()["access"] for _ in range(2)]
    settings.TIER_REQUESTS_PER_MINUTE = {"sovereign": 2}
    codes = []
    for token in (*tokens, *tokens):
        client = api()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        codes.append(client.get(ME).status_code)
    assert codes == [200, 200, 429, 429]
    settings.TIER_REQUESTS_PER_MINUTE = {"sovereign": 100}
    foreign = api(stranger)
    settings.TIER_REQUESTS_PER_MINUTE = {"sovereign": 2}
    assert foreign.get(ME).status_code == 200


def test_a_grant_raises_the_limit_on_the_next_request(make_user: Any, api: Any, settings: Any) -> None:
    user = make_user(tier=Tier.OBSERVER)
    client = api(user)
    settings.TIER_REQUESTS_PER_MINUTE = {"observer": 1, "operator": 3}
    assert [client.get(ME).status_code for _ in range(2)] == [200, 429]
    TierGrant.objects.create(user=user, tier=Tier.OPERATOR)
    assert [client.get(ME).status_code for _ in range(3)] == [200, 200, 429]


def test_callers_without_a_valid_token_count_by_address(db: None, api: Any, settings: Any) -> None:
    settings.ANONYMOUS_REQUESTS_PER_MINUTE = 3
    forged = api()
    forged.credentials(HTTP_AUTHORIZATION="Bearer forged")
    calls = [
        forged.get(ME),
        api().get("/api/tiers/"),
        api().get("/api/nowhere/"),
        api().get("/api/tiers/"),
        forged.get(ME),
    ]
    assert [answer.status_code for answer in calls] == [401, 200, 404, 429, 429]
    assert api().get("/api/tiers/", REMOTE_ADDR="10.1.1.1").status_code == 200
    assert api().get("/health/live/").status_code == 200


def test_a_forged_forwarding_header_opens_no_new_bucket(db: None, api: Any, settings: Any) -> None:
    settings.ANONYMOUS_REQUESTS_PER_MINUTE = 1
    codes = [api().get("/api/tiers/", HTTP_X_FORWARDED_FOR=f"9.9.9.{n}").status_code for n in range(3)]
    assert codes == [200, 429, 429]


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "1.1.1.1", "7.7.7.7"),
        (1, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (2, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "2.2.2.2", "2.2.2.2"),
        (1, "", "7.7.7.7"),
        (1, "fake, , 2.2.2.2", "2.2.2.2"),
    ],
)
def test_the_client_is_who_the_trusted_proxies_vouch_for(
    settings: Any, proxies: int, header: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": header} if header else {}
    assert client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR="7.7.7.7")) == address


def test_failed_logins_are_counted_by_name_known_or_not(owner: User, api: Any) -> None:
    for email in (owner.email, "nobody@example.org"):
        codes = [api().post(TOKEN, {"email": email, "password": "wrong"}).status_code for _ in range(11)]
        assert codes == [401] * 10 + [429]
    refused = api().post(TOKEN, {"email": owner.email.upper(), "password": PASSWORD})
    assert (refused.status_code, 1 <= int(refused["Retry-After"]) <= 300) == (429, True)


def test_failed_logins_are_counted_by_address(owner: User, api: Any) -> None:
    codes = [api().post(TOKEN, {"email": f"n{n}@example.org", "password": "wrong"}).status_code for n in range(41)]
    assert codes == [401] * 40 + [429]
    assert api().post(TOKEN, {"email": owner.email, "password": PASSWORD}, REMOTE_ADDR="10.1.1.1").status_code == 200


def test_logins_that_succeed_are_not_counted(owner: User, api: Any) -> None:
    assert {api().post(TOKEN, {"email": owner.email, "password": PASSWORD}).status_code for _ in range(15)} == {200}


def test_the_admin_counts_failed_logins_too(owner: User, browser: Any) -> None:
    form = {"username": owner.email, "password": "wrong"}
    codes = [browser().post("/admin/login/", form).status_code for _ in range(11)]
    assert codes == [200] * 10 + [429]


def test_without_redis_the_api_still_limits(owner: User, api: Any, settings: Any, no_redis: None) -> None:
    client = api(owner)
    settings.TIER_REQUESTS_PER_MINUTE = {"sovereign": 2}
    assert [client.get(ME).status_code for _ in range(4)] == [200, 200, 429, 429]


def test_pages_have_a_wider_bucket_of_their_own(db: None, browser: Any, settings: Any) -> None:
    settings.PAGE_REQUESTS_PER_MINUTE = 2
    answers = [browser().get("/login/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2]["Content-Type"].startswith("text/html")

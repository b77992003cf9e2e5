"""Signing up, logging in and out, refreshing: over the real paths."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import jwt
import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts import services
from accounts.models import LoginSession, Tier, TierGrant, User
from accounts.signals import session_ended
from stackmotive.tests.people import PASSWORD

REGISTER, TOKEN, REFRESH, LOGOUT, ME = (
    "/api/auth/register/",
    "/api/auth/token/",
    "/api/auth/token/refresh/",
    "/api/auth/logout/",
    "/api/me/",
)


def log_in(api: Any, user: User) -> dict[str, str]:
    answer = api().post(TOKEN, {"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200
    body: dict[str, str] = answer.json()
    return body


def bearer(api: Any, token: str) -> Any:
    client = api()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def test_registering_answers_the_email_and_nothing_more(db: None, api: Any, settings: Any) -> None:
    settings.SIGNUP_TIER = "navigator"
    answer = api().post(REGISTER, {"email": "New@Example.org", "password": "  a spaced pass phrase "})
    assert (answer.status_code, answer.json()) == (201, {"email": "new@example.org"})
    user = User.objects.get()
    assert user.tier == Tier.NAVIGATOR
    assert user.check_password("  a spaced pass phrase ")


def test_a_known_email_registers_with_the_same_answer_and_changes_nothing(owner: User, api: Any) -> None:
    before = User.objects.values().get()
    answer = api().post(REGISTER, {"email": owner.email, "password": "another long password"})
    assert (answer.status_code, answer.json()) == (201, {"email": owner.email})
    assert User.objects.values().get() == before


def test_registering_hashes_once_whether_or_not_the_email_is_known(owner: User, api: Any, monkeypatch: Any) -> None:
    calls: list[str] = []

    def counting(text: str) -> str:
        calls.append(text)
        return make_password(text)

    monkeypatch.setattr(services, "make_password", counting)
    for email in (owner.email, "new@example.org"):
        api().post(REGISTER, {"email": email, "password": "another long password"})
    assert calls == ["another long password"] * 2


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "12345678901234567",
        "qwertyuiop123",
        "x" * 257,
        "new.person@example.org",
        "nul\0in the middle",
        None,
        12,
    ],
)
def test_weak_passwords_are_refused(db: None, api: Any, password: Any) -> None:
    answer = api().post(REGISTER, {"email": "new.person@example.org", "password": password})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert User.objects.count() == 0


def test_closed_signup_is_said(db: None, api: Any, settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    answer = api().post(REGISTER, {"email": "new@example.org", "password": PASSWORD})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/signup_closed")
    assert User.objects.count() == 0


def test_wrong_password_unknown_name_and_inactive_user_get_the_same_answer(
    owner: User, make_user: Any, api: Any
) -> None:
    gone = make_user(email="gone@example.org", is_active=False)
    asked = [(owner.email, "wrong"), ("nobody@example.org", PASSWORD), (gone.email, PASSWORD), (owner.email, "x" * 256)]
    bodies = []
    for email, password in asked:
        answer = api().post(TOKEN, {"email": email, "password": password})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        bodies.append(answer.json() | {"request_id": None})
    assert bodies == [bodies[0]] * 4
    assert bodies[0]["type"] == "/problems/invalid_credentials"
    assert LoginSession.objects.count() == 0


def test_unknown_names_are_hashed_as_slowly_as_known_ones(owner: User, monkeypatch: Any) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(services, "make_password", hashed.append)
    assert services.verified_user(email="nobody@example.org", password="x" * 12, address="1.2.3.4") is None
    assert hashed == ["x" * 12]


def test_tokens_name_the_session_and_no_secret(owner: User, api: Any, settings: Any) -> None:
    tokens = log_in(api, owner)
    session = LoginSession.objects.get()
    for kind, token, lifetime in (("access", tokens["access"], 1800), ("refresh", tokens["refresh"], 14 * 86400)):
        claims = jwt.decode(token, settings.JWT_SIGNING_KEY, algorithms=["HS256"], audience=settings.JWT_AUDIENCE)
        assert claims == {
            "token_type": kind, "sub": str(owner.pk), "sid": str(session.pk), "jti": ANY, "tier": "sovereign",
            "iss": settings.JWT_ISSUER, "aud": settings.JWT_AUDIENCE, "iat": ANY, "exp": claims["iat"] + lifetime,
        }  # fmt: skip
    assert bearer(api, tokens["access"]).get(ME).json()["email"] == owner.email


def test_token_answers_are_not_stored(owner: User, api: Any) -> None:
    answer = api().post(TOKEN, {"email": owner.email, "password": PASSWORD})
    assert answer["Cache-Control"] == "no-store"


def test_a_refresh_token_works_once_and_its_reuse_ends_that_session_only(owner: User, api: Any) -> None:
    other, first = log_in(api, owner), log_in(api, owner)
    second = api().post(REFRESH, {"refresh": first["refresh"]}).json()
    assert bearer(api, second["access"]).get(ME).status_code == 200
    again = api().post(REFRESH, {"refresh": first["refresh"]})
    assert (again.status_code, again.json()["type"]) == (401, "/problems/token_not_valid")
    assert bearer(api, second["access"]).get(ME).status_code == 401
    assert api().post(REFRESH, {"refresh": second["refresh"]}).status_code == 401
    assert bearer(api, other["access"]).get(ME).status_code == 200
    assert sorted(LoginSession.objects.values_list("revoked_reason", flat=True)) == ["", "refresh_reused"]


@pytest.mark.django_db(transaction=True)
def test_of_ten_parallel_refreshes_exactly_one_wins(owner: User, api: Any) -> None:
    refresh = log_in(api, owner)["refresh"]

    def attempt(_: int) -> int:
        try:
            return int(api().post(REFRESH, {"refresh": refresh}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(attempt, range(10)))
    assert sorted(codes) == [200] + [401] * 9


def test_logging_out_ends_access_refresh_and_sockets_of_that_session_at_once(
    owner: User, api: Any, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []

    def hear(**news: Any) -> None:
        heard.append((news["user_id"], news["session_id"]))

    session_ended.connect(hear)
    other, tokens = log_in(api, owner), log_in(api, owner)
    session = LoginSession.objects.order_by("-created_at")[0]
    with django_capture_on_commit_callbacks(execute=True):
        answer = bearer(api, tokens["access"]).post(LOGOUT, {"refresh": tokens["refresh"]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert heard == [(owner.pk, session.pk)]
    assert bearer(api, tokens["access"]).get(ME).status_code == 401
    assert api().post(REFRESH, {"refresh": tokens["refresh"]}).status_code == 401
    assert bearer(api, other["access"]).get(ME).status_code == 200


def test_a_stranger_cannot_log_somebody_out(owner: User, stranger: User, api: Any) -> None:
    tokens = log_in(api, owner)
    assert api(stranger).post(LOGOUT, {"refresh": tokens["refresh"]}).status_code == 401
    assert api(stranger).post(LOGOUT, {"refresh": tokens["access"]}).status_code == 401
    assert bearer(api, tokens["access"]).get(ME).status_code == 200


def test_logging_out_everywhere_ends_every_session(owner: User, stranger: User, api: Any) -> None:
    phone, laptop, foreign = log_in(api, owner), log_in(api, owner), log_in(api, stranger)
    assert bearer(api, phone["access"]).post("/api/auth/logout-all/").status_code == 204
    assert [bearer(api, tokens["access"]).get(ME).status_code for tokens in (phone, laptop, foreign)] == [401, 401, 200]


def test_a_deactivated_user_is_out_on_the_next_request(owner: User, api: Any) -> None:
    client = api(owner)
    assert client.get(ME).status_code == 200
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert client.get(ME).status_code == 401


def test_a_request_reads_session_user_and_grants_in_one_query(
    owner: User, api: Any, django_assert_num_queries: Any
) -> None:
    client = api(owner)
    TierGrant.objects.create(user=owner, tier=Tier.SOVEREIGN)
    with django_assert_num_queries(1):
        assert client.get(ME).status_code == 200


def test_set_tier_counts_on_the_next_request_and_ends_higher_grants(owner: User, api: Any, capsys: Any) -> None:
    now = timezone.now()
    User.objects.filter(pk=owner.pk).update(tier=Tier.OBSERVER)
    TierGrant.objects.create(user=owner, tier=Tier.SOVEREIGN, ends_at=now + dt.timedelta(days=30))
    TierGrant.objects.create(user=owner, tier=Tier.NAVIGATOR)
    client = api(owner)
    assert [client.get(ME).json()[name] for name in ("tier", "effective_tier")] == ["observer", "sovereign"]
    call_command("set_tier", owner.email.upper(), "navigator")
    assert capsys.readouterr().out == "owner@example.org is navigator now; 1 higher grant ended.\n"
    assert [client.get(ME).json()[name] for name in ("tier", "effective_tier")] == ["navigator", "navigator"]


def test_a_grant_counts_only_inside_its_time(owner: User) -> None:
    from accounts.selectors import effective_tier

    now, day = timezone.now(), dt.timedelta(days=1)
    User.objects.filter(pk=owner.pk).update(tier=Tier.NAVIGATOR)
    owner.refresh_from_db()
    TierGrant.objects.create(user=owner, tier=Tier.SOVEREIGN, starts_at=now + day)
    TierGrant.objects.create(user=owner, tier=Tier.SOVEREIGN, starts_at=now - 2 * day, ends_at=now - day)
    TierGrant.objects.create(user=owner, tier=Tier.OBSERVER)
    assert effective_tier(owner) == Tier.NAVIGATOR
    TierGrant.objects.create(user=owner, tier=Tier.OPERATOR, ends_at=now + day)
    assert effective_tier(owner) == Tier.OPERATOR


def test_changing_the_base_currency_makes_the_figures_stale(owner: User, api: Any) -> None:
    client = api(owner)
    answer = client.patch(ME, {"base_currency": "chf", "timezone": "Europe/Zurich"})
    assert answer.status_code == 200
    assert (answer.json()["base_currency"], answer.json()["timezone"]) == ("CHF", "Europe/Zurich")
    assert list(owner.fact_versions.values_list("number", "cause")) == [(1, "base_currency")]
    client.patch(ME, {"base_currency": "CHF"})
    assert owner.fact_versions.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"base_currency": "USDT"},
        {"base_currency": 1},
        {"base_currency": None},
        {"timezone": "Mars/Base"},
        {"timezone": "../etc/passwd"},
        {"timezone": ["UTC"]},
        [],
    ],
)
def test_other_settings_are_refused_and_change_nothing(owner: User, api: Any, body: Any) -> None:
    answer = api(owner).patch(ME, body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    owner.refresh_from_db()
    assert (owner.base_currency, owner.timezone, owner.fact_number) == ("USD", "UTC", 0)


def test_nobody_changes_their_own_tier(make_user: Any, api: Any) -> None:
    user = make_user(tier=Tier.OBSERVER)
    api(user).patch(ME, {"tier": "sovereign", "is_staff": True, "effective_tier": "sovereign"})
    user.refresh_from_db()
    assert (user.tier, user.is_staff) == (Tier.OBSERVER, False)


def test_a_ticket_opens_one_socket_once(owner: User, api: Any) -> None:
    ticket = api(owner).post("/api/auth/ws-ticket/").json()["ticket"]
    session = services.redeem_ws_ticket(ticket)
    assert session is not None
    assert session.user == owner
    assert services.redeem_ws_ticket(ticket) is None
    assert services.redeem_ws_ticket("made up") is None
    assert services.redeem_ws_ticket("\ud800\0") is None


def test_a_ticket_of_an_ended_session_is_worth_nothing(owner: User, api: Any) -> None:
    client = api(owner)
    ticket = client.post("/api/auth/ws-ticket/").json()["ticket"]
    services.log_out_everywhere(user=owner)
    assert services.redeem_ws_ticket(ticket) is None


def test_the_cookie_is_tied_to_a_session_that_can_be_ended(owner: User, browser: Any) -> None:
    client = browser(owner)
    assert client.get(ME).json()["email"] == owner.email
    services.log_out_everywhere(user=owner)
    assert client.get(ME).status_code == 401


def test_logging_out_of_the_browser_ends_its_session(owner: User, browser: Any) -> None:
    client = browser(owner)
    client.logout()
    assert LoginSession.objects.get().revoked_reason == "logged_out"


def test_the_cookie_alone_changes_nothing_without_csrf(owner: User) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    answer = client.patch(ME, json.dumps({"base_currency": "EUR"}), content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    owner.refresh_from_db()
    assert owner.base_currency == "USD"


def test_a_changed_password_ends_browser_sessions(owner: User, browser: Any) -> None:
    client = browser(owner)
    owner.set_password("another long password")
    owner.save(update_fields=["password"])
    assert client.get(ME).status_code == 401


def test_a_bearer_token_does_not_open_the_admin(staff: User, api: Any) -> None:
    answer = api(staff).get("/admin/")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_create_user_prints_one_line_and_checks_the_password(db: None, capsys: Any) -> None:
    from django.core.management.base import CommandError

    call_command("create_user", "Boss@Example.org", "--password", PASSWORD, "--tier", "operator", "--staff")
    assert capsys.readouterr().out == "boss@example.org can log in as operator and staff.\n"
    user = User.objects.get()
    assert (user.tier, user.is_staff, user.check_password(PASSWORD)) == (Tier.OPERATOR, True, True)
    for email, password in (("weak@example.org", "short"), ("boss@example.org", PASSWORD), ("no address", PASSWORD)):
        with pytest.raises(CommandError):
            call_command("create_user", email, "--password", password)
    assert User.objects.count() == 1


def test_purging_deletes_only_what_has_expired(owner: User, api: Any) -> None:
    from accounts.models import IdempotencyRecord, RateCounter

    now, day = timezone.now(), dt.timedelta(days=1)
    log_in(api, owner)
    named = {"user": owner, "endpoint": "e", "body_digest": "d"}
    IdempotencyRecord.objects.create(key="old", created_at=now - 2 * day, **named)
    IdempotencyRecord.objects.create(key="new", **named)
    RateCounter.objects.create(key="old", used=1, ends_at=now - day)
    RateCounter.objects.create(key="new", used=1, ends_at=now + day)
    LoginSession.objects.create(user=owner, refresh_jti="old", expires_at=now - 31 * day)
    assert services.purge_expired(now=now) == 3
    assert (IdempotencyRecord.objects.get().key, RateCounter.objects.get().key) == ("new", "new")
    assert LoginSession.objects.count() == 1

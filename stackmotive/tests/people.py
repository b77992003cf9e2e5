"""pytest plugin: the three people of every test, and clients that log in as them through the real path.

Passwords hash quickly and limits are wide here; tests of either set the real values by the `settings` fixture.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from django.test import Client
    from rest_framework.test import APIClient

    from accounts.models import User

PASSWORD = "correct horse battery staple"
MakeUser = Callable[..., "User"]


@pytest.fixture(autouse=True)
def _quick_and_wide(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # no collectstatic in tests
    }
    settings.TIER_REQUESTS_PER_MINUTE = dict.fromkeys(settings.TIER_REQUESTS_PER_MINUTE, 100_000)
    settings.ANONYMOUS_REQUESTS_PER_MINUTE = settings.COSTLY_REQUESTS_PER_MINUTE = 100_000
    settings.PAGE_REQUESTS_PER_MINUTE = 100_000


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """`make_user(tier=Tier.OPERATOR, email=..., **fields)`: a user whose password is PASSWORD; sovereign by default."""
    from accounts.models import Tier, User

    made: list[User] = []

    def make(*, tier: Tier = Tier.SOVEREIGN, email: str = "", **fields: Any) -> User:
        user = User.objects.create_user(email or f"user{len(made)}@example.org", PASSWORD, tier=tier, **fields)
        made.append(user)
        return user

    return make


@pytest.fixture
def owner(make_user: MakeUser) -> "User":
    return make_user(email="owner@example.org")


@pytest.fixture
def stranger(make_user: MakeUser) -> "User":
    return make_user(email="stranger@example.org")


@pytest.fixture
def staff(make_user: MakeUser) -> "User":
    return make_user(email="staff@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def api() -> "Callable[..., APIClient]":
    """`api(user)`: a client with a bearer token of that user (one log-in per user and test); `api()`: nobody."""
    from rest_framework.test import APIClient

    tokens: dict[UUID, str] = {}

    def client_of(user: "User | None" = None) -> APIClient:
        client = APIClient()
        client.default_format = "json"
        if user is not None:
            if user.pk not in tokens:
                answer = client.post("/api/auth/token/", {"email": user.email, "password": PASSWORD})
                assert answer.status_code == 200, answer.content
                tokens[user.pk] = answer.json()["access"]
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens[user.pk]}")
        return client

    return client_of


@pytest.fixture
def browser() -> "Callable[..., Client]":
    """`browser(user)`: a client with the session cookie of that user; `browser()`: nobody."""
    from django.test import Client

    def client_of(user: "User | None" = None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user)
        return client

    return client_of

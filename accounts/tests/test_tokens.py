"""Forged, cut and foreign tokens: each is a 401, never a 500, and never lets in."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import jwt
import pytest

from accounts.models import LoginSession, User
from accounts.services import open_session, tokens_of
from accounts.tokens import TokenInvalid, verify

Forge = Callable[[dict[str, Any], str], str]


def signed(**changes: Any) -> Forge:
    """A token with our key whose claims are changed; None takes a claim away."""

    def forge(claims: dict[str, Any], key: str) -> str:
        changed = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(changed, key, algorithm="HS256")

    return forge


def unsigned(claims: dict[str, Any], key: str) -> str:
    return jwt.encode(claims, "", algorithm="none")


def b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def with_header(header: dict[str, Any]) -> Forge:
    """Signed with our own key, under another header."""

    def forge(claims: dict[str, Any], key: str) -> str:
        text = f"{b64(header)}.{b64(claims)}"
        digest = hmac.digest(key.encode(), text.encode(), "sha256")
        return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    return forge


def fixed(text: str) -> Forge:
    return lambda claims, key: text


FORGERIES: dict[str, Forge] = {
    "no signature": unsigned,
    "other key": lambda claims, key: jwt.encode(claims, "k" * 48, algorithm="HS256"),
    "other algorithm": lambda claims, key: jwt.encode(claims, key, algorithm="HS512"),
    "header says none": with_header({"alg": "none", "typ": "JWT"}),
    "header says RS256": with_header({"alg": "RS256", "typ": "JWT"}),
    "header has a critical extension": with_header({"alg": "HS256", "typ": "JWT", "crit": ["exp"], "exp": 1}),
    "header is a list": with_header([]),  # type: ignore[arg-type]
    "signature cut": lambda claims, key: jwt.encode(claims, key, algorithm="HS256")[:-2],
    "signature empty": lambda claims, key: jwt.encode(claims, key, algorithm="HS256").rpartition(".")[0] + ".",
    "expired": signed(exp=int(time.time()) - 31),
    "exp missing": signed(exp=None),
    "exp as text": signed(exp=str(int(time.time()) + 60)),
    "exp infinite": signed(exp=1e400),
    "iat missing": signed(iat=None),
    "iat in the future": signed(iat=int(time.time()) + 120),
    "other issuer": signed(iss="somebody"),
    "issuer missing": signed(iss=None),
    "other audience": signed(aud="another-api"),
    "audience missing": signed(aud=None),
    "audience list": signed(aud=["stackmotive-api", "another-api"]),
    "jti missing": signed(jti=None),
    "jti empty": signed(jti=""),
    "refresh used as access": signed(token_type="refresh"),
    "type missing": signed(token_type=None),
    "sub missing": signed(sub=None),
    "sub of another user": signed(sub=str(uuid4())),
    "sub no id": signed(sub="1 OR 1=1"),
    "sid missing": signed(sid=None),
    "sid unknown": signed(sid=str(uuid4())),
    "sid no id": signed(sid="../../x"),
    "empty": fixed(""),
    "not a token": fixed("x.y.z"),
    "two parts": fixed("x.y"),
    "very long": fixed("a" * 5000),
    "not ASCII": fixed("é.é.é"),
    "claims are a list": lambda claims, key: jwt.api_jws.encode(b"[]", key, algorithm="HS256"),
    "claims are no JSON": lambda claims, key: jwt.api_jws.encode(b"{", key, algorithm="HS256"),
    "claims are deep": lambda claims, key: jwt.api_jws.encode(b"[" * 1500, key, algorithm="HS256"),
}


@pytest.fixture
def session(owner: User) -> LoginSession:
    return open_session(user=owner, address="127.0.0.1", device="test")


@pytest.fixture
def claims(session: LoginSession, settings: Any) -> dict[str, Any]:
    token = tokens_of(session).access
    read: dict[str, Any] = jwt.decode(
        token, settings.JWT_SIGNING_KEY, algorithms=["HS256"], audience=settings.JWT_AUDIENCE
    )
    return read


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_refused(forge: Forge, claims: dict[str, Any], api: Any, settings: Any) -> None:
    client = api()
    text = forge(claims, settings.JWT_SIGNING_KEY).encode().decode("latin-1")  # as a server hands headers on
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    answer = client.get("/api/me/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert answer["Content-Type"] == "application/problem+json"


def test_the_unchanged_token_is_let_in(claims: dict[str, Any], api: Any, settings: Any) -> None:
    client = api()
    client.credentials(HTTP_AUTHORIZATION="Bearer " + signed()(claims, settings.JWT_SIGNING_KEY))
    assert client.get("/api/me/").status_code == 200


def test_a_claimed_tier_gives_nothing(make_user: Any, api: Any, settings: Any) -> None:
    from accounts.models import Tier

    user = make_user(tier=Tier.OBSERVER)
    token = tokens_of(open_session(user=user, address="", device="")).access
    read = jwt.decode(token, settings.JWT_SIGNING_KEY, algorithms=["HS256"], audience=settings.JWT_AUDIENCE)
    client = api()
    client.credentials(HTTP_AUTHORIZATION="Bearer " + signed(tier="sovereign")(read, settings.JWT_SIGNING_KEY))
    assert client.get("/api/me/").json()["effective_tier"] == "observer"


def test_an_older_key_verifies_and_does_not_sign(session: LoginSession, settings: Any) -> None:
    old = tokens_of(session).access
    settings.JWT_VERIFYING_KEYS = [settings.JWT_SIGNING_KEY]
    settings.JWT_SIGNING_KEY = "a-newer-key-0123456789-abcdefghijklmnopqrstuvwxyz"
    assert verify(old, "access").session_id == session.pk
    new = tokens_of(session).access
    settings.JWT_SIGNING_KEY, settings.JWT_VERIFYING_KEYS = settings.JWT_VERIFYING_KEYS[0], []
    with pytest.raises(TokenInvalid):
        verify(new, "access")


def test_a_token_in_the_query_is_not_read(session: LoginSession, api: Any) -> None:
    assert api().get("/api/me/", {"access": tokens_of(session).access}).status_code == 401

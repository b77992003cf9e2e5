from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.signing import TimestampSigner
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import LoginSession, Tier, User
from accounts.services import create_user

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough phrase"


@pytest.fixture
def owner() -> User:
    return create_user(email="owner@example.org", password=PASSWORD)


def test_log_in_opens_a_session_and_goes_on_to_the_asked_page(client: Client, owner: User) -> None:
    answer = client.post(
        "/login/", {"email": "Owner@example.org", "password": PASSWORD, "next": "/holdings/?period=1m"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/holdings/?period=1m")
    assert LoginSession.objects.filter(user=owner, revoked_at=None).count() == 1


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_log_in_never_leads_to_another_site(client: Client, owner: User, elsewhere: str) -> None:
    answer = client.post("/login/", {"email": owner.email, "password": PASSWORD, "next": elsewhere})
    assert answer["Location"] == "/"


@pytest.mark.parametrize(
    "email",
    [
        "owner@example.org",
        "nobody@example.org",
        "\x00",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_wrong_log_in_says_the_same_for_every_name(client: Client, owner: User, email: str) -> None:
    answer = client.post("/login/", {"email": email, "password": "wrong"})
    assert answer.status_code == 401
    assert "E-mail or password is wrong." in answer.content.decode()
    assert LoginSession.objects.count() == 0


def test_too_many_wrong_log_ins_are_told_to_wait(client: Client, owner: User) -> None:
    for _ in range(10):
        client.post("/login/", {"email": owner.email, "password": "wrong"})
    answer = client.post("/login/", {"email": owner.email, "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 300
    assert "Too many failed log-ins" in answer.content.decode()


def test_log_out_ends_the_session(client: Client, owner: User) -> None:
    client.post("/login/", {"email": owner.email, "password": PASSWORD})
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert LoginSession.objects.filter(user=owner, revoked_at=None).count() == 0


def test_log_in_page_needs_no_inline_script_or_style(client: Client) -> None:
    answer = client.get("/login/")
    html = answer.content.decode()
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "<style" not in html
    assert " style=" not in html
    assert "<script>" not in html
    assert "onclick" not in html


def setup_link() -> str:
    return reverse("setup", args=[TimestampSigner(salt="setup").sign("setup")])


OWNER_FORM = {
    "email": "me@example.org",
    "password": PASSWORD,
    "base_currency": "CHF",
    "timezone": "Europe/Zurich",
}


def test_set_up_link_makes_the_owner_once(client: Client) -> None:
    link = setup_link()
    assert client.get(link).status_code == 200
    assert client.post(link, OWNER_FORM)["Location"] == "/"
    owner = User.objects.get()
    assert (owner.email, owner.tier, owner.is_staff) == ("me@example.org", Tier.SOVEREIGN, True)
    assert (owner.base_currency, owner.timezone) == ("CHF", "Europe/Zurich")
    assert LoginSession.objects.filter(user=owner).count() == 1
    again = Client().post(link, OWNER_FORM | {"email": "other@example.org"})
    assert again.status_code == 410
    assert User.objects.count() == 1


def test_made_up_or_old_set_up_link_has_ended(client: Client) -> None:
    assert client.get("/setup/made-up/").status_code == 410
    link = setup_link()
    with time_machine.travel(timezone.now() + timedelta(minutes=31), tick=False):
        assert client.post(link, OWNER_FORM).status_code == 410
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"password": "short"}, "at least 12 characters"),
        ({"email": "no address"}, "valid email"),
        ({"base_currency": "BTC"}, "Choose a currency"),
        ({"timezone": "Mars/Base"}, "Choose a time zone"),
    ],
)
def test_set_up_says_what_is_wrong_and_makes_nobody(client: Client, wrong: dict[str, str], says: str) -> None:
    answer = client.post(setup_link(), OWNER_FORM | wrong)
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert User.objects.count() == 0


def test_account_is_made_in_the_browser_and_logs_in(client: Client, owner: User) -> None:
    assert "Make an account" in client.get("/login/").content.decode()
    for email in ("new@example.org", owner.email):  # the answer does not tell which was known
        answer = client.post("/register/", {"email": email, "password": PASSWORD + " 2"})
        assert (answer.status_code, "Your account is ready" in answer.content.decode()) == (200, True)
    assert User.objects.count() == 2
    assert client.post("/login/", {"email": "new@example.org", "password": PASSWORD + " 2"}).status_code == 302
    assert client.post("/login/", {"email": owner.email, "password": PASSWORD + " 2"}).status_code == 401


@pytest.mark.parametrize(
    "form", [{"email": "x", "password": PASSWORD}, {"email": "a@example.org", "password": "short"}]
)
def test_account_that_cannot_be_made_says_why(client: Client, form: dict[str, str]) -> None:
    answer = client.post("/register/", form)
    assert (answer.status_code, 'role="alert"' in answer.content.decode()) == (400, True)
    assert User.objects.count() == 0


def test_closed_installation_offers_no_account(client: Client, settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    assert "Make an account" not in client.get("/login/").content.decode()
    assert client.post("/register/", {"email": "a@example.org", "password": PASSWORD}).status_code == 403
    assert User.objects.count() == 0

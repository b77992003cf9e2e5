"""The first screen in one call says what each part says by itself."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from portfolio import services
from portfolio.tests.factories import Ledger, make_account, make_instrument

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def test_the_dashboard_is_what_its_parts_answer(owner: User, api: Api) -> None:
    ledger = Ledger(make_account(owner))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    ledger.row("buy", "2024-01-03", make_instrument(owner), quantity="10", price="50")
    ledger.row("sell", "2024-01-04", make_instrument(owner, "GAP"), quantity="-1", price="5")
    services.refresh(user_id=owner.pk)
    client = api(owner)
    body = client.get(f"{BASE}dashboard/?from=2024-01-03").json()
    assert body["summary"] == client.get(f"{BASE}summary/").json()
    assert body["allocation"] == client.get(f"{BASE}allocation/?by=kind").json()
    alone = client.get(f"{BASE}performance/?from=2024-01-03&points=200").json()
    assert body["performance"] == alone
    assert sum(body["findings"].values()) == client.get(f"{BASE}findings/").json()["count"] > 0


def test_a_refresh_is_asked_for_and_leads_to_the_summary(
    owner: User, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("portfolio.tasks.refresh_user.delay_on_commit", started.append)
    answer = api(owner).post(f"{BASE}refresh/")
    assert (answer.status_code, started) == (202, [str(owner.pk)])
    assert answer["Location"].endswith("/api/portfolio/summary/")
    assert api(owner).get(f"{BASE}refresh/").status_code == 405

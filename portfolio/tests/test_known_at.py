"""What was known at a time is answered again as it was answered then."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.conf import settings as django_settings
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import BrokerAccount, Listing
from federation.services import reconcile
from portfolio import services, tasks
from portfolio.models import KnownAnswer

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"
START = dt.datetime(2024, 3, 1, 18, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _work_at_once(django_capture_on_commit_callbacks: Any, settings: Any) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True


def known(client: APIClient, path: str, at: str) -> Any:
    """The kept answer, computed by a worker first."""
    address = f"{BASE}{path}{'&' if '?' in path else '?'}known_at={at}"
    first = client.get(address)
    if first.status_code == 202:
        assert first.headers["Location"].endswith(f"/api/portfolio/known-answers/{first.json()['id']}/")
        tasks.answer_known(first.json()["id"])
        assert client.get(first.headers["Location"]).json()["status"] == "done"
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()


def signed_in(user: User) -> APIClient:
    """A client that stays logged in however far the clock travels."""
    client = APIClient()
    client.default_format = "json"
    client.force_authenticate(user)
    return client


def settle(user: User) -> None:
    reconcile(user.pk)
    services.refresh(user_id=user.pk)


def book(client: APIClient, account: str, /, **fields: Any) -> dict[str, Any]:
    answer = client.post(
        f"{BASE}transactions/",
        {
            "account": account, "kind": "buy", "instrument": {"symbol": "ACME", "kind": "equity", "currency": "USD"},
            "trade_date": "2024-03-01", "quantity": "10", "price": "50", "currency": "USD",
        }
        | fields,
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def new_account(client: APIClient, **fields: Any) -> str:
    answer = client.post(f"{BASE}accounts/", {"name": "Main", "currency": "USD", "cash_mode": "tracked"} | fields)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def test_an_answer_is_given_again_after_edits_and_new_prices(owner: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        account = new_account(client)
        row = book(client, account)
        client.post(f"{BASE}prices/", [{"instrument": row["instrument"], "date": "2024-03-01", "close": "55", "currency": "USD"}])
        settle(owner)
        then = {path: client.get(f"{BASE}{path}").json() for path in PATHS}
        clock.shift(dt.timedelta(days=3))
        book(client, account, quantity="5", trade_date="2024-02-28")
        client.post(f"{BASE}prices/", [{"instrument": row["instrument"], "date": "2024-03-01", "close": "70", "currency": "USD"}])
        client.patch(f"{BASE}accounts/{account}/", {"name": "Renamed", "cash_mode": "external"})
        settle(owner)
        assert client.get(f"{BASE}summary/").json()["market_value"] == "1050"
        before = [client.get(f"{BASE}{path}").json() for path in PATHS]
        for path in PATHS:
            assert known(client, path, "2024-03-01T18:00:00Z") == then[path], path
        assert [client.get(f"{BASE}{path}").json() for path in PATHS] == before


PATHS = (
    "summary/", "positions/", "lots/", "transactions/", "allocation/?by=currency", "performance/", "cash-balances/",
    "realized-gains/", "summary/?as_of=2024-02-29", "positions/?group_by=instrument&currency=EUR",
)  # fmt: skip

"""A changed currency or zone reaches the figures without anybody's help, and nothing is told in the wrong one."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import change_settings
from federation.services import create_account, reconcile
from federation.tests.factories import cash_event, make_source, stage
from portfolio import services, tasks
from portfolio.models import CashBalance, FigureState
from portfolio.tests.factories import make_rate

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


@pytest.fixture
def _worker(settings: Any) -> Iterator[None]:
    tasks.refresh_user.app.conf.task_always_eager = True
    yield
    tasks.refresh_user.app.conf.task_always_eager = False


@pytest.fixture
def holder(owner: User, settings: Any) -> User:
    settings.AS_OF = dt.date(2024, 1, 10)
    make_rate("EUR", "USD", "2024-01-02", "1.25")
    change_settings(user=owner, base_currency="USD")
    owner.refresh_from_db()
    account = create_account(user=owner, name="Main", currency="USD", cash_mode="tracked")
    stage(make_source(owner), rows=[cash_event("01-02", "deposit", "100", account="")], default_account=account.pk)
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    return owner


@pytest.mark.usefixtures("_worker")
def test_a_changed_currency_refreshes_the_figures(
    holder: User, api: Api, django_capture_on_commit_callbacks: Any
) -> None:
    client = api(holder)
    assert client.get("/api/portfolio/summary/").json()["cash"] == "100"
    with django_capture_on_commit_callbacks(execute=True):
        assert client.patch("/api/me/", {"base_currency": "EUR"}).status_code == 200
    summary = client.get("/api/portfolio/summary/").json()
    assert (summary["cash"], summary["currency"], summary["is_stale"]) == ("80", "EUR", False)
    assert FigureState.objects.get(pk=holder.pk).base_currency == "EUR"


@pytest.mark.usefixtures("_worker")
def test_a_changed_zone_refreshes_the_figures_where_it_is_another_day(
    holder: User, api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    settings.AS_OF = None
    late = dt.datetime(2024, 1, 10, 23, 30, tzinfo=dt.UTC)
    monkeypatch.setattr("portfolio.valuation_day.timezone.now", lambda: late)
    services.refresh(user_id=holder.pk)
    assert CashBalance.objects.get().as_of == dt.date(2024, 1, 10)
    with django_capture_on_commit_callbacks(execute=True):
        change_settings(user=holder, timezone_name="Asia/Tokyo")
    assert CashBalance.objects.get().as_of == dt.date(2024, 1, 11)


def test_until_then_the_figures_keep_the_currency_they_were_computed_in(holder: User, api: Api) -> None:
    change_settings(user=holder, base_currency="EUR")
    summary = api(holder).get("/api/portfolio/summary/").json()
    assert (summary["cash"], summary["currency"], summary["is_stale"]) == ("100", "USD", True)


def test_the_sweep_finds_a_changed_currency_whose_message_was_lost(
    holder: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(tasks.refresh_user, "delay", woken.append)
    tasks.sweep_figures()
    assert woken == []
    change_settings(user=holder, base_currency="EUR")
    tasks.sweep_figures()
    assert woken == [str(holder.pk)]


def test_performance_of_one_holding_and_by_modified_dietz(holder: User, api: Api) -> None:
    client = api(holder)
    whole = client.get("/api/portfolio/performance/").json()
    assert (whole["twr"], whole["modified_dietz"]) == ("0", "0")
    refused = client.get("/api/portfolio/performance/?instrument=0190b3a0-0000-7000-8000-000000000000")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "#/instrument"

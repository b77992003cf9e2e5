"""Months, contributions, trades and risk over HTTP: exact values and what always holds."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from portfolio import services
from portfolio.tests.factories import Ledger, day, make_account, make_instrument, make_rate

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 2, 29)


@pytest.fixture
def portfolio(owner: User) -> User:
    """Two shares and cash: one doubles, one halves; one sale won, one lost, one of what nobody bought."""
    make_rate("EUR", "USD", "2023-12-01", "1.25")
    up, down = make_instrument(owner, "UP"), make_instrument(owner, "DOWN")
    ledger = Ledger(make_account(owner))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    ledger.row("buy", "2024-01-03", up, quantity="10", price="20")
    ledger.row("buy", "2024-01-03", down, quantity="10", price="40")
    ledger.row("sell", "2024-01-31", up, quantity="-5", price="30")
    ledger.row("sell", "2024-02-05", down, quantity="-2", price="25", fee="1")
    ledger.row("sell", "2024-02-06", make_instrument(owner, "GAP"), quantity="-1", price="7")
    prices = [
        (up, "2024-01-03", "20"), (up, "2024-01-31", "30"), (up, "2024-02-29", "40"),
        (down, "2024-01-03", "40"), (down, "2024-01-31", "30"), (down, "2024-02-29", "20"),
    ]  # fmt: skip
    services.record_prices(
        user_id=owner.pk, prices=[services.OwnPrice(one.pk, day(on), D(close)) for one, on, close in prices]
    )
    services.refresh(user_id=owner.pk)
    return owner


def got(client: APIClient, path: str, status: int = 200) -> dict[str, Any]:
    answer = client.get(f"{BASE}{path}")
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_months_link_to_the_whole(portfolio: User, api: Api) -> None:
    body = got(api(portfolio), "performance/months/")
    assert [(one["year"], one["month"], one["is_whole"]) for one in body["months"]] == [
        (2024, 1, False),
        (2024, 2, True),
    ]
    # 1000 in; on 31 January 400 cash + 150 + 5 x 30 + 10 x 30
    assert body["months"][0]["change"] == "0"
    whole = (1 + D(body["months"][0]["change"])) * (1 + D(body["months"][1]["change"]))
    assert whole - 1 == pytest.approx(D(got(api(portfolio), "performance/")["twr"]), abs=D("1e-9"))
    assert D(body["years"][0]["change"]) == pytest.approx(whole - 1, abs=D("1e-9"))


@pytest.mark.parametrize("query", ["", "?currency=EUR", "?from=2024-01-15&to=2024-02-20"])
def test_contributions_add_up_to_the_return(portfolio: User, api: Api, query: str) -> None:
    body = got(api(portfolio), f"performance/contribution/{query}")
    parts = {one["symbol"]: D(one["contribution"]) for one in body["results"]}
    assert {"UP", "DOWN"} <= parts.keys()
    assert sum(parts.values()) + D(body["unattributed"]) == D(body["twr"])
    assert abs(D(body["unattributed"])) < D("1e-9") or query == "?currency=EUR" or "GAP" not in parts
    if not query:
        gains = {one["symbol"]: D(one["gain"]) for one in body["results"]}
        assert (gains["UP"], gains["DOWN"]) == (D(150), D("-191"))


def test_trades_are_counted_once_each_and_what_is_unknown_apart(portfolio: User, api: Api) -> None:
    (every,) = got(api(portfolio), "trading-metrics/")["results"]
    assert (every["trades"], every["wins"], every["losses"], every["without_gain"]) == (3, 1, 1, 1)
    assert (every["realized_gain"], every["win_rate"], every["profit_factor"]) == ("19", "0.5", "1.6129032258")
    assert (every["largest_win"], every["largest_loss"]) == ("50", "-31")
    assert D(every["holding_days"]) == pytest.approx(D(5 * 28 + 2 * 33) / 7, abs=D("1e-9"))
    by_month = got(api(portfolio), "trading-metrics/?period=month")["results"]
    assert [(one["period"], one["realized_gain"]) for one in by_month] == [("2024-02", "-31"), ("2024-01", "50")]
    assert by_month[1]["profit_factor"] is None
    assert by_month[1]["reasons"]["profit_factor"] == "no_losses"
    (none,) = got(api(portfolio), "trading-metrics/?to=2024-01-15")["results"]
    assert (none["trades"], none["win_rate"], none["reasons"]["win_rate"]) == (0, None, "no_closed_trades")


def test_risk_tells_falls_concentration_and_who_moves_with_whom(portfolio: User, api: Api) -> None:
    body = got(api(portfolio), "risk/?window=5")
    assert body["concentration"]["label"] == "very_high"
    # UP 5 x 40 = 200, DOWN 8 x 20 = 160
    assert D(body["concentration"]["largest"]) == pytest.approx(D(200) / 360, abs=D("1e-9"))
    assert D(body["concentration"]["hhi"]) == pytest.approx((D(200) / 360) ** 2 + (D(160) / 360) ** 2, abs=D("1e-9"))
    assert body["concentration"]["curve"][-1] == "1"
    assert D(body["max_drawdown"]) == min(D(one["value"]) for one in body["underwater"])
    assert body["drawdowns"][0]["value"] == pytest.approx(float(body["max_drawdown"]), abs=1e-9) or D(
        body["drawdowns"][0]["value"]
    ) == pytest.approx(D(body["max_drawdown"]), abs=D("1e-9"))
    matrix = body["correlation"]["matrix"]
    assert [one["symbol"] for one in body["correlation"]["instruments"]] == ["UP", "DOWN"]
    assert matrix[0][1] == matrix[1][0]
    assert len(body["rolling"]) == body["n_obs"] - 4
    short = got(api(portfolio), "risk/summary/")
    assert short["volatility"] == body["volatility"]
    assert "rolling" not in short


def test_risk_is_for_navigators_and_a_range_is_not_days(portfolio: User, api: Api, make_user: Any) -> None:
    assert api(make_user(tier=Tier.OBSERVER)).get(f"{BASE}risk/").status_code == 403
    assert api(make_user(tier=Tier.NAVIGATOR)).get(f"{BASE}risk/").status_code == 200
    wrong = ("performance/?range=1m&from=2024-01-01", "performance/?range=2h", "trading-metrics/?period=week",
             "performance/?from=2024-02-01&to=2024-01-01", "risk/?window=1")  # fmt: skip
    for path in wrong:
        assert api(portfolio).get(f"{BASE}{path}").status_code == 400, path
    body = got(api(portfolio), "performance/?range=1m")
    assert body["start"] == "2024-01-29"


def test_a_portfolio_of_nothing_has_no_figures_and_says_why(owner: User, api: Api) -> None:
    client = api(owner)
    assert got(client, "performance/months/")["months"] == []
    assert got(client, "performance/contribution/")["twr"] is None
    body = got(client, "risk/")
    assert (body["volatility"], body["reasons"]["volatility"]) == (None, "too_few_observations")
    assert (body["concentration"]["largest"], body["concentration"]["label"]) == (None, "unknown")

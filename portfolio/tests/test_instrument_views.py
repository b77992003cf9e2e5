"""What instruments are quoted at, how they did, what is held and noted of them, over HTTP."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.models import InstrumentIdentifier, Listing
from portfolio import services
from portfolio.tests.factories import Ledger, day, make_account, make_instrument

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 2, 7)


@pytest.fixture
def acme(owner: User) -> Listing:
    listing = make_instrument(owner, "ACME")
    InstrumentIdentifier.objects.create(instrument=listing.instrument, scheme="isin", value="US0000000017")
    closes = [
        ("2024-01-08", "100"),
        ("2024-01-10", "90"),
        ("2024-01-12", "110"),
        ("2024-02-05", "88"),
        ("2024-02-06", "99"),
    ]
    record(owner, listing, closes)
    ledger = Ledger(make_account(owner))
    ledger.row("deposit", "2024-01-05", cash_amount="1000")
    ledger.row("buy", "2024-01-08", listing, quantity="5", price="100")
    services.refresh(user_id=owner.pk)
    return listing


def record(user: User, listing: Listing, closes: list[tuple[str, str]]) -> None:
    services.record_prices(
        user_id=user.pk, prices=[services.OwnPrice(listing.pk, day(on), D(close)) for on, close in closes]
    )


def got(client: APIClient, path: str, status: int = 200) -> Any:
    answer = client.get(f"{BASE}{path}")
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_price_tells_its_age_and_source_and_none_is_not_found(owner: User, api: Api, acme: Listing) -> None:
    body = got(api(owner), f"instruments/{acme.instrument_id}/price/")
    assert (body["price"], body["as_of"], body["provider"], body["age_days"]) == ("99", "2024-02-06", "own", 1)
    assert (body["change"], body["change_ratio"], body["is_stale"]) == ("11", "0.125", False)
    odd = make_instrument(owner, "ODD")
    assert "prices" in got(api(owner), f"instruments/{odd.instrument_id}/price/", 404)["detail"]


def test_prices_in_pence_are_told_in_pounds(owner: User, api: Api) -> None:
    listing = make_instrument(owner, "PNC", "GBP")
    listing.quote_unit = "GBX"
    listing.save()
    record(owner, listing, [("2024-02-06", "250")])
    assert got(api(owner), f"instruments/{listing.instrument_id}/price/")["price"] == "2.5"
    (candle,) = got(api(owner), f"instruments/{listing.instrument_id}/candles/")["results"]
    assert candle["close"] == "2.5"


def test_candles_are_made_of_the_closes_of_their_interval(owner: User, api: Api, acme: Listing) -> None:
    path = f"instruments/{acme.instrument_id}/candles/"
    weeks = got(api(owner), f"{path}?interval=1w")["results"]
    assert [(one["date"], one["open"], one["high"], one["low"], one["close"], one["count"]) for one in weeks] == [
        ("2024-01-08", "100", "110", "90", "110", 3),
        ("2024-02-05", "88", "99", "88", "99", 2),
    ]
    months = got(api(owner), f"{path}?interval=1mo&from=2024-01-09&to=2024-02-05")["results"]
    assert [(one["date"], one["open"], one["close"]) for one in months] == [
        ("2024-01-01", "90", "110"),
        ("2024-02-01", "88", "88"),
    ]
    assert api(owner).get(f"{BASE}{path}?interval=7h").status_code == 400


def test_candles_are_for_navigators(make_user: Any, api: Api) -> None:
    observer, navigator = make_user(tier=Tier.OBSERVER), make_user(tier=Tier.NAVIGATOR)
    shared = make_instrument(None, "SHARED")
    assert api(observer).get(f"{BASE}instruments/{shared.instrument_id}/candles/").status_code == 403
    assert got(api(navigator), f"instruments/{shared.instrument_id}/candles/")["results"] == []


def test_analytics_are_of_the_instruments_own_price(owner: User, api: Api, acme: Listing) -> None:
    body = got(api(owner), f"instruments/{acme.instrument_id}/analytics/")
    assert (body["changes"]["1w"], body["changes"]["1m"]) == (None, None)  # no close was near enough to their start
    assert body["reasons"]["1w"] == "too_few_observations"
    assert (body["high_1y"], body["low_1y"], body["n_obs"], body["basis"]) == ("110", "88", 4, "price")
    assert D(body["max_drawdown_1y"]) == pytest.approx(D("-0.2"), abs=D("1e-9"))
    odd = make_instrument(owner, "ODD")
    empty = got(api(owner), f"instruments/{odd.instrument_id}/analytics/")
    assert (empty["price"], empty["reasons"]["price"]) == (None, "no_price")


def test_what_is_held_comes_with_lots_and_rows(owner: User, api: Api, acme: Listing) -> None:
    body = got(api(owner), f"instruments/{acme.instrument_id}/position/")
    assert (body["total"]["quantity"], body["total"]["market_value"]) == ("5", "495")
    assert [row["cost"] for row in body["lots"]] == ["500"]
    assert [row["kind"] for row in body["transactions"]] == ["buy"]
    assert got(api(owner), f"instruments/{acme.instrument_id}/performance/")["twr"] == "-0.01"
    odd = make_instrument(owner, "ODD")
    assert got(api(owner), f"instruments/{odd.instrument_id}/position/") == {
        "total": None, "positions": [], "lots": [], "transactions": [],
    }  # fmt: skip


def test_search_finds_by_symbol_name_and_isin(owner: User, stranger: User, api: Api, acme: Listing) -> None:
    make_instrument(owner, "ACMEX", name="Another")
    assert [one["symbol"] for one in got(api(owner), "instruments/search/?q=acme")] == ["ACME", "ACMEX"]
    assert [one["symbol"] for one in got(api(owner), "instruments/search/?q=us0000000017")] == ["ACME"]
    assert [one["symbol"] for one in got(api(owner), "instruments/search/?q=othe")] == ["ACMEX"]
    assert got(api(stranger), "instruments/search/?q=acme") == []
    assert api(owner).get(f"{BASE}instruments/search/?q=").status_code == 400


def test_latest_prices_and_movers_are_of_what_is_held(owner: User, api: Api, acme: Listing) -> None:
    other = make_instrument(owner, "OTHER")
    record(owner, other, [("2024-02-06", "7")])
    assert [one["symbol"] for one in got(api(owner), "prices/latest/")["results"]] == ["ACME"]
    asked = got(api(owner), f"prices/latest/?instrument={other.instrument_id}")["results"]
    assert [(one["symbol"], one["change"]) for one in asked] == [("OTHER", None)]
    assert [one["symbol"] for one in got(api(owner), "prices/movers/")["results"]] == ["ACME"]
    assert api(owner).get(f"{BASE}prices/latest/?instrument=7").status_code == 404


def test_notes_are_their_owners_alone(owner: User, stranger: User, api: Api) -> None:
    shared = make_instrument(None, "SHARED")
    path = f"{BASE}instruments/{shared.instrument_id}/notes/"
    made = api(owner).post(path, {"text": "Cheap at 50"})
    assert made.status_code == 201
    changed = api(owner).patch(f"{path}{made.json()['id']}/", {"text": "Cheap at 40"})
    assert changed.json()["text"] == "Cheap at 40"
    assert [one["text"] for one in api(owner).get(path).json()["results"]] == ["Cheap at 40"]
    assert api(stranger).get(path).json()["results"] == []
    assert api(stranger).patch(f"{path}{made.json()['id']}/", {"text": "x"}).status_code == 404
    for wrong in ({}, {"text": ""}, {"text": "a\x00b"}, {"text": "x" * 10_001}):
        assert api(owner).post(path, wrong).status_code == 400, wrong
    assert api(owner).delete(f"{path}{made.json()['id']}/").status_code == 204
    assert api(owner).get(path).json()["results"] == []

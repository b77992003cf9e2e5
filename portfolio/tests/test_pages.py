"""The pages' figures are the API's: same selectors, in words."""

import datetime as dt
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Tier, User
from portfolio import selectors, services
from portfolio.selectors.holding_returns import holding_returns
from portfolio.tests.factories import Ledger, make_account, make_instrument, make_rate
from portfolio.tests.test_refresh import own_prices
from stackmotive.common import chart_images

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fixed_day_and_worker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)
    cache.clear()

    def draw_at_once(args: tuple[Any], expires: int) -> None:
        chart_images.draw_chart(*args)

    monkeypatch.setattr(chart_images.draw_chart, "apply_async", draw_at_once)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def invested(user: User) -> None:
    """1,000 in, ten shares at 50, a price of 70 in the end, an unpriced holding."""
    listing = make_instrument(user, "ACME", name="Acme & Sons")
    odd = make_instrument(user, "ODD", name="Oddity", kind="other")
    ledger = Ledger(make_account(user, name="Broker"))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50")
    ledger.row("transfer_in", "2024-01-04", odd, quantity="3")
    own_prices(user, listing, d2024_01_03="50", d2024_01_09="65", d2024_01_10="70")
    services.refresh(user_id=user.pk)


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_overview_shows_the_summary_of_the_api(owner: User) -> None:
    invested(owner)
    html = page(logged_in(owner), "/?period=all")
    headline = selectors.summary(user=owner)
    assert headline.total_value == 1200
    assert '$1,200<span class="minor">.00</span>' in html
    assert "+$200.00" in html
    assert "+20.00%" in html
    assert "since the start, time-weighted" in html
    assert "Acme &amp; Sons" in html
    assert "holding without price" in html


def test_overview_has_pictures_and_a_table_before_any_script_runs(owner: User) -> None:
    invested(owner)
    html = page(logged_in(owner), "/?period=all")
    assert html.count('<svg xmlns="http://www.w3.org/2000/svg"') == 3
    assert "Allocation by kind: Equities 58.3%, Cash 41.7%." in html
    assert '<caption class="sr">Value and net contributions</caption>' in html


def test_pages_need_no_inline_script_or_style(owner: User) -> None:
    invested(owner)
    client = logged_in(owner)
    for address in ("/", "/holdings/", "/import/"):
        html = page(client, address)
        assert " style=" not in html
        assert "<style" not in html
        assert [
            part for part in html.split("<script")[1:] if "src=" not in part and "application/json" not in part
        ] == []
        assert " onclick" not in html


def test_new_user_is_shown_where_to_start(owner: User) -> None:
    html = page(logged_in(owner), "/")
    assert "Bring in your first account" in html
    assert page(logged_in(owner), "/holdings/").count("Bring in your first account") == 1


def test_holdings_sum_to_the_total_of_the_overview(owner: User) -> None:
    invested(owner)
    html = page(logged_in(owner), "/holdings/?group=account")
    total = html.split("<tfoot>")[1]
    assert "$1,200.00" in total
    assert "without 1 of unknown value" in total
    assert "USD cash" in html
    assert '<span class="none" title="no price is known">' in html


def rows_in_order(html: str) -> list[str]:
    return re.findall(r'<b class="clip" title="[^"]*">([^<]*)</b>', html)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["Acme & Sons", "Oddity", "USD cash"]),
        ("-name", ["USD cash", "Oddity", "Acme & Sons"]),
        ("value", ["USD cash", "Acme & Sons", "Oddity"]),
        ("nonsense", ["Acme & Sons", "USD cash", "Oddity"]),
    ],
)
def test_holdings_sort_with_the_unknown_last(owner: User, sort: str, order: list[str]) -> None:
    invested(owner)
    html = page(logged_in(owner), f"/holdings/?sort={sort}")
    assert [name.replace("&amp;", "&") for name in rows_in_order(html)] == order


def test_currency_of_the_address_converts_every_amount(owner: User) -> None:
    make_rate("EUR", "USD", "2024-01-02", "2")
    invested(owner)
    html = page(logged_in(owner), "/?currency=EUR&period=all")
    assert '€600<span class="minor">.00</span>' in html
    assert 'href="/holdings/?period=all&amp;currency=EUR"' in html


def test_account_of_a_stranger_is_not_shown(owner: User, stranger: User) -> None:
    invested(owner)
    foreign = owner.broker_accounts.get()
    client = logged_in(stranger)
    assert "Bring in your first account" in page(client, f"/?account={foreign.pk}")
    assert page(client, "/holdings/accounts/").strip() == ""


@pytest.mark.parametrize(
    "query",
    [
        "period=%F0%9F%92%A9",
        "from=0000-00-00&to=x",
        "account=1",
        "by=../..",
        "group=%3Cb%3E&sort=--",
        "currency=%ED%A0%80",
    ],
)
def test_nonsense_in_the_address_is_no_error(owner: User, query: str) -> None:
    invested(owner)
    client = logged_in(owner)
    assert client.get(f"/?{query}").status_code == 200
    assert client.get(f"/holdings/?{query}").status_code == 200


def test_pages_ask_to_log_in_first_and_come_back() -> None:
    answer = Client().get("/holdings/?period=1m")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=%2Fholdings%2F%3Fperiod%3D1m")
    part = Client().get("/holdings/", headers={"HX-Request": "true"})
    assert (part.status_code, part["HX-Redirect"]) == (204, "/login/")


def test_no_browser_keeps_a_page(owner: User) -> None:
    answer = logged_in(owner).get("/")
    assert "no-store" in answer["Cache-Control"]


def test_observer_sees_figures_and_no_imports(make_user: Any) -> None:
    observer = make_user(tier=Tier.OBSERVER)
    invested(observer)
    assert "Recent imports" not in page(logged_in(observer), "/")


def test_holdings_cost_the_same_queries_for_one_and_for_ten(owner: User) -> None:
    invested(owner)
    client = logged_in(owner)
    page(client, "/holdings/?group=account")
    with CaptureQueriesContext(connection) as few:
        page(client, "/holdings/?group=account")
    ledger = Ledger(make_account(owner, name="Second"))
    for number in range(10):
        listing = make_instrument(owner, f"N{number}")
        ledger.row("buy", "2024-01-05", listing, quantity="1", price="5")
    services.refresh(user_id=owner.pk)
    with CaptureQueriesContext(connection) as many:
        page(client, "/holdings/?group=account")
    assert len(many) == len(few)


def test_return_of_a_holding_leaves_purchases_out(owner: User) -> None:
    listing = make_instrument(owner)
    ledger = Ledger(make_account(owner))
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50")
    ledger.row("buy", "2024-01-09", listing, quantity="10", price="60")
    own_prices(owner, listing, d2024_01_03="50", d2024_01_09="60", d2024_01_10="66")
    services.refresh(user_id=owner.pk)
    found = holding_returns(user=owner, start=None, end=dt.date(2024, 1, 10))[listing.instrument_id]
    assert round(float(found.change), 10) == 0.32
    later = holding_returns(user=owner, start=dt.date(2024, 1, 9), end=dt.date(2024, 1, 10))[listing.instrument_id]
    assert round(float(later.change), 10) == 0.1

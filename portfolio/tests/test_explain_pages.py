"""The drawer that opens a figure: its parts in words, and nothing of anybody else's."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Tier, User
from portfolio import services
from portfolio.models import Position
from portfolio.tests.factories import Ledger, day, make_account, make_instrument, make_rate

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


@pytest.fixture
def portfolio(owner: User) -> User:
    make_rate("EUR", "USD", "2024-01-01", "1.25")
    ledger = Ledger(make_account(owner))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    listing = make_instrument(owner, "ACME", "EUR")
    ledger.row("buy", "2024-01-03", listing, quantity="3", price="50")
    ledger.row("buy", "2024-01-03", make_instrument(owner, "ODD"), quantity="3", cash_amount="-1")
    services.record_prices(user_id=owner.pk, prices=[services.OwnPrice(listing.pk, day("2024-01-09"), Decimal(60))])
    services.refresh(user_id=owner.pk)
    return owner


def signed_in(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def test_the_overview_leads_to_the_parts_of_its_total(portfolio: User, client: Client) -> None:
    page = signed_in(client, portfolio).get("/").content.decode()
    assert 'href="/explain/?figure=total_value"' in page
    drawer = client.get("/explain/?figure=total_value", headers={"HX-Request": "true"}).content.decode()
    assert "Market value of the holdings" in drawer
    assert "figure=market_value" in drawer
    assert "<html" not in drawer
    assert "<html" in client.get("/explain/?figure=total_value").content.decode()


def test_a_value_is_told_as_units_times_price_times_rate(portfolio: User, client: Client) -> None:
    position = Position.objects.get(user=portfolio, instrument__symbol="ACME")
    drawer = (
        signed_in(client, portfolio).get(f"/explain/?figure=market_value_base&position={position.pk}").content.decode()
    )
    for words in ("$225.00", "multiplied", "3 units", "€60.00", "EUR in USD", "1.25"):
        assert words in drawer, words


def test_rows_lead_on_to_their_source_for_who_may_see_it(portfolio: User, client: Client) -> None:
    position = Position.objects.get(user=portfolio, instrument__symbol="ACME")
    asked = f"/explain/?figure=quantity&position={position.pk}"
    assert "/provenance/" in signed_in(client, portfolio).get(asked).content.decode()
    User.objects.filter(pk=portfolio.pk).update(tier=Tier.OBSERVER)
    seen = client.get(asked).content.decode()
    assert "Purchase on 2024-01-03" in seen
    assert "/provenance/" not in seen


def test_what_is_not_known_says_why(portfolio: User, client: Client) -> None:
    odd = Position.objects.get(user=portfolio, instrument__symbol="ODD")
    drawer = signed_in(client, portfolio).get(f"/explain/?figure=market_value&position={odd.pk}").content.decode()
    assert "Not known: no price is known" in drawer


def test_a_strangers_figure_and_a_wrong_address_are_not_found(portfolio: User, stranger: User, client: Client) -> None:
    position = Position.objects.filter(user=portfolio).first()
    assert position is not None
    signed_in(client, stranger)
    for wrong in (f"figure=quantity&position={position.pk}", "figure=nothing", "figure=price&position=7", "as_of=x",
                  "figure=amount&cash=1", "figure=cash&currency=ZZZ"):  # fmt: skip
        assert client.get(f"/explain/?{wrong}").status_code == 404, wrong

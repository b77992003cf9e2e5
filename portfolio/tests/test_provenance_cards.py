"""From a figure down to the line of a file, in the drawer."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Tier, User
from federation.models import Instrument, Transaction
from federation.services import reconcile
from federation.tests.factories import covers, make_source, position, stage, trade
from federation.tests.test_views import disputed
from portfolio import services

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
PART = {"HX-Request": "true"}


def text_of(client: Client, address: str) -> str:
    answer = client.get(address, headers=PART)
    assert answer.status_code == 200
    return answer.content.decode()


def test_holding_shows_claims_winner_rule_and_both_rows(browser: Browser, owner: User) -> None:
    broker, file = disputed(owner)
    services.refresh(user_id=owner.pk)
    html = text_of(browser(owner), f"/holdings/{Instrument.objects.get(user=owner).pk}/provenance/")
    assert html.count('<li class="won">') == 1
    assert "Not used" in html
    assert f"“{broker.name}” stands before “{file.name}” in your order of sources." in html
    assert html.count("<details") == 2
    assert "1 transaction</h4>" in html
    assert "<!doctype html>" not in html


def test_gap_is_said_with_who_reports_it(browser: Browser, owner: User) -> None:
    source = make_source(owner, "ibkr_flex")
    stage(
        source, rows=[trade("01-04", "10", "100")], positions=[position("02-29", "13")],
        coverage=[covers("transactions", "01-01", "02-29")],
    )  # fmt: skip
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    html = text_of(browser(owner), f"/holdings/{Instrument.objects.get(user=owner).pk}/provenance/")
    assert '<span class="amt"><span>+3</span></span> unexplained.' in html
    assert f"{source.name} reports" in html


def test_row_shows_its_values_and_the_difference_of_the_other_claim(browser: Browser, owner: User) -> None:
    _, file = disputed(owner)
    row = Transaction.objects.exclude(kind="adjustment").get(user=owner)
    html = text_of(browser(owner), f"/transactions/{row.pk}/provenance/")
    assert "A purchase of ACME on 1 Jan 2024" in html
    assert "Its values are booked." in html
    assert file.name in html
    assert "100.4" in html


def test_page_of_its_own_serves_readers_without_scripts(browser: Browser, owner: User) -> None:
    disputed(owner)
    answer = browser(owner).get(f"/holdings/{Instrument.objects.get(user=owner).pk}/provenance/")
    assert "<!doctype html>" in answer.content.decode()


def test_stranger_finds_nothing(browser: Browser, owner: User, stranger: User) -> None:
    disputed(owner)
    client, row = browser(stranger), Transaction.objects.filter(user=owner).first()
    assert row is not None
    held = Instrument.objects.get(user=owner).pk
    for address in (
        f"/holdings/{held}/provenance/",
        f"/transactions/{row.pk}/provenance/",
        "/holdings/cash/USD/provenance/",
    ):
        assert client.get(f"{address}/provenance/").status_code == 404


@pytest.mark.parametrize("query", ["?account=x", "?account=01890000-0000-7000-8000-000000000001"])
def test_account_that_is_none_finds_nothing(browser: Browser, owner: User, query: str) -> None:
    disputed(owner)
    held = Instrument.objects.get(user=owner).pk
    assert browser(owner).get(f"/holdings/{held}/provenance/{query}").status_code == 404


def test_observer_sees_no_sources(browser: Browser, make_user: Callable[..., User]) -> None:
    user = make_user(tier=Tier.OBSERVER)
    assert browser(user).get("/holdings/cash/USD/provenance/").status_code == 403

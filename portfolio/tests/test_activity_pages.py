"""What happened, in a browser: the ledger, transfers and corporate actions; and what a change means in money."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Tier, User
from federation import services as federation
from federation.errors import PreviewBusy
from federation.models import Conflict, CorporateAction, Decision, TransferLink
from federation.signed_changes import signed_source
from federation.tests.factories import make_source, stage, trade
from ingestion.models import Source
from portfolio import preview_pages
from portfolio.services.refresh import refresh

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 15)


@pytest.fixture
def sources(owner: User) -> tuple[Source, Source]:
    """Two of one account that state one purchase at two prices; and coins that left one account for another."""
    main = federation.create_account(user=owner, name="Main", currency="USD", cash_mode="tracked").pk
    other = federation.create_account(user=owner, name="Wallet", currency="USD").pk
    broker, file = make_source(owner, "ibkr_flex", name="Broker"), make_source(owner, "csv", name="File")
    moved: dict[str, Any] = {"account": "", "cash_amount": None}
    rows = [trade("01-10", "10", "100", account=""), trade("02-10", "-2", "100", kind="transfer_out", **moved)]
    stage(broker, rows=rows, default_account=main)
    stage(file, rows=[trade("01-10", "10", "100.4", account="")], default_account=main)
    arrived = [trade("02-11", "2", "100", kind="transfer_in", **moved)]
    stage(make_source(owner, "csv", name="Chain"), rows=arrived, default_account=other)
    federation.reconcile(owner.pk)
    refresh(user_id=owner.pk)
    return broker, file


def html_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_transactions_are_listed_and_sifted(browser: Browser, owner: User, sources: Any) -> None:
    client = browser(owner)
    assert html_of(client, "/transactions/").count("data-drawer") == 3
    html = html_of(client, "/transactions/?kind=buy&q=acm")
    assert html.count("data-drawer") == 1
    assert "$100.00" in html
    assert "Nothing of yours is like that" in html_of(client, "/transactions/?q=zzz")
    assert html_of(client, "/transactions/?page=9&account=nonsense&kind=party").count("data-drawer") == 0


def test_stranger_sees_nothing_of_it(browser: Browser, stranger: User, sources: Any) -> None:
    client = browser(stranger)
    assert "Nothing happened yet" in html_of(client, "/transactions/")
    link = TransferLink.objects.get()
    assert client.post(f"/transfers/{link.pk}/unlink/").status_code == 404
    row = link.out_legs[0]
    assert client.post(f"/transfers/rows/{row}/resolve/", {"meaning": "income"}).status_code == 404
    assert Decision.objects.count() == 0


def test_transfer_is_unlinked_and_its_sides_named(browser: Browser, owner: User, sources: Any) -> None:
    client = browser(owner)
    link = TransferLink.objects.get()
    html = html_of(client, "/transfers/")
    assert "Amount and days fit" in html
    assert "Without another side" not in html
    client.post(f"/transfers/{link.pk}/unlink/")
    assert TransferLink.objects.count() == 0
    alone = html_of(client, "/transfers/").split("Without another side")[1]
    assert "It is" not in alone
    assert alone.count("/resolve/") == 2
    client.post(f"/transfers/rows/{link.out_legs[0]}/resolve/", {"meaning": "payment"})
    assert TransferLink.objects.get().rule == "payment"
    assert client.post(f"/transfers/rows/{link.in_legs[0]}/resolve/", {"meaning": "nobody"}).status_code == 404


def test_corporate_action_is_previewed_stated_and_taken_back(browser: Browser, owner: User, sources: Any) -> None:
    client = browser(owner)
    instrument = owner.instruments.get()
    form = {"kind": "split", "instrument": str(instrument.pk), "ex_date": "2024-03-01", "ratio": "2"}
    html = client.post("/corporate-actions/", form).content.decode()
    assert "of your ledger would change" in html
    assert 'name="state"' in html
    assert CorporateAction.objects.count() == 0
    client.post("/corporate-actions/", form | {"state": "1"})
    action = CorporateAction.objects.get()
    assert (action.user, action.ratio) == (owner, D(2))
    assert "2 for 1" in html_of(client, "/corporate-actions/")
    client.post(f"/corporate-actions/{action.pk}/withdraw/")
    assert "No corporate action stated" in html_of(client, "/corporate-actions/")


@pytest.mark.parametrize(
    ("field", "value"),
    [("ex_date", "soon"), ("ratio", "two"), ("instrument", "x"), ("currency", "ZZZ"), ("kind", "party")],
)
def test_action_that_makes_no_sense_is_told_on_the_form(
    browser: Browser, owner: User, sources: Any, field: str, value: str
) -> None:
    form = {"kind": "split", "instrument": str(owner.instruments.get().pk), "ex_date": "2024-03-01", "ratio": "2"}
    answer = browser(owner).post("/corporate-actions/", form | {field: value, "state": "1"})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert CorporateAction.objects.count() == 0


def test_preview_tells_in_money_what_a_choice_would_move(
    browser: Browser, owner: User, stranger: User, sources: tuple[Source, Source]
) -> None:
    client = browser(owner)
    conflict = Conflict.objects.filter(kind="field").order_by("key")[0]
    html = html_of(client, f"/reconciliation/{conflict.pk}/preview/?choose={sources[1].pk}")
    change = re.search(r'"change": "([^"]+)"', html)
    assert change is not None
    money = client.post("/preview/money/", {"change": change[1]}).content.decode()
    assert "<span>Cash</span>" in money.replace(' class="grow"', "")
    assert "$4.00" in money  # ten shares, each 0.40 dearer
    assert Decision.objects.count() == 0
    assert browser(stranger).post("/preview/money/", {"change": change[1]}).status_code == 404
    assert client.post("/preview/money/", {"change": change[1] + "x"}).status_code == 404


def test_navigator_reads_and_changes_nothing(browser: Browser, make_user: Callable[..., User]) -> None:
    client = browser(make_user(tier=Tier.NAVIGATOR))
    assert "State one yourself" not in html_of(client, "/corporate-actions/")
    assert client.post("/corporate-actions/", {"kind": "split"}).status_code == 403
    assert client.post("/preview/money/", {"change": "x"}).status_code == 403


def test_money_is_asked_again_while_the_figures_are_busy(
    browser: Browser, owner: User, sources: tuple[Source, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(change: object) -> None:
        raise PreviewBusy("Try again in a moment.")

    monkeypatch.setattr(preview_pages, "preview_in_money", busy)
    change = signed_source(owner, source=sources[1].pk, enabled=False)
    answer = browser(owner).post("/preview/money/", {"change": change})
    assert answer.status_code == 200
    assert f'"change": "{change}"' in answer.content.decode()
    assert 'hx-trigger="load delay:3s"' in answer.content.decode()

"""What is typed by hand in a browser becomes what the same row of a file would be."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from federation.models import BrokerAccount, ReportedBalance, Transaction
from portfolio.tests.factories import make_account

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
ADDRESS = "/holdings/add/"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def bought(at: BrokerAccount | None = None, **fields: str) -> dict[str, str]:
    where = {"account": str(at.pk)} if at else {"account": "new", "account_name": "Drawer"}
    row = {"kind": "buy", "trade_date": "2024-01-03", "symbol": "ACME", "instrument_kind": "equity"}
    return where | row | {"quantity": "10", "price": "50", "fee": "1", "currency": "USD"} | fields


def test_purchase_makes_its_new_account_and_is_booked(browser: Browser, owner: User) -> None:
    answer = browser(owner).post(ADDRESS, bought())
    assert (answer.status_code, answer["Location"]) == (302, "/holdings/")
    row = Transaction.objects.get()
    assert (row.account.name, row.account.user, row.kind, row.is_manual) == ("Drawer", owner, "buy", True)
    assert (row.instrument.symbol, row.quantity, row.price, row.fee) == ("ACME", 10, 50, 1)
    assert row.cash_amount == Decimal("-501")


def test_known_symbol_is_the_known_instrument(browser: Browser, owner: User) -> None:
    client, account = browser(owner), make_account(owner)
    client.post(ADDRESS, bought(account, instrument_kind="etf"))
    client.post(ADDRESS, bought(account, trade_date="2024-01-04", instrument_kind="equity"))
    assert len(set(Transaction.objects.values_list("instrument", flat=True))) == 1


def test_equal_row_is_added_and_said_to_be_equal(browser: Browser, owner: User) -> None:
    client, account = browser(owner), make_account(owner)
    client.post(ADDRESS, bought(account))
    html = client.post(ADDRESS, bought(account), follow=True).content.decode()
    assert Transaction.objects.count() == 2
    assert "An equal row was there already" in html


def test_hidden_fields_of_another_kind_do_not_count(browser: Browser, owner: User) -> None:
    account = make_account(owner)
    browser(owner).post(ADDRESS, bought(account, kind="deposit", cash_amount="500"))
    row = Transaction.objects.get()
    assert (row.kind, row.cash_amount, row.quantity, row.fee, row.instrument) == ("deposit", 500, None, None, None)


def test_holding_is_a_report_of_its_day(browser: Browser, owner: User) -> None:
    form = {"what": "position", "account": "new", "account_name": "Drawer", "symbol": "GOLD", "currency": "USD"}
    form |= {"instrument_kind": "commodity", "quantity": "3.5", "cost_basis": "5000", "as_of": "2024-01-09"}
    assert browser(owner).post(ADDRESS, form).status_code == 302
    report = ReportedBalance.objects.get()
    assert (report.value, report.as_of, report.cost_basis) == (Decimal("3.5"), dt.date(2024, 1, 9), 5000)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("account", "x"),
        ("account", "01890000-0000-7000-8000-000000000001"),
        ("account_name", ""),
        ("kind", "theft"),
        ("trade_date", "2024-02-30"),
        ("symbol", ""),
        ("quantity", "ten"),
        ("quantity", ""),
        ("quantity", "1e400"),
        ("price", "NaN"),
        ("currency", "XYZ"),
        ("note", "\0"),
        ("note", "x" * 201),
    ],
)
def test_wrong_field_is_named_and_nothing_is_made(browser: Browser, owner: User, field: str, text: str) -> None:
    answer = browser(owner).post(ADDRESS, bought(**{field: text}))
    assert answer.status_code == 400
    html = answer.content.decode()
    assert '<p class="error" role="alert">' in html or '<p class="note bad" role="alert">' in html
    assert Transaction.objects.count() == 0
    assert BrokerAccount.objects.count() == 0


@pytest.mark.parametrize(
    ("field", "text"),
    [("quantity", "1e400"), ("quantity", "x"), ("cost_basis", "-1"), ("as_of", "0001-01-01"), ("symbol", "")],
)
def test_wrong_holding_is_refused(browser: Browser, owner: User, field: str, text: str) -> None:
    form = {"what": "position", "account": "new", "account_name": "Drawer", "symbol": "GOLD", "currency": "USD"}
    form |= {"instrument_kind": "commodity", "quantity": "3.5", "as_of": "2024-01-09", field: text}
    assert browser(owner).post(ADDRESS, form).status_code == 400
    assert ReportedBalance.objects.count() == 0
    assert BrokerAccount.objects.count() == 0


def test_account_of_a_stranger_is_no_choice(browser: Browser, owner: User, stranger: User) -> None:
    answer = browser(stranger).post(ADDRESS, bought(make_account(owner)))
    assert answer.status_code == 400
    assert Transaction.objects.count() == 0


def test_what_was_typed_stays_in_the_form(browser: Browser, owner: User) -> None:
    html = browser(owner).post(ADDRESS, bought(quantity="ten")).content.decode()
    assert 'value="ten"' in html
    assert 'value="Drawer"' in html

"""From a row typed by hand to the figures, over HTTP."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from portfolio import services
from portfolio.models import FxRate, Price
from portfolio.tests.factories import make_instrument

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def made(answer: Any, status: int = 201) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    return body


def new_account(client: APIClient, **fields: Any) -> str:
    body = {"name": "Main", "currency": "USD", "institution": "My Broker", "cash_mode": "tracked"} | fields
    return str(made(client.post(f"{BASE}accounts/", body))["id"])


def buy(account: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "account": account, "kind": "buy", "instrument": {"symbol": "ACME", "kind": "equity", "currency": "USD"},
        "trade_date": "2024-01-03", "quantity": "10", "price": "50", "fee": "2", "currency": "USD",
    } | fields  # fmt: skip


def test_a_trade_by_hand_reaches_every_figure(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    made(client.post(f"{BASE}transactions/", {
        "account": account, "kind": "deposit", "trade_date": "2024-01-02", "cash_amount": "1000", "currency": "USD",
    }))  # fmt: skip
    booked = made(client.post(f"{BASE}transactions/", buy(account)))
    assert (booked["quantity"], booked["cash_amount"], booked["is_manual"]) == ("10", "-502", True)
    assert (booked["symbol"], booked["possible_duplicate_of"], booked["matched_with"]) == ("ACME", None, None)
    before = made(client.get(f"{BASE}summary/"), 200)
    assert before["is_stale"] is True
    prices = [{"instrument": booked["instrument"], "date": "2024-01-10", "close": "60", "currency": "USD"}]
    assert made(client.post(f"{BASE}prices/", prices))["recorded"] == 1

    services.refresh(user_id=owner.pk)

    summary = made(client.get(f"{BASE}summary/"), 200)
    assert (summary["market_value"], summary["cash"], summary["total_gain"]) == ("600", "498", "98")
    assert (summary["as_of"], summary["currency"], summary["is_stale"]) == ("2024-01-10", "USD", False)
    assert summary["ledger_version"] == booked["ledger_version"]
    (position,) = made(client.get(f"{BASE}positions/"), 200)["results"]
    assert (position["average_cost"], position["price"], position["price_provider"]) == ("50.2", "60", "own")
    assert position["account"] == account
    assert made(client.get(f"{BASE}positions/{position['id']}/"), 200) == position
    (lot,) = made(client.get(f"{BASE}lots/"), 200)["results"]
    assert (lot["quantity"], lot["cost"], lot["opened_by"]) == ("10", "502", booked["id"])
    figures = made(client.get(f"{BASE}performance/?series=columns&points=3"), 200)
    assert figures["twr"] == "0.098"
    assert figures["series"]["date"][-1] == "2024-01-10"
    split = made(client.get(f"{BASE}allocation/?by=kind"), 200)
    assert [(part["key"], part["value"]) for part in split["slices"]] == [("equity", "600"), ("cash", "498")]
    (cash,) = made(client.get(f"{BASE}cash-balances/"), 200)["results"]
    assert (cash["currency"], cash["amount"]) == ("USD", "498")


def test_an_edit_and_a_deletion_change_the_ledger_and_keep_the_id(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    booked = made(client.post(f"{BASE}transactions/", buy(account)))
    edited = made(client.patch(f"{BASE}transactions/{booked['id']}/", {"quantity": "4"}), 200)
    assert (edited["id"], edited["quantity"], edited["cash_amount"]) == (booked["id"], "4", "-202")
    assert edited["ledger_version"] > booked["ledger_version"]
    assert client.delete(f"{BASE}transactions/{booked['id']}/").status_code == 204
    assert made(client.get(f"{BASE}transactions/"), 200) == {"count": 0, "next": None, "previous": None, "results": []}


def test_a_sale_by_hand_may_leave_its_sign_out_and_not_contradict_it(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    made(client.post(f"{BASE}transactions/", buy(account)))
    sold = made(client.post(f"{BASE}transactions/", buy(account, kind="sell", quantity="3", trade_date="2024-01-04")))
    assert (sold["quantity"], sold["cash_amount"]) == ("-3", "148")
    refused = client.post(f"{BASE}transactions/", buy(account, quantity="-3"))
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "#/quantity"
    assert made(client.get(f"{BASE}transactions/"), 200)["count"] == 2


def test_an_equal_row_is_kept_and_named_and_a_repeated_request_is_one_row(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    first = made(client.post(f"{BASE}transactions/", buy(account), headers={"Idempotency-Key": "one"}))
    again = made(client.post(f"{BASE}transactions/", buy(account), headers={"Idempotency-Key": "one"}))
    assert again["id"] == first["id"]
    second = made(client.post(f"{BASE}transactions/", buy(account)))
    assert second["possible_duplicate_of"] == first["id"]
    assert made(client.get(f"{BASE}transactions/"), 200)["count"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": "NaN"}, {"quantity": "1e400"}, {"quantity": "9" * 60}, {"price": "Infinity"}, {"quantity": None},
        {"quantity": "0.0000000000000000001"}, {"trade_date": "2024-13-01"}, {"trade_date": "0001-01-01"},
        {"trade_date": "9999-12-31"}, {"currency": "USDT"}, {"kind": "gift"}, {"instrument": "nonsense"},
        {"instrument": {"kind": "equity"}}, {"instrument": 5}, {"account": "018f0000-0000-7000-8000-000000000000"},
        {"account": None}, {"quantity": "١٢"}, {"fee": "-1"}, {"instrument": {"symbol": "X" * 61}},
        {"instrument": "018f0000-0000-7000-8000-000000000000"}, {"fee_currency": "?!"}, {"fx_rate": "0"},
        {"quantity": "1e19", "price": "1e19"}, {"settled_on": "tomorrow"}, {"instrument": {"symbol": "A", "isin": "1"}},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_refused_and_books_nothing(owner: User, api: Api, wrong: dict[str, Any]) -> None:
    client = api(owner)
    answer = client.post(f"{BASE}transactions/", buy(new_account(client), **wrong))
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"]
    assert made(client.get(f"{BASE}transactions/"), 200)["count"] == 0


def test_a_stranger_sees_and_changes_nothing(owner: User, stranger: User, api: Api) -> None:
    mine, theirs = api(owner), api(stranger)
    account = new_account(mine)
    booked = made(mine.post(f"{BASE}transactions/", buy(account)))
    services.refresh(user_id=owner.pk)
    for path in (f"accounts/{account}/", f"transactions/{booked['id']}/", f"instruments/{booked['instrument']}/"):
        assert theirs.get(BASE + path).status_code == 404
    assert theirs.patch(f"{BASE}accounts/{account}/", {"name": "Mine"}).status_code == 404
    assert theirs.delete(f"{BASE}transactions/{booked['id']}/").status_code == 404
    assert theirs.post(f"{BASE}transactions/", buy(account)).status_code == 400
    assert theirs.get(f"{BASE}summary/?account={account}").status_code == 400
    price = {"instrument": booked["instrument"], "date": "2024-01-10", "close": "1", "currency": "USD"}
    assert theirs.post(f"{BASE}prices/", [price]).status_code == 400
    for path in ("accounts/", "transactions/", "positions/", "lots/", "realized-gains/", "cash-balances/", "prices/"):
        assert made(theirs.get(BASE + path), 200)["results"] == []
    assert made(mine.get(f"{BASE}transactions/"), 200)["count"] == 1
    assert not Price.objects.exists()


def test_nobody_is_told_to_log_in(api: Api, db: None) -> None:
    for path in ("summary/", "positions/", "transactions/", "prices/", "performance/", "allocation/", "accounts/"):
        assert api().get(BASE + path).status_code == 401


def test_prices_by_csv_name_instruments_by_symbol_and_all_or_nothing(owner: User, api: Api) -> None:
    client = api(owner)
    listing = make_instrument(owner, "ACME")
    good = "symbol,date,close,currency\nACME,2024-01-08,10.5,USD\nACME,2024-01-09,11,USD\n"
    answer = client.post(f"{BASE}prices/", good.encode(), content_type="text/csv")
    assert made(answer)["recorded"] == 2
    assert list(Price.objects.order_by("date").values_list("listing_id", "close")) == [
        (listing.pk, Decimal("10.5")), (listing.pk, Decimal(11)),
    ]  # fmt: skip
    bad = good + "ACME,2024-02-30,1,USD\nACME,2024-01-10,NaN,USD\n"
    refused = client.post(f"{BASE}prices/", bad.encode(), content_type="text/csv")
    assert refused.status_code == 400
    assert [error["pointer"] for error in refused.json()["errors"]] == ["#/2/date", "#/3/close"]
    assert Price.objects.count() == 2


def test_pence_are_a_quote_unit_of_the_pound(owner: User, api: Api) -> None:
    client = api(owner)
    listing = make_instrument(owner, "ACME", "GBP")
    rows = [{"instrument": str(listing.instrument_id), "date": "2024-01-09", "close": "250", "currency": "GBX"}]
    made(client.post(f"{BASE}prices/", rows))
    assert Price.objects.get().close == Decimal("2.5")


@pytest.mark.parametrize(
    "body",
    [[], {}, [5], [{}], [{"base": "EUR", "quote": "EUR", "date": "2024-01-01", "rate": "1"}],
     [{"base": "EUR", "quote": "USD", "date": "2024-01-01", "rate": "0"}],
     [{"base": "EUR", "quote": "USD", "date": "2024-01-01", "rate": "1e400"}],
     [{"base": "EUR", "quote": "USD", "date": 20240101, "rate": "1"}],
     [{"base": ["EUR"], "quote": "USD", "date": "2024-01-01", "rate": True}]],
)  # fmt: skip
def test_rates_that_cannot_be_are_refused(owner: User, api: Api, body: Any) -> None:
    assert api(owner).post(f"{BASE}fx-rates/", body).status_code == 400
    assert not FxRate.objects.exists()


def test_own_rates_are_recorded_and_listed(owner: User, api: Api) -> None:
    client = api(owner)
    row = {"base": "USD", "quote": "CHF", "date": "2024-01-02", "rate": "0.9"}
    assert made(client.post(f"{BASE}fx-rates/", [row]))["recorded"] == 1
    (listed,) = made(client.get(f"{BASE}fx-rates/"), 200)["results"]
    assert {name: listed[name] for name in row} == row
    assert listed["provider"] == "own"


@pytest.mark.parametrize(
    "query",
    ["summary/?currency=USDT", "summary/?as_of=2024-02-30", "summary/?account=x", "positions/?group_by=moon",
     "performance/?from=2024-02-01&to=2024-01-01", "performance/?points=1", "performance/?series=rows",
     "performance/?benchmark=018f0000-0000-7000-8000-000000000000", "allocation/?by=color", "transactions/?from=soon",
     "transactions/?account=1", "transactions/?kind=gift", "realized-gains/?year=99999999999999999999",
     "transactions/?cursor=%00", "prices/?instrument=1", "realized-gains/?year=NaN"],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_told_so(owner: User, api: Api, query: str) -> None:
    assert api(owner).get(BASE + query).status_code == 400


def test_a_holding_by_hand_is_a_report_that_can_be_edited_closed_and_deleted(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client, kind="property", name="Drawer")
    held = made(client.post(f"{BASE}manual-positions/", {
        "account": account, "instrument": {"symbol": "GOLD", "kind": "commodity", "currency": "USD"}, "quantity": "3",
        "cost_basis": "6000", "currency": "USD", "as_of": "2024-01-02",
    }))  # fmt: skip
    services.refresh(user_id=owner.pk)
    (position,) = made(client.get(f"{BASE}positions/"), 200)["results"]
    assert (position["symbol"], position["quantity"], position["market_value"]) == ("GOLD", "3", None)
    changed = made(client.patch(f"{BASE}manual-positions/{held['id']}/", {"quantity": "4", "as_of": "2024-01-05"}), 200)
    assert (changed["id"], changed["quantity"], changed["closed_on"]) == (held["id"], "4", None)
    closed = made(client.patch(f"{BASE}manual-positions/{held['id']}/", {"closed_on": "2024-01-08"}), 200)
    assert (closed["quantity"], closed["closed_on"]) == ("4", "2024-01-08")
    services.refresh(user_id=owner.pk)
    assert made(client.get(f"{BASE}positions/"), 200)["results"] == []
    assert client.delete(f"{BASE}manual-positions/{held['id']}/").status_code == 204
    assert made(client.get(f"{BASE}manual-positions/"), 200)["results"] == []
    assert client.get(f"{BASE}manual-positions/{held['id']}/").status_code == 404


def test_transactions_filter_and_page_by_cursor(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    for number in range(1, 6):
        made(client.post(f"{BASE}transactions/", buy(account, trade_date=f"2024-01-0{number}")))
    page = made(client.get(f"{BASE}transactions/?page_size=2&account={account}"), 200)
    assert page["count"] == 5
    assert [row["trade_date"] for row in page["results"]] == ["2024-01-05", "2024-01-04"]
    following = made(client.get(page["next"]), 200)
    assert [row["trade_date"] for row in following["results"]] == ["2024-01-03", "2024-01-02"]
    window = made(client.get(f"{BASE}transactions/?from=2024-01-02&to=2024-01-03&kind=buy"), 200)
    assert window["count"] == 2
    assert made(client.get(f"{BASE}transactions/?kind=sell"), 200)["count"] == 0


def test_an_account_with_rows_is_not_deleted(owner: User, api: Api) -> None:
    client = api(owner)
    account = new_account(client)
    booked = made(client.post(f"{BASE}transactions/", buy(account)))
    assert client.delete(f"{BASE}accounts/{account}/").status_code == 409
    changed = made(client.patch(f"{BASE}accounts/{account}/", {"name": "Other", "cost_basis_method": "lifo"}), 200)
    assert (changed["name"], changed["cost_basis_method"], changed["institution"]) == ("Other", "lifo", "My Broker")
    client.delete(f"{BASE}transactions/{booked['id']}/")
    services.refresh(user_id=owner.pk)
    assert client.delete(f"{BASE}accounts/{account}/").status_code == 204


@pytest.mark.parametrize(
    "path",
    ["transactions/", "positions/", "lots/", "realized-gains/", "prices/", "fx-rates/", "accounts/", "instruments/",
     "cash-balances/", "manual-positions/"],
)  # fmt: skip
def test_a_list_costs_the_same_queries_for_one_row_and_for_twenty(owner: User, api: Api, path: str) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from portfolio.tests.factories import Ledger, make_account, make_rate

    client = api(owner)
    counts = []
    for amount in (1, 19):
        for number in range(amount):
            name = f"{amount}-{number}"
            account = make_account(owner, name=name)
            listing = make_instrument(owner, name)
            ledger = Ledger(account)
            ledger.row("buy", "2024-01-03", listing, quantity="2", price="1")
            ledger.row("sell", "2024-01-04", listing, quantity="-1", price="1")
            make_rate("EUR", "USD", f"2023-01-{number + 1:02}", "1.1", owner)
            services.record_prices(
                user_id=owner.pk, prices=[services.OwnPrice(listing.pk, dt.date(2024, 1, 9), Decimal(2))]
            )
        services.refresh(user_id=owner.pk)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(BASE + path).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]

"""Every figure of every answer opens, and its tree gives the figure again."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import ReportedBalance
from federation.tests.factories import make_source
from portfolio import services
from portfolio.explain import FIGURES
from portfolio.tests.factories import Ledger, day, make_account, make_instrument, make_rate

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 31)


@pytest.fixture
def portfolio(owner: User) -> User:
    """Two accounts, three currencies, a split, a dividend with tax, fees, an unpriced thing and a gap."""
    for quote, rate in (("USD", "1.1"), ("GBP", "0.85"), ("CHF", "0.95")):
        make_rate("EUR", quote, "2024-01-01", rate)
    make_rate("EUR", "USD", "2024-01-10", "1.13")
    acme, pence = make_instrument(owner, "ACME"), make_instrument(owner, "PNC", "GBP")
    pence.quote_unit = "GBX"
    pence.save()
    odd = make_instrument(owner, "ODD", "CHF")
    first = Ledger(make_account(owner, name="Main"))
    first.row("deposit", "2024-01-02", cash_amount="10000")
    first.row("buy", "2024-01-03", acme, quantity="10", price="50", fee="2")
    first.row("buy", "2024-01-04", acme, quantity="7", price="55.5", fee="1.1")
    first.row("sell", "2024-01-08", acme, quantity="-12", price="60", fee="1.3")
    first.row("dividend", "2024-01-09", acme, cash_amount="3", tax="0.5")
    first.row("split", "2024-01-11", acme, ratio="3")
    first.row("sell", "2024-01-12", acme, quantity="-4", price="21")
    first.row("fee", "2024-01-15", cash_amount="-4.2")
    first.row("interest", "2024-01-16", cash_amount="1.17")
    second = Ledger(make_account(owner, name="Abroad", currency="GBP"))
    second.row("deposit", "2024-01-02", cash_amount="5000", currency="GBP")
    second.row("buy", "2024-01-05", pence, quantity="100", price="3.1", fee="5")
    second.row("buy", "2024-01-05", odd, quantity="3", price="7", cash_amount="-21")
    second.row("adjustment", "2024-01-20", pence, quantity="2", note="unexplained")
    second.row("buy", "2024-01-24", acme, quantity="2", price="23", currency="USD")
    ReportedBalance.objects.create(
        user=owner, account=second.account, instrument=pence.instrument, as_of=day("2024-01-20"), value=D(102),
        source=make_source(owner), rule="only_source", candidates=[],
    )  # fmt: skip
    services.record_prices(
        user_id=owner.pk,
        prices=[
            services.OwnPrice(acme.pk, day("2024-01-03"), D("50")), services.OwnPrice(acme.pk, day("2024-01-30"), D("24.37")),
            services.OwnPrice(acme.pk, day("2024-01-31"), D("25.01")), services.OwnPrice(pence.pk, day("2024-01-19"), D("333.3")),
            services.OwnPrice(pence.pk, day("2024-01-31"), D("317.7")),
        ],
    )  # fmt: skip
    services.refresh(user_id=owner.pk)
    return owner


def got(client: APIClient, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"{BASE}{path}" + (f"?{urlencode(query)}" if query else ""))
    assert answer.status_code == 200, (path, query, answer.content)
    body: dict[str, Any] = answer.json()
    return body


def tree(client: APIClient, **query: Any) -> dict[str, Any]:
    return got(client, "explain/", **query)


# --- an evaluator that knows the words of a tree and nothing else ----


def children(client: APIClient, node: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(node["children"])
    following = node["next"]
    while following:
        page = client.get(following).json()
        found += page["children"]
        following = page["next"]
    assert len(found) == node["count"]
    return found


def evaluated(client: APIClient, node: dict[str, Any]) -> Decimal | None:
    """What a node's children make, all the way down to facts."""
    if node["operation"] in ("given", "figure", "statistic"):
        return None if node["value"] is None else D(node["value"])
    values = [evaluated(client, child) for child in children(client, node)]
    known = [value for value in values if value is not None]
    if node["operation"] == "sum":
        if not known and values:
            return None
        result = sum(known, D(0))
    elif len(known) < len(values):
        return None
    elif node["operation"] == "difference":
        result = known[0] - sum(known[1:], D(0))
    elif node["operation"] == "product":
        result = D(1)
        for value in known:
            result *= value
    elif node["operation"] == "quotient":
        if not known[1]:
            return None
        result = known[0] / known[1]
    else:
        assert node["operation"] == "size"
        result = abs(known[0])
    if node["places"] is not None:
        result = result.quantize(D(1).scaleb(-node["places"]), rounding=ROUND_HALF_EVEN)
    return result


def holds(client: APIClient, shown: str | None, node: dict[str, Any]) -> None:
    """A tree says the figure that was shown, and is what it says; a null has its reason."""
    if shown is None:
        assert node["value"] is None, node
        assert node["reason"], node
        return
    found = evaluated(client, node)
    assert found is not None, node
    doubles = any(one["is_double"] for one in walked(node))
    if doubles:
        assert abs(found - D(shown)) <= D("1e-9") * max(D(1), abs(D(shown))), (shown, node)
    else:
        assert (found, D(node["value"])) == (D(shown), D(shown)), (shown, node)


def walked(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from walked(child)


def opens(client: APIClient, node: dict[str, Any], seen: set[str]) -> None:
    """Whatever a tree links to says the same value there, down to the leaves; leaves name a row or a day."""
    for one in walked(node):
        if one["href"] and one["href"] not in seen:
            seen.add(one["href"])
            answer = client.get(one["href"])
            assert answer.status_code == 200, (one, answer.content)
            below = answer.json()
            holds(client, one["value"], below)
            opens(client, below, seen)
        if one["ref"] and one["ref"]["href"]:
            assert client.get(one["ref"]["href"]).status_code == 200


# --- the walk ----


SCOPES: list[dict[str, str]] = [{}, {"currency": "EUR"}]


@pytest.mark.parametrize("scope", SCOPES)
def test_every_figure_of_the_summary_opens(portfolio: User, api: Api, scope: dict[str, str]) -> None:
    client, seen = api(portfolio), set[str]()
    accounts = [row["id"] for row in got(client, "accounts/")["results"]]
    for account in ("", *accounts):
        asked = scope | ({"account": account} if account else {})
        answer = got(client, "summary/", **asked)
        figures = {name for name, value in answer.items() if name in FIGURES["portfolio"]}
        assert figures == set(FIGURES["portfolio"])
        for name in figures:
            node = tree(client, figure=name, **asked)
            holds(client, answer[name], node)
            if not asked:  # what lies beneath is the same for an account, and in another currency
                opens(client, node, seen)


@pytest.mark.parametrize("scope", SCOPES)
def test_every_figure_of_a_holding_opens(portfolio: User, api: Api, scope: dict[str, str]) -> None:
    client, seen = api(portfolio), set[str]()
    rows = got(client, "positions/", **scope)["results"]
    assert [row["symbol"] for row in rows].count("ACME") == 2
    for row in rows:
        for name in FIGURES["position"]:
            node = tree(client, figure=name, position=row["id"], **scope)
            holds(client, row[name], node)
            if not scope:
                opens(client, node, seen)
    for row in got(client, "positions/", group_by="instrument", **scope)["results"]:
        for name in FIGURES["instrument"]:
            node = tree(client, figure=name, instrument=row["instrument"], **scope)
            holds(client, row[name], node)


def test_every_figure_of_lots_gains_and_cash_opens(portfolio: User, api: Api) -> None:
    client, seen = api(portfolio), set[str]()
    lots, gains = got(client, "lots/")["results"], got(client, "realized-gains/")["results"]
    assert lots
    assert gains
    for rows, word in ((lots, "lot"), (gains, "gain")):
        for row in rows:
            for name in FIGURES[word]:
                node = tree(client, figure=name, **{word: row["id"]})
                holds(client, row[name], node)
                opens(client, node, seen)
    for row in got(client, "cash-balances/")["results"]:
        for name in FIGURES["cash"]:
            holds(client, row[name], tree(client, figure=name, cash=f"{row['account']}:{row['currency']}"))


@pytest.mark.parametrize("by", ["kind", "currency", "account", "sector", "country"])
def test_every_part_of_a_breakdown_opens(portfolio: User, api: Api, by: str) -> None:
    client = api(portfolio)
    for part in got(client, "allocation/", by=by)["slices"]:
        for name in FIGURES["by"]:
            holds(client, part[name], tree(client, figure=name, by=by, key=part["key"]))


def test_every_return_opens_to_its_days(portfolio: User, api: Api) -> None:
    client = api(portfolio)
    answer = got(client, "performance/")
    for name in set(FIGURES["period"]) & answer.keys():
        shown = answer[name]["value"] if name == "max_drawdown" else answer[name]
        node = tree(client, figure=name)
        if shown is None:
            assert (node["value"], bool(node["reason"])) == (None, True), name
            continue
        assert D(node["value"]) == D(shown)
        if node["operation"] == "statistic" and name != "twr_annualized":
            days = next(child for child in node["children"] if child["statistic"] == "days")
            assert int(days["value"]) == len(answer["series"]) == len(children(client, days))


def test_what_has_no_tree_is_not_found_and_a_strangers_neither(portfolio: User, stranger: User, api: Api) -> None:
    position = got(api(portfolio), "positions/")["results"][0]["id"]
    asked = f"{BASE}explain/?figure=market_value&position={position}"
    assert api(portfolio).get(asked).status_code == 200
    assert api(stranger).get(asked).status_code == 404
    assert api(portfolio).get(f"{BASE}explain/?figure=twr&position={position}").status_code == 404
    for wrong in (
        "figure=nothing",
        "figure=price&position=7",
        "figure=amount&cash=x",
        "figure=cash&path=9",
        "offset=-1",
    ):
        answer = api(portfolio).get(f"{BASE}explain/?{wrong}")
        assert answer.status_code in (400, 404), wrong

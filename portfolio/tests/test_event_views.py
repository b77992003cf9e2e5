"""Transfers and corporate actions over HTTP, from rows to figures."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import Tier, User
from federation.models import Conflict, LedgerVersion, Transaction, TransferLink
from federation.services import bring_up_to_date, differences_from_facts
from portfolio import services

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
BASE = "/api/portfolio/"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 31)


@pytest.fixture
def client(owner: User, api: Api) -> APIClient:
    owner.tier = Tier.OPERATOR
    owner.save(update_fields=["tier"])
    return api(owner)


def made(answer: Any, status: int = 201) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json() if answer.content else {}
    return body


def account(client: APIClient, name: str) -> str:
    body = {"name": name, "currency": "USD", "institution": name, "cash_mode": "tracked"}
    return str(made(client.post(f"{BASE}accounts/", body))["id"])


def row(client: APIClient, where: str, kind: str, day: str, **fields: Any) -> dict[str, Any]:
    body = {"account": where, "kind": kind, "trade_date": f"2024-01-{day}", "currency": "USD"} | fields
    return made(client.post(f"{BASE}transactions/", body))


def share(symbol: str) -> dict[str, str]:
    return {"symbol": symbol, "kind": "equity", "currency": "USD"}


def bought(client: APIClient, where: str, quantity: str = "105", price: str = "10") -> dict[str, Any]:
    return row(client, where, "buy", "02", instrument=share("ACME"), quantity=quantity, price=price)


def results(client: APIClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made(client.get(f"{BASE}{path}"), 200)["results"]
    return found


def refreshed(owner: User) -> None:
    services.refresh(user_id=owner.pk)


def lots(client: APIClient) -> set[tuple[Any, ...]]:
    found = results(client, "lots/")
    return {(one["account"], one["symbol"], one["quantity"], one["cost"], one["acquired_on"]) for one in found}


def price(client: APIClient, instrument: str, close: str, day: str = "31") -> None:
    told = [{"instrument": instrument, "date": f"2024-01-{day}", "close": close, "currency": "USD"}]
    made(client.post(f"{BASE}prices/", told))


# --- transfers ----------------------------------------------------------


def test_shares_moved_between_accounts_keep_cost_and_date_and_come_back_apart(owner: User, client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    acme = bought(client, first)["instrument"]
    row(client, first, "transfer_out", "10", instrument=acme, quantity="40")
    row(client, second, "transfer_in", "12", instrument=acme, quantity="40")
    refreshed(owner)
    (link,) = results(client, "transfers/")
    assert (link["rule"], link["quantity_out"], link["quantity_in"], link["fee"]) == ("rule", "40", "40", "0")
    assert (link["left_on"], link["arrived_on"], link["symbol"]) == ("2024-01-10", "2024-01-12", "ACME")
    paired = lots(client)
    assert paired == {
        (first, "ACME", "65", "650", "2024-01-02"), (second, "ACME", "40", "400", "2024-01-02"),
    }  # fmt: skip

    made(client.delete(f"{BASE}transfers/{link['id']}/"), 204)
    refreshed(owner)
    assert results(client, "transfers/") == []
    assert (second, "ACME", "40", None, "2024-01-12") in lots(client)

    (said,) = made(client.get("/api/federation/decisions/"), 200)["results"]
    made(client.post(f"/api/federation/decisions/{said['id']}/revoke/"), 200)
    refreshed(owner)
    assert results(client, "transfers/") == [link]
    assert lots(client) == paired


def test_cash_between_own_accounts_is_no_contribution(owner: User, client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    row(client, first, "deposit", "02", cash_amount="1000")
    row(client, first, "withdrawal", "10", cash_amount="300")
    row(client, second, "deposit", "11", cash_amount="300")
    refreshed(owner)
    summary = made(client.get(f"{BASE}summary/"), 200)
    assert (summary["net_contribution"], summary["cash"], summary["total_gain"]) == ("1000", "1000", "0")
    part = made(client.get(f"{BASE}summary/?account={second}"), 200)
    assert (part["net_contribution"], part["cash"]) == ("300", "300")


def test_equally_good_partners_are_an_open_conflict_until_the_user_pairs_them(owner: User, client: APIClient) -> None:
    first, second, third = account(client, "A"), account(client, "B"), account(client, "C")
    out = row(client, first, "withdrawal", "10", cash_amount="300")
    near = row(client, second, "deposit", "11", cash_amount="300")
    row(client, third, "deposit", "11", cash_amount="300")
    (conflict,) = Conflict.objects.filter(user=owner)
    assert (conflict.kind, conflict.status, conflict.key) == ("ambiguous", "open", f"transfer:{out['id']}")
    assert made(client.get("/api/federation/conflicts/"), 200)["results"][0]["key"] == conflict.key
    made(client.post(f"{BASE}transfers/pair/", {"transactions": [out["id"], near["id"]]}))
    assert not Conflict.objects.filter(user=owner).exists()
    (link,) = results(client, "transfers/")
    assert (link["rule"], link["out_legs"], link["in_legs"]) == ("decision", [out["id"]], [near["id"]])


def test_the_far_side_of_a_row_is_named(owner: User, client: APIClient) -> None:
    first, wallet = account(client, "A"), account(client, "Wallet")
    came = row(client, first, "deposit", "05", cash_amount="50")
    left = row(client, first, "withdrawal", "06", cash_amount="20")
    assert client.post(
        f"{BASE}transfers/resolve/", {"transaction": came["id"], "meaning": "payment"}
    ).status_code == 422  # fmt: skip
    made(client.post(f"{BASE}transfers/resolve/", {"transaction": came["id"], "meaning": "income"}))
    said = made(
        client.post(
            f"{BASE}transfers/resolve/", {"transaction": left["id"], "meaning": "own_wallet", "account": wallet}
        )
    )
    refreshed(owner)
    summary = made(client.get(f"{BASE}summary/"), 200)
    assert (summary["net_contribution"], summary["income"], summary["cash"]) == ("0", "50", "50")
    rules = {link["rule"]: link for link in results(client, "transfers/")}
    assert rules["income"]["out_legs"] == []
    assert rules["decision"]["in_legs"] == [said["transaction"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("pair/", {"transactions": []}, 400),
        ("pair/", {"transactions": ["00000000-0000-7000-8000-000000000000", "x"]}, 400),
        ("resolve/", {"transaction": "\u0000", "meaning": "income"}, 400),
        ("resolve/", {"meaning": "own_wallet"}, 400),
    ],
)
def test_a_word_that_does_not_fit_is_refused(client: APIClient, path: str, body: dict[str, Any], status: int) -> None:
    assert client.post(f"{BASE}transfers/{path}", body).status_code == status


def test_only_transfers_can_be_paired(client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    rows = [bought(client, first)["id"], bought(client, second)["id"]]
    answer = client.post(f"{BASE}transfers/pair/", {"transactions": rows})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not_a_transfer")


# --- corporate actions ----------------------------------------------------------


def stated(client: APIClient, kind: str, **fields: Any) -> dict[str, Any]:
    body = {"kind": kind, "instrument": share("ACME"), "ex_date": "2024-01-15", "currency": "USD"} | fields
    return made(client.post(f"{BASE}corporate-actions/", body))


def test_a_spin_off_stated_once_reaches_every_account_and_is_taken_back(owner: User, client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    bought(client, first)
    bought(client, second, quantity="20", price="30")
    before = LedgerVersion.objects.filter(user=owner).latest("number").content_hash
    terms = {"ratio": "0.1", "new_instrument": share("SPUN"), "allocation": "0.2", "cash_in_lieu": "15.54"}
    body = {"kind": "spinoff", "instrument": share("ACME"), "ex_date": "2024-01-15", "currency": "USD"} | terms
    stated(client, "spinoff", **terms)
    refreshed(owner)
    assert lots(client) == {
        (first, "ACME", "105", "840", "2024-01-02"), (first, "SPUN", "10", "200", "2024-01-02"),
        (second, "ACME", "20", "480", "2024-01-02"), (second, "SPUN", "2", "120", "2024-01-02"),
    }  # fmt: skip
    (gain,) = results(client, "realized-gains/")
    assert (gain["quantity"], gain["cost"], gain["proceeds"], gain["gain"]) == ("0.5", "10", "7.77", "-2.23")
    assert (bring_up_to_date(owner.pk, is_full=True).written, differences_from_facts(owner.pk)) == (0, [])
    assert client.post(f"{BASE}corporate-actions/", body).status_code == 409
    (action,) = results(client, "corporate-actions/")
    assert (action["symbol"], action["new_symbol"], action["allocation"]) == ("ACME", "SPUN", "0.2")
    made(client.delete(f"{BASE}corporate-actions/{action['id']}/"), 204)
    refreshed(owner)
    assert LedgerVersion.objects.filter(user=owner).latest("number").content_hash == before
    assert lots(client) == {(first, "ACME", "105", "1050", "2024-01-02"), (second, "ACME", "20", "600", "2024-01-02")}
    assert results(client, "realized-gains/") == []


def test_a_reverse_split_pays_for_the_fraction(owner: User, client: APIClient) -> None:
    first = account(client, "A")
    bought(client, first)
    stated(client, "split", ratio="0.1", cash_in_lieu="120")
    refreshed(owner)
    assert lots(client) == {(first, "ACME", "10", "1000", "2024-01-02")}
    (gain,) = results(client, "realized-gains/")
    assert (gain["cost"], gain["proceeds"], gain["gain"]) == ("50", "60", "10")
    (position,) = results(client, "positions/")
    assert position["quantity"] == "10"
    assert made(client.get(f"{BASE}summary/"), 200)["cash"] == "-990"


def test_a_merger_for_cash_and_stock_splits_by_value(owner: User, client: APIClient) -> None:
    first = account(client, "A")
    bought(client, first, quantity="100")
    merged = stated(client, "merger", ratio="0.5", new_instrument=share("BIG"), cash_per_unit="5")
    price(client, merged["new_instrument"], "30", "15")
    refreshed(owner)
    assert lots(client) == {(first, "BIG", "50", "750", "2024-01-02")}
    (gain,) = results(client, "realized-gains/")
    assert (gain["quantity"], gain["cost"], gain["proceeds"], gain["gain"]) == ("25", "250", "500", "250")


def test_a_symbol_change_carries_everything(owner: User, client: APIClient) -> None:
    first = account(client, "A")
    bought(client, first)
    stated(client, "symbol_change", new_instrument=share("NEW"))
    refreshed(owner)
    assert lots(client) == {(first, "NEW", "105", "1050", "2024-01-02")}
    assert [one["symbol"] for one in results(client, "positions/") if one["quantity"] != "0"] == ["NEW"]


def test_capital_that_comes_back_lowers_the_cost(owner: User, client: APIClient) -> None:
    first = account(client, "A")
    bought(client, first)
    stated(client, "return_of_capital", cash_per_unit="2")
    refreshed(owner)
    assert lots(client) == {(first, "ACME", "105", "840", "2024-01-02")}


def test_a_row_of_the_account_itself_goes_before_the_action(owner: User, client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    acme = bought(client, first)["instrument"]
    bought(client, second)
    row(client, first, "split", "17", instrument=acme, ratio="2")
    body = {"kind": "split", "instrument": acme, "ex_date": "2024-01-15", "ratio": "2"}
    preview = made(client.post(f"{BASE}corporate-actions/preview/", body), 200)
    assert preview["claimed"] == [first]
    assert [(one["account"], one["ratio"]) for one in preview["added"]] == [(second, "2")]
    assert (preview["removed"], Transaction.objects.filter(user=owner, kind="split").count()) == ([], 1)
    stated(client, "split", ratio="2")
    refreshed(owner)
    assert {(one["account"], one["quantity"]) for one in results(client, "positions/")} == {
        (first, "210"), (second, "210"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "split"},
        {"kind": "split", "ratio": "0"},
        {"kind": "split", "ratio": "1e400"},
        {"kind": "split", "ratio": "99999999999999999999"},
        {"kind": "spinoff", "ratio": "1"},
        {"kind": "merger"},
        {"kind": "merger", "cash_per_unit": "-5", "currency": "USD"},
        {"kind": "return_of_capital", "cash_per_unit": "5"},
        {"kind": "split", "ratio": "2", "allocation": "2"},
        {"kind": "split", "ratio": "2", "instrument": "00000000-0000-7000-8000-000000000000"},
        {"kind": "split", "ratio": "2", "instrument": {"symbol": "NOBODY", "kind": "equity", "currency": "USD"}},
        {"kind": "split", "ratio": "2", "ex_date": "1066-10-14"},
        {"kind": "split", "ratio": "2", "note": "\u0000"},
        {"kind": "symbol_change", "new_instrument": share("ACME")},
    ],
)
def test_an_action_that_makes_no_sense_is_refused(owner: User, client: APIClient, fields: dict[str, Any]) -> None:
    bought(client, account(client, "A"))
    body = {"instrument": share("ACME"), "ex_date": "2024-01-15"} | fields
    for path in ("corporate-actions/", "corporate-actions/preview/"):
        assert client.post(f"{BASE}{path}", body).status_code in (400, 404, 422)
    assert not Transaction.objects.filter(user=owner, source=None).exists()


def test_links_and_actions_are_the_same_after_a_rebuild(owner: User, client: APIClient) -> None:
    from federation.services import rebuild

    first, second = account(client, "A"), account(client, "B")
    acme = bought(client, first)["instrument"]
    stated(client, "split", ratio="2")
    row(client, first, "transfer_out", "20", instrument=acme, quantity="40")
    row(client, second, "transfer_in", "20", instrument=acme, quantity="40")
    kept = [
        list(model.objects.filter(user=owner).order_by("pk").values_list()) for model in (Transaction, TransferLink)
    ]
    rebuild(owner.pk)
    found = [
        list(model.objects.filter(user=owner).order_by("pk").values_list()) for model in (Transaction, TransferLink)
    ]
    assert found == kept
    assert Decimal(kept[0][0][9] or 0) >= 0


def test_a_check_of_the_rebuild_tells_links_that_do_not_follow(owner: User, client: APIClient) -> None:
    first, second = account(client, "A"), account(client, "B")
    row(client, first, "withdrawal", "10", cash_amount="300")
    row(client, second, "deposit", "11", cash_amount="300")
    assert differences_from_facts(owner.pk) == []
    link = TransferLink.objects.get(user=owner)
    TransferLink.objects.update(fee=Decimal(1))
    assert differences_from_facts(owner.pk) == [f"transferlink {link.pk} is different"]
    TransferLink.objects.all().delete()
    assert differences_from_facts(owner.pk) == [f"transferlink {link.pk} is missing"]
    link.pk = owner.pk
    link.save(force_insert=True)
    assert f"transferlink {owner.pk} is surplus" in differences_from_facts(owner.pk)


def test_an_action_follows_a_short_position_through_a_merger(owner: User, client: APIClient) -> None:
    first = account(client, "A")
    made(client.patch(f"{BASE}accounts/{first}/", {"allows_short": True}), 200)
    row(client, first, "sell", "02", instrument=share("ACME"), quantity="100", price="10")
    stated(client, "merger", ratio="0.5", new_instrument=share("BIG"), cash_per_unit="2", allocation="0.8")
    refreshed(owner)
    assert lots(client) == {(first, "BIG", "-50", "-800", "2024-01-02")}
    (gain,) = results(client, "realized-gains/")
    assert (gain["side"], gain["quantity"], gain["proceeds"], gain["cost"], gain["gain"]) == (
        "short", "20", "200", "200", "0",
    )  # fmt: skip
    assert made(client.get(f"{BASE}summary/"), 200)["cash"] == "800"

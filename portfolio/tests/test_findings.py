"""The health inbox: each kind is raised, says where and how much, and goes when it is mended."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import BrokerAccount, Conflict, Instrument
from federation.services import create_account, reconcile
from federation.tests.factories import (
    balance,
    cash_event,
    covers,
    make_source,
    position,
    stage,
    trade,
    withdraw,
)
from ingestion.adapters.base import InstrumentRef
from portfolio import findings, selectors, services
from portfolio.models import FigureState, Finding
from portfolio.services.findings import write_findings
from portfolio.services.manual import book_transaction
from portfolio.tests.factories import day, make_rate

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 5)


@pytest.fixture
def account(owner: User) -> BrokerAccount:
    return create_account(user=owner, name="Main", currency="USD", cash_mode="tracked")


def found(user: User) -> dict[str, Finding]:
    """Everything reconciled and refreshed; the findings by kind, each once."""
    reconcile(user.pk)
    services.refresh(user_id=user.pk)
    rows = list(selectors.findings(user))
    assert len({row.kind for row in rows}) == len(rows)
    return {row.kind: row for row in rows}


def told(source: Any, account: BrokerAccount, **facts: Any) -> Any:
    return stage(source, default_account=account.pk, **facts)


DEPOSIT = cash_event("01-02", "deposit", "1000", account="")


def test_a_clean_ledger_has_none(owner: User, account: BrokerAccount) -> None:
    told(
        make_source(owner),
        account,
        rows=[DEPOSIT, trade("01-10", "10", "50", fee="2", account=""), trade("02-10", "-4", "60", account="")],
        positions=[position("02-29", "6", account="")],
        cash=[balance("02-29", "738", account="")],
        coverage=[
            covers("transactions", "01-01", "02-29", account=""),
            covers("positions", "02-29", account=""),
            covers("cash", "02-29", account=""),
        ],
    )
    assert found(owner) == {}


def test_a_quantity_that_no_transaction_explains(owner: User, account: BrokerAccount) -> None:
    source = make_source(owner)
    rows = [DEPOSIT, trade("01-10", "10", "50", account="")]
    told(source, account, rows=rows, coverage=[covers("transactions", "01-01", "02-29", account="")])
    told(source, account, positions=[position("01-31", "10", account="")])
    late = told(source, account, positions=[position("02-29", "12", account="")])
    one = found(owner)["unexplained_quantity"]
    assert (one.account_id, one.severity, one.day) == (account.pk, "warning", day("2024-02-29"))
    assert one.title == "+2 ACME in Main that no transaction explains"
    assert one.detail.startswith("Between 31 Jan 2024 and 29 Feb 2024 ")
    assert one.effect_base == D(100)
    assert [row["type"] for row in one.rows] == ["instrument", "account"]
    withdraw(late)
    assert found(owner) == {}


def test_cash_that_does_not_add_up_tells_the_first_bad_day(owner: User, account: BrokerAccount) -> None:
    make_rate("EUR", "USD", "2024-01-02", "1.25")
    source = make_source(owner)
    told(source, account, rows=[DEPOSIT], coverage=[covers("transactions", "01-01", "02-29", account="")])
    told(source, account, cash=[balance("01-31", "1000", account="")])
    told(source, account, cash=[balance("02-15", "990", account="")])
    late = told(source, account, cash=[balance("02-29", "987.50", account="")])
    one = found(owner)["unexplained_cash"]
    assert (one.day, one.instrument) == (day("2024-02-15"), None)
    assert one.title == "−$12.50 in Main that no transaction explains"
    assert one.effect_base == (D("12.5") if owner.base_currency == "USD" else D(10))
    withdraw(late)
    again = found(owner)["unexplained_cash"]
    assert (again.pk, again.title[:7], again.evidence != one.evidence) == (one.pk, "−$10.00", True)


def test_cash_below_zero_says_that_deposits_are_missing(owner: User, account: BrokerAccount) -> None:
    source = make_source(owner)
    told(source, account, rows=[trade("02-10", "10", "50", account="")])
    one = found(owner)["deposits_missing"]
    assert (one.account_id, one.day) == (account.pk, day("2024-02-10"))
    assert one.title == "Deposits are missing: Main holds −$500.00"
    told(source, account, rows=[DEPOSIT])
    assert found(owner) == {}


def test_a_month_between_two_statements_that_none_speaks_of(owner: User, account: BrokerAccount) -> None:
    source = make_source(owner, name="Bank")
    told(source, account, rows=[DEPOSIT], coverage=[covers("transactions", "01-01", "01-31", account="")])
    told(
        source, account, rows=[cash_event("03-02", "interest", "1", account="")],
        coverage=[covers("transactions", "03-01", "03-04", account="")],
    )  # fmt: skip
    one = found(owner)["missing_months"]
    assert (one.title, one.day) == ("1 month without a statement from Bank", day("2024-02-01"))
    assert "2024-02" in one.detail
    assert one.rows == [{"type": "source", "id": str(source.pk), "label": "Bank"}]
    told(source, account, rows=[], coverage=[covers("transactions", "02-01", "02-29", account="")])  # empty: declared
    assert found(owner) == {}


def test_a_source_that_has_told_nothing_for_long(owner: User, account: BrokerAccount, settings: Any) -> None:
    source = make_source(owner, name="Bank")
    told(source, account, rows=[DEPOSIT])
    settings.AS_OF = day("2024-02-16")
    assert found(owner) == {}  # a file stays fresh for 45 days
    settings.AS_OF = day("2024-02-17")
    one = found(owner)["stale_source"]
    assert (one.severity, one.day, one.first_seen) == ("info", day("2024-01-02"), day("2024-02-17"))
    settings.AS_OF = day("2024-02-18")
    assert (found(owner)["stale_source"].first_seen, Finding.objects.get().last_seen) == (
        day("2024-02-17"), day("2024-02-18"),
    )  # fmt: skip
    source.enabled = False
    source.save()
    settings.AS_OF = day("2024-02-19")
    assert found(owner) == {}


def test_an_instrument_that_is_not_certain(owner: User, account: BrokerAccount) -> None:
    told(make_source(owner), account, rows=[DEPOSIT, trade("02-10", "1", "5", account="")])
    reconcile(owner.pk)
    Instrument.objects.filter(symbol="ACME").update(needs_review=True)
    services.refresh(user_id=owner.pk)
    one = Finding.objects.get()
    assert (one.kind, one.title) == ("unresolved_instrument", "It is not certain what ACME is")
    Instrument.objects.filter(symbol="ACME").update(needs_review=False)
    services.refresh(user_id=owner.pk, everything=True)
    assert not Finding.objects.exists()


def test_more_sold_than_bought(owner: User, account: BrokerAccount) -> None:
    source = make_source(owner)
    told(source, account, rows=[DEPOSIT, trade("02-10", "-3", "5", account="")])
    one = found(owner)["missing_quantity"]
    assert (one.severity, one.title) == ("critical", "3 ACME were sold that were never bought")
    told(source, account, rows=[trade("01-05", "3", "4", account="")])
    assert found(owner) == {}


def test_a_holding_without_a_price_is_worth_its_cost_at_most(owner: User, account: BrokerAccount) -> None:
    services.set_trade_prices(user_id=owner.pk, enabled=False)
    told(make_source(owner), account, rows=[DEPOSIT, trade("02-10", "3", "5", account="")])
    make_rate("EUR", "USD", "2024-01-02", "1")
    one = found(owner)["unpriced_holding"]
    assert (one.title, one.effect_base) == ("ACME has no value: no price is known", D(15))
    services.set_trade_prices(user_id=owner.pk, enabled=True)
    assert found(owner) == {}


def test_cash_that_is_not_quantity_times_price(owner: User, account: BrokerAccount) -> None:
    source = make_source(owner)
    make_rate("EUR", "USD", "2024-01-02", "1")
    rows = [
        DEPOSIT,
        trade("02-10", "3", "5", account="", cash_amount=D(-20)),
        trade("02-11", "3", "5", fee="4", account=""),
    ]
    wrong = told(source, account, rows=rows)
    one = found(owner)["cash_equation"]
    assert one.title == "1 trade of ACME in Main does not add up"
    assert (one.effect_base, one.day, len(one.rows)) == (D(5), day("2024-02-10"), 1)
    withdraw(wrong)
    told(source, account, rows=[DEPOSIT, trade("02-12", "3", "5", account="")])
    assert found(owner) == {}


def test_a_row_by_hand_on_a_day_that_a_source_covers_whole(owner: User, account: BrokerAccount) -> None:
    told(
        make_source(owner, "ibkr_flex", name="Broker"), account, rows=[DEPOSIT],
        coverage=[covers("transactions", "01-01", "02-29", account="")],
    )  # fmt: skip
    make_rate("EUR", "USD", "2024-01-02", "1")
    book_transaction(user=owner, account=account, row=cash_event("03-01", "interest", "1", account=""))
    assert found(owner) == {}
    book_transaction(user=owner, account=account, row=cash_event("02-20", "interest", "7", account=""))
    one = found(owner)["manual_on_owned_day"]
    assert one.title == "Broker knows nothing of the interest of 20 Feb 2024 in Main"
    assert (one.day, one.effect_base) == (day("2024-02-20"), D(7))


def test_open_conflicts_are_one_finding_and_a_held_edition_its_own(owner: User) -> None:
    one, two, held = (
        findings.OpenConflict(uuid4(), kind, key, None, effect, "[]")
        for kind, key, effect in (
            ("quantity", "position:a:b", D(5)), ("cash", "cash:a:USD", None), ("mass_withdrawal", "coverage:7", None),
        )
    )  # fmt: skip
    withdrawal, summary = findings.conflicts([one, two, held])
    assert (withdrawal.key, withdrawal.severity) == ("mass_withdrawal:coverage:7", "critical")
    assert (summary.title, summary.effect_base) == ("Your sources disagree about 2 things", D(5))
    assert [row[1] for row in summary.rows] == [str(two.id), str(one.id)]
    assert findings.conflicts([]) == []


def test_a_gap_that_closed_again_is_none_and_one_that_reopened_counts_from_then() -> None:
    def gap(*changes: tuple[str, str]) -> findings.Gap:
        moved = tuple((day(f"2024-{when}"), D(amount)) for when, amount in changes)
        return findings.Gap(UUID(int=1), "Main", None, "USD", moved, (), D(1))

    assert findings.unexplained([gap(("01-31", "5"), ("02-29", "-5"))]) == []
    (reopened,) = findings.unexplained([gap(("01-31", "5"), ("02-29", "-5"), ("03-31", "1"), ("04-30", "1"))])
    assert (reopened.day, reopened.effect_base) == (day("2024-03-31"), D(2))


@pytest.fixture
def oversold(owner: User, account: BrokerAccount) -> Any:
    source = make_source(owner)
    told(source, account, rows=[DEPOSIT, trade("02-10", "-3", "5", account="")])
    found(owner)
    return source


def test_a_dismissal_holds_until_the_evidence_changes(
    owner: User, account: BrokerAccount, oversold: Any, api: Api, settings: Any
) -> None:
    client = api(owner)
    (listed,) = client.get("/api/portfolio/findings/").json()["results"]
    assert (listed["kind"], listed["is_dismissed"], listed["symbol"]) == ("missing_quantity", False, "ACME")
    assert client.get(listed["rows"][0]["url"]).status_code == 200
    place = f"/api/portfolio/findings/{listed['id']}/"
    assert client.post(f"{place}dismiss/").json()["is_dismissed"] is True
    assert client.post(f"{place}dismiss/").json()["is_dismissed"] is True  # twice is once
    settings.AS_OF = day("2024-03-06")
    assert found(owner)["missing_quantity"].is_dismissed  # another day changes nothing
    counts = [client.get(f"/api/portfolio/findings/?dismissed={word}").json()["count"] for word in ("true", "false")]
    assert counts == [1, 0]
    told(oversold, account, rows=[trade("02-11", "-1", "5", account="")])
    again = found(owner)["missing_quantity"]
    assert (str(again.pk), again.is_dismissed, again.title[:2]) == (listed["id"], False, "4 ")
    client.post(f"{place}dismiss/")
    assert client.post(f"{place}restore/").json()["is_dismissed"] is False


def test_filters_and_order(owner: User, account: BrokerAccount, oversold: Any, api: Api) -> None:
    book = trade("02-12", "1000", "5", of=InstrumentRef(symbol="XYZ", kind="equity", currency="USD"), account="")
    told(oversold, account, rows=[book])
    found(owner)
    client = api(owner)
    kinds = [row["kind"] for row in client.get("/api/portfolio/findings/").json()["results"]]
    assert kinds[:2] == ["missing_quantity", "deposits_missing"]
    only = client.get("/api/portfolio/findings/?severity=warning&kind=deposits_missing").json()
    assert (only["count"], only["results"][0]["severity"]) == (1, "warning")
    assert client.get("/api/portfolio/findings/?kind=nonsense").status_code == 400
    assert client.get(f"/api/portfolio/findings/?account={account.pk}&kind=missing_quantity").json()["count"] == 1


def test_a_stranger_sees_and_dismisses_nothing(owner: User, stranger: User, oversold: Any, api: Api) -> None:
    row = Finding.objects.get()
    client = api(stranger)
    assert client.get("/api/portfolio/findings/").json()["count"] == 0
    for word in ("", "dismiss/", "restore/"):
        ask = client.post if word else client.get
        assert ask(f"/api/portfolio/findings/{row.pk}/{word}").status_code == 404
    row.refresh_from_db()
    assert not row.is_dismissed
    assert api(owner).post("/api/portfolio/findings/nonsense/dismiss/").status_code == 404


def test_an_unchanged_refresh_writes_no_finding(owner: User, oversold: Any) -> None:
    assert write_findings(user=owner, today=day("2024-03-05")) == 0


def test_facts_that_change_no_row_reach_the_findings_too(owner: User, account: BrokerAccount, oversold: Any) -> None:
    version = FigureState.objects.get(pk=owner.pk).facts_number
    told(oversold, account, rows=[], coverage=[covers("transactions", "02-20", "02-29", account="")])
    found(owner)
    assert FigureState.objects.get(pk=owner.pk).facts_number > version


def test_the_inbox_costs_the_same_however_much_there_is(
    owner: User, account: BrokerAccount, oversold: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        named = InstrumentRef(symbol=f"S{number}", kind="equity", currency="USD")
        told(oversold, account, rows=[trade("02-11", "-1", "5", of=named, account="")])
    found_kinds = 13
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    assert Finding.objects.filter(kind="missing_quantity").count() == found_kinds
    with django_assert_max_num_queries(20):
        write_findings(user=owner, today=day("2024-03-05"))
    with django_assert_max_num_queries(1):
        assert len([row.account and row.account.name for row in selectors.findings(owner)]) >= found_kinds


def test_conflicts_of_sources_are_raised_and_cleared(owner: User, account: BrokerAccount) -> None:
    first, second = make_source(owner, priority=10), make_source(owner, priority=20)
    rows = [DEPOSIT, trade("01-10", "10", "50", account="")]
    told(first, account, rows=rows, coverage=[covers("transactions", "01-01", "02-29", account="")])
    told(first, account, positions=[position("02-29", "10", account="")])
    other = told(second, account, positions=[position("02-29", "60", account="")])
    one = found(owner)["open_conflict"]
    assert Conflict.objects.get(status="open").pk == UUID(one.rows[0]["id"])
    assert one.title == "Your sources disagree about 1 thing"
    withdraw(other)
    assert found(owner) == {}

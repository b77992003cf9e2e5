"""What was known at a time is answered again as it was answered then."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.apps import apps
from rest_framework.test import APIClient

from accounts.facts import market_number
from accounts.models import User
from federation.models import LedgerVersion, Listing
from federation.services import reconcile
from federation.services.versions import is_numbered
from portfolio import services, tasks
from portfolio.models import Finding, InstrumentNote, KnownAnswer
from portfolio.services import past
from portfolio.tests.learner import BASE, book, new_account, signed_in

pytestmark = pytest.mark.django_db
START = dt.datetime(2024, 3, 1, 18, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _work_at_once(django_capture_on_commit_callbacks: Any, settings: Any) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True


def known(client: APIClient, path: str, at: str) -> Any:
    """The kept answer, computed by a worker first."""
    address = f"{BASE}{path}{'&' if '?' in path else '?'}known_at={at}"
    first = client.get(address)
    if first.status_code == 202:
        assert first.headers["Location"].endswith(f"/api/portfolio/known-answers/{first.json()['id']}/")
        tasks.answer_known(first.json()["id"])
        assert client.get(first.headers["Location"]).json()["status"] == "done"
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()


def settle(user: User) -> None:
    reconcile(user.pk)
    services.refresh(user_id=user.pk)


def test_an_answer_is_given_again_after_edits_and_new_prices(owner: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        account = new_account(client)
        row = book(client, account)
        quote = {"instrument": row["instrument"], "date": "2024-03-01", "currency": "USD"}
        client.post(f"{BASE}prices/", [quote | {"close": "55"}])
        settle(owner)
        then = {path: client.get(f"{BASE}{path}").json() for path in PATHS}
        clock.shift(dt.timedelta(days=3))
        book(client, account, quantity="5", trade_date="2024-02-28")
        client.post(f"{BASE}prices/", [quote | {"close": "70"}])
        client.patch(f"{BASE}accounts/{account}/", {"name": "Renamed", "cash_mode": "external"})
        settle(owner)
        assert client.get(f"{BASE}summary/").json()["market_value"] == "1050"
        before = [client.get(f"{BASE}{path}").json() for path in PATHS]
        for path in PATHS:
            assert known(client, path, "2024-03-01T18:00:00Z") == then[path], path
        assert [client.get(f"{BASE}{path}").json() for path in PATHS] == before


PATHS = (
    "summary/", "positions/", "lots/", "transactions/", "allocation/?by=currency", "performance/", "cash-balances/",
    "realized-gains/", "summary/?as_of=2024-02-29", "positions/?group_by=instrument&currency=EUR",
)  # fmt: skip


# --- asking ----------------------------------------------------------


def test_a_question_is_one_row_and_one_work_until_it_is_answered(owner: User, stranger: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        account = new_account(client)
        book(client, account)
        settle(owner)
        clock.shift(dt.timedelta(hours=1))
        asked = f"{BASE}summary/?currency=EUR&known_at=2024-03-01T18:00:00%2B00:00"
        first, second = client.get(asked), client.get(f"{BASE}summary/?known_at=2024-03-01T18:30:00Z&currency=EUR")
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json() == second.json()
        assert first.json()["status"] == "queued"
        assert KnownAnswer.objects.count() == 1
        assert signed_in(stranger).get(first.headers["Location"]).status_code == 404
        tasks.answer_known(first.json()["id"])
        tasks.answer_known(first.json()["id"])  # a second delivery
        assert KnownAnswer.objects.get().deliveries == 1
        assert client.get(asked).json()["currency"] == "EUR"


def test_pages_of_an_earlier_ledger_lead_to_each_other(owner: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        account = new_account(client)
        ids = {book(client, account, trade_date=f"2024-02-0{day}")["id"] for day in (1, 2, 3)}
        settle(owner)
        clock.shift(dt.timedelta(days=1))
        client.delete(f"{BASE}transactions/{sorted(ids)[0]}/")
        page = known(client, "transactions/?page_size=2", "2024-03-01T18:00:00Z")
        assert page["count"] == 3
        assert page["next"].startswith("http://testserver/api/portfolio/transactions/?")
        assert "known_at=2024-03-01T18%3A00%3A00Z" in page["next"]
        rest = client.get(page["next"])
        tasks.answer_known(rest.json()["id"])
        rest = client.get(page["next"])
        assert {row["id"] for row in (*page["results"], *rest.json()["results"])} == ids


def test_a_day_is_its_end_and_nothing_was_known_before_the_first_fact(owner: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        book(client, new_account(client))
        settle(owner)
        clock.shift(dt.timedelta(days=2))
        assert known(client, "positions/", "2024-03-01")["count"] == 1
        nothing = known(client, "summary/", "2024-02-29")
        assert (nothing["market_value"], nothing["ledger_version"], nothing["as_of"]) == ("0", 0, "2024-02-29")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2024-13-01",
        "2200-01-01",
        "2999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "١٢٣",
        "2024-03-01\x00",
    ],
)
def test_a_time_that_is_none_or_yet_to_come_is_refused(owner: User, text: str) -> None:
    answer = signed_in(owner).get(f"{BASE}summary/", {"known_at": text})
    assert answer.status_code == 400
    assert KnownAnswer.objects.count() == 0


@pytest.mark.parametrize(
    "path",
    ["summary/?as_of=x", "positions/?group_by=y", "transactions/?cursor=z", "lots/?account=1", "performance/?points=0"],
)
def test_other_parameters_are_refused_at_once(owner: User, path: str) -> None:
    answer = signed_in(owner).get(f"{BASE}{path}&known_at=2024-03-01")
    assert answer.status_code == 400
    assert KnownAnswer.objects.count() == 0


def test_a_question_whose_worker_died_is_taken_up_and_given_up_in_the_end(owner: User) -> None:
    client = signed_in(owner)
    row = KnownAnswer.objects.get(pk=client.get(f"{BASE}summary/?known_at=2024-03-01").json()["id"])
    for delivery in range(past.DELIVERIES):
        claimed = past.claim(answer_id=row.pk)
        assert claimed is not None
        assert claimed.deliveries == delivery
        assert past.claim(answer_id=row.pk) is None
        KnownAnswer.objects.update(lease_until=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        assert past.waiting(limit=5) == [row.pk]
    assert past.claim(answer_id=row.pk) is None
    row.refresh_from_db()
    assert row.status == KnownAnswer.Status.FAILED
    assert known(client, "summary/", "2024-03-01")["market_value"] == "0"


# --- what was learnt ----------------------------------------------------------


def test_changes_tell_rows_learnt_later_and_what_they_did_to_the_figures_of_that_day(owner: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        account = new_account(client)
        kept, gone, edited = (book(client, account, trade_date=f"2024-02-0{day}") for day in (1, 2, 3))
        quote = {"instrument": kept["instrument"], "currency": "USD"}
        client.post(f"{BASE}prices/", [quote | {"date": "2024-03-01", "close": "55"}])
        settle(owner)
        version = client.get(f"{BASE}summary/").json()["ledger_version"]
        clock.shift(dt.timedelta(days=5))
        late = book(client, account, quantity="1", price="54", trade_date="2024-02-05")
        client.delete(f"{BASE}transactions/{gone['id']}/")
        client.patch(f"{BASE}transactions/{edited['id']}/", {"quantity": "12"})
        client.post(f"{BASE}prices/", [quote | {"date": "2024-03-06", "close": "99"}])
        settle(owner)
        address = f"{BASE}changes/?since="
        assert client.get(f"{address}2024-03-01").status_code == 202
        tasks.answer_known(client.get(f"{address}2024-03-01").json()["id"])
        answer = client.get(f"{address}2024-03-01")
        assert answer.status_code == 200, answer.content
        found = answer.json()
        assert found["counts"] == {"added": 1, "removed": 1, "changed": 1}
        assert [row["id"] for row in found["added"]] == [late["id"]]
        assert [row["id"] for row in found["removed"]] == [gone["id"]]
        (changed,) = found["changed"]
        assert (changed["before"]["quantity"], changed["after"]["quantity"]) == ("10", "12")
        assert "quantity" in changed["fields"]
        assert found["as_of"] == "2024-03-01"
        # 30 units at 55 were known that day, 23 are known of it now; the price of 6 March is none of its business.
        assert found["figures"]["market_value"] == {"before": "1650", "after": "1265", "change": "-385"}
        assert [row["cause"] for row in found["facts"]] == ["prices", "manual", "manual", "manual"]
        assert [row["number"] for row in found["versions"]] == [version + 3, version + 2, version + 1]
        assert client.get(f"{address}{version}").status_code == 202
        assert client.get(f"{address}{version + 9}").status_code == 400
        assert client.get(address).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        {"since": ""},
        {"since": "0"},
        {"since": "-1"},
        {"since": "9" * 30},
        {"since": "١"},
        {"since": "1\x00"},
        {"since": "soon"},
        {"since": "2999-01-01"},
        {"since": "0000-00-00"},
        {"since": "2024-02-30T00:00:00Z"},
        {"since": "2024-03-01T00:00:00+99:00"},
        {"since": "2024-03-01", "known_at": "2024-02-01"},
        {"since": "2024-03-01", "known_at": "2999-01-01T00:00:00Z"},
        {"since": "2024-03-01", "known_at": "\x00"},
        {"since": ["2024-03-01", "soon"]},
    ],
    ids=str,
)
def test_changes_since_what_is_no_time_and_no_version_are_refused(owner: User, query: dict[str, Any]) -> None:
    answer = signed_in(owner).get(f"{BASE}changes/", query)
    assert answer.status_code == 400
    assert [one["pointer"] for one in answer.json()["errors"]] in (
        ["#/since"],
        ["#/known_at"],
        [],
    )  # a NUL is refused for all
    assert KnownAnswer.objects.count() == 0


def test_changes_are_of_the_caller_and_of_the_times_asked_for(owner: User, stranger: User) -> None:
    with time_machine.travel(START, tick=False) as clock:
        client = signed_in(owner)
        book(client, new_account(client))
        settle(owner)
        version = client.get(f"{BASE}summary/").json()["ledger_version"]
        clock.shift(dt.timedelta(days=1))
        second = book(client, new_account(client, name="Second"))
        settle(owner)
        clock.shift(dt.timedelta(days=1))
        book(client, second["account"], trade_date="2024-02-03")
        assert signed_in(stranger).get(f"{BASE}changes/?since={version}").status_code == 400
        # Before the first fact, told in another zone, until the end of the second day.
        address = f"{BASE}changes/?since=2023-12-31T23:00:00-05:00&known_at=2024-03-02"
        first = client.get(address)
        assert first.status_code == 202
        assert signed_in(stranger).get(first.headers["Location"]).status_code == 404
        tasks.answer_known(first.json()["id"])
        found = client.get(address).json()
        assert found["counts"] == {"added": 2, "removed": 0, "changed": 0}
        assert (found["since"]["known_at"], found["since"]["ledger_version"]) == ("2024-01-01T04:00:00Z", 0)


def test_newer_shared_prices_take_a_version_of_the_same_ledger(owner: User) -> None:
    client = signed_in(owner)
    row = book(client, new_account(client))
    settle(owner)
    before = client.get(f"{BASE}summary/").json()["ledger_version"]
    listing = Listing.objects.get(instrument=row["instrument"])
    services.load_shared_prices(rows=[(listing.pk, dt.date(2024, 3, 1), Decimal(60))], provider="test", basis="traded")
    settle(owner)
    after = client.get(f"{BASE}summary/").json()
    assert (after["ledger_version"], after["is_stale"], after["market_value"]) == (before + 1, False, "600")
    version = LedgerVersion.objects.get(user=owner, number=before + 1)
    assert (version.cause, version.market_number) == ("market", market_number())
    assert version.content_hash == LedgerVersion.objects.get(user=owner, number=before).content_hash
    services.refresh(user_id=owner.pk)
    assert client.get(f"{BASE}summary/").json()["ledger_version"] == before + 1


def test_every_table_below_is_known_to_the_past() -> None:
    """A new table has to be a numbered fact, a name, or computed; otherwise yesterday would be answered by today's."""
    unknown = [
        model.__name__
        for model in apps.get_app_config("portfolio").get_models()
        if not is_numbered(model) and model not in (*past.COMPUTED, *NOT_OF_FIGURES)
    ]
    assert unknown == []


NOT_OF_FIGURES = (KnownAnswer, Finding, InstrumentNote)  # tables that no answer about an earlier time is read from

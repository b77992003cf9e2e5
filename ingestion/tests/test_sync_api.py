from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from accounts.models import Tier, User
from ingestion import services, tasks
from ingestion.adapters.pulling import PullRefused
from ingestion.models import ImportRun, SourcePull, SyncRun
from ingestion.tests.brokers import Broker, away, broker, ledger_takes_all, pull_all, source_at, statement, synced
from ingestion.tests.factories import buys, csv, finished

pytestmark = pytest.mark.django_db
__all__ = ["broker"]
Api = Callable[..., APIClient]
SYNCS = "/api/ingestion/sync-runs/"
SOURCES = "/api/ingestion/sources/"
IMPORTS = "/api/ingestion/imports/"
COVERAGE = "/api/ingestion/coverage/"


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ids: list[int] = []
    monkeypatch.setattr(tasks, "wake_pull", ids.append)
    monkeypatch.setattr(tasks, "wake", lambda run_id: None)
    return ids


def test_sync_is_accepted_and_can_be_watched(
    api: Api, owner: User, broker: Broker, woken: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    one = source_at(broker, owner, "One", statement(buys(2)))
    services.create_source(user=owner, kind="kucoin", name="Coins")
    client = api(owner)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(SYNCS, {})
    assert answer.status_code == 202
    body = answer.json()
    assert answer["Location"].endswith(f"{SYNCS}{body['id']}/")
    assert (body["status"], body["trigger"], body["progress"]) == ("queued", "api", {"done": 0, "total": 1})
    assert body["stats"] == {"inserted": 0, "updated": 0, "unchanged": 0, "closed": 0, "conflicts": []}
    assert [(s["name"], s["status"], s["code"]) for s in body["sources"]] == [
        ("Coins", "skipped", "not_pullable"),
        ("One", "queued", ""),
    ]
    run = SyncRun.objects.get()
    assert woken == [run.pulls.get(source=one).pk]
    pull_all(run)
    ledger_takes_all(owner)
    seen = client.get(answer["Location"]).json()
    assert (seen["status"], seen["stats"]["inserted"], seen["progress"]) == ("done", 2, {"done": 1, "total": 1})
    assert seen["sources"][1]["imports"] == [str(ImportRun.objects.get().pk)]
    assert client.get(SYNCS).json()["results"] == [seen]
    assert client.get(f"{SYNCS}?source={one.pk}").json()["count"] == 1
    assert client.get(f"{SYNCS}?status=failed").json()["count"] == 0
    assert client.get(f"{IMPORTS}?sync_run={run.pk}").json()["results"][0]["sync_run"] == str(run.pk)


def test_second_sync_is_refused_with_the_id_of_the_live_one(api: Api, owner: User, broker: Broker) -> None:
    one = source_at(broker, owner, "One", statement(buys(1)))
    client = api(owner)
    live = client.post(SYNCS, {}).json()["id"]
    for address in (SYNCS, f"{SOURCES}{one.pk}/sync/"):
        refused = client.post(address, {})
        assert refused.status_code == 409
        assert (refused.json()["type"].rpartition("/")[2], refused.json()["id"]) == ("sync_running", live)
    assert SyncRun.objects.count() == 1


def test_one_source_can_be_synced(api: Api, owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    two = source_at(broker, owner, "Two", statement(buys(1)))
    client = api(owner)
    body = client.post(f"{SOURCES}{two.pk}/sync/").json()
    assert [one["source"] for one in body["sources"]] == [str(two.pk)]
    client.post(f"{SYNCS}{body['id']}/cancel/")
    body = client.post(SYNCS, {"sources": [str(two.pk)]}).json()
    assert [one["name"] for one in body["sources"]] == ["Two"]


@pytest.mark.parametrize("sources", ["x", [], ["x"], [None], [1], [{}], "\x00", {"a": 1}, ["0" * 70] * 101])
def test_odd_sources_are_refused(api: Api, owner: User, sources: Any) -> None:
    assert api(owner).post(SYNCS, {"sources": sources}).status_code == 400
    assert not SyncRun.objects.exists()


def test_idempotency_key_answers_the_first_sync(api: Api, owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    client = api(owner)
    first = client.post(SYNCS, {}, HTTP_IDEMPOTENCY_KEY="k1")
    again = client.post(SYNCS, {}, HTTP_IDEMPOTENCY_KEY="k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]


def test_sync_is_cancelled_once(api: Api, owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    client = api(owner)
    run = client.post(SYNCS, {}).json()
    cancelled = client.post(f"{SYNCS}{run['id']}/cancel/")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["sources"][0]["status"] == "cancelled"
    refused = client.post(f"{SYNCS}{run['id']}/cancel/")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "not_cancellable")


def test_stranger_sees_and_does_nothing(api: Api, owner: User, stranger: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    client = api(stranger)
    assert client.get(f"{SYNCS}{run.pk}/").status_code == 404
    assert client.post(f"{SYNCS}{run.pk}/cancel/").status_code == 404
    assert client.post(f"{SOURCES}{source.pk}/sync/").status_code == 404
    assert client.post(f"{SOURCES}{source.pk}/test/").status_code == 404
    assert client.post(SYNCS, {"sources": [str(source.pk)]}).status_code == 400
    assert client.get(SYNCS).json()["results"] == []
    assert client.get(f"{SYNCS}?source={source.pk}").json()["results"] == []
    run.refresh_from_db()
    assert (run.status, SyncRun.objects.count(), broker.asked) == ("queued", 1, [])


def test_navigator_looks_and_operator_syncs(api: Api, make_user: Any, broker: Broker) -> None:
    navigator = make_user(tier=Tier.NAVIGATOR)
    assert api(navigator).get(SYNCS).status_code == 200
    assert api(navigator).get(COVERAGE).status_code == 200
    assert api(navigator).post(SYNCS, {}).status_code == 403
    assert api(make_user(tier=Tier.OBSERVER)).get(SYNCS).status_code == 403
    assert api(make_user(tier=Tier.OPERATOR)).post(SYNCS, {}).status_code == 202


def test_source_is_tried_with_200_whatever_it_answers(api: Api, owner: User, broker: Broker) -> None:
    client = api(owner)
    source = source_at(broker, owner, "One")
    answers: list[tuple[list[Any], bool, str]] = [
        ([], True, "ok"),
        ([away()], False, "unavailable"),
        ([PullRefused("bad_token", "Enter it again.")], False, "bad_token"),
    ]
    for given, ok, code in answers:
        broker.answers["One"] = given
        answer = client.post(f"{SOURCES}{source.pk}/test/")
        assert answer.status_code == 200
        assert (answer.json()["ok"], answer.json()["code"]) == (ok, code)
        assert answer.json()["checked_at"].endswith("Z")
    coins = services.create_source(user=owner, kind="kucoin", name="Coins")
    answer = client.post(f"{SOURCES}{coins.pk}/test/")
    assert (answer.status_code, answer.json()["code"], answer.json()["ok"]) == (200, "not_pullable", False)
    assert client.get(f"{SOURCES}{coins.pk}/").json()["health"] == "unverified"
    assert client.get(f"{SOURCES}{source.pk}/").json()["health"] == "refused"


def test_list_of_syncs_costs_the_same_for_many(
    api: Api, owner: User, broker: Broker, django_assert_num_queries: Any
) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    client = api(owner)
    synced(owner)
    client.get(SYNCS)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        client.get(SYNCS)
    source_at(broker, owner, "Two", statement(buys(1)))
    for _ in range(3):
        synced(owner)
    with django_assert_num_queries(len(one.captured_queries)):
        client.get(SYNCS)


# --- imports: cancel, retry, purge ---


def test_import_that_waits_is_cancelled(api: Api, owner: User) -> None:
    run = services.open_import(user=owner, content=buys(1), filename="x.csv")
    client = api(owner)
    assert client.post(f"{IMPORTS}{run.pk}/cancel/").json()["status"] == "cancelled"
    services.run_import(run_id=run.pk)
    refused = client.post(f"{IMPORTS}{run.pk}/cancel/")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "not_cancellable")
    stored = finished(owner, buys(1))
    assert client.post(f"{IMPORTS}{stored.pk}/cancel/").status_code == 409


def test_failed_import_is_read_again(api: Api, owner: User) -> None:
    run = finished(owner, csv("A1,2024-13-02,buy,ACME,1,5,USD"))
    client = api(owner)
    again = client.post(f"{IMPORTS}{run.pk}/retry/")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    assert client.post(f"{IMPORTS}{run.pk}/retry/").status_code == 409


def test_purge_removes_the_bytes_and_nothing_else(api: Api, owner: User, stranger: User) -> None:
    run = finished(owner, buys(2))
    waiting = services.open_import(user=owner, content=buys(3), filename="y.csv")
    client = api(owner)
    assert api(stranger).post(f"{IMPORTS}{run.pk}/purge/").status_code == 404
    before = client.get(f"{IMPORTS}{run.pk}/").json()
    after = client.post(f"{IMPORTS}{run.pk}/purge/").json()
    assert before["purged_at"] is None
    assert after.pop("purged_at") is not None
    before.pop("purged_at")
    assert after == before
    run.refresh_from_db()
    assert (run.raw, len(run.raw_digest), run.content.transactions.count()) == (None, 64, 2)
    refused = client.post(f"{IMPORTS}{waiting.pk}/purge/")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "not_purgeable")
    assert client.post(f"{IMPORTS}{run.pk}/purge/").status_code == 200
    assert client.post(f"{IMPORTS}{run.pk}/undo/").status_code == 200


# --- coverage ---


def test_coverage_lists_months_of_each_source_and_account(api: Api, owner: User, stranger: User) -> None:
    finished(owner, csv("A1,2024-01-10,buy,ACME,1,5,USD", "A1,2024-01-20,buy,ACME,1,5,USD"))
    finished(owner, csv("A1,2024-03-05,buy,ACME,1,5,USD"))
    answer = api(owner).get(f"{COVERAGE}?until=2024-04-10").json()
    assert (answer["count"], answer["until"], answer["next"]) == (1, "2024-04-10", None)
    (line,) = answer["results"]
    assert (line["account_ref"], line["section"], line["start"], line["end"]) == (
        "A1", "transactions", "2024-01-10", "2024-03-05",
    )  # fmt: skip
    assert [(m["month"], m["state"], m["files"]) for m in line["months"]] == [
        ("2024-01", "inferred", 1), ("2024-02", "missing", 0), ("2024-03", "inferred", 1), ("2024-04", "missing", 0),
    ]  # fmt: skip
    assert api(stranger).get(COVERAGE).json()["results"] == []
    assert api(owner).get(f"{COVERAGE}?source={line['source']}").json()["count"] == 1
    assert api(owner).get(f"{COVERAGE}?source=00000000-0000-0000-0000-000000000000").json()["count"] == 0
    for odd in ("until=2024-02-30", "until=9999-01-01", "source=x", "until=%00"):
        assert api(owner).get(f"{COVERAGE}?{odd}").status_code == 400


def test_undone_import_covers_nothing(api: Api, owner: User) -> None:
    run = finished(owner, buys(1))
    services.undo_import(run=run)
    assert api(owner).get(COVERAGE).json()["results"] == []


# --- the command ---


def command(*args: str) -> str:
    out = StringIO()
    call_command("sync", *args, stdout=out, stderr=out)
    return out.getvalue()


def test_command_syncs_one_user_and_tells(owner: User, stranger: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(2)))
    source_at(broker, stranger, "Other", statement(buys(2)))
    told = command("--user", owner.email)
    run = SyncRun.objects.get()
    assert told == f"{owner.email}: waits for the ledger; One running (sync {run.pk})\n"
    assert (run.user, run.trigger, ImportRun.objects.get().staged) == (owner, "manual", 2)


def test_command_syncs_everybody_and_one_source_and_what_is_due(owner: User, stranger: User, broker: Broker) -> None:
    one = source_at(broker, owner, "One", statement(buys(1)))
    source_at(broker, owner, "Two", statement(buys(1)), schedule="daily")
    source_at(broker, stranger, "Other", statement(buys(1)))
    assert command("--dry-run").splitlines() == [
        f"{owner.email}: One (csv) would be fetched.",
        f"{owner.email}: Two (csv) would be fetched.",
        f"{stranger.email}: Other (csv) would be fetched.",
    ]
    assert not SyncRun.objects.exists()
    command("--due")
    assert [pull.source.name for pull in SourcePull.objects.all()] == ["Two"]
    ledger_takes_all(owner)
    command("--source", str(one.pk))
    assert SourcePull.objects.order_by("-pk").first().source == one
    ledger_takes_all(owner)
    command()
    assert SyncRun.objects.filter(user=stranger).count() == 1
    assert SyncRun.objects.filter(user=owner).count() == 3


def test_command_fails_in_words(owner: User, stranger: User, broker: Broker) -> None:
    other = source_at(broker, stranger, "Other")
    for args in (["--user", "x@y.z"], ["--source", "x"], ["--user", owner.email, "--source", str(other.pk)]):
        with pytest.raises(CommandError):
            command(*args)
    bad = source_at(broker, owner, "Bad", PullRefused("bad_token", "Enter it again."))
    with pytest.raises(CommandError):
        command("--source", str(bad.pk))
    services.open_sync(user=owner, trigger="api", sources=[bad])
    with pytest.raises(CommandError):
        command("--user", owner.email)

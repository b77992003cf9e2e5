import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Tier, User
from ingestion import conflicts, selectors, services, tasks
from ingestion.adapters.pulling import PULLERS, PullRefused
from ingestion.errors import NotCancellable, SyncRunning
from ingestion.models import Arrival, ImportRun, Source, SourcePull, StagedTransaction, SyncRun
from ingestion.services import pulls, sync_runs
from ingestion.tests.brokers import (
    Broker,
    away,
    broker,
    ends,
    ledger_takes_all,
    pull_all,
    source_at,
    statement,
    synced,
)
from ingestion.tests.factories import buys, csv
from notifications.models import Notification

pytestmark = pytest.mark.django_db
__all__ = ["broker"]
FLEX_HEADER = "account,trade_date,kind,symbol,quantity,price,currency,external_id"
POSITIONS = "account,symbol,quantity,currency,as_of"


def trade(number: int, *, price: str = "5") -> str:
    return f"A1,2024-01-0{number},buy,ACME,10,{price},USD,T{number}"


def trades(*rows: str) -> bytes:
    return csv(*rows, header=FLEX_HEADER)


def positions(day: str, **held: str) -> bytes:
    return csv(*(f"A1,{symbol},{quantity},USD,{day}" for symbol, quantity in held.items()), header=POSITIONS)


def test_product_has_no_puller_yet() -> None:
    assert PULLERS == {}


def test_sync_pulls_every_source_and_ends_with_the_ledger(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(3)), statement(buys(2, first=50), "second.csv"))
    source_at(broker, owner, "Two", statement(buys(4, account="B1")))
    run = services.open_sync(user=owner, trigger="api")
    assert run.status == "queued"
    pull_all(run)
    run.refresh_from_db()
    assert (run.status, run.finished_at) == ("running", None)
    assert ends(run) == {"One": ("running", ""), "Two": ("running", "")}
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("done", {"One": ("done", ""), "Two": ("done", "")})
    assert run.stats == {"inserted": 9, "updated": 0, "unchanged": 0, "closed": 0, "conflicts": []}
    found = ImportRun.objects.filter(sync_run=run).order_by("pk")
    assert [(one.source.name, one.filename, one.trigger, one.staged) for one in found] == [
        ("One", "statement.csv", "pull", 3),
        ("One", "second.csv", "pull", 2),
        ("Two", "statement.csv", "pull", 4),
    ]
    assert all(one.raw for one in found)
    assert {one.health for one in Source.objects.all()} == {"ok"}


def test_second_sync_of_the_same_is_unchanged(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", statement(buys(3)))
    first = synced(owner)
    again = synced(owner)
    assert again.status == "unchanged"
    assert again.stats == {"inserted": 0, "updated": 0, "unchanged": 3, "closed": 0, "conflicts": []}
    assert StagedTransaction.objects.count() == 3
    assert broker.asked[0][1] is None
    assert broker.asked[1][1] == first.pulls.get().started_at
    source.refresh_from_db()
    assert source.pulled_at == again.pulls.get().started_at


def test_stats_tell_new_restated_known_and_closed(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Trades", statement(trades(trade(1), trade(2))))
    source_at(broker, owner, "Holdings", statement(positions("2024-01-31", ACME="10", BOLT="4", COG="1")))
    assert synced(owner).stats["inserted"] == 5
    broker.answers["Trades"] = [statement(trades(trade(1), trade(2, price="6"), trade(3)))]
    broker.answers["Holdings"] = [statement(positions("2024-02-29", ACME="12", DYN="7"))]
    run = synced(owner)
    assert run.stats == {"inserted": 2, "updated": 2, "unchanged": 1, "closed": 2, "conflicts": []}
    third = synced(owner)
    assert (third.status, third.stats["closed"]) == ("unchanged", 0)


def test_conflicts_of_a_sync_are_those_that_were_not_open_before(
    owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_now = ["position:a:old"]
    monkeypatch.setattr(conflicts, "_open_conflicts", lambda user_id: open_now)
    source_at(broker, owner, "One", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    pull_all(run)
    open_now[:] = ["position:a:old", "position:a:new"]
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert run.stats["conflicts"] == ["position:a:new"]


def test_source_that_is_away_is_asked_again_and_fails_in_the_end(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "Slow", away())
    run = services.open_sync(user=owner, trigger="api")
    for _ in range(2):
        pull_all(run)
        assert ends(run) == {"Slow": ("queued", "unavailable")}
        pull = run.pulls.get()
        assert pull.retry_at is not None
        assert pull.retry_at > timezone.now()
        services.pull_source(pull_id=pull.pk)  # too early
        run.pulls.update(retry_at=timezone.now())
    assert len(broker.asked) == 2
    pull_all(run)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("failed", {"Slow": ("failed", "unavailable")})
    source.refresh_from_db()
    assert (source.health, source.health_detail) == ("unavailable", "The broker does not answer.")
    assert source.checked_at is not None
    assert source.pulled_at is None
    told = Notification.objects.get(user=owner)
    assert (told.kind, told.severity, told.body) == ("sync.finished", "error", "Slow: The broker does not answer.")


def test_source_that_heals_between_two_tries_is_done(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", away())
    run = services.open_sync(user=owner, trigger="api")
    pull_all(run)
    broker.answers["One"] = [statement(buys(1))]
    run.pulls.update(retry_at=timezone.now())
    pull_all(run)
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("done", {"One": ("done", "")})
    source.refresh_from_db()
    assert (source.health, source.health_detail) == ("ok", "")


def test_one_refused_source_makes_the_sync_partial(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Good", statement(buys(1)))
    bad = source_at(broker, owner, "Bad", PullRefused("token_expired", "Make a new token at the broker."))
    run = synced(owner)
    assert (run.status, ends(run)) == ("partial", {"Good": ("done", ""), "Bad": ("failed", "token_expired")})
    bad.refresh_from_db()
    assert (bad.health, bad.health_detail) == ("refused", "Make a new token at the broker.")


def test_what_came_before_the_broker_went_away_is_kept(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "Half", statement(buys(2)), away())
    run = synced(owner)
    assert (run.status, ends(run), run.stats["inserted"]) == ("partial", {"Half": ("partial", "unavailable")}, 2)
    source.refresh_from_db()
    assert (source.health, source.pulled_at) == ("unavailable", None)  # the next pull asks for everything again


def test_statement_that_cannot_be_read_fails_its_source_only(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Good", statement(buys(1)))
    bad = source_at(broker, owner, "Bad", statement(b"PK\x03\x04" + b"x" * 50))
    run = synced(owner)
    assert (run.status, ends(run)) == ("partial", {"Good": ("done", ""), "Bad": ("failed", "not_text")})
    bad.refresh_from_db()
    assert bad.health == "failing"


def test_bad_row_of_a_pull_is_left_out_and_the_rest_is_taken(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(csv("A1,2024-01-02,buy,ACME,1,5,USD", "A1,2024-13-02,buy,ACME,1,5,USD")))
    run = synced(owner)
    assert (run.status, ends(run), run.stats["inserted"]) == ("partial", {"One": ("partial", "")}, 1)


def test_source_with_nothing_to_say_is_unchanged(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Quiet")
    assert synced(owner).status == "unchanged"


def test_sources_that_cannot_be_pulled_are_skipped_with_a_reason(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    source_at(broker, owner, "Off", statement(buys(1)), enabled=False)
    services.create_source(user=owner, kind="kucoin", name="Coins")
    run = synced(owner)
    assert run.status == "done"
    assert ends(run) == {"One": ("done", ""), "Off": ("skipped", "disabled"), "Coins": ("skipped", "not_pullable")}


def test_sync_of_nothing_that_can_be_pulled_ends_at_once(owner: User) -> None:
    services.create_source(user=owner, kind="csv", name="Bank")
    run = services.open_sync(user=owner, trigger="api")
    assert (run.status, ends(run)) == ("unchanged", {"Bank": ("skipped", "not_pullable")})
    assert services.open_sync(user=owner, trigger="api").status == "unchanged"


def test_one_sync_of_a_user_is_live(owner: User, stranger: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    source_at(broker, stranger, "Other", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    with pytest.raises(SyncRunning) as refused:
        services.open_sync(user=owner, trigger="scheduled")
    assert refused.value.members == {"id": str(run.pk)}
    assert services.open_sync(user=stranger, trigger="api").status == "queued"
    assert SyncRun.objects.filter(user=owner).count() == 1


def test_credentials_are_opened_for_the_call_only(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", statement(buys(1)), credentials={"token": "s3cret"})
    synced(owner)
    assert broker.asked == [({"login": "One", "token": "s3cret"}, None)]
    Source.objects.filter(pk=source.pk).update(credentials=b"broken")
    run = synced(owner)
    assert (run.status, ends(run)) == ("failed", {"One": ("failed", "unsealed")})


def test_cancelled_sync_stores_nothing_more(owner: User, broker: Broker) -> None:
    def cancel_meanwhile() -> None:
        services.cancel_sync(run=SyncRun.objects.get())

    source_at(broker, owner, "One", statement(buys(1)), cancel_meanwhile)
    source_at(broker, owner, "Two", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    pull_all(run)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("cancelled", {"One": ("cancelled", ""), "Two": ("cancelled", "")})
    assert not ImportRun.objects.exists()
    assert len(broker.asked) == 1
    with pytest.raises(NotCancellable):
        services.cancel_sync(run=run)
    broker.answers["One"].pop()
    assert synced(owner, trigger="manual").status == "done"


def test_cancel_stops_imports_that_wait_and_keeps_what_is_stored(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)), statement(buys(1, first=9)))
    run = services.open_sync(user=owner, trigger="api")
    services.pull_source(pull_id=run.pulls.get().pk)
    first, second = ImportRun.objects.filter(sync_run=run).order_by("created_at")
    services.run_import(run_id=first.pk)
    run = services.cancel_sync(run=run)
    assert (run.status, run.stats["inserted"]) == ("cancelled", 1)
    services.run_import(run_id=second.pk)
    ledger_takes_all(owner)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("done", "cancelled")
    assert StagedTransaction.objects.count() == 1


def test_worker_that_dies_over_a_source_three_times_makes_the_sync_partial(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Good", statement(buys(1)))
    source_at(broker, owner, "Deadly", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    good, deadly = run.pulls.order_by("pk")
    services.pull_source(pull_id=good.pk)
    for _ in range(3):
        assert pulls.claim_pull(pull_id=deadly.pk) is not None
        assert pulls.claim_pull(pull_id=deadly.pk) is None  # a live worker has it
        run.pulls.filter(pk=deadly.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    services.pull_source(pull_id=deadly.pk)
    pull_all(run)
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("partial", {"Good": ("done", ""), "Deadly": ("failed", "gave_up")})


def test_worker_that_lost_its_lease_stores_nothing(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    slow = pulls.claim_pull(pull_id=run.pulls.get().pk)
    assert slow is not None
    run.pulls.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    pull_all(run)
    services.pull_source(pull_id=slow.pk)
    with pytest.raises(pulls.LeaseLost):
        pulls.store(slow, pulls.fetch(slow.source))
    assert ImportRun.objects.count() == 1


def test_pulse_keeps_the_lease_of_a_slow_broker(owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[Any] = []
    monkeypatch.setattr(pulls, "PULSE", 0.01)
    monkeypatch.setattr(pulls, "update_held", lambda pull, **values: renewed.append(values["lease_until"]))
    monkeypatch.setattr(pulls, "touch", lambda run: None)
    source_at(broker, owner, "One", statement(buys(1)))
    pull = services.open_sync(user=owner, trigger="api").pulls.get()
    with pulls.Pulse(pull):
        end = timezone.now() + dt.timedelta(seconds=5)
        while len(renewed) < 3 and timezone.now() < end:
            pass
    assert len(renewed) >= 3
    assert renewed == sorted(renewed)
    assert renewed[0] > timezone.now() + dt.timedelta(seconds=30)


def test_silent_sync_is_given_up_and_what_it_stored_goes_on(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Stored", statement(buys(2)))
    source_at(broker, owner, "Lost", statement(buys(2)))
    run = services.open_sync(user=owner, trigger="api")
    services.pull_source(pull_id=run.pulls.get(source__name="Stored").pk)
    services.run_import(run_id=ImportRun.objects.get().pk)
    services.give_up_sync(user_id=owner.pk)
    run.refresh_from_db()
    assert run.status == "running"
    SyncRun.objects.update(heartbeat_at=timezone.now() - sync_runs.SILENT - dt.timedelta(seconds=1))
    services.give_up_sync(user_id=owner.pk)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("partial", {"Stored": ("partial", "stale"), "Lost": ("failed", "stale")})
    ledger_takes_all(owner)
    assert ImportRun.objects.get().status == "done"
    assert services.open_sync(user=owner, trigger="api").status == "queued"


def test_sweep_wakes_pulls_that_wait_and_settles_what_ended(
    owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[int] = []
    monkeypatch.setattr(tasks.pull_source, "delay", woken.append)
    source_at(broker, owner, "One", statement(buys(1)))
    source_at(broker, owner, "Two")
    run = services.open_sync(user=owner, trigger="api")
    one, two = run.pulls.order_by("pk")
    tasks.sweep_syncs()
    assert woken == [one.pk, two.pk]
    run.pulls.filter(pk=one.pk).update(retry_at=timezone.now() + dt.timedelta(seconds=9))
    run.pulls.filter(pk=two.pk).update(status="running", fetched_at=timezone.now())
    woken.clear()
    tasks.sweep_syncs()
    assert woken == []
    assert ends(run) == {"One": ("queued", ""), "Two": ("unchanged", "")}


def test_pull_of_a_user_over_their_jobs_waits(make_user: Any, broker: Broker) -> None:
    user = make_user(tier=Tier.OBSERVER)
    source_at(broker, user, "One", statement(buys(1)))
    source_at(broker, user, "Two", statement(buys(1)))
    run = services.open_sync(user=user, trigger="api")
    first, second = run.pulls.order_by("pk")
    assert pulls.claim_pull(pull_id=first.pk) is not None
    assert pulls.claim_pull(pull_id=second.pk) is None
    upload = services.open_import(user=user, content=buys(5), filename="x.csv")
    services.run_import(run_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.status, ends(run)["Two"]) == ("queued", ("queued", ""))


def test_upload_is_never_refused_for_a_sync(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    services.open_sync(user=owner, trigger="api")
    run = services.open_import(user=owner, content=buys(2), filename="x.csv")
    services.run_import(run_id=run.pk)
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert run.status == "done"


def test_source_disabled_before_its_turn_is_not_asked(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    services.update_source(source=source, values={"enabled": False})
    pull_all(run)
    run.refresh_from_db()
    assert (run.status, ends(run), broker.asked) == ("unchanged", {"One": ("skipped", "disabled")}, [])


def test_second_delivery_of_a_pull_changes_nothing(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    run = services.open_sync(user=owner, trigger="api")
    pull_id = run.pulls.get().pk
    services.pull_source(pull_id=pull_id)
    services.pull_source(pull_id=pull_id)
    assert (ImportRun.objects.count(), len(broker.asked)) == (1, 1)


# --- schedule ---


@pytest.mark.parametrize(
    ("schedule", "asked_ago", "is_due"),
    [
        ("hourly", None, True),
        ("hourly", dt.timedelta(minutes=59), False),
        ("hourly", dt.timedelta(minutes=60), True),
        ("daily", dt.timedelta(hours=23), False),
        ("daily", dt.timedelta(hours=24), True),
        ("weekly", dt.timedelta(days=6), False),
        ("weekly", dt.timedelta(days=7), True),
        ("", None, False),
    ],
)
def test_source_is_due_as_long_after_it_was_last_asked(
    owner: User, broker: Broker, schedule: str, asked_ago: dt.timedelta | None, is_due: bool
) -> None:
    source_at(broker, owner, "One", schedule=schedule)
    now = timezone.now()
    if asked_ago is not None:
        synced(owner)
        SyncRun.objects.update(created_at=now - asked_ago)
    assert bool(selectors.due_sources(now=now, kinds=PULLERS)) is is_due


def test_beat_syncs_due_sources_only_and_once(
    owner: User, make_user: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "wake_pull", lambda pull_id: None)
    source_at(broker, owner, "Due", statement(buys(1)), schedule="hourly")
    source_at(broker, owner, "Unasked", statement(buys(1)))
    source_at(broker, owner, "Off", schedule="hourly", enabled=False)
    services.retire_source(source=source_at(broker, owner, "Gone", schedule="hourly"))
    lowered = make_user(tier=Tier.NAVIGATOR)
    source_at(broker, lowered, "Lowered", schedule="hourly")
    tasks.start_due_syncs()
    tasks.start_due_syncs()
    run = SyncRun.objects.get()
    assert (run.user, run.trigger, ends(run)) == (owner, "scheduled", {"Due": ("queued", "")})
    pull_all(run)
    ledger_takes_all(owner)
    assert ImportRun.objects.get().trigger == "scheduled"
    tasks.start_due_syncs()
    assert SyncRun.objects.count() == 1


def test_scheduled_sync_without_news_tells_nobody(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))
    synced(owner, trigger="scheduled")
    assert Notification.objects.get().kind == "sync.finished"
    synced(owner, trigger="scheduled")
    assert Notification.objects.count() == 1


def test_frames_follow_a_sync(
    owner: User, broker: Broker, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    frames: list[dict[str, Any]] = []
    monkeypatch.setattr("notifications.push.progress", lambda **named: frames.append(named))
    source_at(broker, owner, "One", statement(buys(1)))
    source_at(broker, owner, "Two")
    services.create_source(user=owner, kind="kucoin", name="Coins")
    with django_capture_on_commit_callbacks(execute=True):
        run = synced(owner)
    told = [(f["status"], f["done"], f["total"]) for f in frames if f["job"] == "sync"]
    assert {f["id"] for f in frames if f["job"] == "sync"} == {run.pk}
    assert told[-1] == ("done", 2, 2)
    assert ("running", 1, 2) in told
    assert told == sorted(told, key=lambda one: one[1])


# --- trying a source ---


def test_trying_a_source_remembers_its_health(owner: User, broker: Broker) -> None:
    source = source_at(broker, owner, "One", PullRefused("bad_token", "Enter the token again."))
    tried = services.try_source(source=source)
    assert (tried.ok, tried.code, tried.detail) == (False, "bad_token", "Enter the token again.")
    source.refresh_from_db()
    assert (source.health, source.health_detail) == ("refused", "Enter the token again.")
    broker.answers["One"] = []
    assert services.try_source(source=source).ok
    source.refresh_from_db()
    assert (source.health, source.health_detail) == ("ok", "")
    broker.answers["One"] = [away()]
    assert services.try_source(source=source).code == "unavailable"
    assert not SourcePull.objects.exists()
    assert not Arrival.objects.exists()

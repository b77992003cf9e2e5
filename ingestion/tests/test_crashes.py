"""Parallel uploads and killed workers, with real transactions and real processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.models import User
from ingestion import selectors, services, staging
from ingestion.errors import SyncRunning
from ingestion.models import Arrival, Content, ImportRun, Source, SourcePull, StagedTransaction, SyncRun
from ingestion.services import runs
from ingestion.tests.brokers import Broker, broker, ends, ledger_takes_all, pull_all, source_at, statement
from ingestion.tests.factories import buys, csv, finished
from stackmotive.tests.workers import wide_pool

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["broker", "wide_pool"]

WORKER = """
import sys, django
django.setup()
from ingestion import services
services.run_import(run_id=sys.argv[1])
"""


def in_parallel(work: Callable[[int], Any], count: int) -> list[Any]:
    """`work(n)` at once, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def facts_of(user: User) -> list[tuple[Any, ...]]:
    rows = StagedTransaction.objects.filter(content__source__user=user).order_by("identity")
    return list(rows.values_list("identity", "line", "kind", "trade_date", "quantity", "price", "currency"))


@pytest.mark.usefixtures("wide_pool")
def test_same_file_posted_twenty_times_at_once_is_stored_once(owner: User) -> None:
    content = buys(200)

    def post(number: int) -> str:
        run = services.open_import(user=owner, content=content, filename=f"{number}.csv")
        services.run_import(run_id=run.pk)
        return str(run.pk)

    in_parallel(post, 20)
    assert Content.objects.count() == 1
    assert StagedTransaction.objects.count() == 200
    assert Source.objects.count() == 1
    taken = ImportRun.objects.exclude(status="queued")
    assert Arrival.objects.count() == taken.count() == ImportRun.objects.count()
    assert taken.filter(stage="reconciling").count() == 1


@pytest.mark.usefixtures("wide_pool")
def test_overlapping_files_at_once_give_one_uid_per_identity(owner: User, settings: Any) -> None:
    settings.TIER_RUNNING_JOBS = dict.fromkeys(settings.TIER_RUNNING_JOBS, 20)

    def post(number: int) -> None:
        run = services.open_import(user=owner, content=buys(100, first=1 + 10 * number), filename="x.csv")
        services.run_import(run_id=run.pk)

    in_parallel(post, 8)
    assert Content.objects.count() == 8
    pairs = StagedTransaction.objects.values_list("identity", "uid").distinct()
    assert len(pairs) == len({identity for identity, _ in pairs}) == 170
    numbers = list(Arrival.objects.order_by("number").values_list("number", flat=True))
    assert len(set(numbers)) == 8


@contextmanager
def worker(run: ImportRun | int, *, script: str = WORKER) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs one import, or what `script` does, on the test's database; killed -9 at the block's end."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    address = urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
    environment = os.environ | {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "stackmotive.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(run.pk if isinstance(run, ImportRun) else run)], env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the worker did not get there"
        time.sleep(0.005)


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # inside a transaction the first look would be repeated
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def forget_worker(run: ImportRun) -> None:
    """Time passes: the lease of the killed worker runs out."""
    ImportRun.objects.filter(pk=run.pk, status="running").update(lease_until=timezone.now())


def test_worker_killed_anywhere_and_started_again_gives_the_same_facts(owner: User, stranger: User) -> None:
    content = buys(10_000)
    undisturbed = finished(stranger, content)
    assert undisturbed.staged == 10_000
    source = services.default_source(user=owner, kind="csv", layout="generic")
    run = services.open_import(user=owner, content=content, filename="x.csv")

    with worker(run):  # while it parses
        wait_until(lambda: ImportRun.objects.filter(pk=run.pk, status="running").exists())
    assert not Content.objects.filter(source=source).exists()
    forget_worker(run)

    with transaction.atomic():
        staging.lock_source(source.pk)
        with worker(run):  # parsed, before its first row
            wait_until(waits_for_a_lock)
    assert not Content.objects.filter(source=source).exists()
    forget_worker(run)

    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        with worker(run):  # all rows written, not committed
            wait_until(waits_for_a_lock)
    wait_until(lambda: not waits_for_a_lock())
    assert not Content.objects.filter(source=source).exists()
    forget_worker(run)
    ImportRun.objects.filter(pk=run.pk).update(deliveries=2)  # the kills above used up all three

    with worker(run) as process:
        assert process.wait(timeout=60) == 0
    run.refresh_from_db()
    assert (run.status, run.stage, run.staged, run.rows) == ("running", "reconciling", 10_000, 10_000)
    assert facts_of(owner) == facts_of(stranger)
    assert Arrival.objects.filter(content__source=source).count() == 1
    assert User.objects.get(pk=owner.pk).fact_number == User.objects.get(pk=stranger.pk).fact_number

    services.run_import(run_id=run.pk)  # the message comes once more
    assert facts_of(owner) == facts_of(stranger)


def test_two_workers_with_one_run_store_it_once(owner: User) -> None:
    run = services.open_import(user=owner, content=csv("A1,2024-01-02,buy,ACME,10,5,USD"), filename="x.csv")
    taken = in_parallel(lambda _: runs.claim(run_id=run.pk), 4)
    assert sum(claimed is not None for claimed in taken) == 1


@pytest.mark.usefixtures("wide_pool")
def test_two_syncs_at_one_moment_are_one(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "One", statement(buys(1)))

    def start(number: int) -> str:
        try:
            return str(services.open_sync(user=owner, trigger="api").pk)
        except SyncRunning as refused:
            return f"refused for {refused.members['id']}"

    answers = in_parallel(start, 8)
    live = str(SyncRun.objects.get().pk)
    assert sorted(answers) == sorted([live, *[f"refused for {live}"] * 7])
    assert SourcePull.objects.count() == 1


PULLER = """
import sys, time, django
django.setup()
from ingestion import services
from ingestion.adapters import pulling

class Hangs:
    source_kind, secret_parameters = "csv", frozenset()
    def fetch(self, parameters, since):
        time.sleep(60)

pulling.PULLERS["csv"] = Hangs()
services.pull_source(pull_id=int(sys.argv[1]))
"""


def test_sync_whose_worker_is_killed_goes_on_with_another(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Good", statement(buys(2)))
    source_at(broker, owner, "Killed", statement(buys(3)))
    run = services.open_sync(user=owner, trigger="api")
    good, killed = run.pulls.order_by("pk")
    services.pull_source(pull_id=good.pk)
    for delivery in (1, 2):
        with worker(killed.pk, script=PULLER):
            wait_until(SourcePull.objects.filter(pk=killed.pk, deliveries=delivery).exists)
        SourcePull.objects.filter(pk=killed.pk).update(lease_until=timezone.now())
    assert selectors.waiting_pull_ids() == [killed.pk]
    pull_all(run)
    services.pull_source(pull_id=killed.pk)
    pull_all(run)
    ledger_takes_all(owner)
    run.refresh_from_db()
    assert (run.status, run.stats["inserted"]) == ("done", 5)


def test_sync_whose_worker_is_killed_each_time_ends_partial(owner: User, broker: Broker) -> None:
    source_at(broker, owner, "Good", statement(buys(2)))
    source_at(broker, owner, "Killed", statement(buys(3)))
    run = services.open_sync(user=owner, trigger="api")
    good, killed = run.pulls.order_by("pk")
    services.pull_source(pull_id=good.pk)
    for delivery in (1, 2, 3):
        with worker(killed.pk, script=PULLER):
            wait_until(SourcePull.objects.filter(pk=killed.pk, deliveries=delivery).exists)
        SourcePull.objects.filter(pk=killed.pk).update(lease_until=timezone.now())
    pull_all(run)
    ledger_takes_all(owner)
    services.pull_source(pull_id=killed.pk)
    run.refresh_from_db()
    assert (run.status, ends(run)) == ("partial", {"Good": ("done", ""), "Killed": ("failed", "gave_up")})

"""Workers killed by SIGKILL at any statement of an import, a sync, a reconciliation or a refresh (DESIGN 1, promise 3)."""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import settings as profile
from rest_framework.test import APIClient

from accounts.models import User
from ingestion.models import Arrival, Content, ImportRun, SourcePull, SyncRun
from ingestion.tests.brokers import Broker, broker
from notifications.models import Notification
from stackmotive.tests.test_together import Household, assert_whole
from stackmotive.tests.workers import Nursery, Workers, nursery, wide_pool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wide_pool")]
__all__ = ["broker", "wide_pool"]
Api = Callable[..., APIClient]
LIVES = max(2, profile().max_examples // 50)
STEPS = (50, 110) if LIVES == 2 else (9, 110)  # statements from one death to the next
MOST_STATEMENTS = 2_000  # more than a life has
PREPARE = """
from ingestion.adapters import pulling
from ingestion.tests.brokers import Broker
from stackmotive.tests.test_together import NORTH, SOUTH
pulling.PULLERS["csv"] = broker = Broker()
broker.answers.update(North=NORTH, South=SOUTH)
"""


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AS_OF = dt.date(2024, 3, 15)
    monkeypatch.setenv("AS_OF", "2024-03-15")


@pytest.fixture
def workplace() -> Iterator[Nursery]:
    with nursery(prepare=PREPARE) as processes:
        yield processes


def time_passes(user: User) -> None:
    """The leases of dead workers run out. Their deliveries are forgotten: no worker really dies so often."""
    now = timezone.now()
    ImportRun.objects.filter(user=user, status="running").exclude(lease_until=None).update(lease_until=now)
    SourcePull.objects.filter(sync_run__user=user, status="running").exclude(lease_until=None).update(lease_until=now)
    ImportRun.objects.filter(user=user).update(deliveries=0)
    SourcePull.objects.filter(sync_run__user=user).update(deliveries=0)


def begun(household: Household) -> Household:
    """A sync, an upload and another priority, of which no worker knows yet."""
    household.sync()
    household.upload(household.south)  # of which the sync brings no holdings: their order does not matter
    household.believe()
    return household


def assert_ended_as(household: Household, undisturbed: dict[str, Any]) -> None:
    user = household.user
    assert household.outcome() == undisturbed
    assert_whole(user)
    assert set(ImportRun.objects.filter(user=user).values_list("status", flat=True)) == {"done"}
    run = SyncRun.objects.get(user=user)
    assert (run.status, run.stats["inserted"]) == ("done", 8)
    contents = Content.objects.filter(source__user=user, source__kind="csv")
    assert (contents.count(), Arrival.objects.filter(content__in=contents).count()) == (4, 4)
    told = Notification.objects.filter(user=user).order_by("kind").values_list("kind", "count")
    assert list(told) == [("import.finished", 1), ("sync.finished", 1)]


def test_a_worker_killed_at_any_statement_leaves_nothing_lost_and_nothing_doubled(
    make_user: Any, api: Api, broker: Broker, workplace: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workers(monkeypatch, 0)  # nobody here takes up what is enqueued: the processes sweep

    def begin() -> Household:
        user = make_user()
        return begun(Household(user, api(user), broker))

    household = begin()
    assert not workplace.live(until=MOST_STATEMENTS)
    undisturbed = household.outcome()
    assert_ended_as(household, undisturbed)
    chance = random.Random(2024)  # the same lives each time
    deaths = 0
    for _ in range(LIVES):
        household = begin()
        step, until = chance.randint(*STEPS), 0
        while workplace.live(until=(until := until + step)):  # each worker comes further than the one before
            deaths += 1
            time_passes(household.user)
        assert_ended_as(household, undisturbed)
    assert deaths > LIVES

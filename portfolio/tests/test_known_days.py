"""Days of edits, restatements and late files: each day is answered later as it was on that day."""

import datetime as dt
import os
from random import Random
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from accounts.facts import next_market_number
from accounts.models import User
from federation.services import reconcile
from portfolio import services, tasks
from portfolio.tests.factories import make_rate
from portfolio.tests.learner import ASKED_DAILY, BASE, Learner

pytestmark = pytest.mark.django_db
START = dt.datetime(2024, 3, 1, 18, tzinfo=dt.UTC)
IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
DAYS, SEEDS = (60, 6) if IS_SOAK else (12, 1)


@pytest.fixture(autouse=True)
def _work_at_once(django_capture_on_commit_callbacks: Any, settings: Any) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True


def known(client: APIClient, path: str, at: str) -> Any:
    """The kept answer, computed by a worker first."""
    address = f"{path}{'&' if '?' in path else '?'}known_at={at}"
    first = client.get(address)
    if first.status_code == 202:
        tasks.answer_known(first.json()["id"])
        first = client.get(address)
    assert first.status_code == 200, first.content
    return first.json()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_day_is_answered_again_as_on_that_day(owner: User, seed: int) -> None:
    random = Random(seed)
    told: dict[str, dict[str, Any]] = {}
    with time_machine.travel(START, tick=False) as clock:
        next_market_number(cause="ecb_rates")
        make_rate("EUR", "USD", "2024-01-02", "1.25")
        learner = Learner(owner, random)
        done: list[str] = []
        for _ in range(DAYS):
            today = (START + dt.timedelta(days=len(told))).date()
            for _ in range(random.randint(1, 5)):
                clock.shift(dt.timedelta(seconds=1))
                done.append(learner.learn(today))
                reconcile(owner.pk)
            services.refresh(user_id=owner.pk)
            told[f"{today}T19:00:00Z"] = learner.answers()
            clock.move_to(dt.datetime.combine(today + dt.timedelta(days=1), START.time(), dt.UTC))
        for at, answers in told.items():
            for path in ASKED_DAILY if IS_SOAK else (f"{BASE}summary/", *random.sample(ASKED_DAILY[1:], 2)):
                assert known(learner.client, path, at) == answers[path], (at, path)
    assert len({str(answers[f"{BASE}summary/"]["total_value"]) for answers in told.values()}) > DAYS // 3

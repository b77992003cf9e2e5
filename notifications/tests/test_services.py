import datetime as dt
from typing import Any

import pytest
import time_machine

from accounts.models import User
from notifications.models import Notification
from notifications.services import mark_all_read, notify

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner@example.com", "a long enough password")


def test_the_same_news_within_two_minutes_is_one_notification(
    owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    start = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    with time_machine.travel(start, tick=False) as clock, django_capture_on_commit_callbacks() as pushes:
        notify(user_id=owner.pk, kind="import.finished", object_id="run", title="1 row")
        clock.move_to(start + dt.timedelta(seconds=119))
        notify(user_id=owner.pk, kind="import.finished", object_id="run", title="2 rows")
    row = Notification.objects.get()
    assert (row.count, row.title, len(pushes)) == (2, "2 rows", 1)


def test_the_same_news_later_or_of_another_object_is_its_own(owner: User) -> None:
    start = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    with time_machine.travel(start, tick=False) as clock:
        notify(user_id=owner.pk, kind="import.finished", object_id="run", title="one")
        notify(user_id=owner.pk, kind="import.finished", object_id="other", title="other")
        clock.move_to(start + dt.timedelta(seconds=121))
        notify(user_id=owner.pk, kind="import.finished", object_id="run", title="later")
    assert list(Notification.objects.order_by("pk").values_list("title", "count")) == [
        ("one", 1),
        ("other", 1),
        ("later", 1),
    ]


def test_reading_all_leaves_other_people_alone(owner: User) -> None:
    stranger = User.objects.create_user("stranger@example.com", "a long enough password")
    notify(user_id=owner.pk, kind="a", title="mine")
    notify(user_id=stranger.pk, kind="a", title="theirs")
    assert mark_all_read(user_id=owner.pk) == 1
    assert Notification.objects.get(user=stranger).read_at is None

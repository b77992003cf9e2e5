"""The day that figures are of."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from accounts.models import User

_then: ContextVar[dt.datetime | None] = ContextVar("valuation_time", default=None)


def valuation_day(user: User) -> dt.date:
    """`AS_OF` where it is set (the demo), else today where the user lives."""
    fixed: dt.date | None = settings.AS_OF
    return fixed or (_then.get() or timezone.now()).astimezone(ZoneInfo(user.timezone)).date()


def end_of_day(user: User, day: dt.date) -> dt.datetime:
    """The last moment of `day` where the user lives."""
    return dt.datetime.combine(day, dt.time.max, ZoneInfo(user.timezone))


@contextmanager
def valued_at(at: dt.datetime) -> Iterator[None]:
    """Inside, "today" is the day of `at`."""
    token = _then.set(at)
    try:
        yield
    finally:
        _then.reset(token)

"""The day that figures are of."""

import datetime as dt
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from accounts.models import User


def valuation_day(user: User) -> dt.date:
    """`AS_OF` where it is set (the demo), else today where the user lives."""
    fixed: dt.date | None = settings.AS_OF
    return fixed or timezone.now().astimezone(ZoneInfo(user.timezone)).date()

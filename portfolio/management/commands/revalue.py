"""`manage.py revalue`: compute figures again from the ledger, for all users or one."""

import datetime as dt
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from federation.models import LedgerState
from portfolio import services


class Command(BaseCommand):
    help = "Compute figures again from ledger, prices and rates; writes only what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="EMAIL", help="only this user")
        parser.add_argument(
            "--from", dest="since", metavar="DAY", help="only where figures from YYYY-MM-DD on are behind"
        )

    def handle(self, *args: Any, user: str | None = None, since: str | None = None, **options: Any) -> None:
        states = LedgerState.objects.select_related("user").order_by("pk")
        if user:
            states = states.filter(user__email=user.strip().lower())
            if not User.objects.filter(email=user.strip().lower()).exists():
                raise CommandError(f"No user has the e-mail {user}.")
        if since:
            states = states.filter(dirty_from__gte=_day(since))
        count = 0
        for user_id in states.values_list("pk", flat=True):
            services.refresh(user_id=user_id, everything=True)
            count += 1
        self.stdout.write(f"Figures of {count} users are up to date.")


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as exc:
        raise CommandError("--from is a day as YYYY-MM-DD.") from exc

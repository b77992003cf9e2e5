"""Bring ledgers up to date with their facts: `manage.py reconcile [--user EMAIL]`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from federation import selectors, services


class Command(BaseCommand):
    help = "Make the ledger of a user, or of all that are behind, include every fact."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="EMAIL")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"]:
            user = User.objects.filter(email=options["user"].strip().lower()).first()
            if user is None:
                raise CommandError(f"Nobody logs in as {options['user']}.")
            users = [user.pk]
        else:
            users = selectors.users_behind()
        written = sum(services.bring_up_to_date(user_id).written for user_id in users)
        self.stdout.write(f"{len(users)} ledger{'s' if len(users) != 1 else ''} up to date; {written} rows written.")

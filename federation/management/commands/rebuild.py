"""The ledger again from the facts: `manage.py rebuild [--user EMAIL] [--check]`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from federation import services

MOST_NAMED = 20


class Command(BaseCommand):
    help = "Throw truth away and compute it again from the facts; --check only compares, and fails where they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="EMAIL")
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        users = User.objects.order_by("pk")
        if options["user"]:
            users = users.filter(email=options["user"].strip().lower())
            if not users.exists():
                raise CommandError(f"Nobody logs in as {options['user']}.")
        if options["check"]:
            self._check(users)
            return
        for user in users:
            services.rebuild(user.pk)
        self.stdout.write(f"{len(users)} ledger{'s' if len(users) != 1 else ''} rebuilt from the facts.")

    def _check(self, users: Any) -> None:
        found = [f"{user.email}: {line}" for user in users for line in services.differences_from_facts(user.pk)]
        for line in found[:MOST_NAMED]:
            self.stderr.write(line)
        if found:
            raise CommandError(f"{len(found)} rows are not what the facts say.")
        self.stdout.write(f"{len(users)} ledger{'s' if len(users) != 1 else ''} equal to what the facts say.")

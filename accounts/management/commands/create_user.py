"""Make a user: `manage.py create_user EMAIL --password PASSWORD --tier navigator [--staff]`."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Tier
from accounts.services import create_user, tier_named


class Command(BaseCommand):
    help = "Make a user. Without --password it is read from STACKMOTIVE_PASSWORD, else from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--password", default="", help="12 to 256 characters; other users of this machine can see it here"
        )
        parser.add_argument("--tier", default="observer", choices=Tier.labels)
        parser.add_argument("--staff", action="store_true", help="may open the admin")

    def handle(self, *args: Any, **options: Any) -> None:
        password = options["password"] or os.environ.get("STACKMOTIVE_PASSWORD") or sys.stdin.readline().rstrip("\r\n")
        tier = tier_named(options["tier"])
        try:
            user = create_user(email=options["email"], password=password, tier=tier, is_staff=options["staff"])
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc
        self.stdout.write(f"{user.email} can log in as {tier.label}{' and staff' if user.is_staff else ''}.")

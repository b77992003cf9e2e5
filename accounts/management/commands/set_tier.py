"""Set a user's tier and end every higher grant: `manage.py set_tier EMAIL operator`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Tier, User
from accounts.services import normalized_email, set_tier, tier_named


class Command(BaseCommand):
    help = "Set a user's tier and end every higher grant. It counts from the user's next request."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("tier", choices=Tier.labels)

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=normalized_email(options["email"])).first()
        if user is None:
            raise CommandError(f"Nobody logs in as {options['email']}.")
        tier = tier_named(options["tier"])
        ended = set_tier(user=user, tier=tier)
        self.stdout.write(f"{user.email} is {tier.label} now; {ended} higher grant{'s' if ended != 1 else ''} ended.")

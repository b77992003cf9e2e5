"""manage.py replay [--layout LAYOUT] [--user EMAIL]: kept files read again with the adapters of this version."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from ingestion import selectors, services
from ingestion.adapters.detection import ADAPTERS, MAPPED


class Command(BaseCommand):
    help = "Read kept files again where their adapter was mended; what they say now replaces what they said."

    def add_arguments(self, parser: CommandParser) -> None:
        layouts = sorted(adapter.layout for adapter in (*ADAPTERS, MAPPED))
        parser.add_argument("--layout", choices=layouts, help="only files of this layout")
        parser.add_argument("--user", default="", help="e-mail: only this user's files")

    def handle(self, *args: Any, **options: Any) -> None:
        versions = {adapter.layout: adapter.version for adapter in (*ADAPTERS, MAPPED)}
        if options["layout"]:
            versions = {options["layout"]: versions[options["layout"]]}
        user = None
        if options["user"]:
            user = User.objects.filter(email=options["user"].strip().lower()).first()
            if user is None:
                raise CommandError(f"No user has the e-mail {options['user']}.")
        counts: Counter[str] = Counter()
        for content in selectors.contents_to_replay(versions=versions, user_id=user.pk if user else None):
            replay = services.replay_content(content=content)
            if replay is None:
                continue
            counts[replay.outcome] += 1
            if replay.outcome != "same":
                reason = f": {replay.detail}" if replay.detail else ""
                self.stdout.write(f"{replay.run.filename or replay.run.pk} {replay.outcome}{reason}")
        self.stdout.write(f"{counts['replaced']} replaced, {counts['same']} say the same, {counts['kept']} kept.")

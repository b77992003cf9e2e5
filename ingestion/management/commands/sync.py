"""manage.py sync [--user EMAIL] [--source ID] [--due]: the sync's services in this process."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import User
from ingestion import selectors, services
from ingestion.adapters.pulling import PULLERS
from ingestion.models import ImportRun, JobStatus, Source, SourcePull, SyncRun
from stackmotive.common.problems import Problem

Asked = tuple[User, list[Source] | None]  # None = all sources in use


class Command(BaseCommand):
    help = "Fetch sources of one user or of all, read what they sent, then leave the ledger to a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default="", help="e-mail of the owner; without it, everybody's sources")
        parser.add_argument("--source", default="", help="id of one source")
        parser.add_argument("--due", action="store_true", help="only what its schedule says")
        parser.add_argument("--dry-run", action="store_true", help="list what would be fetched")

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options["user"]) if options["user"] else None
        failures = 0
        for owner, sources in self.asked(user, options):
            if options["dry_run"]:
                self.list_sources(owner, sources)
            elif not self.sync(owner, sources, is_due=options["due"]):
                failures += 1
        if failures:
            raise CommandError(f"{failures} syncs could not be started or failed.")

    def user(self, email: str) -> User:
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            raise CommandError(f"No user has the e-mail {email}.")
        return user

    def asked(self, user: User | None, options: dict[str, Any]) -> Iterator[Asked]:
        if options["source"]:
            yield self.source(user, options["source"])
            return
        if options["due"]:
            due = selectors.due_sources(now=timezone.now(), kinds=PULLERS)
            users = [user] if user else User.objects.filter(pk__in=due).order_by("email")
            yield from ((one, due[one.pk]) for one in users if one.pk in due and services.may_sync(one))
            return
        everybody = User.objects.filter(is_active=True, sources__kind__in=PULLERS, sources__retired_at=None)
        for one in [user] if user else everybody.distinct().order_by("email"):
            yield one, None

    def source(self, user: User | None, asked: str) -> Asked:
        try:
            found = Source.objects.filter(pk=asked, retired_at=None).select_related("user").first()
        except ValidationError as exc:
            raise CommandError(f"{asked} is not the id of a source.") from exc
        if found is None or (user is not None and found.user != user):
            raise CommandError(f"There is no source {asked}{f' of {user.email}' if user else ''}.")
        return found.user, [found]

    def list_sources(self, user: User, sources: list[Source] | None) -> None:
        for source in sources if sources is not None else selectors.sources(user_id=user.pk):
            _, reason = services.why_skipped(source)
            self.stdout.write(f"{user.email}: {source.name} ({source.kind}) {reason or 'would be fetched.'}")

    def sync(self, user: User, sources: list[Source] | None, *, is_due: bool) -> bool:
        """False where the sync failed or another one of the user is running."""
        trigger = SyncRun.Trigger.SCHEDULED if is_due else SyncRun.Trigger.MANUAL
        try:
            run = services.open_sync(user=user, sources=sources, trigger=trigger)
        except Problem as exc:
            self.stderr.write(f"{user.email}: {exc.detail}")
            return False
        for pull_id in run.pulls.filter(status=SourcePull.Status.QUEUED).order_by("pk").values_list("pk", flat=True):
            services.pull_source(pull_id=pull_id)
        waiting = ImportRun.objects.filter(sync_run=run, status=JobStatus.QUEUED).order_by("created_at", "id")
        for run_id in waiting.values_list("pk", flat=True):
            services.run_import(run_id=run_id)
        run.refresh_from_db()
        self.report(user, run)
        return run.status != JobStatus.FAILED

    def report(self, user: User, run: SyncRun) -> None:
        parts = [
            f"{pull.source.name} {pull.status}{f' ({pull.detail})' if pull.detail else ''}"
            for pull in run.pulls.select_related("source").order_by("pk")
        ]
        state = "waits for the ledger" if run.status == JobStatus.RUNNING else run.status
        self.stdout.write(f"{user.email}: {state}; {'; '.join(parts) or 'no sources'} (sync {run.pk})")

"""manage.py import_file PATH --user EMAIL: the upload's services in this process."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from ingestion import selectors, services
from ingestion.models import ImportRun, JobStatus, Source
from ingestion.options import ImportOptions
from stackmotive.common.problems import Problem


class Command(BaseCommand):
    help = "Import one file of a user: parse and stage it here, then leave the ledger to a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--user", required=True, help="e-mail of its owner")
        parser.add_argument("--source", default="", help="id of a source; the default one of the layout otherwise")
        parser.add_argument("--account", type=UUID, default=None, help="id of the account for rows that name none")
        parser.add_argument("--on-error", choices=["refuse", "skip"], default="")
        parser.add_argument("--encoding", choices=["utf-8", "cp1252"], default="")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["user"].strip().lower()).first()
        if user is None:
            raise CommandError(f"No user has the e-mail {options['user']}.")
        try:
            content = options["path"].read_bytes()
        except OSError as exc:
            raise CommandError(f"{options['path']} cannot be read: {exc.strerror}.") from exc
        said = ImportOptions(on_error=options["on_error"], encoding=options["encoding"], account=options["account"])
        try:
            run = services.open_import(
                user=user, content=content, filename=options["path"].name, source=self.source(user, options["source"]),
                options=said, trigger=ImportRun.Trigger.COMMAND,
            )  # fmt: skip
        except Problem as exc:
            raise CommandError(exc.detail) from exc
        services.run_import(run_id=run.pk)
        self.report(ImportRun.objects.defer("raw").get(pk=run.pk))

    def source(self, user: User, asked: str) -> Source | None:
        if not asked:
            return None
        try:
            found = selectors.sources(user_id=user.pk).filter(pk=asked).first()
        except ValidationError as exc:
            raise CommandError(f"{asked} is not the id of a source.") from exc
        if found is None:
            raise CommandError(f"{user.email} has no source {asked}.")
        return found

    def report(self, run: ImportRun) -> None:
        named = ("staged", "unchanged", "rejected", "ignored")
        counts = f"{run.rows} rows: " + ", ".join(f"{getattr(run, name)} {name}" for name in named)
        if run.status == JobStatus.FAILED:
            raise CommandError(f"{run.filename} was not imported. {(run.error or {}).get('detail', '')}")
        if run.status == JobStatus.NEEDS_MAPPING:
            raise CommandError(
                f"{run.filename} needs answers: say in the browser how its columns are to be read (import {run.pk})."
            )
        state = "queued: a job of its user is running" if run.status == JobStatus.QUEUED else run.stage or run.status
        self.stdout.write(f"{run.filename} {state}, {counts} ({run.layout}, import {run.pk})")

"""Ledger and figures again from the facts: `manage.py rebuild [--user EMAIL] [--check | --report]`."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from federation import selectors as federation
from federation import services as federation_services
from federation.truth import RULES_VERSION
from portfolio import services
from portfolio.services.changes import moved_by_rules
from stackmotive.common.money import plain

MOST_NAMED = 20


class Command(BaseCommand):
    help = (
        "Throw ledger and figures away and compute them again from the facts. --check only compares the ledger, and "
        "fails where it differs; --report only lists which rows and figures would change, as after a change of rules."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="EMAIL")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--check", action="store_true")
        how.add_argument("--report", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        users = User.objects.order_by("pk")
        if options["user"]:
            users = users.filter(email=options["user"].strip().lower())
            if not users.exists():
                raise CommandError(f"Nobody logs in as {options['user']}.")
        if options["check"]:
            self._check(users)
        elif options["report"]:
            self._report(users)
        else:
            for user in users:
                federation_services.rebuild(user.pk)
                services.refresh(user_id=user.pk, everything=True)
            self.stdout.write(f"{len(users)} ledger{'s' if len(users) != 1 else ''} rebuilt from the facts.")

    def _check(self, users: Any) -> None:
        found = [
            f"{user.email}: {line}" for user in users for line in federation_services.differences_from_facts(user.pk)
        ]
        for line in found[:MOST_NAMED]:
            self.stderr.write(line)
        if found:
            raise CommandError(f"{len(found)} rows are not what the facts say.")
        self.stdout.write(f"{len(users)} ledger{'s' if len(users) != 1 else ''} equal to what the facts say.")

    def _report(self, users: Any) -> None:
        touched = 0
        for user in users:
            lines = list(_lines(user))
            touched += bool(lines)
            for line in lines:
                self.stdout.write(f"{user.email}: {line}")
        self.stdout.write(f"{touched} of {len(users)} users would see a change. Nothing was written.")


def _lines(user: User) -> Iterator[str]:
    """What would change for a user, one line each; nothing where nothing would."""
    found = moved_by_rules(user=user)
    moved = {name: told for name, told in found["figures"].items() if told["before"] != told["after"]}
    if not moved and not any(found["counts"].values()):
        return
    version = federation.versions(user).first()
    yield f"rules {version.rules_version if version else 'none'} -> {RULES_VERSION}, figures of {found['as_of']}"
    counts = found["counts"]
    yield f"{counts['added']} rows added, {counts['removed']} removed, {counts['changed']} changed"
    for sign, rows in (("+", found["added"]), ("-", found["removed"])):
        for row in rows[:MOST_NAMED]:
            yield f"{sign} {_row(row)}"
    for pair in found["changed"][:MOST_NAMED]:
        before, after = pair["before"], pair["after"]
        told = ", ".join(f"{name} {_cell(before[name])} -> {_cell(after[name])}" for name in pair["fields"])
        yield f"~ {_row(before)}: {told}"
    for name, told in moved.items():
        yield f"{name} {_cell(told['before'])} -> {_cell(told['after'])} {found['currency']}"


def _row(row: dict[str, Any]) -> str:
    amount = row["quantity"] if row["quantity"] is not None else row["cash_amount"]
    words = (str(row["trade_date"]), row["kind"], _cell(amount), row["symbol"] or row["currency"], row["account_name"])
    return " ".join(words)


def _cell(value: Any) -> str:
    return "unknown" if value is None else plain(value) if hasattr(value, "quantize") else str(value)

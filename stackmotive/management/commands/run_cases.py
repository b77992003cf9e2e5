"""`manage.py run_cases DIR`: every calculation case of a folder, through import, ledger and figures, against expected results."""

import datetime as dt
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from stackmotive.case_answers import Answer, Ledger, NotAnswered, pure_answer
from stackmotive.case_files import Case, read_cases


class Command(BaseCommand):
    help = "Compare what StackMotive answers with the expected figures of calculation cases (portfolio-case/1)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--only", default="", help="only cases whose id contains this")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        if not folder.is_dir():
            self.stdout.write(f"No cases: {folder} does not exist.")
            return
        verdicts: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        kept = settings.AS_OF
        try:
            for case in read_cases(folder):
                if options["only"] in case.id:
                    wrong = self._judge(case, left_out)
                    verdicts["failed" if wrong else "passed"] += 1
                    self.stdout.write("\n  ".join([f"{'FAIL' if wrong else 'ok  '} {case.id}", *wrong]))
        finally:
            settings.AS_OF = kept
        for reason, count in sorted(left_out.items()):
            self.stdout.write(f"not scored: {count} ({reason})")
        self.stdout.write(f"{verdicts['passed']} passed, {verdicts['failed']} failed")
        if verdicts["failed"]:
            raise CommandError("Some figures are wrong: see above.")

    def _judge(self, case: Case, left_out: Counter[str]) -> list[str]:
        """A sentence for each wrong figure."""
        scored = []
        for wanted in case.body["expected"]:
            if reason := case.not_scored(wanted):
                left_out[reason] += 1
            else:
                scored.append(wanted)
        if case.body["kind"] != "ledger":
            return [wrong for wanted in scored if (wrong := _compare(wanted, pure_answer(case, wanted)))]
        with transaction.atomic():
            try:
                ledger = Ledger(case)
                return [wrong for wanted in scored if (wrong := _ask(ledger, wanted))]
            except NotAnswered as exc:
                return [str(exc)]
            finally:
                transaction.set_rollback(True)


def _ask(ledger: Ledger, wanted: dict[str, Any]) -> str:
    try:
        return _compare(wanted, ledger.answer(wanted))
    except NotAnswered as exc:
        return f"{_name(wanted)}: not answered {exc}".rstrip()


def _compare(wanted: dict[str, Any], got: Answer) -> str:
    expected = wanted["value"]
    if _equal(got, expected, Decimal(wanted.get("tolerance", "0"))):
        return ""
    return f"{_name(wanted)}: got {_shown(got)}, expected {_shown(expected)}"


def _name(wanted: dict[str, Any]) -> str:
    details = [str(wanted[key]) for key in ("symbol", "account", "currency", "method", "as_of") if key in wanted]
    details += [f"{key} {wanted[key]}" for key in ("fees", "taxes") if key in wanted]
    return f"{wanted['figure']} ({', '.join(details)})" if details else str(wanted["figure"])


def _equal(got: Any, expected: Any, tolerance: Decimal) -> bool:
    if got is None or expected is None:
        return got is None and expected is None
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(_equal(one, other, tolerance) for one, other in zip(got, expected, strict=True))
        )
    if isinstance(got, dt.date):
        return got.isoformat() == expected
    try:
        return abs(Decimal(str(got)) - Decimal(expected)) <= tolerance
    except InvalidOperation:
        return str(got) == expected


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)

"""`manage.py run_cases [DIR]`: every case of our own and of a folder, through import, ledger and figures."""

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
from stackmotive.reconcile_case_files import CaseRefused, read_reconcile_case
from stackmotive.reconcile_cases import judge

OWN_CASES = settings.BASE_DIR / "federation" / "tests" / "cases"


class Command(BaseCommand):
    help = "Compare what StackMotive answers with the expected results of cases (portfolio-case/1, reconcile-case/1)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, nargs="?", default=OWN_CASES, help="beside our own cases")
        parser.add_argument("--only", default="", help="only cases whose id contains this")
        parser.add_argument("--awaited", action="store_true", help="say which of the cases that wait would pass by now")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        self.only: str = options["only"]
        self.tries_awaited: bool = options["awaited"]
        self.verdicts: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        if not folder.is_dir():
            self.stdout.write(f"No cases: {folder} does not exist.")
        for one in dict.fromkeys((folder.resolve(), OWN_CASES.resolve())):
            if one.is_dir():
                self._run(one)
        for reason, count in sorted(self.left_out.items()):
            self.stdout.write(f"not scored: {count} ({reason})")
        self.stdout.write(f"{self.verdicts['passed']} passed, {self.verdicts['failed']} failed")
        if self.verdicts["failed"]:
            raise CommandError("Some answers are wrong: see above.")

    def _run(self, folder: Path) -> None:
        kept = settings.AS_OF
        try:
            for case in read_cases(folder):
                if self.only in case.id:
                    self._told(case.id, self._judge(case, self.left_out))
        finally:
            settings.AS_OF = kept
        for path in sorted(folder.glob("*.json")):
            if self.only in path.stem:
                self._run_reconcile_case(path)

    def _run_reconcile_case(self, path: Path) -> None:
        try:
            case = read_reconcile_case(path)
        except CaseRefused as refusal:
            self._told(path.stem, [str(refusal)])
            return
        if case is None:
            return
        if not case.awaits:
            self._told(case.id, judge(case))
            return
        self.left_out[f"awaits {case.awaits}"] += 1
        passes = " (passes: remove the mark)" if self.tries_awaited and not judge(case) else ""
        self.stdout.write(f"wait {case.id}: {case.awaits}{passes}")

    def _told(self, name: str, wrong: list[str]) -> None:
        self.verdicts["failed" if wrong else "passed"] += 1
        self.stdout.write("\n  ".join([f"{'FAIL' if wrong else 'ok  '} {name}", *wrong]))

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
        return bool(got.isoformat() == expected)
    try:
        return abs(Decimal(str(got)) - Decimal(expected)) <= tolerance
    except InvalidOperation:
        return bool(str(got) == expected)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)

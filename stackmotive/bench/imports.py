"""`bench import`: a file of many rows from bytes to committed facts, beside the same rows by bare COPY."""

import statistics
from collections.abc import Iterator
from uuid import UUID

from django.conf import settings
from django.db.models import Sum

from accounts.models import Tier, User
from federation.models import Transaction
from federation.services import reconcile
from ingestion.models import ImportRun, JobStatus
from ingestion.services import open_import, run_import
from portfolio.services import refresh
from stackmotive.bench import raw_import
from stackmotive.bench.formats import flex_xml, transactions_csv
from stackmotive.bench.generator import Answers, Ledger, generate
from stackmotive.bench.measuring import Result, WrongAnswer, once
from stackmotive.common.ids import uuid7

ROUNDS = 3
ONE_BY_ONE = 500  # rows for which the slowest way is timed; the rest is reckoned
GOAL_CSV, GOAL_FLEX, GOAL_AGAIN, GOAL_BULK, GOAL_SINGLE = 2.5, 1.8, 0.6, 2.0, 35.0
"""W1: times the limit (CSV, Flex), of the first pass (again), faster than bulk_create and get_or_create."""


def measure(size: str) -> Iterator[Result]:
    """small, medium: the generic CSV; large: Flex XML, since CSV files end at 10,000 rows unless set otherwise."""
    ledger, answers = generate(size)
    settings.CSV_MAX_ROWS = 1_000_000  # the generator adds its deposits to a round number of trades
    is_flex = size == "large"
    content = flex_xml(ledger) if is_flex else transactions_csv(ledger)
    total = len(ledger.trades) + len(ledger.moves)
    warm = opened(new_user(), content)
    run_import(run_id=warm)
    check(warm, ledger, answers)
    limits, firsts, agains, bulks, singles = [], [], [], [], []
    with raw_import.bench_table() as owner:
        for _ in range(ROUNDS):  # a round measures each way, so that a busy moment strikes all alike
            raw_import.empty(owner)
            limits.append(once(lambda: (raw_import.flex if is_flex else raw_import.csv_file)(owner, content)))
            raw_import.count(owner, expected=total)
            user = new_user()
            firsts.append(once_imported(user, content, JobStatus.RUNNING))
            agains.append(once_imported(user, content, JobStatus.UNCHANGED))
            if is_flex:
                continue
            raw_import.empty(owner)
            bulks.append(once(lambda: raw_import.bulk_create(content)))
            raw_import.count(owner, expected=total)
        if not is_flex:
            lines = content.splitlines(keepends=True)[: ONE_BY_ONE + 1]
            raw_import.empty(owner)
            singles.append(once(lambda: raw_import.get_or_create(b"".join(lines))) * total / (len(lines) - 1))
    limit, first = statistics.median(limits), statistics.median(firsts)
    has_goals = size != "small"  # which are of 10,000 rows and more
    way = "expat and Decimal, COPY, one statement" if is_flex else "COPY, one statement with checks and casts"
    yield Result(f"limit: {way}", limit, note=f"{total} rows, {len(content) / 1e6:.1f} MB")
    yield Result(
        "StackMotive: bytes to committed facts",
        first,
        limit,
        (GOAL_FLEX if is_flex else GOAL_CSV) if has_goals else None,
    )
    yield Result(
        "StackMotive: the same file again",
        statistics.median(agains),
        first,
        GOAL_AGAIN if has_goals else None,
        "times the first",
    )
    if not is_flex:
        yield Result(
            "faster than Django bulk_create, ignore_conflicts", first, statistics.median(bulks), GOAL_BULK, "", True
        )
        note = f"reckoned from {ONE_BY_ONE} rows" if total > ONE_BY_ONE else ""
        yield Result(
            "faster than get_or_create a row",
            first,
            singles[0],
            GOAL_SINGLE if has_goals else None,
            note,
            is_floor=True,
        )
    user_id = ImportRun.objects.values_list("user", flat=True).get(pk=warm)
    yield Result("facts to ledger (no goal)", once(lambda: reconcile(user_id)))
    check_ledger(user_id, ledger, answers)
    yield Result("ledger to figures, without prices (no goal)", once(lambda: refresh(user_id=user_id)))


def new_user() -> User:
    return User.objects.create(email=f"{uuid7()}@bench.invalid", tier=Tier.SOVEREIGN)


def opened(user: User, content: bytes) -> UUID:
    return open_import(user=user, content=content, filename="bench", trigger=ImportRun.Trigger.COMMAND).pk


def once_imported(user: User, content: bytes, expected: JobStatus) -> float:
    """Seconds of one job, the upload before it left out. Raises WrongAnswer."""
    run_id = opened(user, content)
    seconds = once(lambda: run_import(run_id=run_id))
    status = ImportRun.objects.values_list("status", flat=True).get(pk=run_id)
    if status != expected:
        raise WrongAnswer(f"The import is {status} and should be {expected}.")
    return seconds


def check(run_id: UUID, ledger: Ledger, answers: Answers) -> None:
    """Every row staged, and the cash of each currency to the cent. Raises WrongAnswer."""
    run = ImportRun.objects.defer("raw").get(pk=run_id)
    total = len(ledger.trades) + len(ledger.moves)
    if (run.staged, run.rejected) != (total, 0) or run.content is None:
        raise WrongAnswer(f"{run.staged} of {total} rows staged, {run.rejected} rejected: {run.error}")
    sums = run.content.transactions.values("cash_currency").annotate(total=Sum("cash_amount"))
    _same_cash({row["cash_currency"]: row["total"] for row in sums}, answers)


def check_ledger(user_id: UUID, ledger: Ledger, answers: Answers) -> None:
    rows = Transaction.objects.filter(user=user_id)
    if rows.count() != len(ledger.trades) + len(ledger.moves):
        raise WrongAnswer(f"The ledger holds {rows.count()} rows.")
    sums = rows.values("cash_currency").annotate(total=Sum("cash_amount"))
    _same_cash({row["cash_currency"]: row["total"] for row in sums}, answers)


def _same_cash(found: dict[str, object], answers: Answers) -> None:
    for currency, cents in answers.cash.items():
        if found.get(currency, 0) * 100 != cents:  # type: ignore[operator]  # a Decimal
            raise WrongAnswer(f"{found.get(currency)} {currency} and should be {cents / 100}.")

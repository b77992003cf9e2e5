"""`bench reconciliation`: several sources of one account brought into one ledger, beside one statement over the same
rows that only chooses winners.
"""

import datetime as dt
import statistics
from collections.abc import Callable, Iterator
from decimal import Decimal

from django.db import connection, transaction

from accounts.models import User
from federation.models import BrokerAccount, Conflict, ReportedBalance, Transaction
from federation.services import Reconciled, bring_up_to_date
from ingestion import identity, staging
from ingestion.adapters.base import CoverageRow, InstrumentRef, PositionRow, Statement, TransactionRow
from ingestion.models import DEFAULT_PRIORITIES, Source, SourceKind
from ingestion.services import stage_manual_transaction, withdraw_manual
from stackmotive.bench.imports import new_user
from stackmotive.bench.measuring import Result, WrongAnswer, once

ROUNDS = 5
SIZES = {"small": (1_500, 100), "medium": (30_000, 2_000), "large": (100_000, 10_000)}  # transactions, holdings
KINDS = (SourceKind.IBKR_FLEX, SourceKind.CSV, SourceKind.CSV, SourceKind.CSV, SourceKind.CSV)
ROW_SOURCES = 3
HOLDINGS_A_SOURCE = (9_198, 10_000, 9_198, 9_198, 9_198)  # of 10,000: 46,792 rows of five sources
FIRST, LAST = dt.date(2015, 1, 1), dt.date(2024, 12, 31)
GOAL_FULL, GOAL_ROW, GOAL_FIRST, GOAL_AGAIN = 10.0, 0.150, 0.5, 0.4
WINNERS = """
INSERT INTO bench_winners (name, source, value, candidates, spread)
SELECT DISTINCT ON (name) name, source_id, value, COUNT(*) OVER same, MAX(value) OVER same - MIN(value) OVER same
FROM (
  SELECT {name} AS name, c.source_id, s.priority, {value} AS value
  FROM {table} r JOIN ingestion_content c ON c.id = r.content_id JOIN ingestion_source s ON s.id = c.source_id
  WHERE s.user_id = %(user)s
) stated
WINDOW same AS (PARTITION BY name) ORDER BY name, priority, source_id
ON CONFLICT (name) DO UPDATE SET source = EXCLUDED.source, value = EXCLUDED.value
WHERE (bench_winners.source, bench_winners.value) IS DISTINCT FROM (EXCLUDED.source, EXCLUDED.value)
"""
OF_ROWS = {
    "table": "ingestion_stagedtransaction",
    "name": "concat_ws('/', r.instrument_key, r.kind, r.trade_date, r.quantity, r.line)",
    "value": "r.price",
}
OF_POSITIONS = {"table": "ingestion_stagedposition", "name": "r.instrument_key", "value": "r.quantity"}


def measure(size: str) -> Iterator[Result]:
    rows, holdings = SIZES[size]
    has_goals = size == "large"
    yield from _rows(rows, has_goals=has_goals)
    yield from _holdings(holdings, has_goals=has_goals)


def _rows(count: int, *, has_goals: bool) -> Iterator[Result]:
    """Transactions that three sources state alike, each with prices of its own: every third is a ledger row."""
    user, account = _with_rows(count // ROW_SOURCES)
    limit = _limit(user, OF_ROWS)
    note = f"{count // ROW_SOURCES * ROW_SOURCES} transactions of {ROW_SOURCES} sources"
    yield Result("limit: one statement, winners only", limit, note=note)
    first = once(lambda: bring_up_to_date(user.pk))
    if Transaction.objects.filter(user=user).count() != count // ROW_SOURCES:
        raise WrongAnswer("The sources' rows were not found to be the same.")
    yield Result("transactions: first run", first, goal=GOAL_FULL if has_goals else None)
    yield Result("transactions: everything again, nothing differs", _again(user), goal=GOAL_FULL if has_goals else None)
    added, taken = _one_row(user, account)
    yield Result("one row typed by hand", added, goal=GOAL_ROW if has_goals else None)
    yield Result("that row taken back", taken, goal=GOAL_ROW if has_goals else None)


def _holdings(count: int, *, has_goals: bool) -> Iterator[Result]:
    """Positions that five sources report of one day; every other holding is told otherwise by one of them."""
    user = _with_holdings(count)
    stated = sum(count * part // 10_000 for part in HOLDINGS_A_SOURCE)
    yield Result(
        "limit: one statement, winners only", _limit(user, OF_POSITIONS), note=f"{stated} positions of 5 sources"
    )
    first = once(lambda: bring_up_to_date(user.pk))
    if ReportedBalance.objects.filter(user=user).count() != count:
        raise WrongAnswer("The sources' holdings were not found to be the same.")
    if Conflict.objects.filter(user=user, kind="quantity").count() != count // 2:
        raise WrongAnswer("Not every other holding is in conflict.")
    yield Result("positions: first run", first, goal=GOAL_FIRST if has_goals else None)
    yield Result("positions: everything again, nothing differs", _again(user), goal=GOAL_AGAIN if has_goals else None)


def _again(user: User) -> float:
    def again() -> None:
        _expect(bring_up_to_date(user.pk, is_full=True), lambda done: done.written == 0, "An unchanged run wrote rows.")

    return statistics.median(once(again) for _ in range(3))


def _one_row(user: User, account: BrokerAccount) -> tuple[float, float]:
    """Seconds of including a row typed by hand, and of its deletion."""
    added, taken = [], []
    for number in range(ROUNDS + 1):
        row = _trade(number, 3, line=1, price=Decimal(10), units=Decimal(900 + number))
        typed = stage_manual_transaction(user=user, row=row, account_id=account.pk)
        added.append(once(lambda: bring_up_to_date(user.pk)))
        withdraw_manual(user=user, uid=typed.uid)
        taken.append(once(lambda: _expect(bring_up_to_date(user.pk), _is_part, "The account was computed whole.")))
    return statistics.median(added[1:]), statistics.median(taken[1:])  # the first row makes its source


def _is_part(done: Reconciled) -> bool:
    return done.wholes == 0


def _expect(done: Reconciled, good: Callable[[Reconciled], bool], otherwise: str) -> None:
    if not good(done):
        raise WrongAnswer(otherwise)


def _limit(user: User, shape: dict[str, str]) -> float:
    seconds = []
    with connection.cursor() as cursor:
        for _ in range(ROUNDS):
            cursor.execute("DROP TABLE IF EXISTS bench_winners")
            cursor.execute(
                "CREATE TEMP TABLE bench_winners"
                " (name text PRIMARY KEY, source uuid, value numeric, candidates bigint, spread numeric)"
            )
            seconds.append(once(lambda: cursor.execute(WINNERS.format(**shape), {"user": user.pk})))
        cursor.execute("DROP TABLE bench_winners")
    return statistics.median(seconds)


# --- what is stated ----


def _with_rows(count: int) -> tuple[User, BrokerAccount]:
    user, account = _new_account("transactions")
    days = (LAST - FIRST).days
    for number, source in enumerate(_sources(user, ROW_SOURCES)):
        statement = Statement(layout=f"bench-{number}")
        statement.transactions = [
            _trade(line * days // count, line % 100, line=line, price=Decimal(100 + line % 50) + Decimal(number) / 100,
                   units=Decimal(1 + line % 7))
            for line in range(1, count + 1)
        ]  # fmt: skip
        statement.coverage.append(CoverageRow("", "transactions", FIRST, LAST, "inferred"))
        _stage(source, statement, account)
    return user, account


def _with_holdings(count: int) -> User:
    user, account = _new_account("positions")
    for number, source in enumerate(_sources(user, len(KINDS))):
        statement = Statement(layout=f"bench-{number}")
        stated = count * HOLDINGS_A_SOURCE[number] // 10_000
        statement.positions = [
            PositionRow(line, "", _thing(line), Decimal(10 + (number == 1 and line % 2)), LAST, "USD")
            for line in (range(stated) if number == 2 else range(count - stated, count))
        ]
        statement.coverage.append(CoverageRow("", "positions", LAST, LAST, "inferred"))
        _stage(source, statement, account)
    return user


def _new_account(tracking: str) -> tuple[User, BrokerAccount]:
    user = new_user()
    return user, BrokerAccount.objects.create(user=user, name="bench", currency="USD", tracking=tracking)


def _sources(user: User, count: int) -> Iterator[Source]:
    for number, kind in enumerate(KINDS[:count]):
        yield Source.objects.create(user=user, kind=kind, name=f"bench {number}", priority=DEFAULT_PRIORITIES[kind])


def _stage(source: Source, statement: Statement, account: BrokerAccount) -> None:
    batch = identity.prepare(statement, default_account=account.pk)
    with transaction.atomic():
        staging.stage(source=source, statement=statement, batch=batch, default_account=account.pk)


def _trade(offset: int, asset: int, *, line: int, price: Decimal, units: Decimal) -> TransactionRow:
    on = FIRST + dt.timedelta(days=offset)
    return TransactionRow(
        line, "", "buy", on, "USD", _thing(asset), quantity=units, price=price, cash_amount=-units * price
    )  # fmt: skip


def _thing(number: int) -> InstrumentRef:
    return InstrumentRef(symbol=f"B{number}", kind="equity", isin=f"US{number:010d}", currency="USD")

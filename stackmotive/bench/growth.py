"""`bench growth`: what a user's year of daily statements takes on disk, table by table."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from django.apps import apps
from django.db import connection
from psycopg import sql

from accounts.models import User
from federation.services import reconcile
from ingestion.models import JobStatus
from ingestion.services import open_import, run_import
from portfolio.services import refresh
from stackmotive.bench.generator import LAST_DAY
from stackmotive.bench.imports import new_user
from stackmotive.bench.measuring import WrongAnswer
from stackmotive.common.money import plain

HOLDINGS = {"small": 10, "medium": 30, "large": 100}
ACCOUNT = "U5550001"
FIRST_DAY = LAST_DAY - dt.timedelta(days=364)
SMALLEST = 4096  # bytes that are worth a line


@dataclass(frozen=True, slots=True)
class Grown:
    """What a year added to a table, its indexes and long values with it."""

    name: str
    rows: int
    size: int

    def line(self) -> str:
        return f"{self.name:<36} {self.rows:>9,} rows {self.size:>13,} bytes"


def measure(size: str) -> Iterator[Grown]:
    """A statement on each weekday with one trade, all positions with their marks, and cash; and each pulled once more."""
    before = _sizes()
    user, days = new_user(), [FIRST_DAY + dt.timedelta(days=number) for number in range(365)]
    weekdays = [day for day in days if day.weekday() < 5]
    for number, day in enumerate(weekdays):
        content = statement(number, day, HOLDINGS[size])
        _bring_in(user, content, JobStatus.RUNNING)
        _follow(user)
        _bring_in(user, content, JobStatus.UNCHANGED)
        _follow(user)
    after = _sizes()
    grown = [Grown(name, rows - before[name][0], size - before[name][1]) for name, (rows, size) in after.items()]
    yield Grown(
        f"all, {len(weekdays)} statements twice", sum(one.rows for one in grown), sum(one.size for one in grown)
    )
    yield from (one for one in sorted(grown, key=lambda one: -one.size) if one.size >= SMALLEST or one.rows)


def _follow(user: User) -> None:
    reconcile(user.pk)
    refresh(user_id=user.pk)


def _bring_in(user: User, content: bytes, status: str) -> None:
    run = open_import(user=user, content=content, filename="daily.xml")
    run_import(run_id=run.pk)
    run.refresh_from_db(fields=["status", "error"])
    if run.status != status:
        raise WrongAnswer(f"a daily statement is {run.status} and not {status}: {run.error}")


def statement(number: int, day: dt.date, holdings: int) -> bytes:
    """Day `number`: one more share of one of the holdings, in turn."""
    bought = number % holdings
    units = [10 + number // holdings + (which <= bought) for which in range(holdings)]
    marks = [Decimal(100 + which) + Decimal((number * 37 + which * 11) % 500) / 100 for which in range(holdings)]
    trade = _element(
        "Trade", **_named(bought), transactionID=str(10_000 + number), tradeDate=_day(day), quantity="1", buySell="BUY",
        transactionType="ExchTrade", dateTime=f"{_day(day)};153000", tradePrice=plain(marks[bought]), ibCommission="-1",
        ibCommissionCurrency="USD", netCash=plain(-marks[bought] - 1), levelOfDetail="EXECUTION",
    )  # fmt: skip
    positions = [
        _element(
            "OpenPosition", **_named(which), reportDate=_day(day), position=str(units[which]), side="Long",
            markPrice=plain(marks[which]), costBasisMoney=str(100 * units[which]), levelOfDetail="SUMMARY",
        )
        for which in range(holdings)
    ]  # fmt: skip
    cash = _element(
        "CashReportCurrency", accountId=ACCOUNT, currency="USD", fromDate=_day(day), toDate=_day(day),
        startingCash=str(100_000 - 150 * number), endingCash=str(100_000 - 150 * (number + 1)), levelOfDetail="Currency",
    )  # fmt: skip
    made = f"{_day(day + dt.timedelta(days=1))};060000"
    head = f'accountId="{ACCOUNT}" fromDate="{_day(day)}" toDate="{_day(day)}" period="" whenGenerated="{made}"'
    lines = [
        '<FlexQueryResponse queryName="Daily" type="AF"><FlexStatements count="1">', f"<FlexStatement {head}>",
        _element("AccountInformation", accountId=ACCOUNT, currency="USD"), "<Trades>", trade, "</Trades>",
        "<OpenPositions>", *positions, "</OpenPositions>", "<CashReport>", cash, "</CashReport>",
        "</FlexStatement></FlexStatements></FlexQueryResponse>",
    ]  # fmt: skip
    return "\n".join(lines).encode()


def _named(which: int) -> dict[str, str]:
    return {
        "accountId": ACCOUNT, "currency": "USD", "assetCategory": "STK", "symbol": f"SH{which}", "conid": str(7_000 + which),
        "description": f"Share {which}", "listingExchange": "NYSE", "multiplier": "1",
    }  # fmt: skip


def _element(tag: str, **attributes: str) -> str:
    return f"<{tag} {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())} />"


def _day(day: dt.date) -> str:
    return day.strftime("%Y%m%d")


def _sizes() -> dict[str, tuple[int, int]]:
    """Table -> (rows, bytes on disk with indexes and long values)."""
    found: dict[str, tuple[int, int]] = {}
    with connection.cursor() as cursor:
        for model in filter(lambda one: one._meta.managed, apps.get_models(include_auto_created=True)):
            table = sql.Identifier(model._meta.db_table)
            name = sql.Literal(model._meta.db_table)
            cursor.execute(sql.SQL("SELECT count(*), pg_total_relation_size({}) FROM {}").format(name, table))
            row = cursor.fetchone()
            assert row is not None  # noqa: S101  # an aggregate always answers one row
            found[model._meta.db_table] = (row[0], row[1])
    return found

"""A user's life with several sources, step by step: what arrives, is typed, undone and decided, chosen by a seed.

A dense world, so that rows meet in every way that matching knows: twins, near prices, other days, bundles, splits,
groups, corrections under one own id, and editions that own days.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from accounts.facts import next_fact_number
from accounts.models import User
from federation.models import BrokerAccount, Decision, DecisionRevocation
from federation.tests.factories import ACME, BITCOIN, GLOBEX, make_source, make_user, withdraw
from ingestion import identity, staging
from ingestion.adapters.base import CashRow, CoverageRow, PositionRow, Statement, TransactionRow
from ingestion.models import Content, Source, StagedTransaction
from ingestion.services import stage_manual_position, stage_manual_transaction, withdraw_manual

FIRST = date(2024, 1, 1)
THINGS = (ACME, GLOBEX, BITCOIN)
Step = Callable[[], None]


class Life:
    """days: how long it is. declares, reports: how often a file is whole for its days, or tells what is held."""

    def __init__(self, seed: int, *, days: int = 40, declares: float = 0, reports: float = 0) -> None:
        self.chance = random.Random(seed)
        self.days, self.declares, self.reports = days, declares, reports
        self.user: User = make_user()
        self.accounts = [
            BrokerAccount.objects.create(
                user=self.user, name=name, currency="USD", cash_mode=self.chance.choice(["tracked", "external"])
            )
            for name in ("one", "two")
        ]
        self.sources = [make_source(self.user, "ibkr_flex"), make_source(self.user), make_source(self.user)]
        self.contents: list[tuple[Content, Source, Statement, UUID]] = []
        self.typed: list[tuple[UUID, UUID]] = []
        self.decided: list[Decision] = []

    def steps(self, count: int) -> Iterator[str]:
        """Take `count` steps, telling each by name after it was taken."""
        ways: list[tuple[int, Step]] = [
            (5, self.import_file),
            (5, self.type_row),
            (2, self.edit_row),
            (2, self.delete_row),
            (2, self.undo),
            (1, self.arrive_again),
            (4, self.decide),
            (2, self.revoke),
        ]
        for _ in range(count):
            (way,) = self.chance.choices([way for _, way in ways], [weight for weight, _ in ways])
            way()
            yield way.__name__

    # --- what is said ----

    def day(self, start: int = 0, end: int | None = None) -> date:
        return FIRST + timedelta(days=self.chance.randint(start, self.days - 1 if end is None else end))

    def rows(self, first: int, last: int, count: int) -> list[TransactionRow]:
        rows: list[TransactionRow] = []
        for number in range(count):
            rows += self.event(self.day(first, last), number)
        listed: dict[str, TransactionRow] = {}
        rows = [
            row for row in rows if not row.external_id or row.group or listed.setdefault(row.external_id, row) == row
        ]
        return [replace(row, line=line) for line, row in enumerate(rows, start=1)]

    def event(self, on: date, number: int) -> list[TransactionRow]:
        pick = self.chance.choice
        of = pick(THINGS)
        common = {
            "settled_on": pick([None, None, on + timedelta(days=pick([1, 2, 4]))]),
            "external_id": pick(["", "", f"t{self.chance.randint(1, 12)}"]),
            "reported_on": pick([None, None, None, on + timedelta(days=1)]),
            "traded_at": pick([None, None, datetime(on.year, on.month, on.day, pick([9, 15]), tzinfo=UTC)]),
        }
        match pick(["trade"] * 6 + ["split", "income", "cash", "cash", "exchange", "fills"]):
            case "trade":
                units = Decimal(pick(["-6", "-4", "1", "4", "6", "10"]))
                price = Decimal(pick(["5", "5.01", "99.8", "100", "100.2"]))
                kind = "buy" if units > 0 else "sell"
                cash = pick([None, -units * price, -units * price - 1])
                row = TransactionRow(
                    0, "", kind, on, "USD", of, quantity=units, price=price, cash_amount=cash, **common
                )  # fmt: skip
                return [row] * pick([1, 1, 2])
            case "fills":
                return [
                    TransactionRow(0, "", "buy", on, "USD", of, quantity=Decimal(part), price=Decimal("100"))
                    for part in pick([["4", "6"], ["4", "2"], ["10"]])
                ]
            case "split":
                return [TransactionRow(0, "", "split", on, "USD", of, ratio=Decimal(pick(["2", "0.5"])))]
            case "income":
                tax = pick([None, Decimal(15)])
                amount = Decimal(pick(["85", "100"]))
                return [TransactionRow(0, "", "dividend", on, "USD", of, cash_amount=amount, tax=tax, **common)]
            case "cash":
                amount = Decimal(pick(["-50", "100", "85"]))
                kind = "deposit" if amount > 0 else "withdrawal"
                return [TransactionRow(0, "", kind, on, "USD", cash_amount=amount, **common)]
        name, dollars = pick(["f1", "f2", "f3"]), pick(["-100", "-50"])
        legs = [
            ("fx", "USD", dollars, on),
            ("fx", "EUR", "90", on),
            ("fee", "USD", "-2", on + timedelta(pick([0, 0, 9]))),
        ]
        return [
            TransactionRow(0, "", kind, when, currency, cash_amount=Decimal(amount), group=name, leg=leg)
            for leg, (kind, currency, amount, when) in enumerate(legs[: pick([1, 2, 3, 3])])
        ]

    def import_file(self) -> None:
        first = self.chance.randint(0, self.days - 1)
        last = min(self.days - 1, first + self.chance.choice([0, 3, 10]))
        statement = Statement(layout="test", time_order=self.chance.choice(["ascending", "descending"]))
        statement.transactions = self.rows(first, last, self.chance.randint(1, 6))
        if self.contents and self.chance.random() < 0.4:  # the same once more, with little else
            _, source, known, account = self.chance.choice(self.contents)
            statement.transactions = [*known.transactions, *statement.transactions][self.chance.randint(0, 1) :]
            statement.transactions = [replace(row, line=line) for line, row in enumerate(statement.transactions, 1)]
        else:
            source, account = self.chance.choice(self.sources), self.account()
        days = [row.trade_date for row in statement.transactions] or [FIRST]
        if self.chance.random() < self.declares:
            statement.generated_at = datetime(2024, 6, self.chance.randint(1, 20), tzinfo=UTC)
            statement.coverage.append(CoverageRow("", "transactions", min(days), max(days), "declared"))
        else:
            how = self.chance.choice(["inferred", "inferred", "broken"])
            statement.coverage.append(CoverageRow("", "transactions", min(days), max(days), how))  # type: ignore[arg-type]
        if self.chance.random() < self.reports:
            self.add_reports(statement, max(days))
        self.stage(source, statement, account)

    def add_reports(self, statement: Statement, on: date) -> None:
        pick = self.chance.choice
        held = self.chance.sample(THINGS, self.chance.randint(0, 3))
        statement.positions = [
            PositionRow(line, "", of, Decimal(pick(["0", "6", "10", "20"])), on, "USD", pick([None, Decimal(100)]))
            for line, of in enumerate(held, start=500)
        ]
        statement.coverage.append(CoverageRow("", "positions", on, on, pick(["declared", "inferred"])))
        if pick([True, False]):
            statement.cash = [CashRow(600, "", "USD", Decimal(pick(["0", "100", "250.5"])), on)]
            statement.coverage.append(CoverageRow("", "cash", on, on, "declared"))

    def stage(self, source: Source, statement: Statement, account: UUID) -> None:
        batch = identity.prepare(statement, default_account=account)
        staged = staging.stage(source=source, statement=statement, batch=batch, default_account=account)
        self.contents.append((staged.content, source, statement, account))

    def account(self) -> UUID:
        return self.chance.choice([self.accounts[0], self.accounts[0], self.accounts[1]]).pk

    # --- what is done ----

    def type_row(self) -> None:
        if self.chance.random() < self.reports / 2:
            of, on = self.chance.choice(THINGS), self.day()
            held = PositionRow(1, "", of, Decimal(self.chance.choice(["0", "5", "10"])), on, "USD")
            stage_manual_position(user=self.user, row=held, account_id=self.account())
            return
        account = self.account()
        row = replace(self.event(self.day(), 0)[0], group="", leg=0, external_id="")
        self.typed.append((stage_manual_transaction(user=self.user, row=row, account_id=account).uid, account))

    def edit_row(self) -> None:
        if not self.typed:
            return self.type_row()
        uid, _ = self.chance.choice(self.typed)
        row = replace(self.event(self.day(), 0)[0], group="", leg=0, external_id="")
        stage_manual_transaction(user=self.user, row=row, account_id=self.account(), uid=uid)
        return None

    def delete_row(self) -> None:
        if self.typed:
            uid, _ = self.typed.pop(self.chance.randrange(len(self.typed)))
            withdraw_manual(user=self.user, uid=uid)

    def undo(self) -> None:
        if self.contents:
            withdraw(self.chance.choice(self.contents)[0])

    def arrive_again(self) -> None:
        if self.contents:
            _, source, statement, account = self.chance.choice(self.contents)
            self.stage(source, statement, account)

    def decide(self) -> None:
        staged = list(StagedTransaction.objects.filter(content__source__user=self.user).order_by("pk"))
        if not staged:
            return
        kind = self.chance.choice(["ignore", "book", "same", "same", "different", "choose", "set_value"])
        chosen = self.chance.sample(staged, min(len(staged), 2 if kind in ("same", "different", "choose") else 1))
        keys = {"rows": sorted({(str(row.content.source_id), row.identity) for row in chosen})}
        value = {}
        if kind == "choose":
            value = {"source": str(self.chance.choice(self.sources).pk)}
        if kind == "set_value":
            value = {"field": "note", "value": self.chance.choice(["a", "b"])}
        number = next_fact_number(user_id=self.user.pk, cause="decision")
        self.decided.append(Decision.objects.create(user=self.user, kind=kind, keys=keys, value=value, number=number))

    def revoke(self) -> None:
        if self.decided:
            decision = self.decided.pop(self.chance.randrange(len(self.decided)))
            number = next_fact_number(user_id=self.user.pk, cause="decision")
            DecisionRevocation.objects.create(decision=decision, number=number)

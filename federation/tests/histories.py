"""Generated histories for property tests: what sources say, in a small world where much coincides.

Few days, quantities and prices, so that twins, near matches, corrections and gaps are common. A `Book` keeps the
facts in memory as ingestion keeps them in tables, for the pure engine; `federation.truth` is what is under test.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from hypothesis import strategies as st

from federation.coverage import window
from federation.rows import AccountInfo, ContentInfo, Report, SourceInfo, StagedRow, Stated, Window
from federation.truth import AccountFacts, Facts, Rulings, Truth, compute
from ingestion import identity
from ingestion.adapters.base import (
    CashRow,
    CoverageRow,
    InstrumentRef,
    PositionRow,
    Section,
    Statement,
    TransactionRow,
)

WORLD = UUID("8d1f1d3e-6c1c-4a55-9a11-3f0d5a1c7e21")
FIRST = date(2024, 1, 1)
DAYS = 12
NOTED = datetime(2024, 6, 1, tzinfo=UTC)
THINGS = (
    InstrumentRef(symbol="ACME", kind="equity", isin="US0000000010", currency="USD"),
    InstrumentRef(symbol="GLBX", kind="equity", isin="US0000000028", currency="USD"),
)
COVERAGE = ("declared", "declared", "inferred", "inferred", "broken")


class Said(NamedTuple):
    """One file or reply of the source at place `source`."""

    source: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class History:
    kinds: tuple[str, ...]  # of the sources, in the order they were made
    said: tuple[Said, ...]
    cash_mode: str
    tracking: str


# --- what may be said ----

_day = st.integers(0, DAYS - 1).map(lambda offset: FIRST + timedelta(days=offset))
_thing = st.sampled_from(THINGS)
_units = st.sampled_from(["-10", "-4", "1", "4", "6", "10"]).map(Decimal)
_price = st.sampled_from(["5", "5.01", "5.02", "99.8", "100", "100.2"]).map(Decimal)


@st.composite
def _trade(draw: st.DrawFn) -> list[TransactionRow]:
    units, price, on = draw(_units), draw(_price), draw(_day)
    fee = draw(st.sampled_from([None, None, Decimal(1)]))
    row = TransactionRow(
        line=0,
        account="",
        kind="buy" if units > 0 else "sell",
        trade_date=on,
        currency="USD",
        instrument=draw(_thing),
        quantity=units,
        price=price,
        fee=fee,
        cash_amount=draw(st.sampled_from([None, -units * price - (fee or 0)])),
        traded_at=draw(st.sampled_from([None, None, datetime(on.year, on.month, on.day, 15, tzinfo=UTC)])),
        external_id=draw(st.sampled_from(["", "", "", "t1", "t2"])),
    )
    return [row] * draw(st.sampled_from([1, 1, 1, 2]))  # twins


@st.composite
def _split(draw: st.DrawFn) -> list[TransactionRow]:
    ratio = draw(st.sampled_from([Decimal(2), Decimal("0.5")]))
    return [TransactionRow(0, "", "split", draw(_day), "USD", draw(_thing), ratio=ratio)]


@st.composite
def _income(draw: st.DrawFn) -> list[TransactionRow]:
    on, of, amount = draw(_day), draw(_thing), Decimal(draw(st.sampled_from(["85", "100"])))
    tax = draw(st.sampled_from([None, Decimal(15)]))
    return [TransactionRow(0, "", "dividend", on, "USD", of, cash_amount=amount, tax=tax)]


@st.composite
def _cash(draw: st.DrawFn) -> list[TransactionRow]:
    amount = Decimal(draw(st.sampled_from(["-50", "100", "100.01"])))
    return [TransactionRow(0, "", "deposit" if amount > 0 else "withdrawal", draw(_day), "USD", cash_amount=amount)]


@st.composite
def _exchange(draw: st.DrawFn) -> list[TransactionRow]:
    on, name = draw(_day), draw(st.sampled_from(["f1", "f2"]))
    amounts = (("fx", "USD", "-100"), ("fx", "EUR", "90"), ("fee", "USD", "-2"))
    return [
        TransactionRow(0, "", kind, on, currency, cash_amount=Decimal(amount), group=name, leg=leg)
        for leg, (kind, currency, amount) in enumerate(amounts)
    ]


_events = st.lists(st.one_of(_trade(), _trade(), _trade(), _split(), _income(), _cash(), _exchange()), max_size=6)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """A file or reply: rows of a window, perhaps with a report of positions and cash, whole or in part."""
    start = draw(st.integers(0, DAYS - 1))
    end = draw(st.integers(start, DAYS - 1))
    first, last = FIRST + timedelta(days=start), FIRST + timedelta(days=end)
    generated = draw(st.sampled_from([None, 1, 2, 3]))
    statement = Statement(
        layout="test",
        generated_at=None if generated is None else NOTED + timedelta(days=generated),
        time_order=draw(st.sampled_from(["ascending", "descending"])),
    )
    completeness = draw(st.sampled_from(COVERAGE))
    rows = [row for event in draw(_events) for row in event if first <= row.trade_date <= last]
    first_of: dict[str, TransactionRow] = {}  # no file gives an id of its own to two different rows
    rows = [row for row in rows if not row.external_id or first_of.setdefault(row.external_id, row) == row]
    statement.transactions = [replace(row, line=line) for line, row in enumerate(rows, start=1)]
    if rows or completeness == "declared":
        statement.coverage.append(CoverageRow("", "transactions", first, last, completeness))  # type: ignore[arg-type]
    sections: tuple[Section, ...] = ("positions", "cash")
    for section in sections:
        if draw(st.booleans()) and draw(st.booleans()):
            whole = draw(st.sampled_from(["declared", "declared", "inferred"]))
            statement.coverage.append(CoverageRow("", section, last, last, whole))  # type: ignore[arg-type]
            if section == "positions":
                held = draw(st.lists(_thing, max_size=2, unique=True))
                units = [Decimal(draw(st.sampled_from(["0", "6", "10", "20"]))) for _ in held]
                statement.positions = [
                    PositionRow(line, "", of, quantity, last, "USD")
                    for line, (of, quantity) in enumerate(zip(held, units, strict=True), start=100)
                ]
            else:
                statement.cash = [CashRow(200, "", "USD", Decimal(draw(st.sampled_from(["0", "100", "99.995"]))), last)]
    return statement


@st.composite
def histories(draw: st.DrawFn) -> History:
    kinds = tuple(draw(st.lists(st.sampled_from(["ibkr_flex", "csv", "csv"]), min_size=1, max_size=3)))
    said = draw(st.lists(st.builds(Said, st.integers(0, len(kinds) - 1), statements()), min_size=1, max_size=5))
    return History(
        kinds,
        tuple(said),
        draw(st.sampled_from(["tracked", "external"])),
        draw(st.sampled_from(["transactions", "transactions", "positions"])),
    )


# --- facts in memory ----


@dataclass(slots=True)
class Book:
    """What was staged of the accounts with these references, in numbers that count up as the tables' keys do."""

    history: History
    references: tuple[str, ...] = ("",)
    contents: dict[int, ContentInfo] = field(default_factory=dict)
    rows: dict[int, list[StagedRow]] = field(default_factory=dict)
    statements: dict[int, Statement] = field(default_factory=dict)
    digests: dict[tuple[int, str], int] = field(default_factory=dict)
    uids: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    number: int = 0
    staged: int = 0
    account: AccountInfo = field(init=False)
    sources: dict[UUID, SourceInfo] = field(init=False)

    def __post_init__(self) -> None:
        self.account = AccountInfo(uuid5(WORLD, "account"), "USD", self.history.tracking, self.history.cash_mode)
        self.sources = {
            one.id: one
            for one in (
                SourceInfo(uuid5(WORLD, f"source {place}"), kind, 10 if kind == "ibkr_flex" else 30, f"{kind} {place}")
                for place, kind in enumerate(self.history.kinds)
            )
        }

    def live(self) -> "Book":
        """Let everything of the history arrive, in its order."""
        for said in self.history.said:
            self.arrive(said)
        return self

    def arrive(self, said: Said) -> int:
        """Stage a statement or let its known content arrive again; the content."""
        self.number += 1
        batch = identity.prepare(said.statement)
        known = self.digests.get((said.source, batch.digest))
        content = len(self.contents) + 1 if known is None else known
        source = list(self.sources)[said.source]
        stated = said.statement
        self.contents[content] = ContentInfo(
            content, source, "test", "", False, stated.generated_at, None, "external",
            stated.time_order == "descending", {}, self.number, NOTED + timedelta(seconds=self.number),
        )  # fmt: skip
        self.withdrawn.discard(content)
        if known is None:
            self.digests[said.source, batch.digest] = content
            self.statements[content] = stated
            self.rows[content] = [self._row(content, source, *leg) for leg in _legs(stated, batch)]
        return content

    def undo(self, content: int) -> None:
        self.number += 1
        self.withdrawn.add(content)

    def _row(self, content: int, source: UUID, row: TransactionRow, named: identity.Leg) -> StagedRow:
        self.staged += 1
        uid = self.uids.setdefault((source, named.identity), uuid5(WORLD, f"{source} {named.identity}"))
        staged = StagedRow(
            self.staged, content, uid, named.identity, named.has_own_id, row.line, row.account,
            row.instrument.symbol if row.instrument else "", row.kind, row.trade_date, row.traded_at, row.local_time,
            row.settled_on, row.reported_on, row.quantity, row.price, row.currency, row.fee, row.fee_currency, row.tax,
            row.cash_amount, row.cash_currency or row.currency, row.fx_rate, row.ratio, row.external_id, row.group,
            row.leg, row.note, source,
        )  # fmt: skip
        staged.instrument = thing_id(row.instrument)
        return staged

    def facts(self) -> Facts:
        in_force = {content.id: content for content in self.contents.values() if content.id not in self.withdrawn}
        abouts = [
            AccountFacts(
                self.account_of(name),
                tuple(
                    self._stated(source, name, [one for one in in_force.values() if one.source == source])
                    for source in self.sources
                    if any(one.source == source for one in in_force.values())
                ),
            )
            for name in self.references
        ]
        return Facts(uuid5(WORLD, "user"), self.number, self.sources, in_force, abouts, {}, Rulings())

    def account_of(self, reference: str) -> AccountInfo:
        return replace(self.account, id=uuid5(WORLD, f"account {reference}")) if reference else self.account

    def _stated(self, source: UUID, name: str, mine: Sequence[ContentInfo]) -> Stated:
        """What a source says of one account."""
        windows: dict[str, list[Window]] = {"transactions": [], "positions": [], "cash": []}
        for content in mine:
            for one in self.statements[content.id].coverage:
                if one.account == name:
                    windows[one.section] += window(content, one.start, one.end, one.completeness)
        return Stated(
            source=source,
            transactions=tuple(windows["transactions"]),
            positions=tuple(windows["positions"]),
            cash=tuple(windows["cash"]),
            rows=tuple(row for content in mine for row in self.rows[content.id] if row.account_ref == name),
            position_reports=tuple(
                Report(
                    content.id, source, one.line, thing_id(one.instrument), one.currency, one.quantity, one.cost_basis,
                    one.as_of,
                )
                for content in mine
                for one in self.statements[content.id].positions
                if one.account == name
            ),
            cash_reports=tuple(
                Report(content.id, source, one.line, None, one.currency, one.balance, None, one.as_of)
                for content in mine
                for one in self.statements[content.id].cash
                if one.account == name
            ),
        )  # fmt: skip

    def truth(self) -> Truth:
        return compute(self.facts())


def thing_id(of: InstrumentRef | None) -> UUID | None:
    return None if of is None else uuid5(WORLD, of.symbol)


def _legs(stated: Statement, batch: identity.Batch) -> Iterable[tuple[TransactionRow, identity.Leg]]:
    """Rows with their identities; rows repeated word for word with their own id have none."""
    by_line = {row.line: row for row in stated.transactions}
    return ((by_line[leg.line], leg) for leg in batch.transactions)


# --- comparing ----


def everything(truth: Truth) -> tuple[Any, ...]:
    """All that follows, ids included, in an order of its own."""
    return (
        sorted(truth.rows, key=lambda row: row.id),
        sorted(truth.claims),
        truth.balances,
        sorted(truth.disagreements, key=lambda one: one.key),
    )


def values(truth: Truth) -> list[tuple[Any, ...]]:
    """What the ledger says, whatever its ids are."""
    told = (
        (
            str(row.account),
            row.trade_date,
            row.position,
            row.kind,
            str(row.instrument),
            row.quantity,
            row.price,
            row.fee,
            row.tax,
            row.cash_amount,
            row.currency,
            row.ratio,
            str(row.source),
            row.leg,
        )
        for row in truth.rows
    )
    return sorted(told, key=str)


def in_other_order(facts: Facts, seed: int) -> Facts:
    """The same facts, every list of them shuffled."""
    chance = random.Random(seed)

    def mixed(listed: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(chance.sample(list(listed), len(listed)))

    def mixed_stated(one: Stated) -> Stated:
        return replace(
            one,
            transactions=mixed(one.transactions),
            positions=mixed(one.positions),
            cash=mixed(one.cash),
            rows=mixed(one.rows),
            position_reports=mixed(one.position_reports),
            cash_reports=mixed(one.cash_reports),
        )

    accounts = [
        AccountFacts(about.account, mixed([mixed_stated(one) for one in about.stated])) for about in facts.accounts
    ]
    return replace(facts, accounts=list(mixed(accounts)))


def parted(said: Said, at: date) -> list[Said]:
    """What one file says, as two files that meet at a day: rows keep their lines, twins stay together."""
    whole = said.statement
    parts = []
    for is_later in (False, True):
        part = replace(
            whole,
            transactions=[row for row in whole.transactions if (row.trade_date >= at) == is_later],
            positions=[row for row in whole.positions if (row.as_of >= at) == is_later],
            cash=[row for row in whole.cash if (row.as_of >= at) == is_later],
            coverage=[cut for one in whole.coverage if (cut := _cut(one, at, is_later=is_later)) is not None],
        )
        if part.coverage or part.transactions:
            parts.append(Said(said.source, part))
    return parts


def _cut(one: CoverageRow, at: date, *, is_later: bool) -> CoverageRow | None:
    start = max(one.start, at) if is_later else one.start
    end = one.end if is_later else min(one.end, at - timedelta(days=1))
    return replace(one, start=start, end=end) if start <= end else None

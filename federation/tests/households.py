"""Generated histories of several accounts: transfers between them beside all that `histories` makes of one.

Amounts and days of transfers coincide often, so that pairs, parts, fees and equally good partners are common. A source
may speak of several accounts, by their references.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from federation.services.linking import KINDS
from federation.tests.histories import FIRST, THINGS, Book, History, Said, histories, statements, thing_id
from federation.transfers import Leg, Pairing, TransferRow, leg_of, pair
from federation.truth import Truth
from ingestion.adapters.base import CoverageRow, InstrumentRef, Statement, TransactionRow

ACCOUNTS = ("A", "B", "C")
COIN = InstrumentRef(symbol="COIN", kind="crypto", currency="USD")
HASHES = ("ab" * 32, "cd" * 32)


@st.composite
def _transfer(draw: st.DrawFn) -> list[TransactionRow]:
    """Rows of one transfer: what leaves one account, and what arrives in another at once or in parts, or never."""
    origin, target = draw(st.permutations(ACCOUNTS))[:2]
    of = draw(st.sampled_from([None, None, COIN, THINGS[0]]))
    amount = Decimal(draw(st.sampled_from(["100", "100", "60"])))
    fee = draw(st.sampled_from([None, None, Decimal("0.4")]))
    on = FIRST + timedelta(days=draw(st.integers(0, 3)))  # few days: equally good partners too
    shared: dict[str, Any] = {
        "group": draw(st.sampled_from(["", "", "", "move1", "move2"])),
        "note": draw(st.sampled_from(["", "", "", *HASHES])),
    }
    outs = _parts(amount, draw(st.sampled_from([1, 1, 1, 2])))
    ins = _parts(amount - (fee or 0), draw(st.sampled_from([1, 1, 1, 2, 0])))
    delays = draw(st.lists(st.sampled_from([-1, 0, 0, 1, 1, 2, 6]), min_size=2, max_size=2))
    legs = [(origin, -part, on) for part in outs]
    legs += [(target, part, on + timedelta(days=delay)) for part, delay in zip(ins, delays, strict=False)]
    return [
        _leg(name, of, moved, day, fee if moved < 0 else None, draw(st.booleans()), shared) for name, moved, day in legs
    ]


def _parts(amount: Decimal, count: int) -> list[Decimal]:
    return [amount] if count == 1 else [amount - 40, Decimal(40)][:count]


def _leg(
    name: str,
    of: InstrumentRef | None,
    moved: Decimal,
    on: date,
    fee: Decimal | None,
    has_time: bool,  # drawn
    shared: dict[str, Any],
) -> TransactionRow:
    kinds = ("deposit", "withdrawal") if of is None else ("transfer_in", "transfer_out")
    return TransactionRow(
        line=0,
        account=name,
        kind=kinds[moved < 0],  # type: ignore[arg-type]
        trade_date=on,
        currency="USD",
        instrument=of,
        quantity=None if of is None else moved,
        cash_amount=moved if of is None else None,
        fee=fee,
        fee_currency="" if fee is None else "COIN" if of is COIN else "USD",
        traded_at=datetime(on.year, on.month, on.day, 9, tzinfo=UTC) if has_time else None,
        **shared,
    )


@st.composite
def _moved(draw: st.DrawFn, sources: int) -> list[Said]:
    """Files of one account each that tell the legs of transfers, of one source or of several."""
    rows = [row for rows in draw(st.lists(_transfer(), min_size=1, max_size=3)) for row in rows]
    told_by: dict[tuple[int, str], list[TransactionRow]] = {}
    for row in rows:
        told_by.setdefault((draw(st.integers(0, sources - 1)), row.account), []).append(row)
    found = []
    for (source, name), legs in told_by.items():
        days = [row.trade_date for row in legs]
        coverage = CoverageRow(name, "transactions", min(days), max(days), "inferred")
        lines = [replace(row, line=line) for line, row in enumerate(legs, start=1)]
        found.append(Said(source, Statement(layout="test", transactions=lines, coverage=[coverage])))
    return found


@st.composite
def told(draw: st.DrawFn) -> Statement:
    """A file that speaks of one account or of several, each in its own window."""
    whole: Statement | None = None
    for name in draw(st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=2, unique=True)):
        part = _of_account(draw(statements()), name)
        if whole is None:
            whole = part
            continue
        lines = len(whole.transactions)
        whole.transactions += [replace(row, line=row.line + lines) for row in part.transactions]
        whole.positions += part.positions
        whole.cash += part.cash
        whole.coverage += part.coverage
    assert whole is not None
    return whole


def _of_account(part: Statement, name: str) -> Statement:
    rows = [
        replace(row, account=name, external_id=f"{name}{row.external_id}" if row.external_id else "")
        for row in part.transactions
    ]
    return replace(
        part,
        transactions=[replace(row, line=line) for line, row in enumerate(rows, start=1)],
        positions=[replace(row, account=name) for row in part.positions],
        cash=[replace(row, account=name) for row in part.cash],
        coverage=[CoverageRow(name, one.section, one.start, one.end, one.completeness) for one in part.coverage],
    )


@st.composite
def households(draw: st.DrawFn) -> History:
    """Transfers, among statements that may own their days, correct them or speak of other things."""
    frame = draw(histories())
    sources = len(frame.kinds)
    said = draw(st.lists(st.builds(Said, st.integers(0, sources - 1), told()), max_size=3))
    return replace(frame, said=tuple(draw(st.permutations([*said, *draw(_moved(sources))]))))


def household(history: History) -> Book:
    """The facts of all accounts, once everything has arrived."""
    return Book(history, ACCOUNTS)


def transfer_legs(truth: Truth) -> list[Leg]:
    """Legs as `linking` reads them from the ledger."""
    things = {thing_id(one): one for one in (*THINGS, COIN)}
    legs = []
    for row in truth.rows:
        if row.kind in KINDS:
            of = things.get(row.instrument)
            cells = TransferRow(
                row.id, row.account, row.instrument, of.kind if of else "", of.symbol if of else "", row.trade_date,
                row.traded_at, row.quantity, row.cash_amount, row.cash_currency, row.currency, row.fee,
                row.fee_currency, row.group, row.note,
            )  # fmt: skip
            leg = leg_of(cells)
            if leg is not None:
                legs.append(leg)
    return legs


def links(truth: Truth) -> Pairing:
    return pair(transfer_legs(truth))


def link_values(truth: Truth) -> list[tuple[Any, ...]]:
    """What the links say, whatever the ids of their legs are."""
    return sorted(
        (one.rule, tuple(leg.likeness for leg in one.outs), tuple(leg.likeness for leg in one.ins))
        for one in links(truth).pairs
    )

"""Generated histories of several accounts: transfers between them beside all that `histories` makes of one.

Amounts and days of transfers coincide often, so that pairs, parts, fees and equally good partners are common. A source
may speak of several accounts, by their references.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from federation.services.linking import KINDS
from federation.tests.histories import DAYS, FIRST, THINGS, Book, History, Said, histories, statements, thing_id
from federation.transfers import Leg, Pairing, TransferRow, leg_of, pair
from federation.truth import Truth
from ingestion.adapters.base import CoverageRow, InstrumentRef, Statement, TransactionRow

ACCOUNTS = ("A", "B", "C")
COIN = InstrumentRef(symbol="COIN", kind="crypto", currency="USD")
HASHES = ("ab" * 32, "cd" * 32)
_day = st.integers(0, DAYS - 1).map(lambda offset: FIRST + timedelta(days=offset))


@st.composite
def _move(draw: st.DrawFn) -> TransactionRow:
    """One leg of a transfer; its other leg may be drawn by another account."""
    on = draw(_day)
    of = draw(st.sampled_from([None, None, COIN, THINGS[0]]))
    amount = Decimal(draw(st.sampled_from(["-100", "-100", "100", "100", "99.6", "40", "60", "-60"])))
    kinds = ("deposit", "withdrawal") if of is None else ("transfer_in", "transfer_out")
    return TransactionRow(
        line=0,
        account="",
        kind=kinds[amount < 0],  # type: ignore[arg-type]
        trade_date=on,
        currency="USD",
        instrument=of,
        quantity=None if of is None else amount,
        cash_amount=amount if of is None else None,
        fee=draw(st.sampled_from([None, None, Decimal("0.4")])),
        fee_currency=draw(st.sampled_from(["", "COIN"])),
        traded_at=draw(st.sampled_from([None, datetime(on.year, on.month, on.day, 9, tzinfo=UTC)])),
        group=draw(st.sampled_from(["", "", "", "move1"])),
        note=draw(st.sampled_from(["", "", "", *HASHES])),
    )


@st.composite
def told(draw: st.DrawFn) -> Statement:
    """A file that speaks of one account or of several, each in its own window."""
    whole: Statement | None = None
    for name in draw(st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=2, unique=True)):
        part = _of_account(draw(statements()), name, draw(st.lists(_move(), max_size=3)))
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


def _of_account(part: Statement, name: str, moves: Iterable[TransactionRow]) -> Statement:
    covered = [one for one in part.coverage if one.section == "transactions"]
    fits = [row for row in moves if any(one.start <= row.trade_date <= one.end for one in covered)]
    rows = [
        replace(row, account=name, external_id=f"{name}{row.external_id}" if row.external_id else "")
        for row in (*part.transactions, *fits)
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
    frame = draw(histories())
    said = draw(st.lists(st.builds(Said, st.integers(0, len(frame.kinds) - 1), told()), min_size=1, max_size=5))
    return replace(frame, said=tuple(said))


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

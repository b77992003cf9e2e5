"""The order of a day whose rows are computed only in part: its other rows are read where they stand (DESIGN 5.10)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from federation.facts import rows_of
from federation.ledger import TRANSACTION_COLUMNS
from federation.ordering import CORPORATE_ACTIONS, Place, order_day
from federation.positions import OPENING_BALANCE
from federation.rows import AccountInfo, LedgerRow

COLUMNS = ", ".join(f't."{name}"' for name in TRANSACTION_COLUMNS)
OF_DAYS = f"""
SELECT {COLUMNS}, s.traded_at, s.local_time, CASE WHEN c.time_order = 'descending' THEN -s.line ELSE s.line END,
       s.identity
FROM federation_transaction t
LEFT JOIN federation_claim w ON w.transaction_id = t.id AND w.won
LEFT JOIN ingestion_stagedtransaction s ON s.id = w.staged_id
LEFT JOIN ingestion_content c ON c.id = s.content_id
WHERE t.user_id = %(user)s AND t.account_id = %(account)s AND t.trade_date = ANY(%(days)s)
  AND NOT t.id = ANY(%(without)s)
"""  # noqa: S608  # column names only
BY_DAY = """
SELECT instrument_id, trade_date, SUM(quantity), COALESCE(SUM(quantity) FILTER (WHERE quantity < 0), 0)
FROM federation_transaction
WHERE account_id = %(account)s AND instrument_id = ANY(%(instruments)s) AND quantity <> 0
  AND NOT id = ANY(%(without)s)
GROUP BY 1, 2
"""
ZERO = Decimal(0)


@dataclass(slots=True)
class Days:
    """The days that a part of an account's rows falls on, in order. others: stored rows that stand there too."""

    rows: list[LedgerRow] = field(default_factory=list)
    others: list[LedgerRow] = field(default_factory=list)


@dataclass(slots=True)
class _Flow:
    moved: Decimal = ZERO
    taken: Decimal = ZERO  # of it, what left: never above 0


Flows = dict[UUID, dict[date, _Flow]]
"""Instrument -> day -> what moved."""


def order_part(
    *,
    user: UUID,
    account: AccountInfo,
    rows: Sequence[LedgerRow],
    places: Mapping[UUID, Place],
    before: Sequence[LedgerRow],
) -> Days:
    """Set the positions of `rows` and of the stored rows of every day that they change the order of.

    before: the stored rows in whose place `rows` come.
    """
    without = [row.id for row in before]
    days = {row.trade_date for row in (*rows, *before)}
    found = Days(rows=list(rows))
    all_places = dict(places)
    waiting, flows = set(days), _Stored(account.id, without)
    moved = {row.instrument for row in (*rows, *before) if row.instrument is not None and row.quantity}
    changed = _changed(moved, rows, before)
    flows.read(changed)
    waiting |= _later_days(changed, rows=rows, before=before, stored=flows.by_instrument)
    for cells in rows_of(OF_DAYS, user=user, account=account.id, days=list(waiting), without=without):
        row = LedgerRow(*cells[: len(TRANSACTION_COLUMNS)])
        all_places[row.id] = _place(row, *cells[len(TRANSACTION_COLUMNS) :])
        found.others.append(row)
    by_day: dict[date, list[LedgerRow]] = defaultdict(list)
    for row in (*found.rows, *found.others):
        by_day[row.trade_date].append(row)
    several = {day: _moved_by_several(today) for day, today in by_day.items()}
    flows.read({instrument for instruments in several.values() for instrument in instruments})
    new = _flows(rows)
    for day, today in by_day.items():
        held = {
            instrument: _held_before(day, flows.by_instrument.get(instrument, {}), new.get(instrument, {}))
            for instrument in several[day]
        }
        order_day(today, all_places, held)
    return found


class _Stored:
    """What the stored rows outside of the part move."""

    def __init__(self, account: UUID, without: list[UUID]) -> None:
        self.account, self.without = account, without
        self.known: set[UUID] = set()
        self.by_instrument: Flows = defaultdict(dict)

    def read(self, instruments: Collection[UUID]) -> None:
        missing = set(instruments) - self.known
        if not missing:
            return
        self.known |= missing
        for instrument, day, moved, taken in rows_of(
            BY_DAY, account=self.account, instruments=list(missing), without=self.without
        ):
            self.by_instrument[instrument][day] = _Flow(moved, taken)


def _flows(rows: Iterable[LedgerRow]) -> Flows:
    found: Flows = defaultdict(lambda: defaultdict(_Flow))
    for row in rows:
        if row.instrument is not None and row.quantity:
            flow = found[row.instrument][row.trade_date]
            flow.moved += row.quantity
            flow.taken += min(row.quantity, ZERO)
    return found


def _changed(moved: Collection[UUID], rows: Iterable[LedgerRow], before: Iterable[LedgerRow]) -> set[UUID]:
    """Instruments of which another number of units is held on some day."""
    new, old = _flows(rows), _flows(before)

    def told(flows: Flows, instrument: UUID) -> dict[date, Decimal]:
        return {day: flow.moved for day, flow in flows.get(instrument, {}).items() if flow.moved}

    return {instrument for instrument in moved if told(new, instrument) != told(old, instrument)}


def _later_days(
    instruments: Collection[UUID], *, rows: Iterable[LedgerRow], before: Iterable[LedgerRow], stored: Flows
) -> set[date]:
    """Days on which what is held at the start may decide the order, before or now: units that leave would take the
    holding below 0 if they came first, and it is not below 0 at the end.
    """
    found: set[date] = set()
    for part in (_flows(rows), _flows(before)):
        for instrument in instruments:
            others, own = stored.get(instrument, {}), part.get(instrument, {})
            held = ZERO
            for day in sorted({*others, *own}):
                flows = [flow for flow in (others.get(day), own.get(day)) if flow is not None]
                end = held + sum((flow.moved for flow in flows), ZERO)
                if held + sum((flow.taken for flow in flows), ZERO) < 0 <= end:
                    found.add(day)
                held = end
    return found


def _moved_by_several(today: Iterable[LedgerRow]) -> set[UUID]:
    counts: dict[UUID, int] = defaultdict(int)
    for row in today:
        if row.instrument is not None and row.quantity and row.kind not in CORPORATE_ACTIONS:
            counts[row.instrument] += 1
    return {instrument for instrument, count in counts.items() if count > 1}


def _held_before(day: date, *flows: Mapping[date, _Flow]) -> Decimal:
    return sum((flow.moved for one in flows for when, flow in one.items() if when < day), ZERO)


def _place(row: LedgerRow, traded_at: object, local_time: str | None, line: int | None, identity: str | None) -> Place:
    """Where a stored row stands: as its winning staged row says, or as the rule that made it."""
    if identity is not None and line is not None:
        return Place(traded_at.isoformat() if traded_at else local_time or "", line, identity)  # type: ignore[attr-defined]
    if row.kind == "adjustment":
        name = str(row.instrument) if row.instrument else row.cash_currency
        return Place("", -1 if row.note == OPENING_BALANCE else 1 << 30, name)
    return Place("", 0, str(row.group))

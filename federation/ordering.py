"""Order of the ledger inside a day (DESIGN 5.10)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from federation.rows import LedgerRow

ZERO = Decimal(0)
CORPORATE_ACTIONS = frozenset(
    {"split", "spinoff", "merger", "symbol_change", "return_of_capital", "stock_dividend", "rights"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stood in its file: `time` as text that sorts ("" where only the day is known), `line`
    ascending in time.
    """

    time: str
    line: int
    identity: str


def order_days(rows: Sequence[LedgerRow], places: dict[UUID, Place]) -> list[LedgerRow]:
    """The rows of one account in order, their `position` inside the day set.

    Corporate actions first, then time where stated, position in the file, identity. Where date-only rows
    would take an instrument below 0 inside the day and not at its end, those that add units come first.
    """
    days: dict[date, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        days[row.trade_date].append(row)
    held: dict[UUID, Decimal] = defaultdict(Decimal)
    ordered: list[LedgerRow] = []
    for day in sorted(days):
        today = order_day(days[day], places, held)
        for row in today:
            if row.instrument and row.quantity:
                held[row.instrument] += row.quantity
        ordered.extend(today)
    return ordered


def order_day(rows: Sequence[LedgerRow], places: Mapping[UUID, Place], held: Mapping[UUID, Decimal]) -> list[LedgerRow]:
    """The rows of one day in order, their `position` set. held: units at its start, of instruments that several of its
    rows move.
    """
    today = sorted(rows, key=lambda row: _key(row, places[row.id]))
    _inflows_first(today, places, held)
    for position, row in enumerate(today):
        row.position = position
    return today


def _key(row: LedgerRow, place: Place) -> tuple[int, str, int, str, int, int]:
    is_action = row.kind in CORPORATE_ACTIONS
    return (0 if is_action else 1, place.time, place.line, place.identity, row.leg, row.id.int)


def _inflows_first(today: list[LedgerRow], places: Mapping[UUID, Place], held: Mapping[UUID, Decimal]) -> None:
    slots: dict[UUID, list[int]] = defaultdict(list)
    for number, row in enumerate(today):
        if row.instrument and row.quantity and row.kind not in CORPORATE_ACTIONS:
            slots[row.instrument].append(number)
    for instrument, numbers in slots.items():
        if len(numbers) == 1:
            continue
        running = lowest = held.get(instrument, ZERO)
        for number in numbers:
            running += today[number].quantity or 0
            lowest = min(lowest, running)
        if lowest >= 0 or running < 0:
            continue
        loose = [number for number in numbers if not places[today[number].id].time]
        rows = sorted((today[number] for number in loose), key=lambda row: (row.quantity or 0) < 0)
        for number, row in zip(loose, rows, strict=True):
            today[number] = row

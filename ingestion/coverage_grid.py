"""Months of statements: what each source says it holds of an account, and the months that nothing speaks of."""

import calendar
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

MonthState = Literal["declared", "inferred", "broken", "missing"]
MONTH_STATES: tuple[MonthState, ...] = ("declared", "inferred", "broken", "missing")
ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One file's word on a window of days (one day for positions and cash)."""

    content: int
    start: dt.date
    end: dt.date
    completeness: str


@dataclass(frozen=True, slots=True)
class Month:
    """state: declared = files declare all its days that are over (one report, for positions and cash);
    broken = a file speaks of it that lost rows; inferred = files speak of it otherwise; missing = none does.
    """

    month: str  # YYYY-MM
    state: MonthState
    files: int
    declared_days: int
    days: int  # of the month since the first day known, until the last day asked for


@dataclass(frozen=True, slots=True)
class CoverageLine:
    """One source, account reference and section, from its first month to the last asked for, none left out."""

    source_id: UUID
    source_name: str
    account_ref: str
    account: UUID | None
    section: str
    start: dt.date
    end: dt.date
    months: tuple[Month, ...]


def months_of(spoken: Iterable[Spoken], *, until: dt.date, is_report: bool) -> tuple[Month, ...]:
    """Every month from the first day spoken of to `until`, or to the last day spoken of where that is later.

    is_report: positions and cash, where one report is enough for its month.
    """
    found = list(spoken)
    if not found:
        return ()
    first, last = min(one.start for one in found), max([until, *(one.end for one in found)])
    months: list[Month] = []
    start = first
    while start <= last:
        end = min(start.replace(day=calendar.monthrange(start.year, start.month)[1]), last)
        inside = [one for one in found if one.start <= end and one.end >= start]
        months.append(_month(inside, start, end, is_report=is_report))
        start = end + ONE_DAY
    return tuple(months)


def _month(inside: list[Spoken], start: dt.date, end: dt.date, *, is_report: bool) -> Month:
    days = (end - start).days + 1
    declared = 0
    free = start
    for one in sorted((one for one in inside if one.completeness == "declared"), key=lambda one: one.start):
        begin, stop = max(one.start, free), min(one.end, end)
        if stop >= begin:
            declared += (stop - begin).days + 1
            free = stop + ONE_DAY
    state: MonthState = "missing"
    if declared == days or (is_report and declared):
        state = "declared"
    elif any(one.completeness == "broken" for one in inside):
        state = "broken"
    elif inside:
        state = "inferred"
    return Month(f"{start:%Y-%m}", state, len({one.content for one in inside}), declared, days)

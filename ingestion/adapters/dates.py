"""Days and instants as files write them. The order of day and month is proved by the file or asked, never
guessed.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal

DateOrder = Literal["ymd", "dmy", "mdy"]
DATE_ORDERS: tuple[DateOrder, ...] = ("ymd", "dmy", "mdy")
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 12, 31)

_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?) ?(Z|UTC|[+-]\d{2}:?\d{2})?",
    re.ASCII | re.IGNORECASE,
)
_PARTS = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})\.?", re.ASCII)
_NAMED = re.compile(r"(\d{1,2})[-/ ]([A-Za-z]{3})[-/ ](\d{4}|\d{2})", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}


class DateProblem(ValueError):
    """A cell that is no day or instant of 1900 to 2200."""


def day_of(year: int, month: int, day: int, shown: str) -> date:
    """The calendar day, between 1900 and 2200. Raises DateProblem."""
    try:
        value = date(year, month, day)
    except ValueError as exc:
        raise DateProblem(f"“{shown[:40]}” is not a day of the calendar.") from exc
    if not FIRST_DAY <= value <= LAST_DAY:
        raise DateProblem(f"“{shown[:40]}” is not between 1900 and 2200.")
    return value


@lru_cache(maxsize=8192)  # a file repeats its days
def parse_iso_day(text: str) -> date:
    """YYYY-MM-DD and nothing else. Raises DateProblem."""
    match = _ISO_DAY.fullmatch(text)
    if match is None:
        raise DateProblem(f"“{text[:40]}” is not a date of the form YYYY-MM-DD.")
    return day_of(int(match[1]), int(match[2]), int(match[3]), text)


def parse_iso_time(text: str) -> tuple[date, datetime | None, str]:
    """(day as stated, aware UTC instant or None without a zone, "HH:MM:SS" or "") of an ISO 8601 day or
    time. Raises DateProblem.
    """
    match = _ISO_TIME.fullmatch(text)
    if match is None:
        return parse_iso_day(text), None, ""
    stated_day, stated_time, zone = match[1], match[2].replace(",", "."), (match[3] or "").upper()
    day = parse_iso_day(stated_day)
    zone = "+00:00" if zone in ("Z", "UTC") else zone
    try:
        moment = datetime.fromisoformat(f"{stated_day}T{stated_time}{zone}")
    except ValueError as exc:
        raise DateProblem(f"“{text[:40]}” is not a time of the clock.") from exc
    if moment.tzinfo is None:
        return day, None, (stated_time + ":00")[:8]
    return day, moment if moment.tzinfo is UTC else moment.astimezone(UTC), (stated_time + ":00")[:8]


def parse_day(text: str, order: DateOrder) -> date:
    """A day in the order that its file proved or its user chose. Raises DateProblem."""
    stated = (
        text.strip().split("T")[0].split(" ")[0].rstrip(",;")
        if not _NAMED.match(text.strip())
        else text.strip()[:11].strip()
    )
    named = _NAMED.match(stated)
    if named is not None:
        month = _MONTHS.get(named[2].lower())
        if month is None:
            raise DateProblem(f"“{text[:40]}” names no month in English.")
        return day_of(_year(named[3]), month, int(named[1]), text)
    compact = _COMPACT.fullmatch(stated)
    if compact is not None:
        return day_of(int(compact[1]), int(compact[2]), int(compact[3]), text)
    match = _PARTS.fullmatch(stated)
    if match is None:
        raise DateProblem(f"“{text[:40]}” is not a date.")
    first, second, third = match[1], match[3], match[4]
    if len(first) == 4:
        return day_of(int(first), int(second), int(third), text)
    if order == "ymd":
        return day_of(_year(first), int(second), int(third), text)
    day, month_number = (first, second) if order == "dmy" else (second, first)
    return day_of(_year(third), int(month_number), int(day), text)


def _year(digits: str) -> int:
    """Two digits are 1970 to 2069, as broker files of today mean them."""
    number = int(digits)
    if len(digits) > 2:
        return number
    return 2000 + number if number < 70 else 1900 + number


def proved_orders(cells: Iterable[str]) -> set[DateOrder] | None:
    """The orders under which every cell can be a day; None where no cell is written in an order that matters.

    One element proves the order, several have to be asked about, an empty set is a file that contradicts
    itself.
    """
    possible: set[DateOrder] = {"dmy", "mdy", "ymd"}
    matters = False
    for text in cells:
        match = _PARTS.match(text.strip())
        if match is None or len(match[1]) == 4:
            continue
        matters = True
        first, second, third = int(match[1]), int(match[3]), match[4]
        if len(third) != 2 or not 1 <= int(third) <= 31:
            possible.discard("ymd")
        if not (1 <= first <= 31 and 1 <= second <= 12):
            possible.discard("dmy")
        if not (1 <= first <= 12 and 1 <= second <= 31):
            possible.discard("mdy")
        if not 1 <= second <= 12:
            possible.discard("ymd")
    return possible if matters else None

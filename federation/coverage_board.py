"""Coverage by month as the sources page shows it: lines by account, years of twelve squares."""

import calendar
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from accounts.models import User
from federation.models import AccountLink, BrokerAccount
from ingestion.coverage_grid import CoverageLine, Month
from ingestion.selectors import coverage_grid

STATES = {
    "declared": "covered in whole",
    "inferred": "rows, but no statement of the whole month",
    "broken": "a file lost rows",
    "missing": "nothing",
    "quiet": "nothing needed",
}
SECTIONS = {"transactions": "Transactions", "positions": "Holdings", "cash": "Cash"}


@dataclass(frozen=True, slots=True)
class Square:
    """state: a key of STATES, or "" before the first and after the last month."""

    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Year:
    """label: all of it in words, for readers who see no squares."""

    number: int
    label: str
    squares: tuple[Square, ...]


@dataclass(frozen=True, slots=True)
class BoardLine:
    source_name: str
    section: str
    span: str
    years: tuple[Year, ...]


@dataclass(frozen=True, slots=True)
class BoardAccount:
    name: str
    missing: int
    lines: tuple[BoardLine, ...]


def coverage_board(user: User, *, until: date) -> list[BoardAccount]:
    """Accounts by name, each with its lines in the order in which their sources are believed."""
    links = AccountLink.objects.filter(source__user=user, account__isnull=False)
    names = {(source, ref): name for source, ref, name in links.values_list("source", "reference", "account__name")}
    accounts = dict(BrokerAccount.objects.visible_to(user).values_list("pk", "name"))
    members: dict[str, list[CoverageLine]] = {}
    for line in coverage_grid(user.pk, until=until):
        own = accounts.get(line.account, "") if line.account else ""
        name = own or names.get((line.source_id, line.account_ref), "") or line.account_ref or "No account named"
        members.setdefault(name, []).append(line)
    return [account(name, members[name]) for name in sorted(members, key=str.casefold)]


def account(name: str, lines: Sequence[CoverageLine]) -> BoardAccount:
    """A month is missing where no source has transactions of it; holdings and cash need one now and then only."""
    ledgers = [line for line in lines if line.section == "transactions"]
    months = {month.month for line in ledgers for month in line.months}
    spoken = {month.month for line in ledgers for month in line.months if month.state != "missing"}
    return BoardAccount(name, len(months - spoken), tuple(board_line(line, spoken) for line in lines))


def board_line(line: CoverageLine, spoken: Collection[str]) -> BoardLine:
    """spoken: the months that some source has transactions of."""
    return BoardLine(
        source_name=line.source_name,
        section=SECTIONS.get(line.section, line.section),
        span=f"{line.start:%b %Y} to {line.end:%b %Y}",
        years=tuple(years_of(line, spoken)),
    )


def years_of(line: CoverageLine, spoken: Collection[str]) -> Iterable[Year]:
    months = line.months
    states = {month.month: state_of(line, month, spoken) for month in months}
    for number in range(int(months[0].month[:4]), int(months[-1].month[:4]) + 1):
        said = [states.get(f"{number}-{month:02d}", "") for month in range(1, 13)]
        squares = tuple(
            Square(state, f"{calendar.month_abbr[place]} {number}: {STATES[state]}" if state else "")
            for place, state in enumerate(said, start=1)
        )
        yield Year(number, f"{number}: {in_words(said)}", squares)


def state_of(line: CoverageLine, month: Month, spoken: Collection[str]) -> str:
    is_needed = line.section == "transactions" and month.month not in spoken
    return month.state if month.state != "missing" or is_needed else "quiet"


def in_words(said: Sequence[str]) -> str:
    """`["declared", "missing", ...]` is "11 covered in whole, nothing in Feb"."""
    parts = []
    for state, words in STATES.items():
        places = [calendar.month_abbr[place] for place, one in enumerate(said, start=1) if one == state]
        if places and state != "quiet":
            parts.append(f"{len(places)} {words}" if state == "declared" else f"{words} in {', '.join(places)}")
    return "; ".join(parts) or STATES["quiet"]

"""Which rows and reports of one source are in force on which day (DESIGN 5.2)."""

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from federation.rows import Completeness, ContentInfo, Edition, HoldingKey, Report, StagedRow, Window

ONE_DAY = timedelta(days=1)
MOST_WITHDRAWN = Decimal(5)
MOST_WITHDRAWN_SHARE = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Held:
    """A declared edition that waits for its user: of `before` rows or positions, `gone` would be no more."""

    window: Window
    before: int
    gone: int


def window(content: ContentInfo, start: date, end: date, completeness: Completeness, coverage: int = 0) -> list[Window]:
    """The coverage of `content` as it counts: a declared window loses its last day where the statement was
    generated before that day ended, and that day is inferred.

    The edition's time is the generation time, or the arrival's where none is stated or it lies before the
    window's end.
    """
    over = datetime.combine(end + ONE_DAY, time(), tzinfo=UTC)
    generated = content.generated_at
    unfinished = generated is not None and generated < over
    edition = Edition(content.arrived_at if generated is None or unfinished else generated, content.number)
    if completeness != "declared" or generated is None or generated.date() > end:
        return [Window(content.id, start, end, completeness, edition, coverage)]
    last = Window(content.id, end, end, "inferred", edition, coverage)
    if start == end:
        return [last]
    return [Window(content.id, start, end - ONE_DAY, completeness, edition, coverage), last]


def owners(windows: Iterable[Window]) -> dict[date, int]:
    """Day -> content of the newest declared edition that contains it."""
    owned: dict[date, int] = {}
    declared = [one for one in windows if one.completeness == "declared"]
    for one in sorted(declared, key=lambda one: one.edition, reverse=True):
        for offset in range((one.end - one.start).days + 1):
            owned.setdefault(one.start + timedelta(days=offset), one.content)
    return owned


def rows_in_force(
    rows: Iterable[StagedRow],
    owned: dict[date, int],
    waiting: Container[int] = (),
    decided: Container[tuple[UUID, str]] = (),
) -> tuple[list[StagedRow], list[StagedRow]]:
    """(rows that book, rows that only support or were withdrawn).

    A day with a declared edition takes that edition's rows; a day without takes the union over files.
    waiting: contents that are held back and book nothing. decided: rows, by source and identity, that the user
    books whatever edition lacks them.
    """
    booked: list[StagedRow] = []
    others: list[StagedRow] = []
    for row in rows:
        owner = owned.get(row.statement_day)
        is_owned = owner is None or owner == row.content or (row.source, row.identity) in decided
        books = is_owned and row.content not in waiting
        (booked if books else others).append(row)
    return booked, others


def held_back(
    rows: Sequence[StagedRow],
    windows: Sequence[Window],
    editions: Mapping[int, Edition],
    accepted: Container[int],
) -> list[Held]:
    """Declared editions of one source, reference and section that would withdraw too many rows of their window.

    Each is weighed against the older editions that count, whenever they arrived. editions: content -> its
    newest. accepted: coverage ids that the user accepts all the same.
    """
    declared = sorted((one for one in windows if one.completeness == "declared"), key=lambda one: one.edition)
    if len({row.content for row in rows}) + len(declared) < 2 or not rows:
        return []
    held: list[Held] = []
    waiting: set[int] = set()
    for number, one in enumerate(declared):
        older = [window for window in declared[:number] if window.content not in waiting]
        owned = owners(older)
        inside = [row for row in rows if one.start <= row.statement_day <= one.end]
        known = [row for row in inside if row.content != one.content and row.content not in waiting]
        before = {
            row.identity
            for row in known
            if editions[row.content] < one.edition and owned.get(row.statement_day, row.content) == row.content
        }
        gone = len(before - {row.identity for row in inside if row.content == one.content})
        most = max(MOST_WITHDRAWN, MOST_WITHDRAWN_SHARE * len(before))
        if gone > most and one.coverage not in accepted:
            waiting.add(one.content)
            held.append(Held(one, len(before), gone))
    return held


def reports_in_force(
    reports: Sequence[Report],
    windows: Sequence[Window],
    *,
    accepted: Container[int] = (),
    explains: Callable[[Report, date], bool] | None = None,
) -> tuple[list[Report], list[Held]]:
    """(reports of one source, reference and section that count, editions that would close too many positions).

    On each day that the source reports, the newest edition that lists a holding or declares the whole section
    speaks; only declared editions close what an earlier day held, by a report of zero. Reports whose content
    states no window add, and close nothing. explains: whether the source's own transactions sold by a day what
    a report held; null = nothing is held back (cash). accepted: coverage ids the user accepts all the same.
    """
    editions = {(one.content, one.end): one for one in windows}
    stated: dict[date, dict[int, list[Report]]] = {}
    for one in windows:
        stated.setdefault(one.end, {}).setdefault(one.content, [])
    for report in reports:
        stated.setdefault(report.as_of, {}).setdefault(report.content, []).append(report)
    oldest = Edition(datetime.min.replace(tzinfo=UTC), -1)
    before: dict[HoldingKey, list[Report]] = {}
    in_force: list[Report] = []
    waiting: list[Held] = []
    for day in sorted(stated):

        def edition(content: int, day: date = day) -> tuple[Edition, int]:
            known = editions.get((content, day))
            return known.edition if known else oldest, content

        spoken: dict[HoldingKey, list[Report]] = {}
        for content in sorted(stated[day], key=edition):  # each newer edition on top of the older ones
            listed: dict[HoldingKey, list[Report]] = {}
            for report in stated[day][content]:
                listed.setdefault(report.key, []).append(report)
            known = editions.get((content, day))
            if known is None or known.completeness != "declared":
                spoken.update(listed)
                continue
            open_ones = {key: lines for key, lines in (before | spoken).items() if any(line.value for line in lines)}
            closed = {key: lines for key, lines in open_ones.items() if key not in listed}
            if explains is not None and known.coverage not in accepted:
                sudden = sum(not explains(lines[0], day) for lines in closed.values())
                if sudden * 2 > len(open_ones):
                    waiting.append(Held(known, len(open_ones), sudden))
                    continue
            closing = {
                key: [_nothing(lines[0], content, day)]
                for key, lines in before.items()
                if key not in listed and any(line.value for line in lines)
            }
            spoken = listed | closing
        before.update(spoken)
        for lines in spoken.values():
            in_force.extend(lines)
    return in_force, waiting


def _nothing(gone: Report, content: int, day: date) -> Report:
    return Report(content, gone.source, 0, gone.instrument, gone.currency, Decimal(0), None, day)


class Runs:
    """Runs of consecutive days, asked about again and again while an account is settled."""

    def __init__(self, days: Iterable[date] = ()) -> None:
        ordered = sorted(days)
        self._starts: list[date] = []
        self._ends: list[date] = []
        for day in ordered:
            if self._ends and day - self._ends[-1] == ONE_DAY:
                self._ends[-1] = day
            else:
                self._starts.append(day)
                self._ends.append(day)

    def first(self, until: date) -> date | None:
        """First day of the run that `until` is in; null where it is in none."""
        place = bisect_right(self._starts, until) - 1
        return self._starts[place] if place >= 0 and self._ends[place] >= until else None

    def last(self, start: date, limit: date) -> date:
        """Last day of the run after `start`, at most `limit`; `start` itself where none follows."""
        if not self._starts or start >= limit:
            return start
        place = bisect_right(self._starts, start + ONE_DAY) - 1
        return min(self._ends[place], limit) if place >= 0 and self._ends[place] > start else start

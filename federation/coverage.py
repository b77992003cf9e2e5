"""Which rows and reports of one source are in force on which day (DESIGN 5.2)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from federation.rows import Completeness, ContentInfo, Edition, HoldingKey, Report, StagedRow, Window

ONE_DAY = timedelta(days=1)


def window(content: ContentInfo, start: date, end: date, completeness: Completeness) -> list[Window]:
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
        return [Window(content.id, start, end, completeness, edition)]
    last = Window(content.id, end, end, "inferred", edition)
    return [last] if start == end else [Window(content.id, start, end - ONE_DAY, completeness, edition), last]


def owners(windows: Iterable[Window]) -> dict[date, int]:
    """Day -> content of the newest declared edition that contains it."""
    owned: dict[date, int] = {}
    declared = [one for one in windows if one.completeness == "declared"]
    for one in sorted(declared, key=lambda one: one.edition, reverse=True):
        for offset in range((one.end - one.start).days + 1):
            owned.setdefault(one.start + timedelta(days=offset), one.content)
    return owned


def rows_in_force(rows: Iterable[StagedRow], owned: dict[date, int]) -> tuple[list[StagedRow], list[StagedRow]]:
    """(rows that book, rows that only support or were withdrawn).

    A day with a declared edition takes that edition's rows; a day without takes the union over files.
    """
    booked: list[StagedRow] = []
    others: list[StagedRow] = []
    for row in rows:
        owner = owned.get(row.statement_day)
        (booked if owner is None or owner == row.content else others).append(row)
    return booked, others


def reports_in_force(reports: Sequence[Report], windows: Sequence[Window]) -> list[Report]:
    """The reports of one source, reference and section that count, zeros for what a declared edition no
    longer lists.

    On each day that the source reports, the newest edition that lists a holding or declares the whole section
    speaks; only declared editions close what an earlier day held. Reports whose content states no window add,
    and close nothing.
    """
    editions = {(one.content, one.end): one for one in windows}
    stated: dict[date, dict[int, list[Report]]] = {}
    for one in windows:
        stated.setdefault(one.end, {}).setdefault(one.content, [])
    for report in reports:
        stated.setdefault(report.as_of, {}).setdefault(report.content, []).append(report)
    oldest = Edition(datetime.min.replace(tzinfo=UTC), -1)
    held: dict[HoldingKey, list[Report]] = {}
    in_force: list[Report] = []
    for day in sorted(stated):
        contents = stated[day]

        def edition(content: int, day: date = day) -> Edition:
            known = editions.get((content, day))
            return known.edition if known else oldest

        spoken: dict[HoldingKey, list[Report]] = {}
        closing: int | None = None
        for content in sorted(contents, key=edition, reverse=True):
            listed: dict[HoldingKey, list[Report]] = {}
            for report in contents[content]:
                listed.setdefault(report.key, []).append(report)
            for key, lines in listed.items():
                spoken.setdefault(key, lines)
            known = editions.get((content, day))
            if known and known.completeness == "declared":
                closing = content
                break
        if closing is not None:
            for key, before in held.items():
                if any(report.value for report in before) and key not in spoken:
                    gone = before[0]
                    spoken[key] = [
                        Report(closing, gone.source, 0, gone.instrument, gone.currency, Decimal(0), None, day)
                    ]
        held.update(spoken)
        for lines in spoken.values():
            in_force.extend(lines)
    return in_force


def unbroken_from(days: Iterable[date], until: date) -> date | None:
    """First day of the run of consecutive days that ends at `until`; null where `until` is not among them."""
    known = set(days)
    if until not in known:
        return None
    while until - ONE_DAY in known:
        until -= ONE_DAY
    return until


def unbroken_until(days: Iterable[date], start: date, limit: date) -> date:
    """Last day of the run of consecutive covered days after `start`, at most `limit`; `start` itself where
    none follows.
    """
    known = days if isinstance(days, set | dict) else set(days)
    while start < limit and start + ONE_DAY in known:
        start += ONE_DAY
    return start

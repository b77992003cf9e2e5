"""Reports against the ledger (DESIGN 5.9): what an account is believed to hold, and what no transaction
explains.

A report asserts the close of one day. What the ledger lacks becomes computed adjustments, never staged and
never income.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Self
from uuid import UUID

from federation.authority import Rival, judge
from federation.coverage import Runs
from federation.rows import Balance, Candidate, HoldingKey, Report, SourceInfo

ONE_DAY = timedelta(days=1)
OPENING_BALANCE, UNEXPLAINED, STEP = "opening balance", "unexplained", "step between reports"
"""What the note of an adjustment says it is; the last one where the account is tracked by reports alone."""


class Movements:
    """Signed changes of one holding by day, in order; splits known by ratio alone multiply what is held then."""

    def __init__(
        self, changes: Iterable[tuple[date, Decimal]] = (), ratios: Iterable[tuple[date, Decimal]] = ()
    ) -> None:
        self.changes = sorted(changes, key=lambda change: change[0])
        self.ratios = sorted(ratios, key=lambda ratio: ratio[0])
        self.days = [day for day, _ in self.changes]
        self.sums = [Decimal(0)]
        for _, change in self.changes:
            self.sums.append(self.sums[-1] + change)

    def moved(self, after: date, until: date) -> bool:
        """Whether anything happened in (after, until]."""
        first, last = bisect_right(self.days, after), bisect_right(self.days, until)
        return first != last or any(after < day <= until for day, _ in self.ratios)

    def carry(self, held: Decimal, after: date, until: date) -> Decimal:
        """`held` at the close of `after`, moved on to the close of `until`. A split counts at the start of
        its day.
        """
        if len(self.sums) == 1 and not self.ratios:
            return held  # nothing ever moved
        for day, ratio in self.ratios:
            if after < day <= until:
                before = day - ONE_DAY
                held = (held + self._sum(after, before)) * ratio
                after = before
        return held + self._sum(after, until)

    def held(self) -> Decimal:
        """What there is in the end."""
        return self.carry(Decimal(0), date.min, date.max)

    def growth(self, after: date, until: date) -> Decimal:
        """What one unit held at the close of `after` has become by `until`, by splits alone."""
        units = Decimal(1)
        for day, ratio in self.ratios:
            if after < day <= until:
                units *= ratio
        return units

    def _sum(self, after: date, until: date) -> Decimal:
        return self.sums[bisect_right(self.days, until)] - self.sums[bisect_right(self.days, after)]


NOTHING_MOVED = Movements()


@dataclass(frozen=True, slots=True)
class SourceCover:
    """Days of an account that a source's transactions cover: all of them, and those it declares whole."""

    known: frozenset[date] = frozenset()
    declared: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class CoverRuns:
    """A `SourceCover` by its runs, to ask how far a report is carried."""

    known: Runs
    declared: Runs

    @classmethod
    def of(cls, cover: SourceCover) -> Self:
        return cls(Runs(cover.known), Runs(cover.declared))


NO_COVER = CoverRuns(Runs(), Runs())


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Units (or cash) that reports hold and the ledger lacks. `unit_cost` in `currency`; null = unknown."""

    key: HoldingKey
    day: date
    report_day: date
    quantity: Decimal
    source: UUID
    note: str
    unit_cost: Decimal | None
    currency: str


@dataclass(slots=True)
class Holding:
    """Everything about one holding of one account that reports and ledger say."""

    key: HoldingKey
    reports: dict[UUID, list[Report]]  # by source, ascending
    ledger: Movements
    by_source: dict[UUID, Movements] = field(default_factory=dict)


@dataclass(slots=True)
class Settled:
    balances: list[Balance]
    adjustments: list[Adjustment]


def settle(
    holding: Holding,
    *,
    sources: dict[UUID, SourceInfo],
    cover: Mapping[UUID, CoverRuns],
    declared_days: Runs,
    chosen: Callable[[date], UUID | None],
    tolerance: Decimal,
    by_transactions: bool,
) -> Settled:
    """Winners day by day and the adjustments between them.

    cover: by source. declared_days: days of the account that any source declares whole. chosen: the source a
    decision names for reports of a day. tolerance: a gap at or under it is none. by_transactions: how the
    account is tracked; by reports alone, adjustments are the steps between them.
    """
    balances: list[Balance] = []
    adjustments: list[Adjustment] = []
    days = sorted({report.as_of for reports in holding.reports.values() for report in reports})
    speakers = [
        _Speaker(sources[source], reports, holding, cover.get(source, NO_COVER))
        for source, reports in sorted(holding.reports.items())
    ]
    applied: Report | None = None
    held_on, held = date.min, Decimal(0)
    costs: dict[UUID, Report] = {}
    for day in days:
        rivals: list[Rival] = []
        spoken: list[Report] = []
        for speaker in speakers:
            if (report := speaker.latest(day)) is not None:
                rivals.append(speaker.rival(report, day))
                spoken.append(report)
        winner, rule = judge(rivals, chosen=chosen(day))
        candidates = tuple([rival.candidate for rival in rivals])
        balances.append(Balance(holding.key, day, winner.value, winner.cost_basis, winner.source, rule, candidates))
        report = next(said for said, one in zip(spoken, candidates, strict=True) if one is winner)
        if report is applied:
            continue
        running = holding.ledger.carry(held, held_on, day)
        gap = holding.ledger.carry(report.value, report.as_of, day) - running
        if abs(gap) > tolerance:
            note = (UNEXPLAINED if applied else OPENING_BALANCE) if by_transactions else STEP
            before = costs.get(report.source)
            adjustments.append(_adjustment(holding, report, before, gap, day, note, declared_days))
            running += gap
        held_on, held = day, running
        applied = report
        costs[report.source] = report
    return Settled(balances, adjustments)


class _Speaker:
    """One source that reports a holding, and what moves its reports on from day to day."""

    def __init__(self, source: SourceInfo, reports: list[Report], holding: Holding, cover: CoverRuns) -> None:
        self.source = source
        self.reports = reports
        self.as_ofs = [report.as_of for report in reports]
        self.holding = holding
        self.cover = cover

    def latest(self, day: date) -> Report | None:
        place = bisect_right(self.as_ofs, day)
        return self.reports[place - 1] if place else None

    def rival(self, report: Report, day: date) -> Rival:
        """A report moved on to `day` by its own source's transactions, or by the ledger's where it has none for
        the span.
        """
        if report.as_of == day:
            return Rival(Candidate(report.source, report.value, day, report.cost_basis), self.source, day)
        own = self.cover.known.last(report.as_of, day) == day
        movements = self.holding.by_source.get(report.source, NOTHING_MOVED) if own else self.holding.ledger
        value = movements.carry(report.value, report.as_of, day)
        cost = None if value != report.value else report.cost_basis
        carried = self.cover.declared.last(report.as_of, day)
        return Rival(Candidate(report.source, value, report.as_of, cost), self.source, carried)


def _adjustment(
    holding: Holding,
    report: Report,
    before: Report | None,
    gap: Decimal,
    day: date,
    note: str,
    declared_days: Runs,
) -> Adjustment:
    """The row for a gap. An opening balance is dated before the declared days that lead to its report."""
    dated, quantity = day, gap
    is_opening = note == OPENING_BALANCE
    start = declared_days.first(day) if is_opening else None
    if start is not None:
        dated = start - ONE_DAY
        quantity = gap / holding.ledger.growth(dated, day)
    cost: Decimal | None = None
    if holding.key.instrument is not None and report.cost_basis is not None and gap > 0:
        cost = _cost_of_gap(holding, report, before, is_opening=is_opening)
    unit_cost = None if cost is None or cost < 0 else cost / quantity
    return Adjustment(
        holding.key, dated, day, quantity, report.source, note, unit_cost, report.currency or holding.key.currency
    )


def _cost_of_gap(holding: Holding, report: Report, before: Report | None, *, is_opening: bool) -> Decimal | None:
    """What the units of a gap cost by the reports alone: known only where no transaction moved the holding in
    between.
    """
    if report.cost_basis is None:
        return None
    if is_opening or before is None:
        return None if holding.ledger.moved(date.min, report.as_of) else report.cost_basis
    if holding.ledger.moved(before.as_of, report.as_of):
        return None
    if not before.value:
        return report.cost_basis
    return None if before.cost_basis is None else report.cost_basis - before.cost_basis

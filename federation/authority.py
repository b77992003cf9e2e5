"""Whom to believe where sources differ (DESIGN 5.8). The rule that decided is always named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

from federation.rows import Candidate, SourceInfo

CONFIDENCE = {"ibkr_flex": 4, "kucoin": 3, "csv": 2, "manual": 1}
FRESH_PULLED = timedelta(days=7)
FRESH_FILE = timedelta(days=45)
MINOR_PLACES = 2  # no statement rounds money more coarsely than this
UNIT_PLACES = 3  # fewer decimals than this are a count of units, not a rounding of one
ONLY_SOURCE, DECISION = "only_source", "decision"


def source_rank(source: SourceInfo) -> tuple[int, int, UUID]:
    """Sort key of sources without dates: priority, confidence, id. The lowest is believed first."""
    return (source.priority, -CONFIDENCE.get(source.kind, 0), source.id)


def rule_between(first: SourceInfo, second: SourceInfo) -> str:
    """Which part of `source_rank` puts `first` before `second`."""
    if first.priority != second.priority:
        return "priority"
    if CONFIDENCE.get(first.kind, 0) != CONFIDENCE.get(second.kind, 0):
        return "confidence"
    return "source_id"


def fresh_for(source: SourceInfo) -> timedelta | None:
    """How long a report stays fresh beside a newer one; null = for ever (rows typed by hand)."""
    if source.by_hand:
        return None
    return FRESH_PULLED if source.pulled else FRESH_FILE


@dataclass(frozen=True, slots=True)
class Verdict:
    winner: Candidate
    rule: str


def judge(
    candidates: Sequence[Candidate],
    *,
    sources: dict[UUID, SourceInfo],
    confirmed: Callable[[Candidate], date],
    chosen: UUID | None,
) -> Verdict:
    """The candidate to believe and the first rule that set it before every other one.

    confirmed: the last day that a candidate's own declared transactions carry it forward to (its as_of where
    none do). chosen: the source that a decision names. An order without ties: the same candidates in any
    order, the same answer.
    """
    if len(candidates) == 1:
        return Verdict(candidates[0], DECISION if candidates[0].source == chosen else ONLY_SOURCE)
    carried = {one.source: confirmed(one) for one in candidates}
    newest = max(carried.values())

    def is_stale(one: Candidate) -> bool:
        window = fresh_for(sources[one.source])
        return window is not None and newest - carried[one.source] > window

    rules: tuple[tuple[str, Callable[[Candidate], int | UUID]], ...] = (
        (DECISION, lambda one: 0 if one.source == chosen else 1),
        ("freshness", lambda one: int(is_stale(one))),
        ("priority", lambda one: sources[one.source].priority),
        ("as_of", lambda one: -one.as_of.toordinal()),
        ("confidence", lambda one: -CONFIDENCE.get(sources[one.source].kind, 0)),
        ("source_id", lambda one: one.source),
    )
    left = list(candidates)
    for name, measure in rules:
        best = min(measure(one) for one in left)
        kept = [one for one in left if measure(one) == best]
        if len(kept) == 1:
            return Verdict(kept[0], name)
        left = kept
    return Verdict(left[0], "source_id")


def agree(first: Decimal, second: Decimal) -> bool:
    """Whether two amounts or prices differ by no more than the coarser one's precision (at least 0.01)."""
    return first == second or _equal(first, second, max(MINOR_PLACES, min(_places(first), _places(second))))


def agree_in_units(first: Decimal, second: Decimal) -> bool:
    """Whether two quantities differ by no more than the coarser one's precision: 0.123 and 0.1234 do, 1 and
    1.4 do not.
    """
    if first == second:
        return True
    places = min(_places(first), _places(second))
    return places >= UNIT_PLACES and _equal(first, second, places)


def _equal(first: Decimal, second: Decimal, places: int) -> bool:
    quantum = Decimal(1).scaleb(-places)
    return first.quantize(quantum, ROUND_HALF_EVEN) == second.quantize(quantum, ROUND_HALF_EVEN)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0

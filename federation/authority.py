"""Whom to believe where sources differ (DESIGN 5.8). The rule that decided is always named."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from federation.rows import Candidate, SourceInfo

CONFIDENCE = {"ibkr_flex": 4, "kucoin": 3, "csv": 2, "manual": 1}
FRESH_PULLED = timedelta(days=7)
FRESH_FILE = timedelta(days=45)
MINOR_PLACES = 2  # no statement rounds money more coarsely than this
MINOR = Decimal(1).scaleb(-MINOR_PLACES)
UNIT_PLACES = 3  # fewer decimals than this are a count of units, not a rounding of one
MOST_UNITS = Decimal(1).scaleb(-UNIT_PLACES)  # that rounding may hide
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


RULES = (DECISION, "freshness", "priority", "as_of", "confidence", "source_id")
Measures = tuple[bool, bool, int, int, int, UUID]
"""What `RULES` look at, in that order; the lowest is believed."""


class Rival(NamedTuple):
    """A candidate, its source, and the last day that its own declared transactions carry it forward to (its as_of
    where none do).
    """

    candidate: Candidate
    source: SourceInfo
    carried: date


class Verdict(NamedTuple):
    winner: Candidate
    rule: str


def judge(rivals: Sequence[Rival], *, chosen: UUID | None) -> Verdict:
    """The candidate to believe and the first rule that set it before every other one.

    chosen: the source that a decision names. An order without ties: the same candidates in any order, the same
    answer.
    """
    if len(rivals) == 1:
        only = rivals[0].candidate
        return Verdict(only, DECISION if only.source == chosen else ONLY_SOURCE)
    newest = max(rival.carried for rival in rivals)
    ranked: list[tuple[Measures, Candidate]] = []
    for one, source, carried in rivals:
        window = fresh_for(source)
        is_stale = window is not None and newest - carried > window
        confidence = CONFIDENCE.get(source.kind, 0)
        ranked.append(
            ((one.source != chosen, is_stale, source.priority, -one.as_of.toordinal(), -confidence, one.source), one)
        )
    ranked.sort(key=itemgetter(0))
    (best, winner), (second, _) = ranked[:2]  # no rival is like the best for longer than the second
    return Verdict(winner, next(rule for rule, mine, other in zip(RULES, best, second, strict=True) if mine != other))


def agree(first: Decimal, second: Decimal) -> bool:
    """Whether two amounts or prices differ by no more than the coarser one's precision (at least 0.01)."""
    if first == second:
        return True
    if abs(first - second) > MINOR:
        return False  # more than any precision hides
    if first == first.quantize(MINOR, ROUND_HALF_EVEN) or second == second.quantize(MINOR, ROUND_HALF_EVEN):
        return _equal(first, second, MINOR_PLACES)
    return _equal(first, second, min(_places(first), _places(second)))


def agree_in_units(first: Decimal, second: Decimal) -> bool:
    """Whether two quantities differ by no more than the coarser one's precision: 0.123 and 0.1234 do, 1 and
    1.4 do not.
    """
    if first == second:
        return True
    if abs(first - second) > MOST_UNITS:
        return False
    places = min(_places(first), _places(second))
    return places >= UNIT_PLACES and _equal(first, second, places)


def _equal(first: Decimal, second: Decimal, places: int) -> bool:
    quantum = Decimal(1).scaleb(-places)
    return first.quantize(quantum, ROUND_HALF_EVEN) == second.quantize(quantum, ROUND_HALF_EVEN)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0

"""Findings as their page shows them: what is wrong, since when, what it is worth, and where to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from portfolio import selectors
from portfolio.models import Finding
from portfolio.selectors.findings import SEVERITIES, findings

MOST = 100
MOST_ROWS = 6
HEADINGS = {
    Finding.Severity.CRITICAL: ("Wrong until mended", "down", "alert"),
    Finding.Severity.WARNING: ("May be wrong", "warn", "alert"),
    Finding.Severity.INFO: ("Worth knowing", "muted", "info"),
}
IMPORT, BY_HAND, RECONCILE, SOURCES = (
    ("Import a statement", "import"),
    ("Add by hand", "add-by-hand"),
    ("Reconcile", "reconciliation"),
    ("See your sources", "sources"),
)
FIXES = {
    Finding.Kind.UNEXPLAINED_QUANTITY: (IMPORT, BY_HAND),
    Finding.Kind.UNEXPLAINED_CASH: (IMPORT, BY_HAND),
    Finding.Kind.DEPOSITS_MISSING: (IMPORT, BY_HAND),
    Finding.Kind.MISSING_QUANTITY: (IMPORT, BY_HAND),
    Finding.Kind.MISSING_MONTHS: (IMPORT, SOURCES),
    Finding.Kind.STALE_SOURCE: (IMPORT, SOURCES),
    Finding.Kind.OPEN_CONFLICT: (RECONCILE,),
    Finding.Kind.MASS_WITHDRAWAL: (RECONCILE,),
    Finding.Kind.UNPRICED_HOLDING: (IMPORT,),
    Finding.Kind.ROW_NOT_BOOKED: (RECONCILE,),
    Finding.Kind.OPENING_LOTS_UNFIT: (RECONCILE,),
}


@dataclass(frozen=True, slots=True)
class RowShown:
    """Something that a finding is about. transaction: set where it is a row of the ledger."""

    label: str
    transaction: str


@dataclass(frozen=True, slots=True)
class Fix:
    label: str
    page: str


@dataclass(frozen=True, slots=True)
class FindingCard:
    """effect None = cannot be told in money."""

    id: UUID
    title: str
    detail: str
    effect: Decimal | None
    day: date | None
    first_seen: date
    instrument: UUID | None
    account: UUID | None
    rows: tuple[RowShown, ...]
    more_rows: int
    fixes: tuple[Fix, ...]


@dataclass(frozen=True, slots=True)
class FindingGroup:
    heading: str
    tone: str
    icon: str
    cards: tuple[FindingCard, ...]


@dataclass(frozen=True, slots=True)
class FindingBoard:
    groups: tuple[FindingGroup, ...]
    count: int
    dismissed: tuple[FindingCard, ...]
    is_stale: bool  # the figures are being worked out again


def finding_board(user: User) -> FindingBoard:
    """Worst first; those that were put aside apart."""
    open_ones = list(findings(user, dismissed=False)[:MOST])
    aside = list(findings(user, dismissed=True)[:MOST])
    groups = []
    for severity in SEVERITIES:
        cards = tuple(card(one) for one in open_ones if one.severity == severity)
        if cards:
            groups.append(FindingGroup(*HEADINGS[severity], cards))
    return FindingBoard(tuple(groups), len(open_ones), tuple(card(one) for one in aside), is_stale(user))


def is_stale(user: User) -> bool:
    return selectors.standing(user=user).is_stale


def card(one: Finding) -> FindingCard:
    told: Sequence[dict[str, str]] = [row for row in one.rows if row["type"] == "transaction"]
    return FindingCard(
        id=one.pk,
        title=one.title,
        detail=one.detail,
        effect=one.effect_base,
        day=one.day,
        first_seen=one.first_seen,
        instrument=one.instrument_id,
        account=one.account_id,
        rows=tuple(RowShown(row["label"], row["id"]) for row in told[:MOST_ROWS]),
        more_rows=max(0, len(told) - MOST_ROWS),
        fixes=tuple(Fix(*fix) for fix in FIXES.get(Finding.Kind(one.kind), ())),
    )

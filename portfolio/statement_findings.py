"""Findings where a statement, or what the user said of one, is not followed: what is left out, and how to have it in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from federation.reasons import row_words, with_article
from portfolio.findings import Draft, digest
from stackmotive.common.display import day_text, quantity_text
from stackmotive.common.money import plain


@dataclass(frozen=True, slots=True)
class NotBooked:
    """A row of a source that a whole statement of the same source lacks. effect_base: the money or worth it moves."""

    source: UUID
    source_name: str
    identity: str
    account: UUID
    account_name: str
    instrument: UUID | None
    kind: str
    day: dt.date
    line: int
    effect_base: Decimal | None


def rows_not_booked(rows: Iterable[NotBooked]) -> list[Draft]:
    """One for each row. Its row of type `row` is the key of the decision that books or ignores it."""
    return [
        Draft(
            kind="row_not_booked",
            severity="warning",
            key=f"row_not_booked:{one.source}:{one.identity}",
            title=f"{_capital(with_article(row_words(one.kind, one.day)))} in {one.account_name} is not booked",
            detail=f"A file of {one.source_name} has it in line {one.line}, and a statement of {one.source_name} that "
            "tells that day whole lacks it. Book it if it happened; ignore it if it did not.",
            evidence=digest(one.source, one.identity, one.account),
            rows=(
                ("row", f"{one.source}:{one.identity}", row_words(one.kind, one.day)),
                ("source", str(one.source), one.source_name),
                ("account", str(one.account), one.account_name),
            ),
            account=one.account,
            instrument=one.instrument,
            day=one.day,
            effect_base=one.effect_base,
        )
        for one in rows
    ]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


@dataclass(frozen=True, slots=True)
class UnfitLots:
    """Lots that the user gave and that are no opening balance now. opening: None where there is none."""

    decision: UUID
    account: UUID
    account_name: str
    instrument: UUID | None
    symbol: str
    total: Decimal
    opening: Decimal | None
    day: dt.date | None


def opening_lots_unfit(found: Iterable[UnfitLots]) -> list[Draft]:
    """What stands before the known history has changed since its lots were given: its cost is unknown again."""
    drafts = []
    for one in found:
        told = "there is no opening balance any more"
        if one.opening is not None and one.day is not None:
            told = f"the opening balance of {day_text(one.day)} is {quantity_text(one.opening)}"
        drafts.append(
            Draft(
                kind="opening_lots_unfit",
                severity="warning",
                key=f"opening_lots_unfit:{one.decision}",
                title=f"The lots given for {one.symbol} in {one.account_name} do not add up",
                detail=f"They are {quantity_text(one.total)} in all, and {told}, so they do not count. Give them anew, "
                "or take them back in Reconciliation.",
                evidence=digest(plain(one.total), one.opening, one.day),
                rows=(
                    ("decision", str(one.decision), f"Lots of {one.symbol}"),
                    ("account", str(one.account), one.account_name),
                ),
                account=one.account,
                instrument=one.instrument,
                day=one.day,
            )
        )
    return drafts

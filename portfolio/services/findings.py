"""Keeping findings as of now: written where they differ, with the day on which each was first seen."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import F

from accounts.models import User
from portfolio import findings, statement_findings
from portfolio.derived_ids import derived_uuid
from portfolio.models import Finding
from portfolio.selectors import finding_facts as facts
from portfolio.selectors import statement_facts
from stackmotive.common.money import MONEY_QUANTUM
from stackmotive.common.problems import NotFound

STATED = ("severity", "account_id", "instrument_id", "day", "title", "detail", "rows", "effect_base", "evidence")
TITLE_LENGTH = 300


def write_findings(*, user: User, today: dt.date) -> int:
    """Make the stored findings what the stored figures and the ledger say; how many were new, changed or gone.

    A finding whose evidence changed is no longer dismissed. Call inside the transaction that wrote the figures.
    """
    known = {row.key: row for row in Finding.objects.filter(user=user)}
    new: list[Finding] = []
    changed: list[Finding] = []
    seen: set[str] = set()
    for draft in drafts(user=user, today=today):
        seen.add(draft.key)
        fresh = _row(user, draft, today)
        row = known.get(draft.key)
        if row is None:
            new.append(fresh)
        elif row.last_seen != today or any(getattr(row, name) != getattr(fresh, name) for name in STATED):
            fresh.first_seen = row.first_seen
            fresh.dismissed_evidence = row.dismissed_evidence if row.evidence == fresh.evidence else ""
            changed.append(fresh)
    gone = [row.pk for key, row in known.items() if key not in seen]
    if gone:
        Finding.objects.filter(pk__in=gone).delete()
    if changed:
        Finding.objects.bulk_update(changed, [*(_field(name) for name in STATED), "dismissed_evidence", "last_seen"])
    Finding.objects.bulk_create(new)
    return len(new) + len(changed) + len(gone)


def drafts(*, user: User, today: dt.date) -> list[findings.Draft]:
    """All that wants attention now, in no order that matters."""
    held = facts.held(user)
    spoken, words = facts.statements(user, today=today)
    return [
        *findings.oversold(held),
        *findings.unpriced(held),
        *findings.unexplained(facts.gaps(user, today=today, positions=held)),
        *findings.deposits_missing(facts.overdrawn(user)),
        *findings.missing_months(spoken),
        *findings.stale_sources(words, today=today),
        *findings.unresolved_instruments(facts.unresolved(user)),
        *findings.conflicts(facts.open_conflicts(user)),
        *findings.cash_equation(facts.doubtful_trades(user, today=today)),
        *findings.by_hand_on_owned_days(facts.by_hand(user)),
        *statement_findings.rows_not_booked(statement_facts.not_booked(user)),
        *statement_findings.opening_lots_unfit(statement_facts.unfit_lots(user)),
    ]


def _row(user: User, draft: findings.Draft, today: dt.date) -> Finding:
    return Finding(
        id=derived_uuid(user.pk, "finding", draft.key),
        user=user,
        kind=draft.kind,
        severity=draft.severity,
        key=draft.key,
        account_id=draft.account,
        instrument_id=draft.instrument,
        day=draft.day,
        title=draft.title[:TITLE_LENGTH],
        detail=draft.detail,
        rows=[{"type": kind, "id": pk, "label": label} for kind, pk, label in draft.rows],
        effect_base=None if draft.effect_base is None else draft.effect_base.quantize(MONEY_QUANTUM),
        evidence=draft.evidence,
        first_seen=today,
        last_seen=today,
    )


def _field(column: str) -> str:
    return column.removesuffix("_id")


def dismiss_finding(*, user: User, finding_id: UUID) -> Finding:
    """Put a finding aside until its evidence changes. Raises NotFound."""
    return _set_dismissed(user, finding_id, is_dismissed=True)


def restore_finding(*, user: User, finding_id: UUID) -> Finding:
    """Show a dismissed finding again. Raises NotFound."""
    return _set_dismissed(user, finding_id, is_dismissed=False)


def _set_dismissed(user: User, finding_id: UUID, *, is_dismissed: bool) -> Finding:
    mine = Finding.objects.visible_to(user).filter(pk=finding_id)
    mine.update(dismissed_evidence=F("evidence") if is_dismissed else "")
    found: Finding | None = mine.select_related("account", "instrument").first()
    if found is None:
        raise NotFound
    return found

"""The part of one account's ledger that a change can touch, computed alone (DESIGN 5.12).

The whole account is computed instead (TooFar) where a change is more than rows: a declared window of transactions came
or went, a declared edition may now be held back or not, the account has reports, or a corporate action is of an
instrument that is touched.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from federation.accounts import Spot
from federation.changes import Change
from federation.day_order import order_part
from federation.disagreements import COMPARED
from federation.facts import COVERAGE, Resolved, account_info, rows_of, windows_of
from federation.ledger import TRANSACTION_COLUMNS, Scope
from federation.neighbors import Reached, TooFar, reached
from federation.rows import ClaimRow, Disagreement, LedgerRow, StagedRow, Stated, Window
from federation.truth import AccountFacts, Booked, Facts, book_part

MOST_CHANGED = 5_000  # rows of changed contents
CLAIMED = f"""
SELECT {", ".join(f't."{name}"' for name in TRANSACTION_COLUMNS)} FROM federation_transaction t
WHERE t.account_id = %(account)s
  AND t.id IN (SELECT transaction_id FROM federation_claim WHERE staged_id = ANY(%(staged)s))
"""  # noqa: S608  # column names only
HELD_BACK = """
SELECT v.content_id FROM federation_conflict f
JOIN ingestion_coverage v ON v.id = substring(f.key FROM 10)::bigint AND v.section = 'transactions'
WHERE f.account_id = %(account)s AND f.kind = 'mass_withdrawal' AND NOT (f.kind = 'field')
"""
USED = "SELECT section, SUM(rows) FROM ingestion_contentusage WHERE content_id = ANY(%(contents)s) GROUP BY 1"


@dataclass(slots=True)
class Part:
    """What a part of an account comes to, and which stored rows it stands for. read: staged rows that were read."""

    account: UUID
    rows: list[LedgerRow]
    claims: list[ClaimRow]
    disagreements: list[Disagreement]
    scope: Scope
    read: int = 0


def compute_part(resolved: Resolved, facts: Facts, *, account: UUID, change: Change) -> Part:
    """The rows of `account` that `change` can touch, as a run over all of it would make them. Raises TooFar.

    facts: rulings, contents and actions; its accounts are not looked at.
    """
    if change.is_whole:
        raise TooFar
    windows = windows_of(resolved, account)
    _refuse_wide(resolved, account, change, windows)
    waiting = {content for (content,) in rows_of(HELD_BACK, account=account)}
    found = reached(resolved, facts.rulings, account=account, change=change, windows=windows, waiting=waiting)
    about = AccountFacts(account_info(resolved.known_accounts[account]), _stated(resolved, windows, found.rows))
    booked = book_part(facts, about, waiting=waiting)
    before = [LedgerRow(*cells) for cells in rows_of(CLAIMED, account=account, staged=list(found.staged))]
    _refuse_actions(facts, booked, before)
    days = order_part(user=facts.user, account=about.account, rows=booked.rows, places=booked.places, before=before)
    return Part(
        account,
        [*days.rows, *days.others],
        booked.truth.claims,
        booked.truth.disagreements,
        _scope(facts.user, found, booked, before, days.others),
        found.read,
    )


def _refuse_wide(
    resolved: Resolved, account: UUID, change: Change, windows: Mapping[Spot, Mapping[str, list[Window]]]
) -> None:
    changed = list(change.contents)
    used = dict(rows_of(USED, contents=changed))
    if used.get("transactions", 0) > MOST_CHANGED:
        raise TooFar
    said = rows_of(USED, contents=[*resolved.used[account], *changed])
    if any(section != "transactions" for section, _ in said):
        raise TooFar
    if any(row[3] == "transactions" and row[6] == "declared" for row in rows_of(COVERAGE, contents=changed)):
        raise TooFar
    sources = {one.source for one in change.contents.values()} | {source for source, _ in change.rows}
    for spot, sections in windows.items():
        is_declared = any(one.completeness == "declared" for one in sections.get("transactions", ()))
        if spot[0] in sources and is_declared and not resolved.sources[spot[0]].by_hand:
            raise TooFar


def _refuse_actions(facts: Facts, booked: Booked, before: Iterable[LedgerRow]) -> None:
    moved = {row.instrument for row in (*booked.rows, *before)}
    if any(moved & action.instruments for action in facts.actions):
        raise TooFar


def _stated(
    resolved: Resolved, windows: Mapping[Spot, Mapping[str, list[Window]]], rows: Iterable[StagedRow]
) -> tuple[Stated, ...]:
    by_spot: dict[Spot, list[StagedRow]] = {spot: [] for spot in windows}
    for row in rows:
        by_spot.setdefault(resolved.spot(row.content, row.account_ref), []).append(row)
    return tuple(
        Stated(
            source=spot[0],
            transactions=tuple(windows.get(spot, {}).get("transactions", ())),
            rows=tuple(stated),
        )
        for spot, stated in by_spot.items()
    )


def _scope(
    user: UUID, found: Reached, booked: Booked, before: Iterable[LedgerRow], others: Iterable[LedgerRow]
) -> Scope:
    own = {row.id for row in (*booked.rows, *before)}
    keys = {f"transaction:{row}:{name}" for row in own for name in COMPARED}
    keys |= {f"{kind}:{source}:{identity}" for source, identity in found.named for kind in ("row", "match")}
    return Scope(
        user,
        transactions=own | {row.id for row in others},
        staged=found.staged,
        conflicts=keys,
    )

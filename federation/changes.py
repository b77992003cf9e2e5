"""What was said and decided since the ledger was written, account by account (DESIGN 5.12)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q

from federation.facts import OF_INSTRUMENTS, REFERENCES, Resolved, rows_of
from federation.matching import RowKey
from federation.models import AccountLink, AccountSetting, Decision
from ingestion.models import Coverage, StagedTransaction

CHANGED_CONTENTS = """
SELECT c.id, c.source_id, c.default_account, c.layout FROM ingestion_content c
JOIN ingestion_source s ON s.id = c.source_id AND s.user_id = %(user)s
WHERE EXISTS (SELECT 1 FROM ingestion_arrival WHERE content_id = c.id AND number > %(since)s)
   OR EXISTS (SELECT 1 FROM ingestion_withdrawal WHERE content_id = c.id AND number > %(since)s)
"""
TOLD_CAUSES = ("import", "manual", "undo", "decision", "account", "instrument")
"""Causes of fact numbers whose facts name the accounts they touch; after any other one all are computed."""
ABOUT_ROWS = (
    Decision.Kind.IGNORE,
    Decision.Kind.BOOK,
    Decision.Kind.SAME,
    Decision.Kind.DIFFERENT,
    Decision.Kind.CHOOSE,
    Decision.Kind.SET_VALUE,
)
"""Kinds of decisions that touch nothing but the rows they name, where they name no account."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A content that arrived, or was taken back, since."""

    id: int
    source: UUID
    default_account: UUID | None
    layout: str


@dataclass(slots=True)
class Change:
    """What is new about one account. rows: those that were decided about. is_whole: more than single rows."""

    contents: dict[int, Changed] = field(default_factory=dict)
    rows: set[RowKey] = field(default_factory=set)
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """By account; contents: all that arrived or were withdrawn, some of which name no account."""

    accounts: dict[UUID, Change]
    contents: frozenset[int]


def changes_since(resolved: Resolved, *, since: int) -> Changes | None:
    """Accounts whose facts have changed after number `since`; null where that cannot be told and all must be
    computed.
    """
    if resolved.is_moved or since == 0:
        return None
    if resolved.user.fact_versions.filter(number__gt=since).exclude(cause__in=TOLD_CAUSES).exists():
        return None
    found: dict[UUID, Change] = defaultdict(Change)
    changed = {row[0]: Changed(*row) for row in rows_of(CHANGED_CONTENTS, user=resolved.user.pk, since=since)}
    named = _Named(resolved)
    for content, reference in rows_of(REFERENCES, contents=list(changed)):
        about = changed[content]
        if (account := named.account(content, about.source, about.default_account, reference)) is not None:
            found[account].contents[content] = about
    settings = AccountSetting.objects.filter(account__user=resolved.user, number__gt=since)
    for account in settings.values_list("account", flat=True):
        found[account].is_whole = True
    decided = Decision.objects.filter(user=resolved.user).filter(Q(number__gt=since) | Q(revocation__number__gt=since))
    for decision in decided:
        if "reference" in decision.keys or decision.kind in OF_INSTRUMENTS:
            return None
        _add_decision(found, decision, named)
    return Changes(_of_wholes(resolved, found), frozenset(changed))


def _of_wholes(resolved: Resolved, found: Mapping[UUID, Change]) -> dict[UUID, Change]:
    """What is new about an account that is a part of another one is new about that one."""
    wholes: dict[UUID, Change] = defaultdict(Change)
    for account, change in found.items():
        whole = wholes[resolved.accounts.whole(account)]
        whole.contents |= change.contents
        whole.rows |= change.rows
        whole.is_whole |= change.is_whole
    return dict(wholes)


def _add_decision(found: dict[UUID, Change], decision: Decision, named: "_Named") -> None:
    touched: set[UUID] = set()
    if "account" in decision.keys:
        touched.add(UUID(decision.keys["account"]))
    if "coverage" in decision.keys:
        stated = Coverage.objects.filter(pk=decision.keys["coverage"]).values_list(
            "content", "content__source", "content__default_account", "account_ref"
        )
        touched |= named.accounts(stated)
    for account in touched:
        found[account].is_whole = True
    rows = {(UUID(source), identity) for source, identity in decision.keys.get("rows", ())}
    if not rows:
        return
    sources, identities = {source for source, _ in rows}, {identity for _, identity in rows}
    spoken = StagedTransaction.objects.filter(content__source__in=sources, identity__in=identities)
    for account in named.accounts(
        spoken.values_list("content", "content__source", "content__default_account", "account_ref")
    ):
        found[account].rows |= rows
        if decision.kind not in ABOUT_ROWS or "evidence" in decision.value:
            found[account].is_whole = True


class _Named:
    """Whose rows a content's reference names, of withdrawn contents by the stored links."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        links = AccountLink.objects.filter(source__user=resolved.user)
        self.stored = {
            (source, reference): account
            for source, reference, account in links.values_list("source_id", "reference", "account_id")
        }

    def account(self, content: int, source: UUID, default: UUID | None, reference: str) -> UUID | None:
        if content in self.resolved.contents:
            return self.resolved.account_of(content, reference)
        if not reference and default in self.resolved.known_accounts:
            return default
        return self.stored.get((source, reference)) or self._by_id(reference)

    def accounts(self, named: Iterable[tuple[int, UUID, UUID | None, str]]) -> set[UUID]:
        found = {self.account(*one) for one in named}
        return {account for account in found if account is not None}

    def _by_id(self, reference: str) -> UUID | None:
        try:
            account = UUID(reference)
        except ValueError:
            return None
        return account if account in self.resolved.known_accounts else None

"""Rows of files on days that a newer whole statement of the same source tells without them (DESIGN 5.2)."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from accounts.models import User
from federation.coverage import owners, window
from federation.facts import CONTENTS, COVERAGE, content_info, rows_of
from federation.models import AccountLink, BrokerAccount, Conflict, Decision, InstrumentLink
from federation.rows import ContentInfo, Window
from ingestion.models import Coverage, Source, SourceKind

UNCLAIMED: Final = """
SELECT t.content_id, t.account_ref, t.instrument_key, t.identity, t."group", t.kind, t.trade_date,
       COALESCE(t.reported_on, t.trade_date), t.quantity, t.price, t.cash_amount,
       COALESCE(NULLIF(t.cash_currency, ''), t.currency), t.currency, t.line
FROM ingestion_stagedtransaction t
WHERE t.content_id = ANY(%(contents)s) AND COALESCE(t.reported_on, t.trade_date) BETWEEN %(first)s AND %(last)s
  AND NOT EXISTS (SELECT 1 FROM federation_claim k WHERE k.staged_id = t.id)
ORDER BY t.trade_date, t.id
"""
Statement = tuple[int, str]
"""Content and the reference under which it names an account."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not booked. content: where it stands, in `line`. Signs: + into the account."""

    source: UUID
    source_name: str
    identity: str
    account: UUID
    account_name: str
    instrument: UUID | None
    kind: str
    day: date
    quantity: Decimal | None
    price: Decimal | None
    cash_amount: Decimal | None
    cash_currency: str
    currency: str
    content: int
    line: int


def rows_left_out(user: User) -> list[LeftOut]:
    """The rows that no ledger row speaks of because a whole statement in force of their own source lacks them, by day.

    Not those of a day that their own statement declared whole as well: a newer edition took them back. Not what the
    user ignores.
    """
    sources = dict(Source.objects.visible_to(user).exclude(kind=SourceKind.MANUAL).values_list("pk", "name"))
    contents = {one.id: one for one in map(content_info, rows_of(CONTENTS, user=user.pk)) if one.source in sources}
    days = _days_told_without(user, contents)
    if not days:
        return []
    told = {day for found in days.values() for day in found}
    rows = rows_of(UNCLAIMED, contents=sorted({content for content, _ in days}), first=min(told), last=max(told))
    accounts, meanings = _Accounts(user), _meanings(user)
    ignored = _ignored(user)
    groups = {(row[0], row[1], row[4]) for row in rows if row[4] and (contents[row[0]].source, row[3]) in ignored}
    left: dict[tuple[UUID, str], LeftOut] = {}
    for (
        content, reference, key, identity, group, kind, day, shown_on, quantity, price, cash, cash_currency, currency,
        line,
    ) in rows:  # fmt: skip
        source = contents[content].source
        account = accounts.of(contents[content], reference)
        is_ignored = (source, identity) in ignored or (content, reference, group) in groups
        if account is None or is_ignored or shown_on not in days.get((content, reference), ()):
            continue
        meant = [one for since, one in meanings.get((source, key), ()) if since is None or since <= day]
        left[source, identity] = LeftOut(
            source, sources[source], identity, account.pk, account.name, meant[-1] if meant else None, kind, day,
            quantity, price, cash, cash_currency, currency, content, line,
        )  # fmt: skip
    return list(left.values())


def _days_told_without(user: User, contents: dict[int, ContentInfo]) -> dict[Statement, set[date]]:
    """Days that a statement speaks of, does not declare, and another one of the same source and account declares."""
    waiting = _waiting(user)
    spots: dict[tuple[UUID, UUID | None, str], list[tuple[str, Window]]] = defaultdict(list)
    for number, content, reference, section, start, end, completeness in rows_of(COVERAGE, contents=list(contents)):
        if section == "transactions" and content not in waiting:
            about = contents[content]
            spot = (about.source, None if reference else about.default_account, reference)
            spots[spot].extend((reference, one) for one in window(about, start, end, completeness, number))
    found: dict[Statement, set[date]] = defaultdict(set)
    for told in spots.values():
        if len({one.completeness == "declared" for _, one in told}) < 2:
            continue
        owned = owners(one for _, one in told)
        for reference, one in told:
            if one.completeness == "declared":
                continue
            found[one.content, reference] |= {
                day for day, owner in owned.items() if one.start <= day <= one.end and owner != one.content
            }
    return {statement: days for statement, days in found.items() if days}


def _waiting(user: User) -> set[int]:
    """Contents whose edition is held back."""
    keys = Conflict.objects.visible_to(user).filter(kind="mass_withdrawal").values_list("key", flat=True)
    coverage = [int(key.partition(":")[2]) for key in keys]
    return set(Coverage.objects.filter(pk__in=coverage).values_list("content", flat=True)) if coverage else set()


class _Accounts:
    """Which account a statement's reference means, as the ledger has it."""

    def __init__(self, user: User) -> None:
        self.known: dict[UUID, BrokerAccount] = {one.pk: one for one in BrokerAccount.objects.visible_to(user)}
        links = AccountLink.objects.filter(source__user=user)
        self.linked: dict[tuple[UUID, str], UUID | None] = {
            (source, reference): account
            for source, reference, account in links.values_list("source_id", "reference", "account_id")
        }

    def of(self, content: ContentInfo, reference: str) -> BrokerAccount | None:
        named = None if reference else content.default_account
        found: BrokerAccount | None = self.known.get(named) if named else None
        if found is None:
            linked = self.linked.get((content.source, reference))
            return self.known.get(linked) if linked else None
        return self.known[found.merged_into_id] if found.merged_into_id else found


def _meanings(user: User) -> dict[tuple[UUID, str], list[tuple[date | None, UUID]]]:
    """How sources name instruments, each meaning with its first day, ascending."""
    found: dict[tuple[UUID, str], list[tuple[date | None, UUID]]] = defaultdict(list)
    links = InstrumentLink.objects.filter(source__user=user).values_list(
        "source_id", "key", "valid_from", "instrument_id"
    )
    for source, key, since, instrument in sorted(links, key=lambda link: link[2] or date.min):
        found[source, key].append((since, instrument))
    return found


def _ignored(user: User) -> set[tuple[UUID, str]]:
    decisions = Decision.objects.visible_to(user).filter(kind=Decision.Kind.IGNORE, revocation=None)
    return {
        (UUID(source), identity)
        for decision in decisions
        if "evidence" not in decision.value
        for source, identity in decision.keys.get("rows", ())
    }

"""Whose account a source's reference means (DESIGN 5.4)."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.utils.text import slugify

from federation.models import AccountLink, BrokerAccount, Decision, Institution
from federation.rows import ContentInfo, SourceInfo
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.ids import uuid7
from stackmotive.common.money import plain

Spot = tuple[UUID, UUID | None, str]
"""(source, default account, reference): how staged rows name an account."""

EXCHANGES = frozenset({"kucoin", "kraken", "coinbase", "binance"})


@dataclass(frozen=True, slots=True)
class Usage:
    """How often a content names an account, an instrument and a currency in one section."""

    content: int
    reference: str
    section: str  # transactions, positions, cash; "" where only coverage names the account
    instrument_key: str
    currency: str
    rows: int
    first_day: date | None = None  # of the instrument's rows
    last_day: date | None = None


@dataclass(slots=True)
class AccountPlan:
    """Spot -> account (null = ignored), with what is not stored yet."""

    spots: dict[Spot, UUID | None] = field(default_factory=dict)
    new_accounts: list[BrokerAccount] = field(default_factory=list)
    institutions: dict[UUID, str] = field(default_factory=dict)  # new account -> institution's name
    new_links: list[AccountLink] = field(default_factory=list)
    changed_links: list[AccountLink] = field(default_factory=list)


@dataclass(slots=True)
class AccountRulings:
    """Decisions about references: (source, reference) -> account, and those to ignore."""

    linked: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    ignored: set[tuple[UUID, str]] = field(default_factory=set)


def plan_accounts(
    *,
    user_id: UUID,
    base_currency: str,
    sources: Mapping[UUID, SourceInfo],
    contents: Mapping[int, ContentInfo],
    usages: Iterable[Usage],
    accounts: Mapping[UUID, BrokerAccount],
    links: Mapping[tuple[UUID, str], AccountLink],
    rulings: AccountRulings,
) -> AccountPlan:
    """Find or make the account of every spot. Writes nothing."""
    plan = AccountPlan()
    known = dict(accounts)
    by_spot: dict[Spot, list[Usage]] = {}
    for usage in usages:
        content = contents[usage.content]
        default = content.default_account if not usage.reference and content.default_account in accounts else None
        by_spot.setdefault((content.source, default, usage.reference), []).append(usage)
    for spot in sorted(by_spot, key=lambda spot: min(usage.content for usage in by_spot[spot])):
        source, default, reference = spot
        if default is not None:
            plan.spots[spot] = default
            continue
        named = _account_id(reference) if sources[source].by_hand else None
        if named is not None and named in accounts:
            plan.spots[spot] = named
            continue
        link = links.get((source, reference))
        if link is None:
            link = _new_link(plan, user_id, base_currency, sources[source], reference, by_spot[spot], contents, known)
        account, state = link.automatic_id, AccountLink.State.LINKED
        is_open = link.evidence.get("rule") == "new_account" and (source, reference) not in rulings.linked
        if link.state == AccountLink.State.PROPOSED and is_open:
            state = AccountLink.State.PROPOSED  # until its rows or its user say otherwise
        if (source, reference) in rulings.ignored:
            account, state = None, AccountLink.State.IGNORED
        elif (chosen := rulings.linked.get((source, reference))) in known:
            account = chosen
        if (link.account_id, link.state) != (account, state):
            link.account_id, link.state = account, state
            if link.pk is not None:
                plan.changed_links.append(link)
        plan.spots[spot] = account
    return plan


def _new_link(
    plan: AccountPlan,
    user_id: UUID,
    base_currency: str,
    source: SourceInfo,
    reference: str,
    usages: list[Usage],
    contents: Mapping[int, ContentInfo],
    known: dict[UUID, BrokerAccount],
) -> AccountLink:
    first = contents[min(usage.content for usage in usages)]
    account = _institution_account(plan, first, reference, known)
    evidence = {"rule": "institution_reference"}
    if account is None:
        evidence = {"rule": "new_account"}
        account = _new_account(user_id, base_currency, source, reference, usages, first)
        plan.new_accounts.append(account)
        known[account.pk] = account
        if first.institution:
            plan.institutions[account.pk] = first.institution
    link = AccountLink(source_id=source.id, reference=reference, evidence=evidence)
    link.automatic_id = link.account_id = account.pk
    plan.new_links.append(link)
    return link


def _institution_account(
    plan: AccountPlan, content: ContentInfo, reference: str, known: Mapping[UUID, BrokerAccount]
) -> BrokerAccount | None:
    """The user's account with this number at this institution, where the number is the institution's own."""
    if not (content.references_issued and content.institution and reference):
        return None
    wanted = (slugify(content.institution), normalized(reference))
    for account in sorted(known.values(), key=lambda account: account.pk):
        institution = account.institution.name if account.institution else plan.institutions.get(account.pk, "")
        if account.reference and (slugify(institution), normalized(account.reference)) == wanted:
            return account
    return None


def _new_account(
    user_id: UUID, base_currency: str, source: SourceInfo, reference: str, usages: list[Usage], content: ContentInfo
) -> BrokerAccount:
    currencies: Counter[str] = Counter()
    for usage in usages:
        if usage.currency in ISO_4217:
            currencies[usage.currency] += usage.rows
    most = min(currencies, key=lambda one: (-currencies[one], one)) if currencies else base_currency
    has_transactions = any(usage.section in ("transactions", "") for usage in usages)
    name = " ".join(part for part in (content.institution, reference) if part) or source.name
    is_exchange = source.kind in EXCHANGES or slugify(content.institution) in EXCHANGES
    return BrokerAccount(
        id=uuid7(),
        user_id=user_id,
        name=name[:100],
        reference=reference,
        currency=content.base_currencies.get(reference, most),
        kind=BrokerAccount.Kind.EXCHANGE if is_exchange else BrokerAccount.Kind.BROKERAGE,
        tracking=BrokerAccount.Tracking.TRANSACTIONS if has_transactions else BrokerAccount.Tracking.POSITIONS,
        cash_mode=content.cash_mode,
    )


def store_accounts(plan: AccountPlan) -> None:
    """Write what `plan_accounts` found missing. Call under the user's ledger lock."""
    slugs = {slugify(name)[:100]: name for name in plan.institutions.values()}
    Institution.objects.bulk_create(
        [Institution(name=slugs[slug][:100], slug=slug) for slug in sorted(slugs)], ignore_conflicts=True
    )
    found = {one.slug: one for one in Institution.objects.filter(slug__in=slugs)} if slugs else {}
    for account in plan.new_accounts:
        if account.pk in plan.institutions:
            account.institution = found[slugify(plan.institutions[account.pk])[:100]]
    BrokerAccount.objects.bulk_create(plan.new_accounts)
    AccountLink.objects.bulk_create(plan.new_links)
    if plan.changed_links:
        AccountLink.objects.bulk_update(plan.changed_links, ["account", "state"])


PROPOSALS = """
SELECT l.id, o.account_id, COUNT(DISTINCT t.id), MAX(t.compared)
FROM federation_accountlink l
JOIN LATERAL (
  SELECT x.*, COUNT(*) OVER () AS compared FROM (
    SELECT id, user_id, instrument_id, kind, trade_date, quantity, price, cash_amount FROM federation_transaction
    WHERE account_id = l.account_id AND kind <> 'adjustment' ORDER BY trade_date DESC, id LIMIT %(most)s
  ) x
) t ON TRUE
JOIN federation_transaction o ON o.user_id = t.user_id AND o.trade_date = t.trade_date AND o.kind = t.kind
  AND o.account_id <> l.account_id AND o.instrument_id IS NOT DISTINCT FROM t.instrument_id
  AND o.quantity IS NOT DISTINCT FROM t.quantity AND (o.price = t.price OR o.cash_amount = t.cash_amount)
WHERE l.id = ANY(%(links)s)
  AND NOT EXISTS (SELECT 1 FROM federation_accountlink s WHERE s.account_id = o.account_id
                  AND (s.source_id = l.source_id OR s.id > l.id))
GROUP BY l.id, o.account_id ORDER BY l.id, COUNT(DISTINCT t.id) DESC, o.account_id
"""
ROWS_COMPARED = 500
FEWEST_ALIKE = 2


def propose_accounts(user_id: UUID, accounts: Collection[UUID]) -> None:
    """Propose that references of `accounts` mean an older account whose newest rows at least half are theirs too.

    Only where nobody decided and no rule but "a new account" linked them. Call when the ledger is written.
    """
    links = list(
        AccountLink.objects.filter(
            source__user=user_id,
            account__in=accounts,
            account=F("automatic"),
            evidence__rule="new_account",
            state__in=[AccountLink.State.LINKED, AccountLink.State.PROPOSED],
        )
    )
    if not links or BrokerAccount.objects.filter(user=user_id).count() < FEWEST_ALIKE:
        return
    with connection.cursor() as cursor:
        cursor.execute(PROPOSALS, {"links": [link.pk for link in links], "most": ROWS_COMPARED})
        found: dict[int, tuple[UUID, int, int]] = {}
        for link_id, account, matching, compared in cursor.fetchall():
            if matching >= FEWEST_ALIKE and matching * 2 >= compared:
                found.setdefault(link_id, (account, matching, compared))
    decided = {
        tuple(keys["reference"])
        for keys in Decision.objects.filter(
            user=user_id, kind=Decision.Kind.LINK_ACCOUNT, revocation=None, keys__has_key="reference"
        ).values_list("keys", flat=True)
    }
    changed = []
    for link in links:
        state, evidence = AccountLink.State.LINKED, {"rule": "new_account"}
        if link.pk in found and (str(link.source_id), link.reference) not in decided:
            account, matching, compared = found[link.pk]
            state = AccountLink.State.PROPOSED
            evidence |= {"account": str(account), "matching": str(matching), "compared": str(compared)}
            evidence["share"] = plain((Decimal(matching) / compared).quantize(Decimal("0.01")))
        if (link.state, link.evidence) != (state, evidence):
            link.state, link.evidence = state, evidence
            changed.append(link)
    if changed:
        AccountLink.objects.bulk_update(changed, ["state", "evidence"])


def normalized(reference: str) -> str:
    """An institution's number as compared: letters and digits only, upper case."""
    return re.sub(r"[^0-9A-Z]", "", reference.upper())


def _account_id(reference: str) -> UUID | None:
    try:
        return UUID(reference)
    except ValueError:
        return None

"""Whose account a source's reference means (DESIGN 5.4)."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from django.utils.text import slugify

from federation.models import AccountLink, BrokerAccount, Institution
from federation.rows import ContentInfo, SourceInfo
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.ids import uuid7

Spot = tuple[UUID, UUID | None, str]
"""(source, default account, reference): how staged rows name an account."""

NEW_ACCOUNT = "new_account"  # the rule of a reference that nothing known fits
DECIDED = {"rule": "decision"}
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
    merged: dict[UUID, UUID] = field(default_factory=dict)  # account -> the one that it is a part of
    changed_merges: list[BrokerAccount] = field(default_factory=list)

    @property
    def is_moved(self) -> bool:
        """Whether what is stored means another account than before."""
        return bool(self.changed_links or self.changed_merges)

    def whole(self, account: UUID) -> UUID:
        """The account that `account` is a part of; itself where it is none."""
        return self.merged.get(account, account)


@dataclass(slots=True)
class AccountRulings:
    """Decisions about references: (source, reference) -> account, and those to ignore; and account -> account."""

    linked: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    ignored: set[tuple[UUID, str]] = field(default_factory=set)
    merged: dict[UUID, UUID] = field(default_factory=dict)  # in the order in which they were decided

    def wholes(self, known: Collection[UUID]) -> dict[UUID, UUID]:
        """Account -> the one that it is a part of in the end. A word that would close a circle does not count."""
        into: dict[UUID, UUID] = {}

        def whole(account: UUID) -> UUID:
            while account in into:
                account = into[account]
            return account

        for account, other in self.merged.items():
            if account in known and other in known and whole(other) != account:
                into[account] = other
        return {account: whole(account) for account in into}


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
    plan = AccountPlan(merged=rulings.wholes(accounts.keys()))
    plan.changed_merges = [one for one in accounts.values() if one.merged_into_id != plan.merged.get(one.pk)]
    known = dict(accounts)
    by_spot: dict[Spot, list[Usage]] = {}
    for usage in usages:
        content = contents[usage.content]
        default = content.default_account if not usage.reference and content.default_account in accounts else None
        by_spot.setdefault((content.source, default, usage.reference), []).append(usage)
    for spot in sorted(by_spot, key=lambda spot: min(usage.content for usage in by_spot[spot])):
        source, default, reference = spot
        if default is not None:
            plan.spots[spot] = plan.whole(default)
            continue
        named = _account_id(reference) if sources[source].by_hand else None
        if named is not None and named in accounts:
            plan.spots[spot] = plan.whole(named)
            continue
        link = links.get((source, reference))
        if link is None:
            link = AccountLink(source_id=source, reference=reference, evidence=dict(DECIDED))
            plan.new_links.append(link)
        is_ruled = (source, reference) in rulings.ignored or rulings.linked.get((source, reference)) in known
        has_own = link.automatic_id is not None
        if not has_own and not is_ruled:  # what a decision says needs no account of its own
            _link_by_rule(link, plan, user_id, base_currency, sources[source], by_spot[spot], contents, known)
        account, state = link.automatic_id, AccountLink.State.LINKED
        is_open = link.evidence.get("rule") == NEW_ACCOUNT and (source, reference) not in rulings.linked
        if link.state == AccountLink.State.PROPOSED and is_open:
            state = AccountLink.State.PROPOSED  # until its rows or its user say otherwise
        if (source, reference) in rulings.ignored:
            account, state = None, AccountLink.State.IGNORED
        elif (chosen := rulings.linked.get((source, reference))) in known:
            account = chosen
        account = plan.whole(account) if account is not None else None
        if (link.account_id, link.state) != (account, state) or (link.automatic_id is not None) != has_own:
            link.account_id, link.state = account, state
            if link.pk is not None:
                plan.changed_links.append(link)
        plan.spots[spot] = account
    return plan


def _link_by_rule(
    link: AccountLink,
    plan: AccountPlan,
    user_id: UUID,
    base_currency: str,
    source: SourceInfo,
    usages: list[Usage],
    contents: Mapping[int, ContentInfo],
    known: dict[UUID, BrokerAccount],
) -> None:
    """Say which account a reference means where nobody decided: the institution's own, else a new one."""
    first = contents[min(usage.content for usage in usages)]
    account = _institution_account(plan, first, link.reference, known)
    link.evidence = {"rule": "institution_reference"}
    if account is None:
        link.evidence = {"rule": NEW_ACCOUNT}
        account = _new_account(user_id, base_currency, source, link.reference, usages, first)
        plan.new_accounts.append(account)
        known[account.pk] = account
        if first.institution:
            plan.institutions[account.pk] = first.institution
    link.automatic_id = account.pk


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
        AccountLink.objects.bulk_update(plan.changed_links, ["account", "state", "automatic", "evidence"])
    for account in plan.changed_merges:
        account.merged_into_id = plan.merged.get(account.pk)
    if plan.changed_merges:
        BrokerAccount.objects.bulk_update(plan.changed_merges, ["merged_into"])


def normalized(reference: str) -> str:
    """An institution's number as compared: letters and digits only, upper case."""
    return re.sub(r"[^0-9A-Z]", "", reference.upper())


def _account_id(reference: str) -> UUID | None:
    try:
        return UUID(reference)
    except ValueError:
        return None

"""Which account each source means: proposals that wait for a word, what is known, and accounts that are one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from federation import selectors
from federation.models import AccountLink, BrokerAccount, Decision
from federation.reasons import row_words
from stackmotive.common.display import day_text, quantity_text

RULE_WORDS = {
    "institution_reference": "its number is that of your account",
    "new_account": "an account was made for it",
    "decision": "you said so",
}


@dataclass(frozen=True, slots=True)
class AccountChoice:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """A row or a position that two accounts share."""

    what: str
    value: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new account that looks like an older one. evidence: why, the share first."""

    link: int
    source: UUID
    source_name: str
    reference: str
    account: UUID
    account_name: str
    older: str
    older_name: str
    share: str
    evidence: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class LinkLine:
    """What a source calls an account, and the account it counts for; account "" = ignored."""

    id: int
    source_name: str
    reference: str
    account: str
    account_name: str
    rule_words: str


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One of the user's accounts. whole: the account that it is a part of; decision: who said so, to part them again."""

    id: str
    name: str
    institution: str
    whole: str
    decision: UUID | None


@dataclass(frozen=True, slots=True)
class LinkBoard:
    proposals: tuple[Proposal, ...]
    lines: tuple[LinkLine, ...]
    accounts: tuple[AccountLine, ...]
    choices: tuple[AccountChoice, ...]  # accounts that are no part of another


def link_board(user: User) -> LinkBoard:
    links = list(selectors.account_links(user).filter(source__retired_at=None))
    known = list(BrokerAccount.objects.visible_to(user).select_related("institution").order_by("name", "pk"))
    names = {str(one.pk): one.name for one in known}
    said = {
        one.keys["account"]: one.pk
        for one in reversed(selectors.decisions(user).filter(revocation=None, kind=Decision.Kind.MERGE_ACCOUNTS))
    }
    return LinkBoard(
        proposals=tuple(
            proposal(link, link.account, names)
            for link in links
            if link.state == AccountLink.State.PROPOSED
            and link.account is not None
            and link.evidence.get("account") in names
        ),
        lines=tuple(
            LinkLine(
                id=link.pk,
                source_name=link.source.name,
                reference=link.reference or "Rows that name no account",
                account=str(link.account_id) if link.account_id else "",
                account_name=names.get(str(link.account_id), ""),
                rule_words=RULE_WORDS["decision" if is_decided(link) else link.evidence.get("rule", "decision")],
            )
            for link in links
        ),
        accounts=tuple(
            AccountLine(
                id=str(one.pk),
                name=one.name,
                institution=one.institution.name if one.institution else "",
                whole=names.get(str(one.merged_into_id), ""),
                decision=said.get(str(one.pk)),
            )
            for one in known
        ),
        choices=tuple(AccountChoice(str(one.pk), one.name) for one in known if one.merged_into_id is None),
    )


def is_decided(link: AccountLink) -> bool:
    """Whether the user's word, and no rule, says which account it means."""
    is_moved = link.automatic_id is not None and link.account_id != link.automatic_id
    return is_moved or link.state == AccountLink.State.IGNORED


def proposal(link: AccountLink, account: BrokerAccount, names: Mapping[str, str]) -> Proposal:
    told: Mapping[str, Any] = link.evidence
    share, evidence = in_words(told, account.name, names[told["account"]])
    return Proposal(
        link=link.pk,
        source=link.source_id,
        source_name=link.source.name,
        reference=link.reference,
        account=account.pk,
        account_name=account.name,
        older=told["account"],
        older_name=names[told["account"]],
        share=share,
        evidence=evidence,
        examples=tuple(example(one) for one in told.get("examples", ())),
    )


def in_words(told: Mapping[str, Any], name: str, older: str) -> tuple[str, str]:
    """(the share, what it is a share of)."""
    if told.get("basis") == "reference":
        return "The same number", f"“{name}” and “{older}” go by one number."
    noun = "positions" if told.get("basis") == "positions" else "rows"
    return f"{told['matching']} of {told['compared']} {noun}", f"of “{name}” are in “{older}” too."


def example(one: Mapping[str, str]) -> Example:
    day = date.fromisoformat(one["day"])
    name = one.get("symbol", "")
    value = quantity_text(Decimal(one["value"])) if one.get("value") else ""
    if one["kind"] == "position":
        return Example(f"{name} held on {day_text(day)}", value)
    what, on, when = row_words(one["kind"], day).partition(" on ")
    return Example(f"{what.capitalize()}{f' of {name}' if name else ''}{on}{when}", value)


def proposal_count(user: User) -> int:
    return AccountLink.objects.filter(source__user=user, state=AccountLink.State.PROPOSED).count()

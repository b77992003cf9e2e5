"""Which account each source means: proposals that wait for a word, and what is known."""

from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from federation import selectors
from federation.models import AccountLink, BrokerAccount

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
class Proposal:
    """A new account that looks like an older one: `matching` of `compared` rows are in both."""

    link: int
    source: UUID
    source_name: str
    reference: str
    account: UUID
    account_name: str
    older: str
    older_name: str
    matching: str
    compared: str


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
class LinkBoard:
    proposals: tuple[Proposal, ...]
    lines: tuple[LinkLine, ...]
    accounts: tuple[AccountChoice, ...]


def link_board(user: User) -> LinkBoard:
    links = list(selectors.account_links(user).filter(source__retired_at=None))
    accounts = BrokerAccount.objects.visible_to(user).order_by("name", "pk").values_list("pk", "name")
    names = {str(pk): name for pk, name in accounts}
    return LinkBoard(
        proposals=tuple(
            Proposal(
                link=link.pk,
                source=link.source_id,
                source_name=link.source.name,
                reference=link.reference,
                account=link.account.pk,
                account_name=link.account.name,
                older=link.evidence["account"],
                older_name=names[link.evidence["account"]],
                matching=link.evidence["matching"],
                compared=link.evidence["compared"],
            )
            for link in links
            if link.state == AccountLink.State.PROPOSED
            and link.account is not None
            and link.evidence.get("account") in names
        ),
        lines=tuple(
            LinkLine(
                id=link.pk,
                source_name=link.source.name,
                reference=link.reference or "names none",
                account=str(link.account_id) if link.account_id else "",
                account_name=names.get(str(link.account_id), ""),
                rule_words=RULE_WORDS.get(link.evidence.get("rule", ""), ""),
            )
            for link in links
        ),
        accounts=tuple(AccountChoice(pk, name) for pk, name in names.items()),
    )


def proposal_count(user: User) -> int:
    return AccountLink.objects.filter(source__user=user, state=AccountLink.State.PROPOSED).count()

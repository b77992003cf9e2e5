"""Decisions, each as a line: those in force can be undone, those taken back stay to be read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from federation import selectors
from federation.models import BrokerAccount, Decision, InstrumentLink
from federation.reasons import FIELD_WORDS, row_words, with_article
from ingestion.models import Source, StagedTransaction

MOST = 100
TRANSFER_WORDS = {
    "pair": "a transfer between your own accounts",
    "apart": "no transfer between your own accounts",
    "income": "income from outside",
    "payment": "a payment to somebody else",
}


@dataclass(frozen=True, slots=True)
class DecisionLine:
    id: UUID
    text: str
    created_at: datetime
    revoked_at: datetime | None


class Names:
    """What the ids in decisions are called; every id that is not the user's stays without a name."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.sources = {str(pk): name for pk, name in Source.objects.visible_to(user).values_list("pk", "name")}
        accounts = BrokerAccount.objects.visible_to(user).values_list("pk", "name")
        self.accounts = {str(pk): name for pk, name in accounts}
        self.rows: dict[tuple[str, str], str] = {}
        self.instruments: dict[tuple[str, str], str] = {}

    def learn(self, decisions: list[Decision]) -> None:
        """Rows and instruments of all decisions at once."""
        rows = {tuple(pair) for one in decisions for pair in one.keys.get("rows", ())}
        staged = StagedTransaction.objects.filter(
            content__source__user=self.user, identity__in={identity for _, identity in rows}
        )
        for source, identity, kind, day in staged.values_list("content__source", "identity", "kind", "trade_date"):
            self.rows[str(source), identity] = row_words(kind, day)
        named = {tuple(pair) for one in decisions for pair in one.keys.get("instruments", ())}
        links = InstrumentLink.objects.filter(source__user=self.user, key__in={key for _, key in named})
        for source, key, symbol in links.values_list("source", "key", "instrument__symbol"):
            self.instruments[str(source), key] = symbol

    def subject(self, keys: dict[str, Any]) -> str:
        """What a decision is about."""
        account = self.accounts.get(keys.get("account", ""), "an account")
        if "rows" in keys:
            known = [self.rows[tuple(pair)] for pair in keys["rows"] if tuple(pair) in self.rows]
            return with_article(known[0]) if known else "a row"
        if "reference" in keys:
            source, reference = keys["reference"]
            return f"“{reference or 'no name'}” of {self.sources.get(source, 'a source')}"
        if "currency" in keys:
            return f"{keys['currency']} cash in {account}"
        named = (self.instruments.get(tuple(pair)) for pair in keys.get("instruments", ()))
        symbol = next(filter(None, named), "")
        return f"{symbol} in {account}" if symbol else account


def decision_lines(user: User, *, in_force: bool = True, most: int = MOST) -> list[DecisionLine]:
    """Those in force, or those that were taken back; the newest first."""
    return lines_of(user, selectors.decisions(user).filter(revocation__isnull=in_force)[:most])


def lines_of(user: User, decisions: Iterable[Decision]) -> list[DecisionLine]:
    found = list(decisions)
    names = Names(user)
    names.learn(found)
    return [DecisionLine(one.pk, line(one, names), one.created_at, taken_back(one)) for one in found]


def taken_back(one: Decision) -> datetime | None:
    return one.revocation.created_at if hasattr(one, "revocation") else None


def line(one: Decision, names: Names) -> str:
    about = names.subject(one.keys)
    match one.kind:
        case Decision.Kind.CHOOSE:
            until = " for the reports compared then" if "until" in one.value else ""
            return f"Believe {names.sources.get(one.value.get('source', ''), 'a source')} about {about}{until}."
        case Decision.Kind.IGNORE if "evidence" in one.value:
            return f"Leave {about} as it is while the evidence stays the same."
        case Decision.Kind.IGNORE:
            return f"Ignore {about}."
        case Decision.Kind.BOOK:
            return f"Book {about} although only one source has it."
        case Decision.Kind.ACCEPT:
            return "Let a statement count although it takes much away."
        case Decision.Kind.SAME:
            return f"{about[:1].upper()}{about[1:]} is the same row in both sources."
        case Decision.Kind.DIFFERENT:
            return f"{about[:1].upper()}{about[1:]} stays apart from the row that looks like it."
        case Decision.Kind.PAIR_TRANSFER:
            return f"{about[:1].upper()}{about[1:]}: {TRANSFER_WORDS.get(one.value.get('as', ''), 'a transfer')}."
        case Decision.Kind.LINK_ACCOUNT:
            account = names.accounts.get(one.value.get("account", ""), "an account")
            return f"{about[:1].upper()}{about[1:]} means {account}."
        case Decision.Kind.SET_VALUE:
            field = one.value.get("field", "")
            return f"{FIELD_WORDS.get(field, field.replace('_', ' ').capitalize())} of {about} is what you set."
        case Decision.Kind.OPENING_LOTS:
            return f"What there was of {about} before its known history is made of the lots you gave."
        case Decision.Kind.MERGE_ACCOUNTS:
            account = names.accounts.get(one.value.get("account", ""), "an account")
            return f"{about[:1].upper()}{about[1:]} is a part of {account}."
        case _:
            return f"{one.kind.replace('_', ' ').capitalize()}: {about}."

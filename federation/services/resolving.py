"""Settling a conflict by hand: which answers its kind takes, and the decision that each of them is (DESIGN 5.2, 5.8)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.conflict_answers import REPORT_KINDS, ROW_KINDS, answers, is_transfer
from federation.errors import UnfitDecision, UnfitResolution
from federation.models import Claim, Conflict, Decision, Transaction
from federation.services.decision_keys import expanded
from federation.services.decisions import decide
from federation.services.transfers import pair_by_hand, said_of, unlink
from federation.weighing import evidence_of


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision before it is recorded."""

    kind: str
    keys: dict[str, Any]
    value: dict[str, Any]


def resolve_conflict(
    *,
    conflict: Conflict,
    action: str,
    source: UUID | None = None,
    match: tuple[UUID, str] | str | None = None,
    remember: bool = True,
) -> Decision:
    """Settle a conflict by hand. action: choose (with source), match, book, accept, ignore.

    match: the row that the conflict's row is one with, by (source, identity), by its ledger row's id or by the
    `row` of a candidate; for a transfer the row that is its other side. accept: an edition that withdraws much
    counts; ignoring it leaves the one before in force. Ignoring a row leaves it out; a transfer's row then belongs
    to no transfer; anything else stays as it is while its evidence does.

    remember: a choice also counts for later reports; otherwise only for those up to the newest one compared.

    The same answer twice is one decision. Raises UnfitResolution where the kind takes another answer, UnfitDecision.
    """
    said = ruling(conflict=conflict, action=action, source=source, match=match, remember=remember)
    if said.kind == Decision.Kind.PAIR_TRANSFER:
        rows = _legs(conflict, match if action == "match" else None)
        user = conflict.user
        return pair_by_hand(user=user, rows=rows) if action == "match" else unlink(user=user, rows=rows)
    return _said(conflict.user, said.kind, said.keys, said.value)


def ruling(
    *,
    conflict: Conflict,
    action: str,
    source: UUID | None = None,
    match: tuple[UUID, str] | str | None = None,
    remember: bool = True,
) -> Ruling:
    """The decision that `resolve_conflict` would record, for a preview of it. Raises UnfitResolution, UnfitDecision."""
    allowed = answers(conflict)
    if action not in allowed:
        raise UnfitResolution(f"Answer this one with {' or '.join(allowed)}.", allowed=list(allowed))
    user, key = conflict.user, {"key": conflict.key}
    if is_transfer(conflict):
        legs, word = _legs(conflict, match if action == "match" else None), "pair" if action == "match" else "apart"
        return Ruling(Decision.Kind.PAIR_TRANSFER, *said_of(legs, word))
    match action:
        case "choose":
            return Ruling(Decision.Kind.CHOOSE, key, _choice(conflict, source, remember=remember))
        case "match":
            rows = [*expanded(user, conflict.key)["rows"], *_partner(conflict, match)]
            return Ruling(Decision.Kind.SAME, {"rows": rows}, {})
        case "book":
            return Ruling(Decision.Kind.BOOK, key, {})
        case "accept":
            return Ruling(Decision.Kind.ACCEPT, key, {})
    evidence = {} if conflict.kind in ROW_KINDS else {"evidence": evidence_of(conflict.candidates)}
    return Ruling(Decision.Kind.IGNORE, key, evidence)


def _said(user: User, kind: str, keys: dict[str, Any], value: dict[str, Any]) -> Decision:
    """The decision in force that says just this last, else a new one."""
    about = {"keys__key": keys["key"]} if "key" in keys else {"keys": keys}
    last: Decision | None = (
        Decision.objects.visible_to(user).filter(revocation=None, **about).order_by("-number").first()
    )
    if last is not None and (last.kind, last.value) == (kind, value):
        return last
    return decide(user=user, kind=kind, keys=keys, value=value)


def _choice(conflict: Conflict, source: UUID | None, *, remember: bool) -> dict[str, Any]:
    told = sorted({one["source"] for one in conflict.candidates})
    if source is None or str(source) not in told:
        raise UnfitDecision("Choose one of the sources that the conflict compares.", candidates=told)
    value = {"source": str(source)}
    if not remember and conflict.kind in REPORT_KINDS:
        value["until"] = max(one["as_of"] for one in conflict.candidates)
    return value


def _partner(conflict: Conflict, match: tuple[UUID, str] | str | None) -> list[list[str]]:
    """The rows that the conflict's row is one with, of another source."""
    if match is None:
        raise UnfitDecision("Name the row that this row is one with: a transaction's id, or a candidate's `row`.")
    if not isinstance(match, str):
        return [[str(match[0]), match[1]]]
    own = str(conflict.candidates[0]["source"])
    compared = [
        [one["source"], one["row"]]
        for one in conflict.candidates[1:]
        if one.get("row") == match and one["source"] != own
    ]
    if compared:
        return compared
    found: list[list[str]] = expanded(conflict.user, f"transaction:{match}")["rows"]
    row = Transaction.objects.visible_to(conflict.user).get(pk=UUID(match))
    others = [pair for pair in found if pair[0] != own]
    if not others:
        raise UnfitDecision("Rows of one source are never one. Name a row that another source has.")
    if row.account_id != conflict.account_id:
        raise UnfitDecision("That row is of another account. Name one of the same account.")
    return others


def _legs(conflict: Conflict, match: tuple[UUID, str] | str | None) -> list[Transaction]:
    """The leg that asks and the partner that was named; the leg alone where none was. Raises UnfitDecision."""
    legs = [str(one["row"]) for one in conflict.candidates]
    if match is not None and not isinstance(match, str):
        claims = Claim.objects.filter(transaction__user=conflict.user, source=match[0], staged__identity=match[1])
        match = next((str(row) for row in claims.values_list("transaction", flat=True)), "")
    if match is None or match in legs[1:]:
        wanted = legs[:1] if match is None else [legs[0], match]
        rows = list(Transaction.objects.visible_to(conflict.user).filter(pk__in=wanted))
        if len(rows) == len(wanted):
            return rows
    raise UnfitDecision("Name one of the rows that the conflict compares as its other side.", candidates=legs[1:])

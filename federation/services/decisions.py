"""What the user says once and for all later syncs (DESIGN 5.8): recorded as facts, keyed by what sources call
things.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import User
from federation.errors import AlreadyRevoked, UnfitDecision
from federation.models import (
    BrokerAccount,
    Claim,
    Conflict,
    Decision,
    DecisionRevocation,
    InstrumentLink,
    Transaction,
)
from federation.services.reconciliation import evidence_of, reconcile
from ingestion.models import Coverage, Source, StagedTransaction
from stackmotive.common.currencies import ISO_4217

CAUSE = "decision"
LONGEST_REFERENCE = 100
LONGEST_IDENTITY = 32
LONGEST_NUMBER = 18
MOST_ROWS = 500


def decide(*, user: User, kind: str, keys: Mapping[str, Any], value: Mapping[str, Any] | None = None) -> Decision:
    """Record a decision and make the ledger follow it.

    keys: {"key": a conflict's key} or what it stands for: {"account", "instruments": [[source, naming]]},
    {"account", "currency"}, {"rows": [[source, identity]]} or {"reference": [source, reference]}.
    value: {"source"} to choose, {"account"} to link. Raises UnfitDecision.
    """
    decision = record_decision(user=user, kind=kind, keys=keys, value=value)
    reconcile(user.pk, cause=CAUSE)
    return decision


def record_decision(
    *, user: User, kind: str, keys: Mapping[str, Any], value: Mapping[str, Any] | None = None
) -> Decision:
    """`decide` without what follows from it."""
    value = dict(value or {})
    named = _checked_keys(user, keys)
    _check(user, kind, named, value)
    with transaction.atomic():
        number = next_fact_number(user_id=user.pk, cause=CAUSE)
        return Decision.objects.create(user=user, kind=kind, keys=named, value=value, number=number)


def revoke(*, decision: Decision) -> Decision:
    """Take a decision back; the ledger is again what the rules make it. Raises AlreadyRevoked."""
    with transaction.atomic():
        number = next_fact_number(
            user_id=decision.user_id, cause=CAUSE
        )  # holds the user's counter: no second one comes between
        _, is_new = DecisionRevocation.objects.get_or_create(decision=decision, defaults={"number": number})
        if not is_new:
            raise AlreadyRevoked("It does not count any more.")
    reconcile(decision.user_id, cause=CAUSE)
    decision.refresh_from_db()
    return decision


def resolve_conflict(
    *,
    conflict: Conflict,
    action: str,
    source: UUID | None = None,
    match: tuple[UUID, str] | str | None = None,
    remember: bool = True,
) -> Decision:
    """Settle a conflict by hand. action: choose (with source), match, book, accept, ignore.

    match: the row that the conflict's row is one with, by (source, identity), by its ledger row's id
    or by the identity that the conflict compares. accept: an
    edition that withdraws much counts; ignoring it leaves the one before in force.

    remember: a choice also counts for later reports; otherwise only for those up to the newest one compared.
    """
    user = conflict.user
    is_row = conflict.kind in ("only_in_one_source", "ambiguous")
    if action == "choose":
        told = {one["source"] for one in conflict.candidates}
        if source is None or str(source) not in told or is_row:
            raise UnfitDecision("Choose one of the sources that the conflict compares.", candidates=sorted(told))
        value = {"source": str(source)}
        if not remember and not conflict.key.startswith("transaction:"):
            value["until"] = max(one["as_of"] for one in conflict.candidates)
        return decide(user=user, kind=Decision.Kind.CHOOSE, keys={"key": conflict.key}, value=value)
    if action == "book":
        if not is_row:
            raise UnfitDecision("Only a row that one source alone has, or that fits several, can be booked.")
        return decide(user=user, kind=Decision.Kind.BOOK, keys={"key": conflict.key})
    if action == "match":
        if not is_row or match is None:
            raise UnfitDecision("Name the row that this row is one with.")
        rows = [*_expand(user, conflict.key)["rows"], *_rows_of_match(conflict, match)]
        return decide(user=user, kind=Decision.Kind.SAME, keys={"rows": rows})
    if action == "accept":
        return decide(user=user, kind=Decision.Kind.ACCEPT, keys={"key": conflict.key})
    if action != "ignore":
        raise UnfitDecision("Choose a source, match, book, accept or ignore.")
    value = {} if is_row else {"evidence": evidence_of(conflict.candidates)}
    return decide(user=user, kind=Decision.Kind.IGNORE, keys={"key": conflict.key}, value=value)


def _rows_of_match(conflict: Conflict, match: tuple[UUID, str] | str) -> list[list[str]]:
    if not isinstance(match, str):
        return [[str(match[0]), match[1]]]
    compared = [[one["source"], one["row"]] for one in conflict.candidates if one.get("row") == match]
    if compared:
        return compared
    pairs: list[list[str]] = _expand(conflict.user, f"transaction:{match}")["rows"]
    return pairs


# --- keys ------------------------------------------------------------------------


def _checked_keys(user: User, keys: Mapping[str, Any]) -> dict[str, Any]:
    """`keys` as stored. Every id in them is the user's own."""
    if isinstance(key := keys.get("key"), str):
        return {"key": key} | _expand(user, key)
    named: dict[str, Any] = {}
    if "rows" in keys:
        rows = _pairs(keys["rows"])
        for source, identity in rows:
            _own_row(user, source, identity)
        named["rows"] = rows
    if "reference" in keys:
        (pair,) = _pairs([keys["reference"]])
        _own_source(user, pair[0])
        named["reference"] = pair
    if "account" in keys:
        named["account"] = str(_own_account(user, keys["account"]).pk)
        if "currency" in keys:
            named["currency"] = _currency(keys["currency"])
    if "instruments" in keys and "currency" not in named:
        named["instruments"] = _pairs(keys["instruments"])
        for source, _ in named["instruments"]:
            _own_source(user, source)
    if not named:
        raise UnfitDecision("Say what it is about: a conflict's key, rows, a reference, or an account with a holding.")
    return named


def _expand(user: User, key: str) -> dict[str, Any]:
    """What a conflict's key stands for, in the sources' own words, so that it outlives resolved ids."""
    about, _, rest = key.partition(":")
    first, _, second = rest.partition(":")
    if about == "position":
        account, instrument = _own_account(user, first), _uuid(second)
        links = InstrumentLink.objects.filter(source__user=user, instrument=instrument).order_by("pk")
        namings = [[str(source), name] for source, name in links.values_list("source", "key")]
        if not namings:
            raise UnfitDecision("No source names this instrument.")
        return {"account": str(account.pk), "instruments": namings}
    if about == "cash":
        return {"account": str(_own_account(user, first).pk), "currency": _currency(second)}
    if about == "transaction":
        row = Transaction.objects.visible_to(user).filter(pk=_uuid(first)).first()
        claims = Claim.objects.filter(transaction=row).order_by("pk") if row else Claim.objects.none()
        rows = [[str(source), identity] for source, identity in claims.values_list("source", "staged__identity")]
        if not rows:
            raise UnfitDecision("No source claims this row.")
        return {"rows": [list(pair) for pair in dict.fromkeys(map(tuple, rows))]}
    if about == "coverage":
        number = int(rest) if rest.isascii() and rest.isdigit() and len(rest) <= LONGEST_NUMBER else 0
        coverage = Coverage.objects.filter(pk=number, content__source__user=user).first()
        if coverage is None:
            raise UnfitDecision("No statement of yours covers this.")
        return {"coverage": coverage.pk}
    if about in ("row", "match"):
        _own_row(user, first, second)
        return {"rows": [[str(_uuid(first)), second]]}
    if about == "reference":
        _own_source(user, first)
        return {"reference": [str(_uuid(first)), second[:LONGEST_REFERENCE]]}
    raise UnfitDecision("A key starts with position, cash, transaction, row, match, coverage or reference.")


def _check(user: User, kind: str, keys: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    fits = {
        Decision.Kind.CHOOSE: "account" in keys or "rows" in keys,
        Decision.Kind.IGNORE: "rows" in keys or "reference" in keys or "evidence" in value,
        Decision.Kind.BOOK: "rows" in keys,
        Decision.Kind.LINK_ACCOUNT: "reference" in keys,
        Decision.Kind.ACCEPT: "coverage" in keys,
        Decision.Kind.SAME: len({source for source, _ in keys.get("rows", ())}) > 1,
        Decision.Kind.DIFFERENT: len({source for source, _ in keys.get("rows", ())}) > 1,
        Decision.Kind.MERGE_INSTRUMENTS: len(keys.get("instruments", ())) > 1 and "account" not in keys,
        Decision.Kind.SPLIT_INSTRUMENT: "instruments" in keys and "account" not in keys,
        Decision.Kind.PAIR_TRANSFER: "rows" in keys and value.get("as") in ("pair", "apart", "income", "payment"),
    }
    if not fits.get(Decision.Kind(kind) if kind in Decision.Kind.values else Decision.Kind.BOOK, False):
        raise UnfitDecision(f"A decision of kind {kind[:20]!r} is not about this.")
    if kind == Decision.Kind.CHOOSE:
        _own_source(user, value.get("source"))
    if kind == Decision.Kind.LINK_ACCOUNT:
        _own_account(user, value.get("account"))


def _pairs(given: Any) -> list[list[str]]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str) and 0 < len(given) <= MOST_ROWS
    if not is_list or any(
        not isinstance(pair, Sequence)
        or isinstance(pair, str)
        or len(pair) != 2
        or not all(isinstance(x, str) for x in pair)
        for pair in given
    ):
        raise UnfitDecision("Name rows and references as pairs: [source id, what the source calls it].")
    return [[str(_uuid(pair[0])), pair[1][:LONGEST_REFERENCE]] for pair in given]


def _own_row(user: User, source: str, identity: str) -> None:
    rows = StagedTransaction.objects.filter(
        content__source=_own_source(user, source), identity=identity[:LONGEST_IDENTITY]
    )
    if len(identity) > LONGEST_IDENTITY or not rows.exists():
        raise UnfitDecision("This source never stated such a row.")


def _own_source(user: User, source: Any) -> Source:
    found: Source | None = Source.objects.visible_to(user).filter(pk=_uuid(source)).first()
    if found is None:
        raise UnfitDecision("Name one of your sources.")
    return found


def _own_account(user: User, account: Any) -> BrokerAccount:
    found: BrokerAccount | None = BrokerAccount.objects.visible_to(user).filter(pk=_uuid(account)).first()
    if found is None:
        raise UnfitDecision("Name one of your accounts.")
    return found


def _currency(code: Any) -> str:
    if code not in ISO_4217:
        raise UnfitDecision("Name a currency by its ISO 4217 code.")
    return str(code)


def _uuid(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError as exc:
        raise UnfitDecision("An id in it is not one.") from exc

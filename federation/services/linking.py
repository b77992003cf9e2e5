"""Links between the legs of transfers, stored after each reconciliation where they differ (DESIGN 5.10)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid5

from federation.models import Claim, Conflict, Decision, Transaction, TransactionKind, TransferLink
from federation.rows import DERIVED
from federation.transfers import Leg, Pair, TransferRow, Undecided, Word, leg_of, link_key, pair, transaction_hashes
from stackmotive.common.money import plain

KINDS = (
    TransactionKind.DEPOSIT,
    TransactionKind.WITHDRAWAL,
    TransactionKind.TRANSFER_IN,
    TransactionKind.TRANSFER_OUT,
)
CONFLICT_PREFIX = "transfer:"
ZERO = Decimal(0)
FIELDS = (
    "instrument_id", "currency", "out_legs", "in_legs", "left_on", "arrived_on", "quantity_out", "quantity_in", "fee",
    "rule",
)  # fmt: skip
CONFLICT_FIELDS = ("kind", "key", "instrument_id", "candidates", "status", "difference")

Row = TypeVar("Row", TransferLink, Conflict)


@dataclass(frozen=True, slots=True)
class Linked:
    """What linking wrote, and the first day whose figures follow."""

    written: int
    first_day: date | None


def link_transfers(user_id: UUID, decisions: Iterable[Decision]) -> Linked:
    """Store the links that follow from the ledger and the decisions in force. Call under the user's ledger lock."""
    links, conflicts = _found(user_id, decisions)
    written, days = _store_links(user_id, links)
    written += _store_conflicts(user_id, conflicts)
    return Linked(written, min(days, default=None))


def link_differences(user_id: UUID, decisions: Iterable[Decision]) -> list[str]:
    """Links and open pairings that are stored otherwise than they follow from the stored ledger: one line each."""
    links, conflicts = _found(user_id, decisions)
    found: list[tuple[str, Sequence[Sequence[TransferLink | Conflict]]]] = [
        ("transferlink", _differences(_stored_links(user_id), {one.pk: one for one in links}, FIELDS)),
        ("conflict", _differences(_stored_conflicts(user_id), {one.pk: one for one in conflicts}, CONFLICT_FIELDS)),
    ]
    return [
        f"{name} {row.pk} is {word}"
        for name, rows in found
        for word, of_word in zip(("missing", "different", "surplus"), rows, strict=True)
        for row in of_word
    ]


def _found(user_id: UUID, decisions: Iterable[Decision]) -> tuple[list[TransferLink], list[Conflict]]:
    """What follows from the stored ledger. Writes nothing."""
    legs, sources = _legs(user_id)
    found = pair(legs, _word(user_id, decisions))
    return [_link(user_id, one) for one in found.pairs], [_conflict(user_id, one, sources) for one in found.undecided]


def _legs(user_id: UUID) -> tuple[list[Leg], dict[UUID, UUID | None]]:
    """Transfer rows as the rules read them, and the source that each has its values from."""
    rows: Iterable[tuple[Any, ...]] = Transaction.objects.filter(user=user_id, kind__in=KINDS).values_list(
        "source_id", "id", "account_id", "instrument_id", "instrument__kind", "instrument__symbol", "trade_date",
        "traded_at", "quantity", "cash_amount", "cash_currency", "currency", "fee", "fee_currency", "group", "note",
    )  # fmt: skip
    claims = Claim.objects.filter(transaction__user=user_id, transaction__kind__in=KINDS)
    named: dict[UUID, list[str]] = {}
    for row_id, external in claims.exclude(staged__external_id="").values_list("transaction_id", "staged__external_id"):
        named.setdefault(row_id, []).append(external)
    legs, sources = [], {}
    for source, *cells in list(rows):
        cells[3:5] = [cells[3] or "", cells[4] or ""]
        leg = leg_of(TransferRow(*cells), hashes=transaction_hashes(*named.get(cells[0], ())))
        if leg is not None:
            legs.append(leg)
            sources[leg.id] = source
    return legs, sources


def _word(user_id: UUID, decisions: Iterable[Decision]) -> Word:
    """Later decisions about a row take the place of earlier ones."""
    asked = [decision for decision in decisions if decision.kind == Decision.Kind.PAIR_TRANSFER]
    word = Word()
    if not asked:
        return word
    rows = {(source, identity) for decision in asked for source, identity in decision.keys["rows"]}
    claims = Claim.objects.filter(
        transaction__user=user_id, source__in={one[0] for one in rows}, staged__identity__in={one[1] for one in rows}
    )
    claimed = {
        (str(source), identity): row
        for source, identity, row in claims.values_list("source_id", "staged__identity", "transaction_id")
    }
    for decision in asked:
        legs = {claimed[source, name] for source, name in decision.keys["rows"] if (source, name) in claimed}
        word.together = [one for one in word.together if not one & legs]
        word.apart -= legs
        for leg in legs:
            word.beyond.pop(leg, None)
        match decision.value.get("as"):
            case "pair":
                word.together.append(frozenset(legs))
            case "apart":
                word.apart |= legs
            case "income" | "payment" as meaning:
                word.beyond |= dict.fromkeys(legs, meaning)
    return word


def _link(user_id: UUID, one: Pair) -> TransferLink:
    return TransferLink(
        id=uuid5(DERIVED, f"transfer:{user_id}:{link_key(one)}"),
        user_id=user_id,
        instrument_id=None if isinstance(one.unit, str) else one.unit,
        currency=one.unit if isinstance(one.unit, str) else "",
        out_legs=[str(leg.id) for leg in one.outs],
        in_legs=[str(leg.id) for leg in one.ins],
        left_on=min((leg.day for leg in one.outs), default=None),
        arrived_on=max((leg.day for leg in one.ins), default=None),
        quantity_out=_total(one.outs),
        quantity_in=_total(one.ins),
        fee=max(one.fee, ZERO),
        rule=one.rule,
    )


def _total(legs: Sequence[Leg]) -> Decimal | None:
    return abs(sum((leg.quantity for leg in legs), ZERO)) if legs else None


def _conflict(user_id: UUID, one: Undecided, sources: dict[UUID, UUID | None]) -> Conflict:
    key = f"{CONFLICT_PREFIX}{one.leg.id}"
    return Conflict(
        id=uuid5(DERIVED, f"conflict:{user_id}:{key}"),
        user_id=user_id,
        kind="ambiguous",
        key=key,
        instrument_id=None if isinstance(one.leg.unit, str) else one.leg.unit,
        candidates=[
            {
                "source": str(sources[leg.id]) if sources[leg.id] else None,
                "value": plain(leg.quantity),
                "as_of": leg.day.isoformat(),
                "row": str(leg.id),
            }
            for leg in (one.leg, *one.partners)
        ],
        status=Conflict.Status.OPEN,
        difference=abs(one.leg.quantity),
    )


def _store_links(user_id: UUID, links: Sequence[TransferLink]) -> tuple[int, list[date]]:
    """Write what differs; how many rows, and the days that they speak of."""
    before = _stored_links(user_id)
    new, changed, gone = _differences(before, {link.pk: link for link in links}, FIELDS)
    TransferLink.objects.filter(pk__in=[link.pk for link in gone]).delete()
    TransferLink.objects.bulk_update(changed, [name.removesuffix("_id") for name in FIELDS])
    TransferLink.objects.bulk_create(new)
    moved = [*new, *gone, *changed, *(before[link.pk] for link in changed)]
    days = [day for link in moved for day in (link.left_on, link.arrived_on) if day is not None]
    return len(new) + len(changed) + len(gone), days


def _store_conflicts(user_id: UUID, conflicts: Sequence[Conflict]) -> int:
    before = _stored_conflicts(user_id)
    new, changed, gone = _differences(before, {one.pk: one for one in conflicts}, CONFLICT_FIELDS)
    Conflict.objects.filter(pk__in=[one.pk for one in gone]).delete()
    Conflict.objects.bulk_update(changed, [name.removesuffix("_id") for name in CONFLICT_FIELDS])
    Conflict.objects.bulk_create(new)
    return len(new) + len(changed) + len(gone)


def _stored_links(user_id: UUID) -> dict[UUID, TransferLink]:
    return {link.pk: link for link in TransferLink.objects.filter(user=user_id)}


def _stored_conflicts(user_id: UUID) -> dict[UUID, Conflict]:
    stored = Conflict.objects.filter(user=user_id, account=None, key__startswith=CONFLICT_PREFIX)
    return {conflict.pk: conflict for conflict in stored}


def _differences(
    before: dict[UUID, Row], wanted: dict[UUID, Row], names: Collection[str]
) -> tuple[list[Row], list[Row], list[Row]]:
    """New, changed and gone rows."""
    new = [row for pk, row in wanted.items() if pk not in before]
    changed = [
        row
        for pk, row in wanted.items()
        if pk in before and any(getattr(before[pk], name) != getattr(row, name) for name in names)
    ]
    return new, changed, [row for pk, row in before.items() if pk not in wanted]

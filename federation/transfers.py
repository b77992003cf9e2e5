"""Which legs of transfers belong together: a pure function of the ledger's legs and the user's word (DESIGN 5.10).

The answer does not depend on the order the legs are listed in, and no leg is used twice.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Final, Literal, NamedTuple
from uuid import UUID

Rule = Literal["decision", "group", "hash", "rule", "income", "payment"]

DAYS: Final = 5
CRYPTO_DAYS: Final = 2
LARGEST_FEE: Final = Decimal("0.005")  # of what left; more is another transfer
MOST_PARTS: Final = 4  # legs that one leg may be split into
MOST_CANDIDATES: Final = 10  # beyond these nobody could tell which parts were meant
ZERO: Final = Decimal(0)
Rank = tuple[int, Decimal, int]  # exact or not, what is missing, days between; the least is the best
HASH: Final = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9A-Fa-f]{64}(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class Leg:
    """One transfer row of the ledger.

    unit: the instrument, or the code of the currency. quantity: signed, + into the account; of cash the amount that
    moved. fee: in the same unit, 0 where none is stated. hashes: of the transaction on its chain. group: as one source
    states that rows belong together.
    """

    id: UUID
    account: UUID
    unit: UUID | str
    day: date
    quantity: Decimal
    fee: Decimal = ZERO
    has_zone: bool = False
    is_crypto: bool = False
    hashes: frozenset[str] = frozenset()
    group: UUID | None = None

    @property
    def likeness(self) -> tuple[str, str, date, Decimal, Decimal]:
        """Legs of equal likeness stand for each other: it does not matter which one is taken."""
        return str(self.account), str(self.unit), self.day, self.quantity, self.fee


class TransferRow(NamedTuple):
    """What of a ledger row its leg is made of. instrument_kind and symbol: of the instrument, empty for cash."""

    id: UUID
    account: UUID
    instrument: UUID | None
    instrument_kind: str
    symbol: str
    day: date
    traded_at: datetime | None
    quantity: Decimal | None
    cash_amount: Decimal | None
    cash_currency: str
    currency: str
    fee: Decimal | None
    fee_currency: str
    group: UUID | None
    note: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Legs of one transfer, each side in order of day and id. A side is empty where the user said what lies beyond.

    fee: what did not arrive, in the unit of the legs.
    """

    unit: UUID | str
    outs: tuple[Leg, ...]
    ins: tuple[Leg, ...]
    rule: Rule

    @property
    def fee(self) -> Decimal:
        if not self.outs or not self.ins:
            return ZERO
        return -sum((leg.quantity for leg in self.outs), ZERO) - sum((leg.quantity for leg in self.ins), ZERO)

    @property
    def legs(self) -> tuple[Leg, ...]:
        return self.outs + self.ins


@dataclass(frozen=True, slots=True)
class Undecided:
    """A leg with several equally good partners."""

    leg: Leg
    partners: tuple[Leg, ...]


@dataclass(slots=True)
class Word:
    """What the user said, later words first taken into account.

    together: sets of legs that are one transfer. apart: legs that are not to be paired by a rule. beyond: what the far
    side of a leg is.
    """

    together: list[frozenset[UUID]] = field(default_factory=list)
    apart: set[UUID] = field(default_factory=set)
    beyond: dict[UUID, Literal["income", "payment"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairing:
    pairs: tuple[Pair, ...]
    undecided: tuple[Undecided, ...]


def transaction_hashes(*texts: str) -> frozenset[str]:
    """The hashes of transactions that texts name, without 0x and in small letters."""
    return frozenset(found.lower().removeprefix("0x") for text in texts for found in HASH.findall(text))


def leg_of(row: TransferRow, *, hashes: frozenset[str] = frozenset()) -> Leg | None:
    """A transfer row as the rules read it; null where nothing moved. hashes: that the sources' own ids of it name."""
    moved = row.quantity if row.instrument else row.cash_amount
    if not moved:
        return None
    unit = row.instrument or row.cash_currency or row.currency
    in_unit = row.symbol.upper() if row.instrument else unit
    is_same = (row.fee_currency or ("" if row.instrument else row.currency)).upper() == in_unit
    return Leg(
        id=row.id,
        account=row.account,
        unit=unit,
        day=row.day,
        quantity=moved,
        fee=(row.fee or ZERO) if is_same else ZERO,
        has_zone=row.traded_at is not None,
        is_crypto=row.instrument_kind == "crypto",
        hashes=transaction_hashes(row.note) | hashes,
        group=row.group,
    )


def pair(legs: Iterable[Leg], word: Word | None = None) -> Pairing:
    """The user's word first, then what sources state, then hashes, then one to one, then one to several."""
    work = _Work(legs, word or Word())
    work.by_word()
    work.by_group()
    work.by_hash()
    work.one_to_one()
    work.one_to_several()
    return work.result()


class _Work:
    def __init__(self, legs: Iterable[Leg], word: Word) -> None:
        self.free = {leg.id: leg for leg in sorted(legs, key=_order) if leg.quantity}
        self.word = word
        self.pairs: list[Pair] = []
        self.undecided: dict[UUID, Undecided] = {}

    def result(self) -> Pairing:
        pairs = sorted(self.pairs, key=lambda one: [str(leg.id) for leg in one.legs])
        return Pairing(tuple(pairs), tuple(self.undecided[leg] for leg in sorted(self.undecided, key=str)))

    def take(self, legs: Collection[Leg], rule: Rule) -> None:
        ordered = sorted(legs, key=_order)
        outs = tuple(leg for leg in ordered if leg.quantity < 0)
        ins = tuple(leg for leg in ordered if leg.quantity > 0)
        self.pairs.append(Pair(ordered[0].unit, outs, ins, rule))
        for leg in ordered:
            del self.free[leg.id]

    def by_word(self) -> None:
        for ids in self.word.together:
            legs = [self.free[leg] for leg in ids if leg in self.free]
            if _has_both_sides(legs) and len({leg.unit for leg in legs}) == 1:
                self.take(legs, "decision")
        for leg_id, meaning in sorted(self.word.beyond.items(), key=lambda one: str(one[0])):
            if leg_id in self.free:
                self.take([self.free[leg_id]], meaning)
        for leg_id in self.word.apart & self.free.keys():
            del self.free[leg_id]

    def by_group(self) -> None:
        """A source that knows both of its accounts states the pair itself."""
        together: dict[tuple[UUID, UUID | str], list[Leg]] = defaultdict(list)
        for leg in self.free.values():
            if leg.group is not None:
                together[leg.group, leg.unit].append(leg)
        for legs in together.values():
            if _has_both_sides(legs):
                self.take(legs, "group")

    def by_hash(self) -> None:
        """One transaction on a chain is one transfer, whatever its days say."""
        together: dict[tuple[str, UUID | str], list[Leg]] = defaultdict(list)
        for leg in self.free.values():
            for name in leg.hashes:
                together[name, leg.unit].append(leg)
        for _, legs in sorted(together.items(), key=lambda one: (one[0][0], str(one[0][1]))):
            found = [leg for leg in legs if leg.id in self.free]
            outs = {leg.account for leg in found if leg.quantity < 0}
            ins = {leg.account for leg in found if leg.quantity > 0}
            if outs and ins and outs != ins:
                self.take(found, "hash")

    def one_to_one(self) -> None:
        """Take pairs that are each other's best while there are any; equally good ones are left to the user."""
        while True:
            choices = self._choices()
            taken = False
            for leg in list(self.free.values()):
                best = choices.get(leg.id)
                if leg.quantity > 0 or best is None or leg.id not in self.free:
                    continue
                partner = best[0]
                mirror = choices[partner.id]
                if partner.id not in self.free or not _are_alike(best) or not _are_alike(mirror) or leg not in mirror:
                    continue
                self.take([leg, partner], "rule")
                taken = True
            if not taken:
                break
        for leg_id, best in self._choices().items():
            if not _are_alike(best):
                self.undecided[leg_id] = Undecided(self.free[leg_id], tuple(best))

    def _choices(self) -> dict[UUID, list[Leg]]:
        """Each free leg -> its equally best partners, in order."""
        ranked: dict[UUID, dict[Rank, list[Leg]]] = defaultdict(lambda: defaultdict(list))
        for outs, ins in self._by_unit():
            for out in outs:
                for into in _around(ins, out.day, -1, DAYS):
                    rank = _closeness(out, [into])
                    if rank is not None and _fits(out, into):
                        ranked[out.id][rank].append(into)
                        ranked[into.id][rank].append(out)
        return {leg: found[min(found)] for leg, found in ranked.items()}

    def _by_unit(self) -> list[tuple[list[Leg], list[Leg]]]:
        sides: dict[UUID | str, tuple[list[Leg], list[Leg]]] = defaultdict(lambda: ([], []))
        for leg in self.free.values():
            sides[leg.unit][leg.quantity > 0].append(leg)
        return [sides[unit] for unit in sorted(sides, key=str)]

    def one_to_several(self) -> None:
        """What left at once and came in parts, or left in parts and came at once; only where one choice fits."""
        for outs, ins in self._by_unit():
            for out in outs:
                near = [leg for leg in _around(ins, out.day, -1, DAYS) if leg.id in self.free and _fits(out, leg)]
                self._split_over(out, near, lambda parts, out=out: _closeness(out, parts))  # type: ignore[misc]
            for into in ins:
                near = [leg for leg in _around(outs, into.day, -DAYS, 1) if leg.id in self.free and _fits(leg, into)]
                self._split_over(into, near, lambda parts, into=into: _joined_closeness(parts, into))  # type: ignore[misc]

    def _split_over(self, leg: Leg, near: Sequence[Leg], closeness: Callable[[Sequence[Leg]], Rank | None]) -> None:
        if leg.id not in self.free or leg.id in self.undecided or not 2 <= len(near) <= MOST_CANDIDATES:
            return
        found: dict[Rank, list[tuple[Leg, ...]]] = defaultdict(list)
        for size in range(2, min(MOST_PARTS, len(near)) + 1):
            for parts in combinations(near, size):
                rank = closeness(parts) if len({part.account for part in parts}) == 1 else None
                if rank is not None:
                    found[rank].append(parts)
        if not found:
            return
        best = found[min(found)]
        if len({tuple(sorted(part.likeness for part in parts)) for parts in best}) == 1:
            self.take([leg, *best[0]], "rule")
        else:
            partners = {part.id: part for parts in best for part in parts}
            self.undecided[leg.id] = Undecided(leg, tuple(sorted(partners.values(), key=_order)))


def _order(leg: Leg) -> tuple[date, str]:
    return leg.day, str(leg.id)


def _around(legs: Sequence[Leg], day: date, first: int, last: int) -> Sequence[Leg]:
    """Those of `legs`, ascending by day, that lie in a window of days around `day`."""
    start = bisect_left(legs, day + timedelta(days=first), key=lambda leg: leg.day)
    return legs[start : bisect_right(legs, day + timedelta(days=last), key=lambda leg: leg.day)]


def _has_both_sides(legs: Sequence[Leg]) -> bool:
    return {leg.quantity > 0 for leg in legs} == {True, False}


def _are_alike(legs: Sequence[Leg]) -> bool:
    return len({leg.likeness for leg in legs}) == 1


def _fits(out: Leg, into: Leg) -> bool:
    """Whether two legs could be one transfer by account and day. A day without a zone may be one off."""
    earliest = 0 if out.has_zone and into.has_zone else -1
    latest = CRYPTO_DAYS if out.is_crypto else DAYS
    return out.account != into.account and earliest <= (into.day - out.day).days <= latest


def _closeness(out: Leg, ins: Sequence[Leg]) -> Rank | None:
    """How well arrivals account for what left, the least being the best; None where they do not."""
    return _compared(-out.quantity, out.fee, sum((leg.quantity for leg in ins), ZERO), _days(out.day, ins))


def _joined_closeness(outs: Sequence[Leg], into: Leg) -> Rank | None:
    left = -sum((leg.quantity for leg in outs), ZERO)
    return _compared(left, sum((leg.fee for leg in outs), ZERO), into.quantity, _days(into.day, outs))


def _days(day: date, others: Sequence[Leg]) -> int:
    return sum(abs((leg.day - day).days) for leg in others)


def _compared(left: Decimal, fee: Decimal, came: Decimal, days: int) -> Rank | None:
    if came in (left, left - fee):
        return 0, ZERO, days
    if left * (1 - LARGEST_FEE) <= came <= left:
        return 1, left - came, days
    return None


def link_key(pair: Pair) -> str:
    """What a link is named by: its legs, and whose word it is."""
    return ":".join([pair.rule if not pair.outs or not pair.ins else "link", *sorted(str(leg.id) for leg in pair.legs)])

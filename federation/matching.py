"""Which events of different sources are the same event (DESIGN 5.7). A pure step per account.

Sources come in order of authority. The first one's events are anchors; each further source is paired with
anchors, and what finds no partner becomes an anchor itself. Rows of one source never pair with each other,
and no event is used twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice, product
from uuid import UUID

from federation.authority import agree
from federation.rows import Event, StagedRow
from stackmotive.common.currencies import minor_unit

PRICE_TOLERANCE = Decimal("0.005")
SPLIT_DAYS = 5  # between the ex-date that one source states and the booking of another
ONE_DAY = timedelta(days=1)
SETTLEMENT = timedelta(days=4)
NEAR = SETTLEMENT.days  # no rule of `_days_apart` reaches further
FEW = 8  # anchors under one key that are asked about one by one
MOST_PARTNERS = 20  # that an ambiguity lists: more help nobody to choose
TRADES = frozenset({"buy", "sell"})
PAID_IN = frozenset({"deposit", "transfer_in"})
PAID_OUT = frozenset({"withdrawal", "transfer_out"})


@dataclass(slots=True)
class Joined:
    """One event of the account: what each source states of it, the most believed first, and how each was
    paired.
    """

    events: list[Event]
    passes: list[str] = field(default_factory=lambda: ["anchor"])


@dataclass(slots=True)
class Ambiguity:
    """An event with equally good partners: paired with none of them."""

    event: Event
    partners: list[Event]


@dataclass(slots=True)
class Matched:
    joined: list[Joined]
    ambiguous: list[Ambiguity]


RowKey = tuple[UUID, str]
"""(source, identity): what a staged row is called for good"""
Pairs = Mapping[RowKey, Collection[RowKey]]


def match(sources: Sequence[Sequence[Event]], *, same: Pairs | None = None, different: Pairs | None = None) -> Matched:
    """Pair the events of one account. sources: each source's events, in order of authority.

    same, different: rows that their user says are one event, or never one; both ways round.
    """
    anchors: list[Joined] = []
    ambiguous: list[Ambiguity] = []
    for events in sources:
        if not anchors:
            anchors = [Joined([event]) for event in events]
            continue
        pairing = _Pairing(anchors, events, same or {}, different or {})
        pairing.run()
        ambiguous.extend(pairing.ambiguous)
        anchors.extend(Joined([event]) for event in pairing.unpaired())
    return Matched(anchors, ambiguous)


def reaches(event: Event) -> Iterator[tuple[Hashable, int | None]]:
    """(key, days): an event of the same key at most so many days away may be paired with this one, or change how
    it is paired; null = whenever it was. Events that no such step leads to never meet.
    """
    for shared in _shared_ids(event):
        yield ("id", shared), None
    for units in _trade_key(event, dated=False):
        yield ("units", units), SETTLEMENT.days
    for fills in _bundle_key(event):
        yield ("fills", fills[:3]), 1
    for amount in _cash_keys(event, dated=False):
        yield ("cash", amount), SETTLEMENT.days
    for stated in _group_key(event, dated=False):
        yield ("legs", stated), 0
    for split in _split_key(event):
        yield ("split", split), SPLIT_DAYS


class _Pairing:
    """The passes of one source against the anchors."""

    def __init__(self, anchors: Sequence[Joined], events: Sequence[Event], same: Pairs, different: Pairs) -> None:
        self.same = same
        self.different = different
        self.anchors = sorted(anchors, key=lambda anchor: _order(anchor.events[0]))
        self.events = sorted(events, key=_order)
        self.taken: set[int] = set()  # positions in self.anchors
        self.paired: set[int] = set()  # positions in self.events
        self.unclear: set[int] = set()
        self.ambiguous: list[Ambiguity] = []

    def unpaired(self) -> list[Event]:
        return [event for number, event in enumerate(self.events) if number not in self.paired]

    def run(self) -> None:
        self._by_decision()
        self._exact("shared_id", _shared_ids)
        self._exact("exact", lambda event: _trade_key(event, dated=True), good=_same_money)
        self._exact("exact", lambda event: _cash_keys(event, dated=True), good=_may_be_same_instrument)
        self._exact("exact", lambda event: _group_key(event, dated=True))
        self._nearest("close_price", lambda event: _trade_key(event, dated=True), _price_distance, days=0)
        self._bundles(days=(0,))
        self._nearest("day_apart", lambda event: _trade_key(event, dated=False), _dated_price_distance, days=NEAR)
        self._bundles(days=(-1, 1))
        self._nearest("day_apart", lambda event: _cash_keys(event, dated=False), _day_distance, days=NEAR)
        self._nearest("days_apart", _split_key, _split_distance, days=SPLIT_DAYS)

    def _free_anchors(self, keys: "Keys") -> dict[Hashable, list[int]]:
        index: dict[Hashable, list[int]] = {}
        for number, anchor in enumerate(self.anchors):
            if number not in self.taken:
                for key in keys(anchor.events[0]):
                    index.setdefault(key, []).append(number)
        return index

    def _free_events(self) -> Iterable[tuple[int, Event]]:
        for number, event in enumerate(self.events):
            if number not in self.paired and number not in self.unclear:
                yield number, event

    def _join(self, anchor: int, event: int, name: str) -> None:
        self.taken.add(anchor)
        self.paired.add(event)
        self.anchors[anchor].events.append(self.events[event])
        self.anchors[anchor].passes.append(name)

    def _by_decision(self) -> None:
        """What the user says is one event: also several rows of this source that are one of the other's."""
        if not self.same:
            return
        index = {key: number for number, anchor in enumerate(self.anchors) for key in _row_keys(anchor.events)}
        for number, event in enumerate(self.events):
            partners = {
                index[other] for key in _row_keys([event]) for other in self.same.get(key, ()) if other in index
            }
            if partners:
                self._join(min(partners), number, "decision")

    def _are_kept_apart(self, anchor: int, event: Event) -> bool:
        if not self.different:
            return False
        apart = {other for key in _row_keys([event]) for other in self.different.get(key, ())}
        return any(key in apart for key in _row_keys(self.anchors[anchor].events))

    def _exact(
        self, name: str, keys: "Keys", good: Callable[[Event, Event], bool] = lambda anchor, event: True
    ) -> None:
        """Equal keys in order: the first free anchor takes the first event, twins go k-th with k-th."""
        index = self._free_anchors(keys)
        alike: dict[Hashable, list[list[int]]] = {}
        for number, event in self._free_events():
            for key in keys(event):
                if key not in index:
                    continue
                if key not in alike:
                    alike[key] = self._alike(index[key])
                partner = self._first(alike[key], event, good)
                if partner is not None:
                    self._join(partner, number, name)
                    break

    def _alike(self, numbers: Sequence[int]) -> list[list[int]]:
        """Anchors that every rule sees alike together, so that twins are asked about once; the first one last."""
        if len(numbers) <= FEW:
            return [[number] for number in numbers]
        groups: dict[Hashable, list[int]] = {}
        for number in numbers:
            groups.setdefault(_seen(self.anchors[number].events[0]), []).append(number)
        return [group[::-1] for group in groups.values()]

    def _first(self, alike: list[list[int]], event: Event, good: Callable[[Event, Event], bool]) -> int | None:
        """The first free anchor that is good for `event`; groups that are used up are dropped."""
        best: int | None = None
        for group in alike:
            if not self._drop_taken(group) or (best is not None and group[-1] > best):
                continue
            if good(self.anchors[group[-1]].events[0], event):
                first = next((one for one in reversed(group) if self._may_join(one, event)), None)
                if first is not None and (best is None or first < best):
                    best = first
        if len(alike) > FEW:
            alike[:] = [group for group in alike if group]
        return best

    def _drop_taken(self, group: list[int]) -> bool:
        """Whether any anchor of `group` is free, once the taken ones at its head are gone."""
        while group and group[-1] in self.taken:
            group.pop()
        return bool(group)

    def _may_join(self, anchor: int, event: Event) -> bool:
        return anchor not in self.taken and not self._are_kept_apart(anchor, event)

    def _nearest(self, name: str, keys: "Keys", distance: "Distance", *, days: int) -> None:
        """The nearest anchor in tolerance; two equally near ones that differ are left apart as ambiguous.

        days: no anchor further away can be near. Of anchors that every rule sees alike one is measured.
        """
        index = self._free_anchors(keys)
        kinds: dict[Hashable, _Kinds] = {}
        for number, event in list(self._free_events()):
            best: tuple[int, Decimal] | None = None
            nearest: list[tuple[int, _Kind]] = []
            for place, key in enumerate(keys(event)):
                if key not in index:
                    continue
                if key not in kinds:
                    kinds[key] = _Kinds((one, self.anchors[one].events[0]) for one in index[key])
                for kind in kinds[key].about(event.legs[0].row.trade_date, days):
                    if (measure := distance(kind.event, event)) is None or (best is not None and measure > best):
                        continue
                    if not any(self._of_kind(kind, event)):
                        continue
                    if measure != best:
                        best, nearest = measure, []
                    nearest.append((place, kind))
            if best is None:
                continue
            partners, are_one = self._partners(nearest, event)
            if are_one:
                self._join(partners[0], number, name)
            else:
                self.unclear.add(number)
                self.ambiguous.append(Ambiguity(event, [self.anchors[one].events[0] for one in partners]))

    def _of_kind(self, kind: "_Kind", event: Event) -> "Iterator[tuple[Hashable, list[int]]]":
        """What tells the anchors of a kind apart, with those anchors, where one of them is free for `event`."""
        for told, group in kind.told.items():
            if self._drop_taken(group) and any(self._may_join(one, event) for one in reversed(group)):
                yield told, group

    def _partners(self, nearest: "Sequence[tuple[int, _Kind]]", event: Event) -> tuple[list[int], bool]:
        """(the equally near anchors in order, at most MOST_PARTNERS; whether they are interchangeable)."""
        found: dict[int, int] = {}  # anchor -> place of the key that led to it
        told: set[Hashable] = set()
        for place, kind in nearest:
            for what, group in self._of_kind(kind, event):
                told.add(what)
                if len(found) < MOST_PARTNERS:
                    free = (one for one in reversed(group) if self._may_join(one, event))
                    for one in islice(free, MOST_PARTNERS):
                        found.setdefault(one, place)
                if len(told) > 1 and len(found) >= MOST_PARTNERS:
                    break
        ordered = sorted(found, key=lambda one: (found[one], one))
        return ordered[:MOST_PARTNERS], len(told) == 1

    def _bundles(self, *, days: Sequence[int]) -> None:
        """All free fills of one source on a day that together are the one free event of the other, `days` from it."""
        index = self._free_anchors(lambda event: _bundle_key(event))
        groups: dict[Bundle, list[int]] = {}
        for number, event in self._free_events():
            for key in _bundle_key(event):
                groups.setdefault(key, []).append(number)
        for (key, fills), apart in product(groups.items(), days):
            fills = [fill for fill in fills if fill not in self.paired]
            there = (*key[:3], key[3] + apart * ONE_DAY)
            free = [one for one in index.get(there, ()) if one not in self.taken]
            if len(free) == 1 and len(fills) > 1:
                whole, parts = self.anchors[free[0]].events[0], [self.events[one] for one in fills]
            elif len(fills) == 1 and len(free) > 1:
                whole, parts = self.events[fills[0]], [self.anchors[one].events[0] for one in free]
            else:
                continue
            if not _is_bundle(whole, parts) or (apart and any(_days_apart(whole, part) is None for part in parts)):
                continue
            if any(self._are_kept_apart(one, self.events[fill]) for one in free for fill in fills):
                continue
            if len(free) == 1:
                for one in fills:
                    self._join(free[0], one, "bundle")
            else:
                self._join(free[0], fills[0], "bundle")
                self.taken.update(free)


class _Kind:
    """Anchors that every rule sees alike. told: what tells them apart for a reader -> those, the first one last."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.told: dict[Hashable, list[int]] = {}


class _Kinds:
    """The kinds of anchors under one key, ascending by day. anchors: (number, event), ascending by day and number."""

    def __init__(self, anchors: Iterable[tuple[int, Event]]) -> None:
        kinds: dict[Hashable, _Kind] = {}
        for number, event in anchors:
            seen = _seen(event)
            if seen not in kinds:
                kinds[seen] = _Kind(event)
            kinds[seen].told.setdefault(_told(event), []).append(number)
        self.kinds = list(kinds.values())
        self.days = [kind.event.legs[0].row.trade_date for kind in self.kinds]
        for kind in self.kinds:
            for group in kind.told.values():
                group.reverse()

    def about(self, day: date, days: int) -> Sequence[_Kind]:
        """Those at most `days` from `day`."""
        reach = timedelta(days=days)
        return self.kinds[bisect_left(self.days, day - reach) : bisect_right(self.days, day + reach)]


def _row_keys(stated: Iterable[Event]) -> Iterator[RowKey]:
    return ((event.source, leg.row.identity) for event in stated for leg in event.legs)


Keys = Callable[[Event], tuple[Hashable, ...]]
Bundle = tuple[UUID, bool, str, date]
"""(instrument, is a buy, currency, day)"""
Distance = Callable[[Event, Event], tuple[int, Decimal] | None]


def _order(event: Event) -> tuple[object, ...]:
    """Ascending time, then values: twins of two sources meet in the same order, whatever their ids."""
    row = event.legs[0].row
    time = row.traded_at.isoformat() if row.traded_at else row.local_time
    return (row.trade_date, time, row.price or 0, row.cash_amount or 0, event.first)


def _shared_ids(event: Event) -> tuple[Hashable, ...]:
    """Own ids of one layout are one id space: a file and a pull of the same broker."""
    leg = event.legs[0]
    return ((leg.layout, leg.row.external_id),) if leg.row.has_own_id and leg.row.external_id else ()


def _side(row: StagedRow) -> str:
    if row.kind in TRADES:
        return "trade"
    if row.kind in PAID_IN:
        return "in"
    return "out" if row.kind in PAID_OUT else row.kind


def _trade_key(event: Event, *, dated: bool) -> tuple[Hashable, ...]:
    row = event.legs[0].row
    size = row.quantity or (row.ratio if row.kind == "split" else None)  # a split may state its ratio alone
    if len(event.legs) != 1 or row.instrument is None or not size:
        return ()
    return ((_side(row), row.instrument, size, row.trade_date if dated else None),)


def _split_key(event: Event) -> tuple[Hashable, ...]:
    """There is one split of an instrument about a day, by whatever ratio or units a source states it (DESIGN 5.10)."""
    row = event.legs[0].row
    if len(event.legs) != 1 or row.kind != "split" or row.instrument is None:
        return ()
    return ((row.instrument,),)


def _split_distance(anchor: Event, event: Event) -> tuple[int, Decimal] | None:
    first, second = anchor.legs[0].row, event.legs[0].row
    days = abs((first.trade_date - second.trade_date).days)
    if days > SPLIT_DAYS or (first.ratio and second.ratio and first.ratio != second.ratio):
        return None
    return (days, Decimal(0))


def _bundle_key(event: Event) -> tuple[Bundle, ...]:
    row = event.legs[0].row
    if len(event.legs) != 1 or row.instrument is None or not row.quantity or row.kind not in TRADES:
        return ()
    return ((row.instrument, row.quantity > 0, row.currency, row.trade_date),)


def _cash_keys(event: Event, *, dated: bool) -> tuple[Hashable, ...]:
    """Net and gross amount of an event without units, to the minor unit; never a tolerance."""
    rows = [leg.row for leg in event.legs]
    main = rows[0]
    if any(row.quantity for row in rows) or any(row.cash_amount is None for row in rows):
        return ()
    currencies = {row.cash_currency or row.currency for row in rows}
    if len(currencies) != 1:
        return ()
    currency = currencies.pop()
    net = sum((row.cash_amount or Decimal(0) for row in rows), Decimal(0))
    amounts = {net}
    if main.kind == "dividend":
        gross = (main.cash_amount or Decimal(0)) + (main.tax or 0) + (main.fee or 0)
        amounts |= {gross, main.cash_amount or Decimal(0)}
    day = main.trade_date if dated else None
    unit = minor_unit(currency)
    posted = sorted({amount.quantize(unit, ROUND_HALF_EVEN) for amount in amounts}, key=lambda one: (one != net, one))
    return tuple((_side(main), currency, amount, day) for amount in posted)


def _group_key(event: Event, *, dated: bool) -> tuple[Hashable, ...]:
    """Events of several legs are equal where every leg is."""
    if len(event.legs) < 2:
        return ()
    legs = []
    for leg in event.legs:
        row = leg.row
        currency = row.cash_currency or row.currency
        cash = None if row.cash_amount is None else row.cash_amount.quantize(minor_unit(currency), ROUND_HALF_EVEN)
        legs.append((_side(row), str(row.instrument or ""), str(row.quantity or 0), currency, str(cash)))
    return ((tuple(sorted(legs)), event.legs[0].row.trade_date if dated else None),)


def _same_money(anchor: Event, event: Event) -> bool:
    """Equal price or equal cash at the coarser precision, or nothing to compare."""
    first, second = anchor.legs[0].row, event.legs[0].row
    if first.price is not None and second.price is not None and first.currency == second.currency:
        if agree(first.price, second.price):
            return True
    elif first.cash_amount is None or second.cash_amount is None:
        return first.kind not in TRADES or first.price is None or second.price is None
    return (
        first.cash_amount is not None
        and second.cash_amount is not None
        and first.cash_currency == second.cash_currency
        and agree(first.cash_amount, second.cash_amount)
    )


def _may_be_same_instrument(anchor: Event, event: Event) -> bool:
    first, second = anchor.legs[0].row.instrument, event.legs[0].row.instrument
    return first is None or second is None or first == second


def _price_distance(anchor: Event, event: Event) -> tuple[int, Decimal] | None:
    first, second = anchor.legs[0].row, event.legs[0].row
    if not first.price or not second.price or first.currency != second.currency:
        return None
    apart = abs(first.price - second.price) / abs(second.price)  # so that two anchors are measured alike
    return (0, apart) if apart <= PRICE_TOLERANCE else None


def _days_apart(anchor: Event, event: Event) -> int | None:
    """Days between two events that may be one: one where a side lacks a time, up to four where one is
    settlement-dated.
    """
    first, second = anchor.legs[0].row, event.legs[0].row
    apart = abs(first.trade_date - second.trade_date)
    if apart <= ONE_DAY and (first.traded_at is None or second.traded_at is None):
        return apart.days
    settled = first.settled_on == second.trade_date or second.settled_on == first.trade_date
    return apart.days if settled and apart <= SETTLEMENT else None


def _dated_price_distance(anchor: Event, event: Event) -> tuple[int, Decimal] | None:
    days = _days_apart(anchor, event)
    if days is None:
        return None
    if _same_money(anchor, event):
        return days, Decimal(0)
    near = _price_distance(anchor, event)
    return None if near is None else (days, near[1])


def _day_distance(anchor: Event, event: Event) -> tuple[int, Decimal] | None:
    days = _days_apart(anchor, event)
    return None if days is None or not _may_be_same_instrument(anchor, event) else (days, Decimal(0))


def _is_bundle(whole: Event, parts: Sequence[Event]) -> bool:
    row = whole.legs[0].row
    rows = [part.legs[0].row for part in parts]
    quantity = sum((one.quantity or Decimal(0) for one in rows), Decimal(0))
    if quantity != row.quantity or not row.price or any(one.price is None for one in rows):
        return False
    average = sum(((one.quantity or Decimal(0)) * (one.price or Decimal(0)) for one in rows), Decimal(0)) / quantity
    return abs(average - row.price) <= PRICE_TOLERANCE * abs(row.price)


def _seen(event: Event) -> tuple[Hashable, ...]:
    """All that a rule for events of one leg, or of equal keys, looks at: where it is equal, every answer is."""
    row = event.legs[0].row
    return (
        row.trade_date, row.traded_at is None, row.settled_on, row.kind, row.instrument, row.price, row.currency,
        row.cash_amount, row.cash_currency, row.ratio,
    )  # fmt: skip


def _told(event: Event) -> tuple[Hashable, ...]:
    """What makes two partners different from each other: equal fills are interchangeable."""
    row = event.legs[0].row
    return (row.trade_date, row.traded_at, row.local_time, row.price, row.cash_amount, row.fee, row.instrument)

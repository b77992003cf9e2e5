"""The rules that join namings, one after the other (docs/decisions/instruments.md says why each is as it is).

A ticker that was given to another company later means one instrument before a day and another from it on: such a naming
is cut in pieces, each of which is in one component.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

from federation.namings import STRONG, Days, InstrumentRuling, Named, Naming


class Forest:
    """Namings joined step by step; a component knows every value it has of each strong scheme, and its days."""

    def __init__(self, names: Sequence[Named]) -> None:
        self.names = list(names)
        self.root: list[int] = []
        self.members: dict[int, list[int]] = {}
        self.values: dict[int, dict[str, dict[str, Days | None]]] = {}
        self.apart: dict[int, int] = {}  # number -> the split that set it apart; roots are asked
        self.unclear: set[Naming] = set()
        for number in range(len(names)):
            self._plant(number)

    def joined(self, rulings: Sequence[InstrumentRuling]) -> tuple[list[tuple[list[int], list[Named]]], set[Naming]]:
        """Components as (places in what was given, members), and namings that fit several."""
        self.obey(rulings)
        for level, scheme in enumerate(STRONG):
            self.join_equal(lambda one, scheme=scheme: getattr(one, scheme) or None, level)  # type: ignore[misc]
        self.join_tickers_on_exchanges()
        self.join_equal(lambda one: one.ticker if one.kind == "crypto" and one.symbol else None)
        self.join_bare_tickers()
        return [
            (sorted(self.members[root]), [self.names[number] for number in sorted(self.members[root])])
            for root in sorted(self.members)
        ], self.unclear

    def _plant(self, number: int) -> None:
        one = self.names[number]
        self.root.append(number)
        self.members[number] = [number]
        self.values[number] = {s: {v: one.days} for s in STRONG if (v := getattr(one, s))}

    def obey(self, rulings: Sequence[InstrumentRuling]) -> None:
        """Set apart and join what the user says."""
        if not rulings:
            return
        places = {one.naming: number for number, one in enumerate(self.names)}
        group = dict.fromkeys(range(len(self.names)), 0)  # 0 = where the rules put it
        joined: dict[int, int] = {}  # number -> the merge that holds it
        for order, ruling in enumerate(rulings, start=1):
            numbers = sorted(places[naming] for naming in ruling.namings if naming in places)
            if ruling.is_merge:
                place = group[numbers[0]] if numbers else 0
                joined.update(dict.fromkeys(numbers, order))
                group.update(dict.fromkeys(numbers, place))
            else:
                for number in numbers:
                    joined.pop(number, None)
                group.update(dict.fromkeys(numbers, order))
        together: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, order in joined.items():
            together[("merged", order)].append(number)
        for number, order in group.items():
            if order:
                together[("parted", order)].append(number)
        for numbers in together.values():
            for number in numbers[1:]:
                self.join(numbers[0], number)
        self.apart = {number: order for number, order in group.items() if order}

    def find(self, number: int) -> int:
        return root_of(self.root, number)

    def contradict(self, first: int, second: int, level: int = len(STRONG)) -> bool:
        """Whether two components have different values in a scheme stronger than the one at `level`.

        A security may change its ISIN: a strong scheme joins values that were not in use on one day. A ticker does
        not, because tickers are given to others.
        """
        if self._parted(first) != self._parted(second):
            return True
        one, other = self.values[self.find(first)], self.values[self.find(second)]
        return any(
            s in one
            and s in other
            and not one[s].keys() & other[s].keys()
            and (level == len(STRONG) or any(_overlap(a, b) for a in one[s].values() for b in other[s].values()))
            for s in STRONG[:level]
        )

    def _parted(self, number: int) -> int:
        return self.apart.get(self.find(number), 0) if self.apart else 0

    def join(self, first: int, second: int) -> None:
        one, other = sorted((self.find(first), self.find(second)))
        if one == other:
            return
        self.root[other] = one
        self.members[one] += self.members.pop(other)
        for scheme, values in self.values.pop(other).items():
            known = self.values[one].setdefault(scheme, {})
            for value, days in values.items():
                known[value] = _both(known[value], days) if value in known else days

    def join_equal(self, key: "KeyOf", level: int = len(STRONG)) -> None:
        for numbers in self._grouped(key):
            roots = list(dict.fromkeys(self.find(number) for number in numbers))
            for position, root in enumerate(roots):
                for earlier in roots[:position]:
                    if not self.contradict(earlier, root, level):
                        self.join(earlier, root)
                        break

    def _grouped(self, key: "KeyOf") -> list[list[int]]:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for number, one in enumerate(self.names):
            if (value := key(one)) is not None:
                groups[value].append(number)
        return list(groups.values())

    def join_tickers_on_exchanges(self) -> None:
        """Equal ticker on an equal exchange, of one family of kinds; of two companies that had it, by day."""
        for numbers in self._grouped(
            lambda one: (one.ticker, one.exchange.upper(), one.family) if one.exchange and one.symbol else None
        ):
            identified = [number for number in numbers if self.values[self.find(number)]]
            for position, number in enumerate(identified):
                for earlier in identified[:position]:
                    if not self.contradict(earlier, number):
                        self.join(earlier, number)
                        break
            loose = [number for number in numbers if not self.values[self.find(number)]]
            left: list[int] = []
            for number in loose:
                fits = {self.find(one) for one in identified if not self.contradict(number, one)}
                if not self._choose(number, fits):
                    left.append(number)
            for position, number in enumerate(left):
                partner = next((one for one in left[:position] if not self.contradict(number, one)), None)
                if partner is not None:
                    self.join(partner, number)

    def join_bare_tickers(self) -> None:
        """A ticker without an exchange joins the one instrument it can mean; what fits several stays apart."""
        for numbers in self._grouped(lambda one: one.ticker if one.symbol and one.kind != "crypto" else None):
            bare = [number for number in numbers if not self.names[number].exchange]
            anchored = [number for number in numbers if self._is_anchored(number)]
            for number in bare:
                mine = self.find(number)
                fits = {
                    self.find(one)
                    for one in anchored
                    if self.find(one) != mine and self._fits(number, one) and not self.contradict(number, one)
                }
                self._choose(number, fits)
            loose = [number for number in bare if not self._is_anchored(number)]
            for position, number in enumerate(loose):
                partner = next(
                    (one for one in loose[:position] if self._fits(number, one) and not self.contradict(number, one)),
                    None,
                )
                if partner is not None and self.names[number].naming not in self.unclear:
                    self.join(partner, number)

    def _choose(self, number: int, fits: set[int]) -> bool:
        """Join a naming with the one that it can mean: the only one, else by its days, else the nearest."""
        if len(fits) > 1:
            pieces = self._by_day(number, fits)
            if pieces:
                self._cut(number, pieces)
                return True
            fits = {root for root in fits if self._is_near(number, root)} or fits
        if len(fits) == 1:
            self.join(number, fits.pop())
            return True
        if fits:
            self.unclear.add(self.names[number].naming)
        return False

    def _by_day(self, number: int, fits: set[int]) -> list[tuple[date | None, int]]:
        """(since, component) for the days of a naming, where its ticker was one thing's after the other's.

        A day between two belongs to the nearer. Empty where their days are unknown or meet.
        """
        one = self.names[number]
        if one.days is None or self.values[self.find(number)] or len(self.members[self.find(number)]) > 1:
            return []
        used: list[tuple[date, date, int]] = []
        for root in fits:
            known = [self._anchor_days(member, one.ticker) for member in self.members[root]]
            spans = [days for days in known if days is not None]
            if not spans:
                return []
            used.append((min(first for first, _ in spans), max(last for _, last in spans), root))
        used.sort()
        if any(last >= first for (_, last, _), (first, _, _) in pairwise(used)):
            return []
        pieces: list[tuple[date | None, int]] = [(None, used[0][2])]
        for (_, last, _), (first, _, root) in pairwise(used):
            since = last + timedelta(days=(first - last).days // 2 + 1)
            if since <= one.days[0]:
                pieces = [(None, root)]
            elif since <= one.days[1]:
                pieces.append((since, root))
        return pieces

    def _anchor_days(self, number: int, ticker: str) -> Days | None:
        one = self.names[number]
        return one.days if one.ticker == ticker and (one.is_identified or one.exchange) else None

    def _cut(self, number: int, pieces: Sequence[tuple[date | None, int]]) -> None:
        """Put each piece of a naming where it belongs."""
        whole = self.names[number]
        assert whole.days is not None  # noqa: S101  # else `_by_day` finds none
        ends = [since - timedelta(days=1) for since, _ in pieces[1:] if since is not None] + [whole.days[1]]
        self.names[number] = replace(whole, days=(whole.days[0], ends[0]))
        self.join(number, pieces[0][1])
        for (since, root), end in zip(pieces[1:], ends[1:], strict=True):
            assert since is not None  # noqa: S101  # only the first is from the beginning
            self.names.append(replace(whole, since=since, days=(since, end)))
            self._plant(len(self.names) - 1)
            self.join(len(self.names) - 1, root)

    def _is_anchored(self, number: int) -> bool:
        root = self.find(number)
        return bool(self.values[root]) or any(self.names[one].exchange for one in self.members[root])

    def _fits(self, first: int, second: int) -> bool:
        one, other = self.names[first], self.names[second]
        same_kind = not one.kind or not other.kind or one.family == other.family
        return same_kind and (not one.currency or not other.currency or one.currency == other.currency)

    def _is_near(self, number: int, root: int) -> bool:
        one = self.names[number]
        others = [self.names[member] for member in self.members[root]]
        return any(one.source == other.source or one.accounts & other.accounts for other in others)


KeyOf = Callable[[Named], Hashable | None]
"""What `join_equal` groups namings by; null = not by this."""


def _overlap(one: Days | None, other: Days | None) -> bool:
    """Whether two spans share a day; unknown ones may."""
    return one is None or other is None or (one[0] <= other[1] and other[0] <= one[1])


def _both(one: Days | None, other: Days | None) -> Days | None:
    if one is None or other is None:
        return None
    return min(one[0], other[0]), max(one[1], other[1])


def root_of(root: list[int], number: int) -> int:
    while root[number] != number:
        root[number] = number = root[root[number]]
    return number

"""Which staged rows of an account a change can reach (DESIGN 5.12).

A row meets others by its identity, its group, what its user decided, the ledger row they share, and by the keys of
`matching.reaches` within their days. From the changed rows on, everything that is met is taken, until nothing is: what
is left out can neither change nor be changed, so that the ledger of these rows alone is their part of the whole.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from federation.accounts import Spot
from federation.changes import Change
from federation.coverage import owners, rows_in_force
from federation.facts import STAGED, Resolved, rows_of
from federation.identity import events, legs
from federation.matching import SPLIT_DAYS, RowKey, reaches
from federation.models import InstrumentLink
from federation.namings import Naming
from federation.rows import Event, Leg, StagedRow, Stated, Window
from federation.truth import Rulings, editions

OF_CONTENTS = f"{STAGED} WHERE t.content_id = ANY(%(contents)s)"
ON_DAYS = f"{OF_CONTENTS} AND t.trade_date = ANY(%(days)s)"
CALLED = f"{OF_CONTENTS} AND t.identity = ANY(%(identities)s)"
GROUPED = f'{OF_CONTENTS} AND t."group" = ANY(%(groups)s) AND t."group" <> \'\''
OF_ONE_ID_SPACE = f"{OF_CONTENTS} AND t.has_own_id AND t.external_id = ANY(%(ids)s)"
NUMBERED = f"{OF_CONTENTS} AND t.id = ANY(%(ids)s)"
CLAIMED_TOGETHER = """
SELECT DISTINCT o.staged_id FROM federation_claim c
JOIN federation_transaction t ON t.id = c.transaction_id AND t.account_id = %(account)s
JOIN federation_claim o ON o.transaction_id = c.transaction_id
WHERE c.staged_id = ANY(%(ids)s)
"""
UNCLEAR_TOGETHER = """
SELECT DISTINCT (c.told ->> 'source')::uuid, c.told ->> 'row' FROM federation_conflict f
CROSS JOIN LATERAL jsonb_array_elements(f.candidates) AS c(told)
WHERE f.account_id = %(account)s AND f.kind = 'ambiguous' AND NOT (f.kind = 'field') AND EXISTS (
  SELECT 1 FROM jsonb_array_elements(f.candidates) AS o(told) WHERE o.told ->> 'row' = ANY(%(identities)s)
)
"""
MOST_READ = 20_000  # staged rows: past it the whole account is no dearer
NEAR_DAYS = timedelta(days=SPLIT_DAYS)  # the farthest that any dated key reaches
ONE_DAY = timedelta(days=1)


class TooFar(Exception):
    """The change reaches so much that the account is to be computed whole."""


@dataclass(frozen=True, slots=True)
class Reached:
    """rows: those in force, ascending by id. staged, named: of all, withdrawn ones included. read: how many were read."""

    rows: list[StagedRow]
    staged: set[int]
    named: set[RowKey]
    read: int


@dataclass(frozen=True, slots=True)
class _Key:
    """What a row may be met under: any day where days is null."""

    name: Hashable
    day: int
    days: int | None


def reached(
    resolved: Resolved,
    rulings: Rulings,
    *,
    account: UUID,
    change: Change,
    windows: Mapping[Spot, Mapping[str, list[Window]]],
    waiting: Collection[int],
) -> Reached:
    """The rows of `account` that `change` can reach. Raises TooFar.

    windows: all of the account's. waiting: contents that are held back.
    """
    return _Search(resolved, rulings, account, change, windows, waiting).run()


class _Search:
    def __init__(
        self,
        resolved: Resolved,
        rulings: Rulings,
        account: UUID,
        change: Change,
        windows: Mapping[Spot, Mapping[str, list[Window]]],
        waiting: Collection[int],
    ) -> None:
        self.resolved, self.rulings, self.account, self.change = resolved, rulings, account, change
        self.waiting = waiting
        self.declared = {
            spot: [one for one in sections.get("transactions", ()) if one.content not in waiting]
            for spot, sections in windows.items()
        }
        self.owned = {spot: owners(stretch) for spot, stretch in self.declared.items()}
        self.contents = sorted(resolved.used.get(account, set()) | change.contents.keys())
        self.of_source: dict[UUID, list[int]] = defaultdict(list)
        for content in self.contents:
            self.of_source[self._source(content)].append(content)
        self.rows: dict[int, StagedRow] = {}  # in force and withdrawn, of the account
        self.keys: dict[int, list[_Key]] = defaultdict(list)
        self.met: dict[Hashable, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))  # key -> day -> ids
        self.spread: dict[Hashable, set[int]] = {}  # key -> days from which everything near is reached
        self.reached: set[int] = set()
        self.wanted: set[RowKey] = set()  # every row called so is reached
        self.new: list[int] = []  # reached, and not followed yet
        self.days: set[date] = set()  # whose rows were read
        self.asked: dict[str, set[Any]] = defaultdict(set)
        self.meant: dict[Naming, set[UUID]] | None = None  # what namings of changed sources mean, as stored
        self.read = 0

    def run(self) -> Reached:
        self._take(rows_of(OF_CONTENTS, contents=list(self.change.contents)))
        self._reach(number for number, row in self.rows.items() if row.content in self.change.contents)
        self._want(self.change.rows)
        while self.new:
            new, self.new = [self.rows[number] for number in self.new], []
            self._read_near(new)
            self._want((row.source, row.identity) for row in new)
            self._read_one_id_space(new)
            self._read_claimed_together(new)
            self._read_unclear_together(new)
            for pairs in (self.rulings.same, self.rulings.different):
                self._want(other for row in new for other in pairs.get((row.source, row.identity), ()))
            for row in new:
                for key in self.keys[row.id]:
                    self._spread(key)
        in_force = [row for number, row in sorted(self.rows.items()) if number in self.reached and self._stands(row)]
        named = {(self.rows[number].source, self.rows[number].identity) for number in self.reached}
        return Reached(in_force, self.reached, named, self.read)

    # --- reading ----

    def _read_near(self, new: Iterable[StagedRow]) -> None:
        """Rows of the days about those of `new`."""
        about = {date.fromordinal(key.day) for row in new for key in self.keys[row.id]}
        about |= {row.trade_date for row in new}
        days = {day + offset * ONE_DAY for day in about for offset in range(-NEAR_DAYS.days, NEAR_DAYS.days + 1)}
        if days := days - self.days:
            self.days |= days
            self._take(rows_of(ON_DAYS, contents=self.contents, days=list(days)))

    def _want(self, named: Iterable[RowKey]) -> None:
        """Reach every row that is called so, wherever it stands."""
        if not (wanted := set(named) - self.wanted):
            return
        self.wanted |= wanted
        self._reach(number for number, row in self.rows.items() if (row.source, row.identity) in wanted)
        contents = [content for source in {source for source, _ in wanted} for content in self.of_source[source]]
        self._take(rows_of(CALLED, contents=contents, identities=[identity for _, identity in wanted]))

    def _read_one_id_space(self, new: Iterable[StagedRow]) -> None:
        """Rows with the own ids of `new` in other sources of the same layout, however far away."""
        for layout, sources in self._layouts().items():
            if len(sources) < 2:
                continue
            ids = {row.external_id for row in new if row.has_own_id and self._layout(row.content) == layout}
            if ids := ids - self.asked[layout]:
                self.asked[layout] |= ids
                contents = [one for one in self.contents if self._layout(one) == layout]
                self._take(rows_of(OF_ONE_ID_SPACE, contents=contents, ids=list(ids)))

    def _read_claimed_together(self, new: Iterable[StagedRow]) -> None:
        """Rows that share a ledger row with `new` as it stands."""
        asked = [row.id for row in new]
        together = {number for (number,) in rows_of(CLAIMED_TOGETHER, account=self.account, ids=asked)}
        if missing := together - self.rows.keys():
            self._take(rows_of(NUMBERED, contents=self.contents, ids=list(missing)))
        self._reach(together & self.rows.keys())

    def _read_unclear_together(self, new: Iterable[StagedRow]) -> None:
        """Rows that the ledger as it stands could not tell apart from `new`."""
        identities = [row.identity for row in new]
        self._want(rows_of(UNCLEAR_TOGETHER, account=self.account, identities=identities))

    def _take(self, stated: Iterable[tuple[Any, ...]]) -> None:
        """Keep rows of the account that are new here, with their groups, and reach those that meet a reached one."""
        taken: list[int] = []
        groups: dict[tuple[UUID, str, str], None] = {}
        for cells in stated:
            self.read += 1
            if cells[0] in self.rows or not self._is_of_account(cells):
                continue
            row = self._row(cells)
            self.rows[row.id] = row
            taken.append(row.id)
            if row.group:
                groups.setdefault((row.source, row.account_ref, row.group))
        if self.read > MOST_READ:
            raise TooFar
        for number in taken:
            self._add_keys(number, self._single_keys(self.rows[number]))
        self._take_groups(groups)

    def _take_groups(self, groups: Collection[tuple[UUID, str, str]]) -> None:
        """The whole of each event that a source states in several legs, with the keys that it has as one."""
        new = set(groups) - self.asked["group"]
        if not new:
            return
        self.asked["group"] |= new
        contents = [content for source in {source for source, _, _ in new} for content in self.of_source[source]]
        self._take(rows_of(GROUPED, contents=contents, groups=list({group for _, _, group in new})))
        stated: dict[tuple[UUID, str, str], list[StagedRow]] = defaultdict(list)
        for row in self.rows.values():
            if row.group and (name := (row.source, row.account_ref, row.group)) in new and self._stands(row):
                stated[name].append(row)
        for rows in stated.values():
            for event in events(self._legs(rows)):
                keys = list(_keys_of(event))
                for row in rows:
                    self._add_keys(row.id, keys)

    def _legs(self, rows: Iterable[StagedRow]) -> list[Leg]:
        """The legs of one source's event that are in force."""
        by_spot: dict[Spot, list[StagedRow]] = defaultdict(list)
        for row in rows:
            by_spot[self.resolved.spot(row.content, row.account_ref)].append(row)
        found: list[Leg] = []
        for spot, stated in by_spot.items():
            windows = tuple(self.declared.get(spot, ()))
            one = Stated(source=spot[0], transactions=windows, rows=tuple(stated))
            booked, others = rows_in_force(stated, self.owned.get(spot, {}), self.waiting, self.rulings.booked)
            found += legs(booked, others, self.resolved.contents, editions(one, self.resolved.contents))
        return found

    # --- keys ----

    def _add_keys(self, number: int, keys: Iterable[_Key]) -> None:
        row = self.rows[number]
        is_met = number in self.reached or (row.source, row.identity) in self.wanted
        for key in keys:
            self.keys[number].append(key)
            self.met[key.name][key.day].append(number)
            is_met = is_met or self._is_near(key)
        if number in self.reached:
            self.new.append(number)  # it may meet more now
        elif is_met:
            self._reach([number])

    def _is_near(self, key: _Key) -> bool:
        """Whether a reached row is met under `key`."""
        days = self.spread.get(key.name)
        if days is None or key.days is None:
            return days is not None
        return any(abs(day - key.day) <= key.days for day in days)

    def _spread(self, key: _Key) -> None:
        """Reach what is met under `key`, once for each of its days."""
        known = self.spread.setdefault(key.name, set())
        if key.day in known:
            return
        known.add(key.day)
        met = self.met[key.name]
        days = met.keys() if key.days is None else range(key.day - key.days, key.day + key.days + 1)
        for day in list(days):
            self._reach(met.get(day, ()))

    def _single_keys(self, row: StagedRow) -> list[_Key]:
        """Keys of a row as an event of its own and as a leg; of a withdrawn one under all that its instrument meant."""
        day = row.trade_date.toordinal()
        keys = [_Key(("identity", row.source, row.identity), day, None)]
        if row.group:
            keys.append(_Key(("group", row.source, row.account_ref, row.group), day, None))
        for instrument in self._instruments(row):
            alone = row if instrument == row.instrument else replace(row, instrument=instrument)
            leg = Leg(alone, row.id, row.uid, (row.id,), False, self._layout(row.content))
            keys.extend(_keys_of(Event(row.source, (leg,))))
        return keys

    def _instruments(self, row: StagedRow) -> set[UUID | None]:
        if self._stands(row) or not row.instrument_key:
            return {row.instrument}
        if self.meant is None:
            sources = {one.source for one in self.change.contents.values()}
            self.meant = defaultdict(set)
            links = InstrumentLink.objects.filter(source__in=sources)
            for source, key, instrument in links.values_list("source_id", "key", "instrument_id"):
                self.meant[source, key].add(instrument)
        return {None, *self.meant[row.source, row.instrument_key]}

    def _reach(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number not in self.reached:
                self.reached.add(number)
                self.new.append(number)

    # --- contents ----

    def _stands(self, row: StagedRow) -> bool:
        return row.content in self.resolved.contents

    def _source(self, content: int) -> UUID:
        known = self.resolved.contents.get(content)
        return known.source if known is not None else self.change.contents[content].source

    def _layout(self, content: int) -> str:
        known = self.resolved.contents.get(content)
        return known.layout if known is not None else self.change.contents[content].layout

    def _layouts(self) -> dict[str, set[UUID]]:
        found: dict[str, set[UUID]] = defaultdict(set)
        for content in self.contents:
            found[self._layout(content)].add(self._source(content))
        return found

    def _is_of_account(self, cells: tuple[Any, ...]) -> bool:
        """Rows of withdrawn contents count for every account that the content touched: too many do no harm."""
        content, reference = cells[1], cells[6]
        return content not in self.resolved.contents or self.resolved.account_of(content, reference) == self.account

    def _row(self, cells: tuple[Any, ...]) -> StagedRow:
        if cells[1] in self.resolved.contents:
            return self.resolved.staged_row(cells)
        row = StagedRow(*cells)
        row.source = self.change.contents[row.content].source
        return row


def _keys_of(event: Event) -> Iterator[_Key]:
    day = event.legs[0].row.trade_date.toordinal()
    return (_Key(name, day, days) for name, days in reaches(event))

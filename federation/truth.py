"""The ledger as a pure function of facts: one account at a time, no database, no clock (DESIGN 5.1)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID, uuid5

from federation import disagreements, reported, set_values
from federation.authority import DECISION, ONLY_SOURCE, rule_between, source_rank
from federation.corporate_actions import Action, action_rows, held_before, is_claimed, latest_before
from federation.coverage import held_back, owners, rows_in_force
from federation.identity import events, legs
from federation.matching import Joined, match
from federation.opening_lots import OpeningLots
from federation.ordering import Place, order_days
from federation.positions import Movements, SourceCover
from federation.rows import (
    DERIVED,
    AccountInfo,
    Balance,
    ClaimRow,
    ContentInfo,
    Disagreement,
    Edition,
    Event,
    HoldingKey,
    LedgerRow,
    Leg,
    Report,
    SourceInfo,
    StagedRow,
    Stated,
    Window,
)
from federation.set_values import SetValue
from stackmotive.common.currencies import minor_unit

RULES_VERSION = 1
Word = TypeVar("Word")
FILLED = ("traded_at", "settled_on", "price", "fx_rate", "ratio", "note")


@dataclass(slots=True)
class Rulings:
    """The user's decisions in force, as the rules ask for them."""

    chosen_rows: dict[tuple[UUID, str], UUID] = field(default_factory=dict)  # (source, identity) -> source to believe
    chosen_holdings: dict[tuple[UUID, HoldingKey], tuple[UUID, date | None]] = field(default_factory=dict)
    ignored: set[tuple[UUID, str]] = field(default_factory=set)
    booked: set[tuple[UUID, str]] = field(default_factory=set)
    accepted: set[int] = field(default_factory=set)  # coverage that counts however much it withdraws
    same: dict[tuple[UUID, str], set[tuple[UUID, str]]] = field(default_factory=dict)
    different: dict[tuple[UUID, str], set[tuple[UUID, str]]] = field(default_factory=dict)
    dismissed: dict[str, str] = field(default_factory=dict)  # conflict's key -> digest of what it compared
    values: dict[tuple[UUID, str], list[SetValue]] = field(default_factory=lambda: defaultdict(list))
    opening_lots: dict[tuple[UUID, HoldingKey], OpeningLots] = field(default_factory=dict)


@dataclass(slots=True)
class AccountFacts:
    """All that is believed to have been said of one account."""

    account: AccountInfo
    stated: tuple[Stated, ...]


@dataclass(slots=True)
class Facts:
    """A user's facts in force, resolved, at one number."""

    user: UUID
    number: int
    sources: dict[UUID, SourceInfo]
    contents: dict[int, ContentInfo]
    accounts: list[AccountFacts]
    multipliers: dict[UUID, Decimal]
    rulings: Rulings
    actions: tuple[Action, ...] = ()  # corporate actions in force, ascending by day


@dataclass(slots=True)
class Truth:
    """What follows from the facts for the accounts that were asked about."""

    rows: list[LedgerRow] = field(default_factory=list)
    claims: list[ClaimRow] = field(default_factory=list)
    balances: dict[UUID, list[Balance]] = field(default_factory=dict)  # by account
    disagreements: list[Disagreement] = field(default_factory=list)


def compute(facts: Facts) -> Truth:
    """The ledger of every account in `facts`, the same whatever the order they are listed in."""
    truth = Truth()
    for account in facts.accounts:
        _AccountTruth(facts, account, truth).compute()
    return truth


@dataclass(slots=True)
class Booked:
    """What a part of an account's rows makes, before reports and the order inside days.

    cover, owner: days by source and by whom they belong to. legs: by source, those in force.
    """

    truth: Truth
    rows: list[LedgerRow]
    places: dict[UUID, Place]
    cover: dict[UUID, SourceCover]
    owner: dict[date, SourceInfo]
    legs: dict[UUID, list[Leg]]


def book_part(facts: Facts, about: AccountFacts, *, waiting: Collection[int]) -> Booked:
    """Book the rows of `about`, which are only those that can meet each other; its windows are all that there are.

    waiting: contents whose transactions are held back, which a part of the rows cannot tell.
    """
    one = _AccountTruth(facts, about, Truth(), waiting)
    one.book()
    return Booked(one.truth, one.rows, one.places, one.cover, one.owner, one.legs)


class _AccountTruth:
    """One account on its way from what was stated to its ledger. known_waiting: contents held back, if it is known."""

    def __init__(
        self, facts: Facts, about: AccountFacts, truth: Truth, known_waiting: Collection[int] | None = None
    ) -> None:
        self.facts = facts
        self.account = about.account
        self.truth = truth
        self.stated = sorted(about.stated, key=lambda one: source_rank(facts.sources[one.source]))
        self.cover: dict[UUID, SourceCover] = {}
        self.owner: dict[date, SourceInfo] = {}
        self.legs: dict[UUID, list[Leg]] = {}
        self.places: dict[UUID, Place] = {}
        self.moves: dict[UUID, dict[HoldingKey, Movements]] = {}
        self.known_waiting = known_waiting
        self.waiting: set[int] = set(known_waiting or ())  # contents whose transactions are held back
        self.rows: list[LedgerRow] = []

    def compute(self) -> None:
        self.book()
        self._follow_actions()
        self._settle_reports()
        self.truth.rows.extend(order_days(self.rows, self.places))

    def book(self) -> None:
        """Take the rows in force, find which are one event, and write those."""
        self._take_in_force()
        matched = match(
            [events(self.legs[source]) for source in self._sources()],
            same=self.facts.rulings.same,
            different=self.facts.rulings.different,
        )
        for joined in matched.joined:
            if self._is_booked(joined):
                self._book(joined)
            else:
                event = joined.events[0]
                self.truth.disagreements.extend(
                    disagreements.only_in_one_source(self.account.id, event, self.owner[event.day])
                )
        for ambiguity in matched.ambiguous:
            row = ambiguity.event.legs[0].row
            is_booked = (row.source, row.identity) in self.facts.rulings.booked
            self.truth.disagreements.append(disagreements.ambiguous(self.account.id, ambiguity, is_booked=is_booked))

    def _sources(self) -> list[UUID]:
        return list(dict.fromkeys(one.source for one in self.stated))

    def _take_in_force(self) -> None:
        """Rows in force by source, and whose days are whose."""
        known: dict[UUID, set[date]] = defaultdict(set)
        declared: dict[UUID, set[date]] = defaultdict(set)
        self.stated = [replace(one, rows=tuple(self._not_ignored(one.rows))) for one in self.stated]
        if self.known_waiting is None:
            for one in self.stated:
                self._hold_back(one)
        self.stated = [self._without_held(one) for one in self.stated]
        for one in self.stated:
            owned = owners(one.transactions)
            declared[one.source].update(owned)
            for window in one.transactions:
                if window.completeness != "broken":
                    known[one.source].update(_days(window))
            booked, others = rows_in_force(one.rows, owned, self.waiting, self.facts.rulings.booked)
            self.legs.setdefault(one.source, []).extend(
                legs(booked, others, self.facts.contents, editions(one, self.facts.contents))
            )
        for source in self._sources():  # in order of authority: the first one keeps the day
            self.cover[source] = SourceCover(frozenset(known[source]), frozenset(declared[source]))
            for day in declared[source]:
                self.owner.setdefault(day, self.facts.sources[source])

    def _not_ignored(self, rows: Sequence[StagedRow]) -> list[StagedRow]:
        """`rows` without what the user ignores: an event of several legs goes as one."""
        ignored = self.facts.rulings.ignored
        if not ignored:
            return list(rows)
        groups = {(row.account_ref, row.group) for row in rows if row.group and (row.source, row.identity) in ignored}
        return [
            row
            for row in rows
            if (row.source, row.identity) not in ignored and (row.account_ref, row.group) not in groups
        ]

    def _hold_back(self, one: Stated) -> None:
        """Find the editions that wait for the user; what they say supports and books nothing."""
        if self.facts.sources[one.source].by_hand:
            return
        accepted = self.facts.rulings.accepted
        for waiting in held_back(one.rows, one.transactions, editions(one, self.facts.contents), accepted):
            self.truth.disagreements.append(disagreements.held_edition(self.account.id, one.source, waiting))
            self.waiting.add(waiting.window.content)

    def _without_held(self, one: Stated) -> Stated:
        return replace(one, transactions=tuple(w for w in one.transactions if w.content not in self.waiting))

    def _is_booked(self, joined: Joined) -> bool:
        sources = [self.facts.sources[event.source] for event in joined.events]
        if any(source.by_hand for source in sources):
            return True
        owner = self.owner.get(joined.events[0].day)
        if owner is None or any(source_rank(source) <= source_rank(owner) for source in sources):
            return True
        return any(key in self.facts.rulings.booked for key in _identities(joined.events))

    def _book(self, joined: Joined) -> None:
        """Write the event's legs: the winner gives the whole tuple, the others claim and fill what it leaves
        open.
        """
        winner, rule = self._winner(joined)
        is_manual = all(self.facts.sources[event.source].by_hand for event in joined.events)
        claimants: list[list[tuple[Leg, Event, str]]] = [[] for _ in winner.legs]
        for event, name in zip(joined.events, joined.passes, strict=True):
            for number, leg in enumerate(event.legs):
                slot = number if len(event.legs) == len(winner.legs) else 0
                claimants[slot].append((leg, event, name))
        ids = [_canonical(claims) for claims in claimants]
        stated = winner.legs[0].row
        # both legs of a transfer between two of the user's accounts carry the group that their source stated
        group = uuid5(DERIVED, f"group:{stated.source}:{stated.group}") if stated.group else None
        for number, (leg, claims) in enumerate(zip(winner.legs, claimants, strict=True)):
            others = [claim for claim in claims if claim[0] is not leg]
            row = _ledger_row(ids[number], self.facts.user, self.account, leg.row, group, number, is_manual=is_manual)
            self._fill(row, [other.row for other, _, _ in others])
            self._set_values(row, winner, claims)
            self.rows.append(row)
            self.places[row.id] = _place(leg)
            for claimant, event, name in claims:
                won = claimant is leg
                for staged in claimant.members:
                    speaks = staged == claimant.row.id
                    told = (
                        rule if won and speaks else ("repeated" if not speaks else (name if name != "anchor" else rule))
                    )
                    self.truth.claims.append(ClaimRow(row.id, staged, event.source, won and speaks, told))
            rivals = [other.row for other, _, name in others if name != "bundle"]
            self._compare(row, leg.row, rivals, rule)

    def _set_values(self, row: LedgerRow, winner: Event, claims: Sequence[tuple[Leg, Event, str]]) -> None:
        """Let the user's words about the row stand, whichever source's row they are about.

        A part of a bundle and a leg that the winner does not tell apart are not this row.
        """
        values = self.facts.rulings.values
        if not values:
            return
        words: list[SetValue] = []
        for leg, event, name in claims:
            stands_alone = len(event.legs) == len(winner.legs) or leg is event.legs[0]
            if name != "bundle" and stands_alone:
                words.extend(values.get((event.source, leg.row.identity), ()))
        if words:
            set_values.apply(row, words)

    def _compare(self, row: LedgerRow, winner: StagedRow, rivals: Sequence[StagedRow], rule: str) -> None:
        """Tell the fields that sources differ in; one that the user set is decided, for no source."""
        decided = set(row.decided.split(","))
        for one in disagreements.differing_fields(row, winner, rivals, rule, self._multiplier(row.instrument)):
            if one.key.rpartition(":")[2] in decided:
                one = replace(one, winner=None, rule=DECISION, decided=True)
            self.truth.disagreements.append(one)

    def _winner(self, joined: Joined) -> tuple[Event, str]:
        chosen = {
            source
            for key in _identities(joined.events)
            if (source := self.facts.rulings.chosen_rows.get(key)) is not None
        }
        for event in joined.events:
            if event.source in chosen:
                return event, DECISION
        first = joined.events[0]
        rivals = [event for event in joined.events[1:] if event.source != first.source]
        if not rivals:
            return first, ONLY_SOURCE
        return first, rule_between(self.facts.sources[first.source], self.facts.sources[rivals[0].source])

    def _fill(self, row: LedgerRow, others: Sequence[StagedRow]) -> None:
        """Give nulls what other claims state, fee and tax only where the amount still adds up with them."""
        for other in others:
            for name in FILLED:
                if getattr(row, name) in (None, "") and (value := getattr(other, name)) not in (None, ""):
                    setattr(row, name, value)
            if row.instrument is None and other.instrument is not None:
                row.instrument, row.listing = other.instrument, other.listing
            if (row.fee is None and other.fee is not None) or (row.tax is None and other.tax is not None):
                fee, tax = (row.fee, row.fee_currency), row.tax
                if row.fee is None and other.fee is not None:
                    row.fee, row.fee_currency = other.fee, other.fee_currency
                row.tax = other.tax if row.tax is None else row.tax
                if not self._adds_up(row):
                    (row.fee, row.fee_currency), row.tax = fee, tax

    def _adds_up(self, row: LedgerRow) -> bool:
        """Whether the stated amount is what quantity, price, fee and tax make, to the minor unit."""
        if row.cash_amount is None or row.quantity is None or row.price is None or row.cash_currency != row.currency:
            return False
        multiplier = self._multiplier(row.instrument)
        implied = -row.quantity * row.price * multiplier - (row.tax or 0)
        if row.fee_currency in ("", row.currency):
            implied -= row.fee or 0
        return abs(implied - row.cash_amount) <= minor_unit(row.currency)

    def _multiplier(self, instrument: UUID | None) -> Decimal:
        return self.facts.multipliers.get(instrument, Decimal(1)) if instrument else Decimal(1)

    def _follow_actions(self) -> None:
        """Add what corporate actions do to the account where no source tells. Reports alone need none."""
        if self.account.tracking != "transactions":
            return
        for action in self.facts.actions:
            if is_claimed(action, self.rows):
                continue
            reports = [
                (report.as_of, report.value)
                for one in self.stated
                for report in self._positions_in_force(one)
                if report.instrument == action.instrument
            ]
            held = held_before(action, self.rows, latest_before(action.ex_date, reports))
            for row in action_rows(action, held=held, user=self.facts.user, account=self.account):
                self.rows.append(row)
                self.places[row.id] = Place("", 0, str(row.group))

    # --- reports ----------------------------------------------

    def _positions_in_force(self, one: Stated) -> list[Report]:
        return reported.positions_in_force(
            one, sources=self.facts.sources, accepted=self.facts.rulings.accepted, is_sold=self._is_sold
        )[0]

    def _settle_reports(self) -> None:
        found = reported.in_force(
            self.stated,
            sources=self.facts.sources,
            accepted=self.facts.rulings.accepted,
            is_sold=self._is_sold,
        )
        self.truth.disagreements.extend(
            disagreements.held_edition(self.account.id, source, waiting) for source, waiting in found.held
        )
        if not found.reports:
            return
        wanted = found.reports.keys()
        settled = reported.settle_account(
            found.reports,
            context=reported.Context(
                user=self.facts.user,
                account=self.account,
                sources=self.facts.sources,
                cover=self.cover,
                declared_days=frozenset(self.owner),
                chosen=self._of_account(self.facts.rulings.chosen_holdings),
                opening_lots=self._of_account(self.facts.rulings.opening_lots),
            ),
            ledger=self._movements(self.rows, wanted),
            by_source={
                source: self._movements([leg.row for leg in self.legs.get(source, ())], wanted)
                for source in self._sources()
            },
        )
        for row, place in settled.rows:
            self.rows.append(row)
            self.places[row.id] = place
        self.truth.disagreements.extend(settled.disagreements)
        self.truth.balances[self.account.id] = settled.balances

    def _of_account(self, said: dict[tuple[UUID, HoldingKey], Word]) -> dict[HoldingKey, Word]:
        """What the user said of this account's holdings."""
        return {key: word for (account, key), word in said.items() if account == self.account.id}

    def _is_sold(self, report: Report, by: date) -> bool:
        """Whether the reporting source's own transactions take what `report` holds to nothing by a day."""
        if report.source not in self.moves:
            wanted = {HoldingKey(leg.row.instrument, "") for leg in self.legs[report.source] if leg.row.instrument}
            self.moves[report.source] = self._movements([leg.row for leg in self.legs[report.source]], wanted)
        moves = self.moves[report.source].get(report.key)
        return moves is not None and not moves.carry(report.value, report.as_of, by)

    def _movements(
        self, rows: Iterable[StagedRow | LedgerRow], wanted: Collection[HoldingKey]
    ) -> dict[HoldingKey, Movements]:
        return reported.movements(rows, wanted, account=self.account, multipliers=self.facts.multipliers)


def _days(window: Window) -> Iterable[date]:
    return (window.start + timedelta(days=offset) for offset in range((window.end - window.start).days + 1))


def editions(one: Stated, contents: dict[int, ContentInfo]) -> dict[int, Edition]:
    """Content -> how new it is; one without a window of transactions counts from its arrival."""
    editions = {row.content: _arrival(contents[row.content]) for row in one.rows}
    for window in one.transactions:
        editions[window.content] = max(window.edition, editions.get(window.content, window.edition))
    return editions


def _arrival(content: ContentInfo) -> Edition:
    time: datetime = content.generated_at or content.arrived_at
    return Edition(time, content.number)


def _identities(stated: Iterable[Event]) -> Iterable[tuple[UUID, str]]:
    return ((event.source, leg.row.identity) for event in stated for leg in event.legs)


def _canonical(claims: Sequence[tuple[Leg, Event, str]]) -> UUID:
    """The id of the first recorded fact in force."""
    return min(claims, key=lambda claim: claim[0].first)[0].uid


def _place(leg: Leg) -> Place:
    row = leg.row
    time = row.traded_at.isoformat() if row.traded_at else row.local_time
    return Place(time, -row.line if leg.descending else row.line, row.identity)


def _ledger_row(
    row_id: UUID, user: UUID, account: AccountInfo, row: StagedRow, group: UUID | None, leg: int, *, is_manual: bool
) -> LedgerRow:
    return LedgerRow(
        row_id, user, account.id, row.instrument, row.listing, row.kind, row.trade_date, row.traded_at, row.settled_on,
        row.quantity, row.price, row.currency, row.fee, row.fee_currency, row.tax, row.cash_amount, row.cash_currency,
        row.fx_rate, row.ratio, group, leg, 0, row.note, row.source, is_manual,
    )  # fmt: skip

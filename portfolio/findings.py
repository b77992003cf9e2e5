"""What wants attention, concluded from what is stored: one pure function for each kind of finding.

Each takes rows as read and gives at most one finding for each key. Words are for a person; what a finding was concluded
from is its evidence, so that a dismissal ends when that changes. Nothing here depends on the day on which it is asked
but staleness.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from stackmotive.common.display import day_text, money_text, quantity_text
from stackmotive.common.money import plain

ZERO = Decimal(0)
MOST_ROWS = 50  # named in one finding; the count is told in words
MOST_MONTHS = 12
CASH_TOLERANCE, CASH_SHARE = Decimal("0.01"), Decimal("0.005")  # DESIGN 6


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding to be stored. rows: (type, id, label)."""

    kind: str
    severity: str
    key: str
    title: str
    detail: str
    evidence: str
    rows: tuple[tuple[str, str, str], ...] = ()
    account: UUID | None = None
    instrument: UUID | None = None
    day: dt.date | None = None
    effect_base: Decimal | None = None


def digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()


# --- holdings ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A stored position. unit_value: of one unit in base currency; None where unknown."""

    id: UUID
    account: UUID
    account_name: str
    instrument: UUID
    symbol: str
    quantity: Decimal
    missing: Decimal
    unit_value: Decimal | None
    cost_base: Decimal | None
    reason: str

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        return (
            ("position", str(self.id), f"{self.symbol} in {self.account_name}"),
            ("account", str(self.account), self.account_name),
        )


def oversold(held: Iterable[Held]) -> list[Draft]:
    """More was sold than is known to have been bought."""
    return [
        Draft(
            kind="missing_quantity",
            severity="critical",
            key=f"missing_quantity:{one.account}:{one.instrument}",
            title=f"{quantity_text(one.missing)} {one.symbol} were sold that were never bought",
            detail=f"{one.account_name} has sales of {one.symbol} beyond what its history holds, so their gain is "
            "unknown. Import the statements that show the purchase or the transfer into the account, or allow short "
            "positions on it.",
            evidence=digest(plain(one.missing)),
            rows=one.rows,
            account=one.account,
            instrument=one.instrument,
            effect_base=None if one.unit_value is None else abs(one.missing * one.unit_value),
        )
        for one in held
        if one.missing
    ]


UNPRICED = {"no_price": "no price is known", "no_rate": "no exchange rate into your currency is known"}


def unpriced(held: Iterable[Held]) -> list[Draft]:
    """Held and left out of every total. The effect is its cost, where that is known."""
    return [
        Draft(
            kind="unpriced_holding",
            severity="warning",
            key=f"unpriced_holding:{one.account}:{one.instrument}",
            title=f"{one.symbol} has no value: {UNPRICED[one.reason]}",
            detail=f"{quantity_text(one.quantity)} {one.symbol} in {one.account_name} are left out of your totals. "
            f"Record a {'price' if one.reason == 'no_price' else 'rate'} of your own, or import a statement that "
            "states one.",
            evidence=digest(one.reason, plain(one.quantity)),
            rows=one.rows,
            account=one.account,
            instrument=one.instrument,
            effect_base=None if one.cost_base is None else abs(one.cost_base),
        )
        for one in held
        if one.quantity and one.reason in UNPRICED
    ]


# --- reports against the ledger ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gap:
    """Reports of one holding or cash balance that the ledger does not explain.

    changes: (day of the report, what it has beyond the ledger since the one before), ascending. reports: all their
    days. unit_value: of one unit, or of one of the currency, in base currency.
    """

    account: UUID
    account_name: str
    instrument: UUID | None
    name: str  # the symbol, or the currency
    changes: Sequence[tuple[dt.date, Decimal]]
    reports: Sequence[dt.date]
    unit_value: Decimal | None

    @property
    def amount(self) -> Decimal:
        return sum((change for _, change in self.changes), ZERO)

    @property
    def first_bad_day(self) -> dt.date | None:
        """Of the report since which there has been a gap without a break."""
        running, since = ZERO, None
        for day, change in self.changes:
            before, running = running, running + change
            if not running:
                since = None
            elif not before:
                since = day
        return since


def unexplained(gaps: Iterable[Gap]) -> list[Draft]:
    """A report says otherwise than the ledger, and nothing in between tells why."""
    return [_unexplained(gap, gap.first_bad_day) for gap in gaps if gap.amount]


def _unexplained(gap: Gap, bad: dt.date | None) -> Draft:
    is_cash = gap.instrument is None
    kind = "unexplained_cash" if is_cash else "unexplained_quantity"
    amount = (
        money_text(gap.amount, gap.name, signed=True)
        if is_cash
        else f"{quantity_text(gap.amount, signed=True)} {gap.name}"
    )
    before = max((day for day in gap.reports if bad and day < bad), default=None)
    span = ""
    if bad is not None:
        span = f"Between {day_text(before)} and {day_text(bad)}" if before else f"Up to {day_text(bad)}"
    about = ("account", str(gap.account), gap.account_name)
    return Draft(
        kind=kind,
        severity="warning",
        key=f"{kind}:{gap.account}:{gap.instrument or gap.name}",
        title=f"{amount} in {gap.account_name} that no transaction explains",
        detail=f"{span} something happened that no statement shows; {day_text(bad) if bad else 'that'} is the first "
        "report that does not add up. Import what is missing of that time, or add the transaction by hand.",
        evidence=digest(plain(gap.amount), bad),
        rows=(about,) if is_cash else (("instrument", str(gap.instrument), gap.name), about),
        account=gap.account,
        instrument=gap.instrument,
        day=bad,
        effect_base=None if gap.unit_value is None else abs(gap.amount * gap.unit_value),
    )


@dataclass(frozen=True, slots=True)
class Overdrawn:
    """Tracked cash below 0 today. steps: (day, balance from its close on), ascending."""

    account: UUID
    account_name: str
    currency: str
    amount: Decimal
    amount_base: Decimal | None
    steps: Sequence[tuple[dt.date, Decimal]]

    @property
    def since(self) -> dt.date | None:
        found = None
        for day, amount in self.steps:
            if amount >= 0:
                found = None
            elif found is None:
                found = day
        return found


def deposits_missing(overdrawn: Iterable[Overdrawn]) -> list[Draft]:
    """More was paid from an account than is known to have come in."""
    drafts = []
    for one in overdrawn:
        since = one.since
        when = f" since {day_text(since)}" if since else ""
        drafts.append(
            Draft(
                kind="deposits_missing",
                severity="warning",
                key=f"deposits_missing:{one.account}:{one.currency}",
                title=f"Deposits are missing: {one.account_name} holds {money_text(one.amount, one.currency)}",
                detail=f"Its cash has been below zero{when}. Import the statements that show what was paid in, add the "
                "deposits by hand, or set the account to keep no cash.",
                evidence=digest(plain(one.amount), since),
                rows=(("account", str(one.account), one.account_name),),
                account=one.account,
                day=since,
                effect_base=None if one.amount_base is None else abs(one.amount_base),
            )
        )
    return drafts


# --- statements ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one source's statements say of one account: months by section, with those that none speaks of."""

    source: UUID
    source_name: str
    reference: str
    account: UUID | None
    end: dt.date
    months: Sequence[tuple[str, bool]]  # YYYY-MM and whether a statement speaks of it; of one section


def missing_months(spoken: Iterable[Spoken]) -> list[Draft]:
    """Months between the first and the last statement of an account that no statement of its source speaks of."""
    known: dict[tuple[UUID, str, UUID | None], set[str]] = defaultdict(set)
    between: dict[tuple[UUID, str, UUID | None], set[str]] = defaultdict(set)
    names: dict[UUID, str] = {}
    for one in spoken:
        place = (one.source, one.reference, one.account)
        names[one.source] = one.source_name
        last = f"{one.end:%Y-%m}"
        between[place] |= {month for month, _ in one.months if month <= last}
        known[place] |= {month for month, is_spoken in one.months if is_spoken and month <= last}
    drafts = []
    for (source, reference, account), months in between.items():
        missing = sorted(months - known[source, reference, account])
        if not missing:
            continue
        shown = ", ".join(missing[:MOST_MONTHS]) + (" and others" if len(missing) > MOST_MONTHS else "")
        whose = f" for {reference}" if reference else ""
        count = f"{len(missing)} months" if len(missing) > 1 else "1 month"
        drafts.append(
            Draft(
                kind="missing_months",
                severity="warning",
                key=f"missing_months:{source}:{reference or account or ''}",
                title=f"{count} without a statement from {names[source]}{whose}",
                detail=f"No statement speaks of {shown}. Import what is missing; trades of that time may be unknown.",
                evidence=digest(*missing),
                rows=(("source", str(source), names[source]),),
                account=account,
                day=dt.date.fromisoformat(f"{missing[0]}-01"),
            )
        )
    return drafts


@dataclass(frozen=True, slots=True)
class LastWord:
    """The newest day a source's statements speak of, and how many days they count as fresh."""

    source: UUID
    name: str
    day: dt.date
    fresh_for: dt.timedelta


def stale_sources(words: Iterable[LastWord], *, today: dt.date) -> list[Draft]:
    """A source has told nothing new for longer than its statements count as fresh."""
    return [
        Draft(
            kind="stale_source",
            severity="info",
            key=f"stale_source:{one.source}",
            title=f"{one.name} has told nothing since {day_text(one.day)}",
            detail=f"What happened after {day_text(one.day)} is not in your figures as far as it is known from there. "
            "Import a newer statement, or sync the source.",
            evidence=digest(one.day),
            rows=(("source", str(one.source), one.name),),
            day=one.day,
        )
        for one in words
        if today - one.day > one.fresh_for
    ]


# --- what the user is asked ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named:
    """A private instrument that could not be told for certain, and that the user's rows point to."""

    id: UUID
    symbol: str
    name: str


def unresolved_instruments(named: Iterable[Named]) -> list[Draft]:
    return [
        Draft(
            kind="unresolved_instrument",
            severity="info",
            key=f"unresolved_instrument:{one.id}",
            title=f"It is not certain what {one.symbol or one.name or 'an instrument'} is",
            detail="Statements name it in a way that fits nothing known, or several things. Merge it with the "
            "instrument it is, or confirm that it stands for itself.",
            evidence=digest(one.symbol, one.name),
            rows=(("instrument", str(one.id), one.symbol or one.name),),
            instrument=one.id,
        )
        for one in named
    ]


@dataclass(frozen=True, slots=True)
class OpenConflict:
    id: UUID
    kind: str
    key: str
    account: UUID | None
    effect_base: Decimal | None
    candidates: str  # as stored


MASS_WITHDRAWAL = "mass_withdrawal"


def conflicts(found: Iterable[OpenConflict]) -> list[Draft]:
    """One finding for all that sources disagree about; one for each edition that would withdraw much."""
    told = list(found)
    drafts = [
        Draft(
            kind=MASS_WITHDRAWAL,
            severity="critical",
            key=f"{MASS_WITHDRAWAL}:{one.key}",
            title="A statement is held back: it would remove much of what is known",
            detail="Its window lacks many rows that an earlier statement had. Accept it where that is right; until "
            "then the earlier statement counts.",
            evidence=digest(one.candidates),
            rows=(("conflict", str(one.id), one.key),),
            account=one.account,
            effect_base=one.effect_base,
        )
        for one in told
        if one.kind == MASS_WITHDRAWAL
    ]
    others = sorted((one for one in told if one.kind != MASS_WITHDRAWAL), key=lambda one: one.key)
    if others:
        known = [one.effect_base for one in others if one.effect_base is not None]
        drafts.append(
            Draft(
                kind="open_conflict",
                severity="warning",
                key="open_conflict",
                title=f"Your sources disagree about {len(others)} thing{'' if len(others) == 1 else 's'}",
                detail="Look at both values in Reconciliation and choose whom to believe.",
                evidence=digest(*((one.key, one.candidates) for one in others)),
                rows=tuple(("conflict", str(one.id), one.key) for one in others[:MOST_ROWS]),
                effect_base=sum(known, ZERO) if known else None,
            )
        )
    return drafts


# --- ledger rows ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trade:
    """A row that states quantity, price and cash. Money in `currency`; unit_base: base currency for one of it."""

    id: UUID
    account: UUID
    account_name: str
    instrument: UUID
    symbol: str
    is_bond: bool
    day: dt.date
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    fee: Decimal
    tax: Decimal
    cash_amount: Decimal
    currency: str
    unit_base: Decimal | None

    @property
    def off_by(self) -> Decimal:
        """How far the cash is from quantity x price x multiplier, with or without fee and tax; 0 within tolerance."""
        gross = abs(self.quantity * self.price * self.multiplier)
        whole = [gross, gross / 100] if self.is_bond else [gross]  # bonds may be quoted in percent
        costs = {ZERO, self.fee, -self.fee, self.fee + self.tax, -self.fee - self.tax, self.tax, -self.tax}
        off = min(abs(abs(self.cash_amount) - (amount + cost)) for amount in whole for cost in costs)
        return off if off > max(CASH_TOLERANCE, CASH_SHARE * min(whole)) else ZERO


def cash_equation(trades: Iterable[Trade]) -> list[Draft]:
    """Trades whose cash is not what their quantity and price make, by account and instrument."""
    wrong: dict[tuple[UUID, UUID], list[Trade]] = defaultdict(list)
    for one in trades:
        if one.off_by:
            wrong[one.account, one.instrument].append(one)
    drafts = []
    for (account, instrument), rows in wrong.items():
        rows.sort(key=lambda one: (one.day, one.id))
        first = rows[0]
        off = [None if one.unit_base is None else one.off_by * one.unit_base for one in rows]
        known = [amount for amount in off if amount is not None]
        drafts.append(
            Draft(
                kind="cash_equation",
                severity="warning",
                key=f"cash_equation:{account}:{instrument}",
                title=f"{len(rows)} trade{'' if len(rows) == 1 else 's'} of {first.symbol} in {first.account_name} do"
                f"{'es' if len(rows) == 1 else ''} not add up",
                detail="The cash is not quantity times price with fee and tax; on "
                f"{day_text(first.day)} it is off by {money_text(first.off_by, first.currency)}. The cash counts; see "
                "whether quantity, price or fee of the statement are read rightly.",
                evidence=digest(*((one.id, plain(one.off_by)) for one in rows)),
                rows=tuple(("transaction", str(one.id), day_text(one.day)) for one in rows[:MOST_ROWS]),
                account=account,
                instrument=instrument,
                day=first.day,
                effect_base=sum(known, ZERO) if known else None,
            )
        )
    return drafts


@dataclass(frozen=True, slots=True)
class ByHand:
    """A row typed by hand on a day that statements of `source_name` cover whole."""

    id: UUID
    account: UUID
    account_name: str
    instrument: UUID | None
    kind: str
    day: dt.date
    source: UUID
    source_name: str
    effect_base: Decimal | None


def by_hand_on_owned_days(rows: Iterable[ByHand]) -> list[Draft]:
    return [
        Draft(
            kind="manual_on_owned_day",
            severity="info",
            key=f"manual_on_owned_day:{one.id}",
            title=f"{one.source_name} knows nothing of the {one.kind.replace('_', ' ')} of {day_text(one.day)} in "
            f"{one.account_name}",
            detail=f"You added it by hand, and statements of {one.source_name} cover that day whole. It counts; delete "
            "it if it is a mistake.",
            evidence=digest(one.source, one.day),
            rows=(
                ("transaction", str(one.id), day_text(one.day)),
                ("source", str(one.source), one.source_name),
            ),
            account=one.account,
            instrument=one.instrument,
            day=one.day,
            effect_base=one.effect_base,
        )
        for one in rows
    ]

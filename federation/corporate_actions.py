"""Ledger rows that follow from a corporate action stated once, for an account no source gives rows to (DESIGN 5.10).

A pure function of the action and of what the account held the day before. The legs of one action share a group; cash
and units are conserved: a fraction that does not come is sold for its cash in lieu.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from uuid import UUID, uuid5

from federation.rows import AccountInfo, LedgerRow
from stackmotive.common.currencies import minor_unit
from stackmotive.common.money import RECORDED_QUANTUM, fits_recorded

CLAIM_DAYS = 5  # a broker may book an action this far from its day
ALIKE = ({"merger", "symbol_change"}, {"split", "stock_dividend"}, {"spinoff", "rights"})
"""Kinds that brokers take for one another."""
ACTIONS = UUID("0d6f0d0e-7a53-5c2f-9a55-6c7f7c1f4b21")
"""Namespace of the ids of rows that follow from actions."""
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action in force. ratio: new units for one old; below 0 where an option delivers them (a put).
    cash_per_unit: for one old unit. cash_in_lieu: for one new unit.
    """

    id: UUID
    kind: str
    instrument: UUID
    new_instrument: UUID | None
    ex_date: date
    ratio: Decimal | None
    cash_per_unit: Decimal | None
    currency: str
    cash_in_lieu: Decimal | None
    note: str = ""

    @property
    def instruments(self) -> set[UUID]:
        return {one for one in (self.instrument, self.new_instrument) if one is not None}


def is_claimed(action: Action, rows: Iterable[LedgerRow]) -> bool:
    """Whether a source's own row tells this account what the action did."""
    kinds = {action.kind}.union(*(alike for alike in ALIKE if action.kind in alike))
    return any(
        row.source is not None
        and row.kind in kinds
        and row.instrument in action.instruments
        and abs((row.trade_date - action.ex_date).days) <= CLAIM_DAYS
        for row in rows
    )


def held_before(action: Action, rows: Iterable[LedgerRow], reported: tuple[date, Decimal] | None) -> Decimal:
    """Units at the close of the day before: the last report before it and what moved since."""
    since, held = reported or (date.min, ZERO)
    for row in sorted(rows, key=lambda row: (row.trade_date, row.kind != "split")):
        if row.instrument != action.instrument or not since < row.trade_date < action.ex_date:
            continue
        if row.kind == "split" and row.quantity is None:
            held *= row.ratio or 1
        else:
            held += row.quantity or ZERO
    return held


def action_rows(action: Action, *, held: Decimal, user: UUID, account: AccountInfo) -> list[LedgerRow]:
    """The legs of `action` for `held` units; none where nothing is held or a number would not fit."""
    legs = _Legs(action, held, user, account)
    if held:
        legs.add_all()
    numbers = [number for row in legs.rows for number in (row.quantity, row.cash_amount) if number is not None]
    return legs.rows if all(fits_recorded(number) for number in numbers) else []


class _Legs:
    def __init__(self, action: Action, held: Decimal, user: UUID, account: AccountInfo) -> None:
        self.action, self.held, self.user, self.account = action, held, user, account
        self.currency = action.currency or account.currency
        self.rows: list[LedgerRow] = []

    def add_all(self) -> None:
        action, held = self.action, self.held
        new = _rounded(held * (action.ratio or 1))
        match action.kind:
            case "split":
                self.leg("split", action.instrument, None, ratio=action.ratio)
                self.sell_fraction(action.instrument, new)
            case "stock_dividend":
                self.leg("stock_dividend", action.instrument, new, ratio=action.ratio)
                self.sell_fraction(action.instrument, new)
            case "spinoff" | "rights":
                self.leg(action.kind, action.new_instrument, new, ratio=action.ratio)
                self.sell_fraction(action.new_instrument, new)
            case "merger" | "symbol_change":
                self.leg(action.kind, action.instrument, -held, cash=self.money(held, action.cash_per_unit))
                if action.new_instrument is not None:
                    self.leg(action.kind, action.new_instrument, new, ratio=action.ratio)
                    self.sell_fraction(action.new_instrument, new)
            case "exercise":
                self.leg("exercise", action.instrument, -held)
                paid = -held if (action.ratio or 1) > 0 else held
                self.leg("exercise", action.new_instrument, new, cash=self.money(paid, action.cash_per_unit))
            case "return_of_capital":
                self.leg("return_of_capital", action.instrument, None, cash=self.money(held, action.cash_per_unit))
            case "expiry":
                self.leg("expiry", action.instrument, -held)

    def money(self, units: Decimal, each: Decimal | None) -> Decimal | None:
        """Units times an amount each, to the minor unit."""
        return None if each is None else (units * each).quantize(minor_unit(self.currency), ROUND_HALF_EVEN)

    def sell_fraction(self, instrument: UUID | None, units: Decimal) -> None:
        """Sell a fraction that does not come; who is short buys the fraction that is not owed."""
        fraction = units - units.quantize(Decimal(1), ROUND_DOWN)
        if self.action.cash_in_lieu is not None and fraction:
            paid = self.money(fraction, self.action.cash_in_lieu)
            kind = "sell" if fraction > 0 else "buy"
            self.leg(kind, instrument, -fraction, cash=paid, price=self.action.cash_in_lieu)

    def leg(
        self,
        kind: str,
        instrument: UUID | None,
        quantity: Decimal | None,
        *,
        ratio: Decimal | None = None,
        cash: Decimal | None = None,
        price: Decimal | None = None,
    ) -> None:
        number, name = len(self.rows), f"{self.action.id}:{self.account.id}"
        self.rows.append(
            LedgerRow(
                id=uuid5(ACTIONS, f"{name}:{number}"), user=self.user, account=self.account.id, instrument=instrument,
                listing=None, kind=kind, trade_date=self.action.ex_date, traded_at=None, settled_on=None,
                quantity=quantity, price=price, currency=self.currency, fee=None, fee_currency="", tax=None,
                cash_amount=cash, cash_currency=self.currency if cash is not None else "", fx_rate=None, ratio=ratio,
                group=uuid5(ACTIONS, name), leg=number, position=0, note=self.action.note, source=None,
                is_manual=False,
            )
        )  # fmt: skip


def latest_before(day: date, reports: Sequence[tuple[date, Decimal]]) -> tuple[date, Decimal] | None:
    """The last report before `day`; of one day the first listed."""
    found = [report for report in reports if report[0] < day]
    return max(found, key=lambda report: report[0], default=None)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(RECORDED_QUANTUM, ROUND_HALF_EVEN)

"""Every figure of a holding."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from federation.models import Transaction, TransactionKind
from federation.positions import STEP
from portfolio.explain.quotes import Quote, quote_on
from portfolio.explain.rows import flow_parts, quantity_parts
from portfolio.explain.sight import Sight
from portfolio.explain.tree import (
    MONEY_PLACES,
    RECORDED_PLACES,
    ZERO,
    Node,
    Ref,
    added,
    figure,
    given,
    less,
    over,
    row_ref,
    size,
    times,
)
from portfolio.ledger_rows import Holding
from portfolio.models import Lot, Position, RealizedGain, ValueSeries
from portfolio.selectors.positions import PositionRow, positions
from portfolio.series import unpack


@dataclass(frozen=True, slots=True)
class Held:
    """A holding of today: as it is answered, in the currency asked for, and as it is stored, in base."""

    sight: Sight
    row: PositionRow
    stored: Position

    @property
    def ref(self) -> Ref:
        return Ref("position", str(self.stored.pk))

    @property
    def holding(self) -> Holding:
        return Holding(self.stored.account_id, self.stored.instrument_id)

    def other(self, name: str, label: str, value: Decimal | None, unit: str) -> Node:
        """Another figure of the same holding, to be opened by itself."""
        return figure(label, value, unit, self.sight.question(name, position=self.stored.pk), reason=self.row.reason)

    def quote(self) -> Quote | None:
        return quote_on(self.sight, self.stored.instrument_id, self.sight.now.valued_on, listing=self.stored.listing_id)


def position_figure(sight: Sight, name: str, stored: Position) -> Node | None:
    """The tree of one figure of a holding; None where holdings have no such figure."""
    make = POSITION_FIGURES.get(name)
    row = next((row for row in positions(user=sight.user, currency=sight.rate.currency) if row.id == stored.pk), None)
    return None if make is None or row is None else make(Held(sight, row, stored))


def _quantity(held: Held) -> Node:
    stored = held.stored
    parts = quantity_parts(held.sight.rows, stored.account_id, stored.instrument_id, held.row.symbol)
    if stored.missing_quantity:
        parts.append(given("Left beyond what is known", stored.missing_quantity, "units", ref=held.ref))
    return added("Quantity", "units", parts, places=RECORDED_PLACES)


def _price(held: Held) -> Node:
    quote = held.quote()
    if quote is None:
        return given("Price", held.row.price, held.row.currency, reason=held.row.reason or "no_price")
    return times("Price", held.row.currency, [quote.price], places=RECORDED_PLACES, reason="no_price")


def _worth(held: Held, *, is_base: bool) -> Node:
    quote = held.quote()
    parts = [held.other("quantity", "Quantity", held.row.quantity, "units")]
    if quote is None:
        parts.append(given("Price", None, held.row.currency, reason="no_price"))
    else:
        parts += [quote.price, given("Multiplier", quote.multiplier, "ratio")]
    if not is_base:
        return times("Market value", held.row.currency, parts, places=MONEY_PLACES, reason="no_price")
    day = held.sight.now.valued_on
    parts.append(held.sight.rate_node(held.row.currency, held.sight.rate.base, day))
    value = times(
        "Market value", held.sight.rate.base, parts, places=MONEY_PLACES, reason=held.row.reason or "no_price"
    )
    return held.sight.exchanged(value, day, places=MONEY_PLACES)


def _lots(held: Held) -> list[Lot]:
    found = Lot.objects.filter(
        user=held.sight.user, account=held.stored.account_id, instrument=held.stored.instrument_id
    )
    return list(found.order_by("acquired_on", "id"))


def _cost(held: Held) -> Node:
    lots = _lots(held)
    if held.row.cost_basis is None:
        return given("Cost of the open lots", None, held.row.currency, reason=held.row.reason or "cost_unknown")
    parts = [_lot_cost(held.sight, lot, "cost", lot.cost, lot.currency) for lot in lots]
    return added("Cost of the open lots", held.row.currency, parts, places=MONEY_PLACES)


def _cost_base(held: Held) -> Node:
    sight = held.sight
    label = "Cost of the open lots, each at the rate of the day it was bought"
    if held.row.cost_basis_base is None:
        return given(label, None, sight.rate.currency, reason=held.row.reason or "cost_unknown")
    parts = [
        sight.exchanged(_lot_cost(sight, lot, "cost_base", lot.cost_base, sight.rate.base), lot.acquired_on)
        for lot in _lots(held)
    ]
    return added(label, sight.rate.currency, parts, places=MONEY_PLACES)


def _lot_cost(sight: Sight, lot: Lot, name: str, value: Decimal | None, unit: str) -> Node:
    return figure(
        f"Lot of {lot.acquired_on.isoformat()}", value, unit, sight.question(name, lot=lot.pk), on=lot.acquired_on
    )


def _average_cost(held: Held) -> Node:
    label, unit = "Average cost of one unit", held.row.currency
    if not held.row.quantity:
        return given(label, ZERO, unit)
    if held.row.average_cost is None:
        return given(label, None, unit, reason=held.row.reason or "cost_unknown")
    cost = added("Cost", unit, [_lot_cost(held.sight, lot, "cost", lot.cost, lot.currency) for lot in _lots(held)])
    quantity = held.other("quantity", "Quantity", held.row.quantity, "units")
    return over(label, unit, cost, quantity, places=RECORDED_PLACES)


def _unrealized(held: Held, *, is_base: bool) -> Node:
    row, end = held.row, "_base" if is_base else ""
    unit = row.base_currency if is_base else row.currency
    value, cost = getattr(row, f"market_value{end}"), getattr(row, f"cost_basis{end}")
    return less(
        "Unrealized gain",
        unit,
        [
            held.other(f"market_value{end}", "Market value", value, unit),
            held.other(f"cost_basis{end}", "Cost", cost, unit),
        ],
        places=MONEY_PLACES,
        reason=row.reason,
    )


def _realized(held: Held) -> Node:
    sight = held.sight
    gains = RealizedGain.objects.filter(
        user=sight.user, account=held.stored.account_id, instrument=held.stored.instrument_id
    ).order_by("closed_on", "id")
    if held.stored.realized_gain_base is None:
        return given("Realized gain", None, sight.rate.currency, reason="cost_unknown_for_some")
    parts = [
        figure(
            f"Closed on {one.closed_on.isoformat()}", one.gain_base, sight.rate.base,
            sight.question("gain_base", gain=one.pk), on=one.closed_on,
        )
        for one in gains
    ]  # fmt: skip
    total = added("Realized gain", sight.rate.base, parts, places=MONEY_PLACES)
    return sight.exchanged(total, sight.now.valued_on, places=MONEY_PLACES)


def _income(held: Held) -> Node:
    parts = flow_parts(held.sight, ["income"], wanted=lambda holding: holding == held.holding, days=lambda day: True)
    total = added("Income", held.sight.rate.base, parts, places=MONEY_PLACES)
    return held.sight.exchanged(total, held.sight.now.valued_on, places=MONEY_PLACES)


def _day_change(held: Held) -> Node:
    """Of the daily series, in doubles, less what went in today."""
    sight = held.sight
    series = ValueSeries.objects.get(account=held.stored.account_id, instrument=held.stored.instrument_id)
    values = unpack(series.value)
    label, base = "Gain of the day", sight.rate.base
    if held.stored.day_change_base is None:
        return given(label, None, sight.rate.currency, reason="no_value_the_day_before")
    before = Decimal(repr(float(values[-2]))) if values.size > 1 else ZERO
    entered = flow_parts(
        sight,
        ["internal", "external"],
        wanted=lambda holding: holding == held.holding,
        days=lambda day: day == sight.now.valued_on,
    )
    total = less(
        label,
        base,
        [
            given("Value at the last close", Decimal(repr(float(values[-1]))), base, is_double=True),
            given("Value the day before", before, base, is_double=True),
            added("Bought and paid in, less sold and paid out", base, entered),
        ],
        places=MONEY_PLACES,
    )
    return sight.exchanged(total, sight.now.valued_on, places=MONEY_PLACES)


def _weight(held: Held) -> Node:
    rows = positions(user=held.sight.user, account=held.sight.account, currency=held.sight.rate.currency)
    unit = held.sight.rate.currency
    values = [
        figure(f"{row.symbol} in {row.account_name}", row.market_value_base, unit,
               held.sight.question("market_value_base", position=row.id))
        for row in rows
        if row.market_value_base is not None
    ]  # fmt: skip
    return over(
        "Weight",
        "ratio",
        held.other("market_value_base", "Market value", held.row.market_value_base, unit),
        added("All holdings, whichever their sign", unit, [size(value) for value in values]),
        places=MONEY_PLACES,
        reason="no_price",
    )


def _unexplained(held: Held) -> Node:
    """What reports hold and rows do not explain, as the adjustments of the ledger say it."""
    adjusted = (
        Transaction.objects.visible_to(held.sight.user)
        .filter(account=held.stored.account_id, instrument=held.stored.instrument_id, kind=TransactionKind.ADJUSTMENT)
        .exclude(note=STEP)
        .order_by("trade_date", "id")
    )
    parts = [
        given(
            f"{one.note.capitalize()} on {one.trade_date.isoformat()}",
            one.quantity,
            "units",
            ref=row_ref(one.pk),
            on=one.trade_date,
        )
        for one in adjusted
    ]
    return added("Held by reports, explained by no row", "units", parts, places=RECORDED_PLACES)


def _missing(held: Held) -> Node:
    return given("Left beyond what is known", held.row.missing_quantity, "units", ref=held.ref)


POSITION_FIGURES: Final[dict[str, Callable[[Held], Node]]] = {
    "quantity": _quantity,
    "price": _price,
    "market_value": lambda held: _worth(held, is_base=False),
    "market_value_base": lambda held: _worth(held, is_base=True),
    "cost_basis": _cost,
    "cost_basis_base": _cost_base,
    "average_cost": _average_cost,
    "unrealized_gain": lambda held: _unrealized(held, is_base=False),
    "unrealized_gain_base": lambda held: _unrealized(held, is_base=True),
    "realized_gain_base": _realized,
    "income_base": _income,
    "day_change_base": _day_change,
    "weight": _weight,
    "unexplained_quantity": _unexplained,
    "missing_quantity": _missing,
}

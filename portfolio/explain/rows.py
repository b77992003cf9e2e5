"""What ledger rows contribute to a figure, row by row."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from uuid import UUID

from portfolio.explain.quotes import quote_on
from portfolio.explain.sight import Sight
from portfolio.explain.tree import ZERO, Node, given, row_ref, times
from portfolio.ledger_rows import FlowKind, Holding, LedgerRow

KIND_WORDS = {
    "buy": "Purchase", "sell": "Sale", "fx": "Exchange of currencies", "adjustment": "Adjustment to a report",
    "transfer_in": "Transfer in", "transfer_out": "Transfer out", "symbol_change": "New symbol", "spinoff": "Spin-off",
    "return_of_capital": "Return of capital", "stock_dividend": "Stock dividend",
}  # fmt: skip


def row_words(row: LedgerRow) -> str:
    words = KIND_WORDS.get(row.kind, row.kind.replace("_", " ").capitalize())
    return f"{words} on {row.day.isoformat()}"


def quantity_parts(rows: Iterable[LedgerRow], account: UUID, instrument: UUID, symbol: str) -> list[Node]:
    """The units that each row of an account adds or takes; a split by ratio alone multiplies what is held then."""
    held, parts = ZERO, []
    for row in rows:
        if row.account != account:
            continue
        if row.instrument == instrument and row.kind == "split" and row.quantity is None and row.ratio:
            change = times(
                row_words(row),
                "units",
                [given("Held before", held, "units"), given("New for each old, less 1", row.ratio - 1, "ratio")],
                ref=row_ref(row.id),
                on=row.day,
            )
        elif row.instrument == instrument and row.quantity:
            change = given(row_words(row), row.quantity, "units", ref=row_ref(row.id), on=row.day)
        elif row.fee and row.fee_currency.upper() == symbol.upper() and row.instrument is not None:
            change = given(f"Fee of the {row_words(row).lower()}", -row.fee, "units", ref=row_ref(row.id), on=row.day)
        else:
            continue
        held += change.value or ZERO
        parts.append(change)
    return parts


def cash_parts(sight: Sight, account: UUID, currency: str) -> list[Node]:
    """What each row moves of one currency in an account."""
    line = Holding(account, None, currency)
    parts = []
    for row in sight.rows:
        if row.account == account and (amount := sum(sight.flows_of(row).cash.get(line, {}).values(), ZERO)):
            parts.append(given(row_words(row), amount, currency, ref=row_ref(row.id), on=row.day))
    return parts


def flow_parts(
    sight: Sight,
    kinds: Sequence[FlowKind],
    *,
    wanted: Callable[[Holding], bool],
    days: Callable[[dt.date], bool],
    sign: int = 1,
) -> list[Node]:
    """What each row adds to flows of some kinds, in base currency at the rate of its own day."""
    parts = []
    for row in sight.rows:
        if not days(row.day):
            continue
        found = sight.flows_of(row)
        for kind in kinds:
            amount = ZERO
            for holding, by_kind in found.by_holding.items():
                if wanted(holding):
                    amount += sum(by_kind.get(kind, {}).values(), ZERO)
            if amount:
                parts.append(given(row_words(row), sign * amount, sight.rate.base, ref=row_ref(row.id), on=row.day))
            for holding, crossings in found.in_kind.items():
                for day, units, crossing, is_paired in crossings:
                    if wanted(holding) and (crossing == kind or (kind == "transfer" and is_paired)):
                        parts.append(_in_kind(sight, row, holding, day, sign * units))
    return parts


def _in_kind(sight: Sight, row: LedgerRow, holding: Holding, day: dt.date, units: Decimal) -> Node:
    """Units that crossed the border, at the close of their day."""
    label = f"{row_words(row)}, in kind at the close"
    quote = quote_on(sight, holding.instrument, day) if holding.instrument else None
    if quote is None:
        return given(label, None, sight.rate.base, ref=row_ref(row.id), on=day, reason="no_price")
    parts = [
        given("Units", units, "units", ref=row_ref(row.id)),
        quote.price,
        given("Multiplier", quote.multiplier, "ratio"),
        sight.rate_node(quote.currency, sight.rate.base, day),
    ]
    return times(label, sight.rate.base, parts, ref=row_ref(row.id), on=day, reason="no_price")

"""A holding as the pages show it: names, marks and reasons in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from portfolio.selectors.holding_returns import HoldingReturn
from portfolio.selectors.positions import PositionRow
from portfolio.selectors.summary import CashRow
from stackmotive.common.charts import sparkline

KIND_LABELS = {
    "equity": "Equities",
    "etf": "ETFs",
    "fund": "Funds",
    "bond": "Bonds",
    "crypto": "Crypto",
    "commodity": "Commodities",
    "option": "Options",
    "future": "Futures",
    "property": "Property",
    "other": "Other",
    "cash": "Cash",
}
REASONS = {
    "no_price": "no price is known",
    "no_rate": "no exchange rate is known",
    "cost_unknown": "what it cost is not known",
    "opening_cost_unknown": "what it cost is not known",
    "no_value": "no value is known",
    "no_holding_has_a_value": "no holding has a price yet",
    "nothing_has_a_value": "nothing has a known value",
    "": "not known",
}


def in_words(reason: str) -> str:
    return REASONS.get(reason) or reason.replace("_", " ")


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """Money in `currency` unless `_base`. mark: the letters of its badge. spark: points of a polyline."""

    name: str
    subtitle: str
    mark: str
    kind: str
    account: UUID | None
    account_name: str
    instrument: UUID | None
    quantity: Decimal
    currency: str
    price: Decimal | None
    price_as_of: date | None
    is_stale: bool
    value: Decimal | None
    value_base: Decimal | None
    value_reason: str
    weight: Decimal | None
    gain_base: Decimal | None
    gain_ratio: Decimal | None
    gain_reason: str
    unexplained: Decimal
    move: Decimal | None = None
    spark: str = ""


def position_row(row: PositionRow, *, returned: HoldingReturn | None = None, names_account: bool = True) -> HoldingRow:
    name = row.name or row.symbol
    parts = [row.symbol if row.symbol != name else "", row.account_name if names_account else ""]
    gain, cost = row.unrealized_gain_base, row.cost_basis_base
    return HoldingRow(
        name=name,
        subtitle=" · ".join(part for part in parts if part),
        mark=row.symbol[:4].upper(),
        kind=row.kind,
        account=row.account,
        account_name=row.account_name,
        instrument=row.instrument,
        quantity=row.quantity,
        currency=row.currency,
        price=row.price,
        price_as_of=row.price_as_of,
        is_stale=row.is_stale and row.price_as_of is not None,
        value=row.market_value,
        value_base=row.market_value_base,
        value_reason=in_words(row.reason),
        weight=row.weight,
        gain_base=gain,
        gain_ratio=gain / abs(cost) if gain is not None and cost else None,
        gain_reason=in_words(row.reason),
        unexplained=row.unexplained_quantity,
        move=returned.change if returned else None,
        spark=sparkline(returned.line) if returned else "",
    )


def cash_row(row: CashRow, *, account_name: str, names_account: bool = True) -> HoldingRow:
    """Cash stands beside the holdings, so that a table's sum is the total value; weights are of holdings only."""
    return HoldingRow(
        name=f"{row.currency} cash",
        subtitle=account_name if names_account else "",
        mark=row.currency,
        kind="cash",
        account=row.account,
        account_name=account_name,
        instrument=None,
        quantity=row.amount,
        currency=row.currency,
        price=None,
        price_as_of=None,
        is_stale=False,
        value=row.amount,
        value_base=row.amount_base,
        value_reason=in_words("no_rate"),
        weight=None,
        gain_base=None,
        gain_ratio=None,
        gain_reason="cash has no gain of its own",
        unexplained=Decimal(0),
    )


def merged_cash(rows: Sequence[CashRow]) -> list[CashRow]:
    """One row a currency; unknown where one of its parts is."""
    merged: dict[str, CashRow] = {}
    for row in rows:
        before = merged.get(row.currency)
        if before is None:
            merged[row.currency] = row
            continue
        base = None if None in (before.amount_base, row.amount_base) else known(before) + known(row)
        merged[row.currency] = CashRow(row.account, row.currency, before.amount + row.amount, base)
    return list(merged.values())


def known(row: CashRow) -> Decimal:
    return row.amount_base or Decimal(0)


def returns_of(
    rows: Sequence[PositionRow], returns: Mapping[UUID, HoldingReturn], *, names_account: bool = True
) -> list[HoldingRow]:
    return [position_row(row, returned=returns.get(row.instrument), names_account=names_account) for row in rows]

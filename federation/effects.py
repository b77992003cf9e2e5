"""What a disagreement is worth in the user's base currency, as far as the facts themselves say (DESIGN 5.8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

from federation.rows import Balance, Disagreement, LedgerRow
from stackmotive.common.money import RECORDED_QUANTUM

SMALL_SHARE = Decimal("0.001")
SMALL_AMOUNT = Decimal(10)


@dataclass(frozen=True, slots=True)
class Mark:
    day: date
    price: Decimal
    currency: str


@dataclass(slots=True)
class Valuer:
    """Last known marks and rates of a user's facts. A mark nobody states is the last trade's price."""

    base: str
    multipliers: Mapping[UUID, Decimal]
    marks: dict[UUID, Mark] = field(default_factory=dict)
    rates: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # one `first` is `rate` of `second`

    def learn_trades(self, rows: Iterable[LedgerRow]) -> None:
        for row in rows:
            if row.instrument is None or row.price is None or row.kind not in ("buy", "sell"):
                continue
            known = self.marks.get(row.instrument)
            if known is None or known.day < row.trade_date:
                self.marks[row.instrument] = Mark(row.trade_date, row.price, row.currency)

    def in_base(self, amount: Decimal, currency: str) -> Decimal | None:
        """`amount` in base currency; null where the facts hold no rate."""
        if currency == self.base:
            return amount
        rate = self.rates.get((currency, self.base))
        if rate:
            return amount * rate
        inverse = self.rates.get((self.base, currency))
        return amount / inverse if inverse else None

    def value(self, quantity: Decimal, instrument: UUID) -> Decimal | None:
        mark = self.marks.get(instrument)
        if mark is None:
            return None
        return self.in_base(quantity * mark.price * self.multipliers.get(instrument, Decimal(1)), mark.currency)

    def effect(self, one: Disagreement) -> Decimal | None:
        """Size of a disagreement in base currency, never negative; null while it cannot be told."""
        if one.difference is None:
            return None
        if one.currency:
            amount = self.in_base(one.difference, one.currency)
        else:
            amount = self.value(one.difference, one.instrument) if one.instrument else None
        return None if amount is None else abs(amount).quantize(RECORDED_QUANTUM, ROUND_HALF_EVEN)

    def account_value(self, balances: Iterable[Balance], rows: Iterable[LedgerRow]) -> Decimal:
        """A rough value of what an account holds, for the share below which a difference is small."""
        held: dict[UUID, Decimal] = {}
        for row in rows:
            if row.instrument is not None and row.quantity:
                held[row.instrument] = held.get(row.instrument, Decimal(0)) + row.quantity
        total = Decimal(0)
        for instrument, quantity in held.items():
            total += self.value(quantity, instrument) or 0
        cash = {balance.key.currency: balance.value for balance in balances if balance.key.instrument is None}
        for currency, amount in cash.items():
            total += self.in_base(amount, currency) or 0
        return total


def is_small(effect: Decimal | None, account_value: Decimal) -> bool:
    """Whether a disagreement that a rule settled needs no attention."""
    return effect is not None and effect <= max(SMALL_AMOUNT, abs(account_value) * SMALL_SHARE)

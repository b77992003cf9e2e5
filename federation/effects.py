"""What a disagreement is worth in the user's base currency, as far as the facts themselves say (DESIGN 5.8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple
from uuid import UUID

from stackmotive.common.money import RECORDED_QUANTUM

ZERO = Decimal(0)
SMALL_SHARE = Decimal("0.001")
SMALL_AMOUNT = Decimal(10)


@dataclass(frozen=True, slots=True)
class Mark:
    day: date
    price: Decimal
    currency: str


class Trade(NamedTuple):
    """A trade of an instrument and where it stands; of one day the last one speaks."""

    instrument: UUID
    day: date
    position: int
    id: UUID
    price: Decimal
    currency: str


@dataclass(slots=True)
class Valuer:
    """Last known marks and rates of a user's facts. A mark nobody states is the last trade's price."""

    base: str
    multipliers: Mapping[UUID, Decimal]
    marks: dict[UUID, Mark] = field(default_factory=dict)
    rates: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # one `first` is `rate` of `second`

    def learn_trades(self, trades: Iterable[Trade]) -> None:
        """Take the last trade of each instrument for its mark, whatever the order they come in."""
        last: dict[UUID, Trade] = {}
        for trade in trades:
            known = last.get(trade.instrument)
            if known is None or (known.day, known.position, known.id) < (trade.day, trade.position, trade.id):
                last[trade.instrument] = trade
        for trade in last.values():
            self.learn(trade.instrument, Mark(trade.day, trade.price, trade.currency))

    def learn(self, instrument: UUID, mark: Mark) -> None:
        """Take a mark unless a newer one is known."""
        known = self.marks.get(instrument)
        if known is None or known.day <= mark.day:
            self.marks[instrument] = mark

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

    def effect(self, difference: Decimal | None, instrument: UUID | None, currency: str) -> Decimal | None:
        """Size of a difference in base currency, never negative; null while it cannot be told.

        currency: what it is of; "" = units of the instrument.
        """
        if difference is None:
            return None
        amount = None
        if currency:
            amount = self.in_base(difference, currency)
        elif instrument:
            amount = self.value(difference, instrument)
        return None if amount is None else abs(amount).quantize(RECORDED_QUANTUM, ROUND_HALF_EVEN)

    def worth(self, held: Mapping[UUID, Decimal], cash: Mapping[str, Decimal]) -> Decimal:
        """A rough value of what an account holds, for the share below which a difference is small."""
        total = sum((self.value(units, instrument) or ZERO for instrument, units in held.items()), ZERO)
        return total + sum((self.in_base(amount, currency) or ZERO for currency, amount in cash.items()), ZERO)


def small_amount(account_value: Decimal) -> Decimal:
    """The effect up to which a disagreement that a rule settled needs no attention."""
    return max(SMALL_AMOUNT, abs(account_value) * SMALL_SHARE)


def is_small(effect: Decimal | None, small: Decimal) -> bool:
    return effect is not None and effect <= small

"""What the user says an opening balance was bought as (DESIGN 5.9): lots with their days and costs.

Units are those of the opening's day; later splits change them like any other lot. The lots are the opening only while
they add up to it: else its cost is unknown again, and a finding says so.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from stackmotive.common.money import plain


@dataclass(frozen=True, slots=True)
class OpeningLot:
    """quantity: signed like the opening. cost: of all its units with their fees, positive; null = unknown."""

    acquired_on: date
    quantity: Decimal
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class OpeningLots:
    """A decision in force. currency: of the costs."""

    currency: str
    lots: tuple[OpeningLot, ...]

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "OpeningLots":
        """The value of a decision as it is stored."""
        lots = [
            OpeningLot(
                date.fromisoformat(one["acquired_on"]),
                Decimal(one["quantity"]),
                None if one["cost"] is None else Decimal(one["cost"]),
            )
            for one in value["lots"]
        ]
        return cls(value["currency"], tuple(lots))

    def fit(self, *, quantity: Decimal, day: date, currency: str) -> bool:
        """Whether these are the lots of an opening balance of `quantity` on `day`."""
        total = sum((lot.quantity for lot in self.lots), Decimal(0))
        return total == quantity and currency == self.currency and all(lot.acquired_on <= day for lot in self.lots)


def to_text(lots: Iterable[OpeningLot]) -> str:
    """As a ledger row carries them, the oldest first."""
    told = [
        [lot.acquired_on.isoformat(), plain(lot.quantity), None if lot.cost is None else plain(lot.cost)]
        for lot in sorted(lots, key=lambda lot: lot.acquired_on)
    ]
    return json.dumps(told, separators=(",", ":"))


def from_text(text: str) -> tuple[OpeningLot, ...]:
    """What `to_text` wrote; none for ""."""
    if not text:
        return ()
    return tuple(
        OpeningLot(date.fromisoformat(day), Decimal(quantity), None if cost is None else Decimal(cost))
        for day, quantity, cost in json.loads(text)
    )

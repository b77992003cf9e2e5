"""Values that the user sets on a source's row (DESIGN 5.8): what was stated stays, the ledger carries the user's word.

Signs: + into the account; fee and tax are costs, positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from federation.rows import LedgerRow
from ingestion.adapters.kinds import KIND_RULES
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.money import fits_recorded, parse_number, plain

NUMBERS: Final = ("quantity", "price", "fee", "tax", "cash_amount", "fx_rate", "ratio")
CURRENCIES: Final = ("currency", "cash_currency")
TEXTS: Final = {"fee_currency": 12, "note": 2000}  # longest
DAY: Final = "settled_on"
SETTABLE: Final = (*NUMBERS, *CURRENCIES, *TEXTS, DAY)
ALWAYS_KNOWN: Final = ("quantity", "currency", "cash_currency")
POSITIVE: Final = ("price", "fx_rate", "ratio")


@dataclass(frozen=True, slots=True)
class SetValue:
    """One word of the user about a row. number: of the decision; the later word stands. value null: unknown."""

    number: int
    field: str
    value: str | None


def canonical(field: str, value: Any, *, kind: str, stated: Decimal | None) -> str | None:
    """`value` as it is kept. kind and stated: what the source says of the row, `stated` of this very field.

    Where the kind fixes the direction the sign may be left out. Raises ValueError with a sentence for the user.
    """
    if field not in SETTABLE:
        raise ValueError(
            f"Set one of {', '.join(sorted(SETTABLE))}. For anything else ignore the row and add it by hand."
        )
    if value is None:
        if field in ALWAYS_KNOWN:
            raise ValueError(f"{field} cannot be left open.")
        return None
    if not isinstance(value, str):
        raise ValueError("Give the value as text, or null where it is unknown.")
    if field in NUMBERS:
        return plain(_number(field, value, kind, stated))
    if field in CURRENCIES:
        if value not in ISO_4217:
            raise ValueError(f"Give {field} as an ISO 4217 code.")
        return value
    if field == DAY:
        return _day(value).isoformat()
    if len(value) > TEXTS[field] or "\0" in value:
        raise ValueError(f"{field} holds at most {TEXTS[field]} characters.")
    return value


def _number(field: str, text: str, kind: str, stated: Decimal | None) -> Decimal:
    try:
        number = parse_number(text)
    except ValueError as exc:
        raise ValueError(f"Give {field} as a decimal number such as 12.50.") from exc
    if not fits_recorded(number):
        raise ValueError("Write numbers with at most 20 digits before the point and 18 after it.")
    if field in POSITIVE and number <= 0 and not (field == "price" and number == 0):
        raise ValueError(f"{field} is above 0.")
    direction = _direction(field, kind, stated)
    if direction > 0 > number:
        raise ValueError(f"{field} of this row is into the account: leave the minus out.")
    return -abs(number) if direction < 0 else number


def _direction(field: str, kind: str, stated: Decimal | None) -> int:
    """1 or -1 where kind and row leave no other sign, else 0."""
    rule = KIND_RULES.get(kind)
    if rule is None or field not in ("quantity", "cash_amount"):
        return 0
    way = rule.units if field == "quantity" else rule.cash
    if way not in ("in", "out") or (field == "cash_amount" and kind == "sell"):  # costs may eat the proceeds
        return 0
    if stated:
        return 1 if stated > 0 else -1
    return 1 if way == "in" else -1


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise ValueError("Give the day as YYYY-MM-DD.") from exc


def apply(row: LedgerRow, words: Sequence[SetValue]) -> None:
    """Let `row` carry the user's words, the later of two about one field; `decided` names the fields."""
    for word in sorted(words, key=lambda one: one.number):
        setattr(row, word.field, _stored(word))
    row.decided = ",".join(sorted({word.field for word in words}))


def _stored(word: SetValue) -> Any:
    if word.value is None:
        return "" if word.field in TEXTS else None
    if word.field in NUMBERS:
        return Decimal(word.value)
    return _day(word.value) if word.field == DAY else word.value

"""Decimal from the first character to the JSON string: context, model fields and the one parser of numbers."""

import decimal
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django.db import models

# Python keeps 28 digits by default and would cut a 38-digit quantity silently.
decimal.DefaultContext.prec = 60
decimal.DefaultContext.rounding = ROUND_HALF_EVEN
decimal.setcontext(decimal.Context(prec=60, rounding=ROUND_HALF_EVEN))

RECORDED_DIGITS, RECORDED_PLACES = 38, 18
MONEY_DIGITS, MONEY_PLACES = 38, 10
MONEY_QUANTUM = Decimal(1).scaleb(-MONEY_PLACES)
RECORDED_QUANTUM = Decimal(1).scaleb(-RECORDED_PLACES)
RECORDED_LIMIT = Decimal(10) ** (RECORDED_DIGITS - RECORDED_PLACES)

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class RecordedField(models.DecimalField):  # type: ignore[type-arg]
    """A number as a source recorded it (units, price, rate, amount, fee, tax): numeric(38, 18)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = RECORDED_DIGITS, RECORDED_PLACES
        super().__init__(*args, **kwargs)


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """Computed money: numeric(38, 10), rounded half-even once when stored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = MONEY_DIGITS, MONEY_PLACES
        super().__init__(*args, **kwargs)


def to_money(value: Decimal) -> Decimal:
    """`value` rounded half-even to what a MoneyField holds."""
    return value.quantize(MONEY_QUANTUM, rounding=ROUND_HALF_EVEN)


def to_recorded(value: Decimal) -> Decimal:
    """`value` rounded half-even to what a RecordedField holds."""
    return value.quantize(RECORDED_QUANTUM, rounding=ROUND_HALF_EVEN)


def parse_number(text: str) -> Decimal:
    """A plain ASCII decimal ("-1234.5", "2.6E-4"). Raises ValueError for anything else, NaN and Infinity included."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {text[:40]!r}")
    return Decimal(text)


def fits_recorded(value: Decimal) -> bool:
    """Whether `value` can be stored in a RecordedField without losing a digit."""
    if not value.is_finite() or abs(value) >= RECORDED_LIMIT:
        return False
    return value == value.quantize(RECORDED_QUANTUM)


def plain(value: Decimal) -> str:
    """The shortest plain notation: no exponent, no trailing zeros ("1200", "0.5", "-0" as "0")."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def total(values: Iterable[Decimal | None]) -> Decimal:
    """The sum of what is known; Decimal(0) for nothing."""
    return sum((value for value in values if value is not None), Decimal(0))

"""Figures as a person reads them: rounded half-even, only for showing; unknown is a dash, never 0."""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from stackmotive.common.currencies import minor_unit

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "ILS": "₪"}
DASH = "—"
MINUS = "\u2212"
QUANTITY_DIGITS = 8


def sign_of(value: Decimal, *, signed: bool) -> str:
    if value < 0:
        return MINUS
    return "+" if signed and value > 0 else ""


def money_text(value: Decimal | None, currency: str, *, signed: bool = False, digits: int | None = None) -> str:
    """`-1234.5, "EUR"` is "−€1,234.50"; a currency without a sign of its own is spelled out ("CHF 12.00")."""
    if value is None:
        return DASH
    unit = minor_unit(currency) if digits is None else Decimal(1).scaleb(-digits)
    rounded = value.quantize(unit, ROUND_HALF_EVEN)
    prefix = SYMBOLS.get(currency, f"{currency}\u00a0")
    return f"{sign_of(rounded, signed=signed)}{prefix}{abs(rounded):,f}"


def percent_text(ratio: Decimal | None, *, signed: bool = False, digits: int = 2) -> str:
    """A fraction as percent: `0.0531` is "5.31%"."""
    if ratio is None:
        return DASH
    rounded = (ratio * 100).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    return f"{sign_of(rounded, signed=signed)}{abs(rounded):,f}%"


def quantity_text(value: Decimal | None, *, signed: bool = False) -> str:
    """Units without trailing zeros, at most eight places."""
    if value is None:
        return DASH
    rounded = value.quantize(Decimal(1).scaleb(-QUANTITY_DIGITS), ROUND_HALF_EVEN)
    digits = f"{abs(rounded):,f}"
    return sign_of(rounded, signed=signed) + (digits.rstrip("0").rstrip(".") if "." in digits else digits)


def price_text(value: Decimal | None, currency: str) -> str:
    """A unit price: the minor unit, or up to eight places where it is worth less than ten."""
    if value is None:
        return DASH
    if abs(value) >= 10 or value == value.quantize(minor_unit(currency)):
        return money_text(value, currency)
    significant = max(4, 3 - value.adjusted()) if value else 2
    digits = min(QUANTITY_DIGITS, significant)
    return money_text(value, currency, digits=digits)


def day_text(day: date) -> str:
    return f"{day.day} {day:%b %Y}"

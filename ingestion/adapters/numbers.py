"""Numbers as broker files write them, to Decimals that a recorded column holds: numeric(38, 18), nothing
cut, nothing guessed.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from stackmotive.common.money import RECORDED_LIMIT, RECORDED_QUANTUM

NumberFormat = Literal["1,234.56", "1.234,56"]
POINT: NumberFormat = "1,234.56"
COMMA: NumberFormat = "1.234,56"
NUMBER_FORMATS: tuple[NumberFormat, ...] = (POINT, COMMA)

_LONGEST = 80  # characters of a cell that can be a number at all
_SHORT = re.compile(r"-?\d{1,20}(?:\.\d{1,18})?", re.ASCII)  # what nearly every cell is: fits as it stands
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED = {
    POINT: re.compile(r"[+-]?\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d*)?", re.ASCII),
    COMMA: re.compile(r"[+-]?\d{1,3}(?:\.\d{2,3})*\.\d{3}(?:,\d*)?", re.ASCII),
}
_DECORATION = str.maketrans(
    {
        "$": "",
        "€": "",
        "£": "",
        " ": "",
        "\u00a0": "",
        "\u202f": "",
        "\u2009": "",
        "'": "",
        "\u2019": "",
        "\u2212": "-",
    }
)
_EMPTY = frozenset({"", "-", "--", "n/a", "N/A", "Not available"})


class NumberProblem(ValueError):
    """A cell that is no number, or one beyond what is stored. `code` is the Problem's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def parse_number(text: str, number_format: NumberFormat = POINT, *, is_price: bool = False) -> Decimal | None:
    """The number in a cell, or None where it is empty or says that there is none ("-", "N/A").

    At most 20 integer digits and 18 decimals; a price is informative and is rounded half-even to 18
    decimals instead.
    Raises NumberProblem.
    """
    if _SHORT.fullmatch(text):
        return Decimal(text)
    return _parse_written(text, number_format, is_price=is_price)


def parse_exact(text: str, *, is_price: bool = False) -> Decimal | None:
    """As parse_number for layouts with a decimal point: a comma groups only where a point follows, since
    "1,200" may be 1.2.
    """
    if _SHORT.fullmatch(text):
        return Decimal(text)
    if "," in text and "." not in text[text.rindex(",") :]:
        raise NumberProblem(
            "bad_number", f"{_shown(text)} is ambiguous: write it with a decimal point and without commas."
        )
    return _parse_written(text, POINT, is_price=is_price)


def _parse_written(text: str, number_format: NumberFormat, *, is_price: bool) -> Decimal | None:
    stripped = text.strip()
    if stripped in _EMPTY:
        return None
    if len(stripped) > _LONGEST:
        raise NumberProblem("bad_number", f"{_shown(stripped)} is too long to be a number.")
    cleaned = stripped.translate(_DECORATION)
    if cleaned.startswith("(") and cleaned.endswith(")") and cleaned[1:2] not in ("-", "+"):
        cleaned = "-" + cleaned[1:-1]
    thousands, point = (",", ".") if number_format == POINT else (".", ",")
    if thousands in cleaned:
        if not _GROUPED[number_format].fullmatch(cleaned):
            raise NumberProblem("bad_number", f"{_shown(stripped)} is not a number of the form {number_format}.")
        cleaned = cleaned.replace(thousands, "")
    if point == ",":
        cleaned = cleaned.replace(",", ".")
    if not _PLAIN.fullmatch(cleaned):
        raise NumberProblem("bad_number", f"{_shown(stripped)} is not a number.")
    value = Decimal(cleaned)
    return recorded(value, stripped, is_price=is_price)


def recorded(value: Decimal, shown: str = "", *, is_price: bool = False) -> Decimal:
    """`value` if it can be stored (a price rounded to 18 decimals). Raises NumberProblem."""
    if _SHORT.fullmatch(str(value)):
        return value
    if value.adjusted() >= 20 and value:
        raise NumberProblem(
            "number_too_large", f"{_shown(shown or str(value))} has more than 20 digits before the point."
        )
    if value.adjusted() < -60:  # below what 60 digits of precision can compare; also 0E-999
        if value and not is_price:
            raise NumberProblem("number_too_precise", f"{_shown(shown or str(value))} has more than 18 decimals.")
        return Decimal(0)
    rounded = value.quantize(RECORDED_QUANTUM, rounding=ROUND_HALF_EVEN)
    if rounded != value:
        if not is_price:
            raise NumberProblem("number_too_precise", f"{_shown(shown or str(value))} has more than 18 decimals.")
        if abs(rounded) >= RECORDED_LIMIT:
            raise NumberProblem(
                "number_too_large", f"{_shown(shown or str(value))} has more than 20 digits before the point."
            )
        return rounded
    return value if _fits(value) else rounded


def _fits(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and -18 <= exponent <= 0


def _shown(text: str) -> str:
    return f"“{text[:40]}”"


def proved_format(cells: Iterable[str]) -> tuple[set[NumberFormat], str]:
    """(formats that the cells prove, one cell that either could be or "").

    "1.234,56" proves a decimal comma, "1,5" too; "1,200" proves nothing; "1200" asks nothing.
    """
    proved: set[NumberFormat] = set()
    ambiguous = ""
    for text in cells:
        if "," not in text and "." not in text:
            continue
        verdict = _evidence(text.strip().translate(_DECORATION).strip("()+-"))
        if verdict is not None:
            proved.add(verdict)
        elif not ambiguous and len(text) <= _LONGEST and any("0" <= char <= "9" for char in text):
            ambiguous = text.strip()
    return proved, ambiguous


def _evidence(cell: str) -> NumberFormat | None:
    """What one cell proves about the format of its file."""
    if not cell or not set(cell) <= set("0123456789.,eE+-"):
        return None
    comma, point = cell.rfind(","), cell.rfind(".")
    if comma >= 0 and point >= 0:
        return POINT if point > comma else COMMA
    mark, if_decimal, if_grouping = (",", COMMA, POINT) if comma >= 0 else (".", POINT, COMMA)
    parts = cell.split(mark)
    if len(parts) > 2:
        return if_grouping
    whole, rest = parts
    if len(rest) != 3 or not rest.isdigit() or not 1 <= len(whole) <= 3 or whole == "0":
        return if_decimal
    return None

"""A figure and what it is made of. Every value is worked out from its children, so a tree cannot say one thing and be
another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import reduce
from operator import mul
from typing import Final, Literal
from uuid import UUID

ZERO: Final = Decimal(0)
MONEY_PLACES: Final = 10
RECORDED_PLACES: Final = 18
MOST_CHILDREN: Final = 50

Operation = Literal["given", "figure", "sum", "difference", "product", "quotient", "size", "statistic"]
"""given: a fact, or a stored double. figure: opens by its own question. size: the amount without its sign. statistic:
named in `statistic`, over the listed days."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The row that a value is read from."""

    type: Literal[
        "transaction", "price", "rate", "report", "lot", "realized_gain", "position", "daily_value", "setting"
    ]
    id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)  # what names it where it has no id


@dataclass(frozen=True, slots=True)
class Node:
    """value: what the operation makes of the children, rounded half-even to `places` where given; None is unknown, see
    reason. unit: a currency, "units", "ratio", "days" or "count". question: what asks for this figure alone.
    is_double: kept as float64, equal to its parts to 1e-9.
    """

    label: str
    operation: Operation
    value: Decimal | None
    unit: str
    children: tuple["Node", ...] = ()
    places: int | None = None
    reason: str = ""
    ref: Ref | None = None
    question: Mapping[str, str] = field(default_factory=dict)
    on: date | None = None
    statistic: str = ""
    is_double: bool = False


def given(
    label: str,
    value: Decimal | None,
    unit: str,
    *,
    ref: Ref | None = None,
    on: date | None = None,
    reason: str = "",
    is_double: bool = False,
) -> Node:
    """A leaf."""
    return Node(label, "given", value, unit, ref=ref, on=on, reason=reason, is_double=is_double)


def figure(
    label: str,
    value: Decimal | None,
    unit: str,
    question: Mapping[str, object],
    *,
    reason: str = "",
    on: date | None = None,
) -> Node:
    """A figure with a tree of its own."""
    asked = {name: str(told) for name, told in question.items() if told not in (None, "")}
    return Node(label, "figure", value, unit, question=asked, reason=reason, on=on)


def added(
    label: str,
    unit: str,
    children: Iterable[Node],
    *,
    places: int | None = None,
    reason: str = "",
    is_double: bool = False,
) -> Node:
    """The sum of what is known; 0 of nothing, unknown where no child is known."""
    parts = tuple(children)
    known = [part.value for part in parts if part.value is not None]
    value = sum(known, ZERO) if known or not parts else None
    return Node(
        label, "sum", _rounded(value, places), unit, parts, places, reason if value is None else "", is_double=is_double
    )


def less(label: str, unit: str, children: Sequence[Node], *, places: int | None = None, reason: str = "") -> Node:
    """The first less all others; unknown where one is."""
    values = [part.value for part in children]
    value = None
    if all(one is not None for one in values):
        first, *others = [one for one in values if one is not None]
        value = first - sum(others, ZERO)
    return Node(
        label, "difference", _rounded(value, places), unit, tuple(children), places, reason if value is None else ""
    )


def times(
    label: str,
    unit: str,
    children: Sequence[Node],
    *,
    places: int | None = None,
    reason: str = "",
    ref: Ref | None = None,
    on: date | None = None,
) -> Node:
    """All children multiplied; unknown where one is. Factors of 1 are left out."""
    kept = tuple(part for part in children if part.value != 1 or part.operation != "given") or tuple(children[:1])
    values = [part.value for part in kept]
    known = [one for one in values if one is not None]
    value = reduce(mul, known) if len(known) == len(values) else None
    return Node(
        label, "product", _rounded(value, places), unit, kept, places, reason if value is None else "", ref, on=on
    )


def over(label: str, unit: str, above: Node, below: Node, *, places: int | None = None, reason: str = "") -> Node:
    """The first by the second; unknown where one is, or where the second is 0."""
    value = None if above.value is None or not below.value else above.value / below.value
    return Node(
        label, "quotient", _rounded(value, places), unit, (above, below), places, reason if value is None else ""
    )


def size(of: Node) -> Node:
    """The amount of a node, whichever its sign."""
    value = None if of.value is None else abs(of.value)
    return Node(of.label, "size", value, of.unit, (of,), reason=of.reason)


def reckoned(
    label: str, value: Decimal | None, unit: str, name: str, children: Sequence[Node], *, reason: str = ""
) -> Node:
    """A statistic over a list of days, to 10 places."""
    return Node(label, "statistic", value, unit, tuple(children), MONEY_PLACES, reason, statistic=name)


def _rounded(value: Decimal | None, places: int | None) -> Decimal | None:
    if value is None or places is None:
        return value
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def row_ref(row: UUID) -> Ref:
    return Ref("transaction", str(row))

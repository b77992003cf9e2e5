"""The tree of a figure as the drawer shows it: a line for each part, which opens where there is more to see."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from accounts.models import Tier, User
from portfolio.explain import MOST_CHILDREN, Node, Question, explain
from stackmotive.common.currencies import ISO_4217
from stackmotive.common.display import DASH, money_text, quantity_text, sign_of
from stackmotive.common.money import plain
from stackmotive.common.page_filters import day_of

IDS: Final = ("account", "position", "instrument", "lot", "gain", "benchmark")
DAYS: Final = {"as_of": "as_of", "date": "date", "from": "start", "to": "end"}
JOINS: Final = {
    "sum": "added up",
    "difference": "less",
    "product": "multiplied",
    "quotient": "divided",
    "size": "its size",
}
REASONS: Final = {
    "no_price": "no price is known", "no_rate": "no rate of exchange is known", "cost_unknown": "a cost is not known",
    "opening_cost_unknown": "what was there at the start has no known cost",
    "cost_unknown_for_some": "a cost is not known for some of it",
}  # fmt: skip
RATIO_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class LineShown:
    """exact: every digit, where the text is rounded. href: opens it; is_row: it leads to a row of the ledger."""

    label: str
    text: str
    exact: str
    on: date | None
    joined: str
    reason: str
    href: str
    is_row: bool
    lines: tuple["LineShown", ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """left: how many parts are not shown; next: shows them."""

    line: LineShown
    places: int | None
    is_double: bool
    left: int
    next: str


def question_of(params: Mapping[str, str]) -> Question:
    """The question of an address. Raises ValueError for what is none."""
    words: dict[str, object] = {"figure": params.get("figure", "")[:40]}
    for name in IDS:
        if params.get(name):
            words[name] = UUID(params[name])
    for name, field in DAYS.items():
        if params.get(name):
            words[field] = day_of(params[name])
            if words[field] is None:
                raise ValueError(name)
    for name in ("by", "key"):
        words[name] = params.get(name, "")[:80]
    if params.get("currency"):
        words["currency"] = params["currency"].upper()
        if words["currency"] not in ISO_4217:
            raise ValueError("currency")
    if params.get("cash"):
        account, _, currency = params["cash"].partition(":")
        words["cash"] = (UUID(account), currency[:3])
    return Question(**words)  # type: ignore[arg-type]  # each word has the type of its field


def explained(*, user: User, params: Mapping[str, str]) -> Explained | None:
    """None where the user has no such figure. Raises ValueError for an address that makes no sense."""
    node = explain(user=user, question=question_of(params))
    if node is None:
        return None
    offset = int(params["offset"]) if params.get("offset", "").isdecimal() else 0
    shown = node.children[offset : offset + MOST_CHILDREN]
    left = max(0, len(node.children) - offset - len(shown))
    following = dict(params) | {"offset": str(offset + MOST_CHILDREN)}
    may_trace = user.effective_tier >= Tier.NAVIGATOR
    line = _line(node, may_trace=may_trace, depth=0, children=shown)
    return Explained(line, node.places, node.is_double, left, _address(following) if left else "")


def _line(node: Node, *, may_trace: bool, depth: int, children: tuple[Node, ...] | None = None) -> LineShown:
    parts = node.children if children is None else children
    href, is_row = "", False
    if node.question and depth:
        href = _address(node.question)
    elif node.ref is not None and node.ref.type == "transaction" and may_trace:
        href, is_row = reverse("transaction-provenance", args=[node.ref.id]), True
    text, exact = _texts(node.value, node.unit)
    return LineShown(
        label=node.label,
        text=text,
        exact=exact,
        on=node.on,
        joined=JOINS.get(node.operation, "") if len(parts) > 1 else "",
        reason=REASONS.get(node.reason, node.reason.replace("_", " ")),
        href=href,
        is_row=is_row,
        lines=tuple(_line(part, may_trace=may_trace, depth=depth + 1) for part in parts[:MOST_CHILDREN]),
    )


def _address(question: Mapping[str, str]) -> str:
    return f"{reverse('explain')}?{urlencode(question)}"


def _texts(value: Decimal | None, unit: str) -> tuple[str, str]:
    """As it reads, and every digit of it where that is more."""
    if value is None:
        return DASH, ""
    if unit in ISO_4217:
        text = money_text(value, unit)
    elif unit == "ratio":
        rounded = value.quantize(Decimal(1).scaleb(-RATIO_DIGITS), ROUND_HALF_EVEN)
        text = sign_of(rounded, signed=False) + plain(abs(rounded))
    elif unit in ("days", "count"):
        text = quantity_text(value)
    else:
        text = f"{quantity_text(value)} units" if unit == "units" else f"{quantity_text(value)} {unit}"
    exact = plain(value)
    return text, "" if exact.lstrip("-") in text.replace(",", "") else exact

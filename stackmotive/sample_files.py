"""Broker files with the rows that must come out of them: a folder with a `manifest.json`, compared without order.

What an item expects is written in strings; null is not compared. Quantities and cash are compared exactly, prices and
fees at the precision they are written in, where that is two places or more.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from stackmotive.common.money import plain

MANIFEST = "manifest.json"
LEAST_PLACES = 2
TOTALS_OF_KIND = {
    "dividends": "dividend",
    "interest": "interest",
    "taxes": "tax",
    "deposits": "deposit",
    "withdrawals": "withdrawal",
}
PROCEEDS = "_proceeds"


class ManifestUnreadable(Exception):
    """The folder has a manifest that is not one; the message says where."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a manifest. `expected_rows` is null where none were worked out."""

    name: str
    path: Path
    expected_rows: list[dict[str, Any]] | None
    expected_totals: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A ledger row as an item states one. names: of the instrument, upper case. cash: in `currency`, net."""

    names: frozenset[str]
    date: str
    type: str
    quantity: Decimal | None
    price: Decimal | None
    fee: Decimal | None
    fee_currency: str
    currency: str
    cash: Decimal | None


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held after the last row. names as in Row."""

    names: frozenset[str]
    conids: frozenset[str]
    quantity: Decimal  # the source's reports included
    change: Decimal  # by the rows of the file alone


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import left in the ledger. cash: by currency, what the rows of the file moved."""

    rows: list[Row]
    holdings: list[Holding]
    cash: dict[str, Decimal]
    cash_by_kind: dict[tuple[str, str], Decimal]  # (kind, currency)


def read_manifest(folder: Path) -> list[Sample]:
    """The items of the folder's manifest in its order. Raises ManifestUnreadable."""
    path = folder / MANIFEST
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        return [
            Sample(item["file"], folder / item["file"], item.get("expected_rows"), item.get("expected_totals") or {})
            for item in items
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise ManifestUnreadable(f"{path} is not a manifest of samples: {exc!r}") from exc


def not_compared(sample: Sample) -> list[str]:
    """Names of totals that mean nothing here."""
    return [
        name for name, values in sample.expected_totals.items() if not _is_known(name) or not isinstance(values, dict)
    ]


def compare(sample: Sample, outcome: Outcome) -> list[str]:
    """Every wrong figure: what came out and what was expected."""
    wrong = []
    if sample.expected_rows is not None:
        wrong += list(_compare_rows(sample.expected_rows, outcome.rows))
    for name, values in sample.expected_totals.items():
        if _is_known(name) and isinstance(values, dict):
            wrong += list(_compare_totals(name, values, outcome))
    return wrong


def figure_count(sample: Sample) -> int:
    """How many rows and totals the item expects."""
    totals = (values for values in sample.expected_totals.values() if isinstance(values, dict))
    return len(sample.expected_rows or []) + sum(len(values) for values in totals)


# --- rows ------------------------------------------------------------------------------------------------------------


def _compare_rows(expected: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Iterator[str]:
    partner = _pairing(
        [[number for number, row in enumerate(rows) if not _differences(item, row)] for item in expected]
    )
    left = [number for number in range(len(rows)) if number not in partner.values()]
    for number, item in enumerate(expected):
        if number in partner:
            continue
        nearest = min(left, key=lambda one: len(_differences(item, rows[one])), default=None)
        told = " ".join(str(item[name]) for name in ("date", "type", "symbol") if item.get(name) is not None)
        if nearest is None or len(differences := _differences(item, rows[nearest])) > len(_compared(item)) // 2:
            yield f"row {told}: got none, expected {_told(item)}"
            continue
        left.remove(nearest)
        for name, got, wanted in differences:
            yield f"row {told}: {name} got {_shown(got)}, expected {wanted}"
    for number in left:
        row = rows[number]
        moved = f"{_shown(row.quantity)} for {_shown(row.cash)} {row.currency}"
        yield f"row {row.date} {row.type} {min(row.names, default='-')}: got {moved}, expected none"


def _pairing(fits: Sequence[Sequence[int]]) -> dict[int, int]:
    """Expected number -> row number, as many pairs as can be (augmenting paths)."""
    taken: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        for row in fits[number]:
            if row in tried:
                continue
            tried.add(row)
            if row not in taken or place(taken[row], tried):
                taken[row] = number
                return True
        return False

    for number in range(len(fits)):
        place(number, set())
    return {number: row for row, number in taken.items()}


def _compared(item: Mapping[str, Any]) -> list[str]:
    names = ("date", "type", "symbol", "isin", "quantity", "price", "fee", "fee_currency", "currency", "cash")
    return [name for name in names if item.get(name) is not None]


def _differences(item: Mapping[str, Any], row: Row) -> list[tuple[str, Any, Any]]:
    """(figure, got, expected) for each that differs."""
    found: list[tuple[str, Any, Any]] = []
    for name in _compared(item):
        wanted = item[name]
        if name in ("symbol", "isin"):
            got, same = "/".join(sorted(row.names)), str(wanted).upper() in row.names
        elif name in ("quantity", "cash"):
            got, same = getattr(row, name), equal(getattr(row, name), wanted)
        elif name in ("price", "fee"):
            got, same = getattr(row, name), equal(getattr(row, name), wanted, rounded=True)
        else:
            got, same = getattr(row, name), getattr(row, name) == wanted
        if not same:
            found.append((name, got, wanted))
    return found


def equal(got: Decimal | None, wanted: Any, *, rounded: bool = False) -> bool:
    """Whether a figure is the one that was written. rounded: to the places it is written in, if those are at least two.

    A figure that is absent is one of 0.
    """
    try:
        value = Decimal(str(wanted))
    except InvalidOperation:
        return False
    apart = abs((got or Decimal(0)) - value)
    exponent = value.as_tuple().exponent
    if rounded and isinstance(exponent, int) and exponent <= -LEAST_PLACES:
        return apart <= Decimal(5).scaleb(exponent - 1)
    return not apart


def _shown(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else "none" if value is None else str(value)


def _told(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {item[name]}" for name in _compared(item))


# --- totals ----------------------------------------------------------------------------------------------------------


def _is_known(name: str) -> bool:
    return name in ("cash", "positions", "positions_by_conid", "positions_change", "balance", "balances") or (
        name in TOTALS_OF_KIND or name.endswith(PROCEEDS)
    )


def _compare_totals(name: str, expected: Mapping[str, Any], outcome: Outcome) -> Iterator[str]:
    for key, wanted in expected.items():
        got = _total(name, key, outcome)
        if not equal(got, wanted):
            yield f"{name} {key}: got {_shown(got)}, expected {wanted}"


def _total(name: str, key: str, outcome: Outcome) -> Decimal:
    if name == "cash":
        return outcome.cash.get(key, Decimal(0))
    if name == "positions_by_conid":
        return _sum(holding.quantity for holding in outcome.holdings if key in holding.conids)
    if name in ("positions", "positions_change", "balance", "balances"):
        held = [holding for holding in outcome.holdings if key.upper() in holding.names]
        if not held and name.startswith("balance"):
            return outcome.cash.get(key, Decimal(0))
        return _sum(holding.change if name == "positions_change" else holding.quantity for holding in held)
    kind = TOTALS_OF_KIND.get(name) or name.removesuffix(PROCEEDS)
    return outcome.cash_by_kind.get((kind, key), Decimal(0))


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))

"""What makes a staged row the same row in another file, and a content the same content (DESIGN 5.3, 5.6).

Everything here is built from what the source said and never from resolved ids, so that it survives any later decision.
The one exception is the default account of rows that name none: it stands in for the reference the file left out.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from ingestion.adapters.base import CashRow, Ignored, InstrumentRef, PositionRow, Statement, TransactionRow
from stackmotive.common.money import RECORDED_PLACES, RECORDED_QUANTUM, plain

NULL = r"\N"
_UNIT = "\x1f"  # joins the parts of a digest: no adapter lets a control character through
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

TRANSACTION_COLUMNS = (
    "line",
    "account_ref",
    "instrument_key",
    "kind",
    "trade_date",
    "traded_at",
    "local_time",
    "settled_on",
    "reported_on",
    "quantity",
    "price",
    "currency",
    "fee",
    "fee_currency",
    "tax",
    "cash_amount",
    "cash_currency",
    "fx_rate",
    "ratio",
    "external_id",
    "group",
    "leg",
    "note",
)
POSITION_COLUMNS = ("line", "account_ref", "instrument_key", "quantity", "cost_basis", "currency", "as_of")
CASH_COLUMNS = ("line", "account_ref", "currency", "balance", "as_of")
PRICE_COLUMNS = ("instrument_key", "day", "close", "currency")
RATE_COLUMNS = ("base", "quote", "day", "rate")
COVERAGE_COLUMNS = ("account_ref", "section", "start", "end", "completeness")
INSTRUMENT_COLUMNS = (
    "key",
    "symbol",
    "name",
    "kind",
    "isin",
    "figi",
    "cusip",
    "conid",
    "exchange",
    "currency",
    "multiplier",
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One transaction row, ready to be stored. `cells` follow TRANSACTION_COLUMNS without `line`, as COPY text."""

    line: int
    identity: str
    ordinal: int
    has_own_id: bool
    cells: str


@dataclass(frozen=True, slots=True)
class Report:
    """One position or cash row. `key` says what it claims of which account and day: equal claims are one.

    place: the holding or balance it is of, whatever the day and amount. is_zero: nothing is held.
    """

    line: int
    key: str
    place: str
    is_zero: bool
    as_of: date
    cells: str


@dataclass(slots=True)
class Batch:
    """A statement in the form it is stored in; cells are COPY text in the order of the column tuples above."""

    digest: str
    instruments: dict[str, str] = field(default_factory=dict)  # key -> cells
    transactions: list[Leg] = field(default_factory=list)
    positions: list[Report] = field(default_factory=list)
    cash: list[Report] = field(default_factory=list)
    prices: list[str] = field(default_factory=list)
    rates: list[str] = field(default_factory=list)
    coverage: list[str] = field(default_factory=list)
    whole_reports: set[str] = field(default_factory=set)  # accounts whose positions the statement lists in whole
    repeated: list[Ignored] = field(default_factory=list)  # a row with its own id stated twice, word for word


def blake(*parts: str) -> str:
    """blake2b, 128 bits, 32 hex digits."""
    return hashlib.blake2b(_UNIT.join(parts).encode(), digest_size=16).hexdigest()


def instrument_key(ref: InstrumentRef) -> str:
    """A digest of how the source names the instrument, equal across its files; the name and multiplier do not count."""
    return blake(
        "instrument", ref.symbol, ref.isin, ref.conid, ref.figi, ref.cusip, ref.exchange, ref.kind, ref.currency
    )


def as_given(ref: InstrumentRef | None) -> str:
    """What a source calls an instrument in the identity of a row: one word, so that a later column changes nothing."""
    if ref is None:
        return ""
    return ref.symbol or ref.isin or ref.conid or ref.figi or ref.cusip or ref.name


def prepare(
    statement: Statement, *, default_account: UUID | None = None, mapping: Mapping[str, Any] | None = None
) -> Batch:
    """Every row of `statement` with its identity, and the digest of the whole.

    default_account: the broker account for rows that name none. mapping: what the user said about the columns, where
    the layout was mapped; both are part of the digest, because another answer makes another content.
    """
    keys = _Instruments()
    account_default = str(default_account or "")
    batch = Batch(digest="")
    batch.transactions, batch.repeated = _legs(statement.transactions, keys, account_default)
    batch.positions = [_position(row, keys, account_default) for row in statement.positions]
    batch.cash = [_cash(row, account_default) for row in statement.cash]
    batch.prices = _prices(statement, keys)
    batch.rates = [_joined(row.base, row.quote, _day(row.day), _price(row.rate)) for row in statement.rates]
    batch.coverage = [
        _joined(copy_text(row.account), row.section, _day(row.start), _day(row.end), row.completeness)
        for row in statement.coverage
    ]
    batch.whole_reports = {
        row.account or account_default
        for row in statement.coverage
        if row.section == "positions" and row.completeness == "declared"
    }
    batch.instruments = keys.cells
    batch.digest = _digest(statement, batch, account_default, mapping or {})
    return batch


class _Instruments:
    """The instruments a statement names, once each."""

    def __init__(self) -> None:
        self.cells: dict[str, str] = {}
        self._keys: dict[InstrumentRef, str] = {}

    def key(self, ref: InstrumentRef | None) -> str:
        if ref is None:
            return ""
        known = self._keys.get(ref)
        if known is None:
            known = self._keys[ref] = instrument_key(ref)
            self.cells.setdefault(known, _instrument(known, ref))
        return known


def _legs(rows: Iterable[TransactionRow], keys: _Instruments, account_default: str) -> tuple[list[Leg], list[Ignored]]:
    legs: list[Leg] = []
    repeated: list[Ignored] = []
    seen: dict[str, int] = {}
    stated: set[str] = set()
    for row in rows:
        quantity, price, cash = _number(row.quantity), _price(row.price), _number(row.cash_amount)
        traded_at = _moment(row.traded_at)
        cells = _joined(
            copy_text(row.account),
            keys.key(row.instrument),
            row.kind,
            _day(row.trade_date),
            traded_at,
            copy_text(row.local_time),
            _day(row.settled_on),
            _day(row.reported_on),
            quantity,
            price,
            row.currency,
            _number(row.fee),
            copy_text(row.fee_currency),
            _number(row.tax),
            cash,
            row.cash_currency or row.currency,
            _price(row.fx_rate),
            _price(row.ratio),
            copy_text(row.external_id),
            copy_text(row.group),
            str(row.leg),
            copy_text(row.note),
        )
        account = row.account or account_default
        if row.external_id:
            base = _UNIT.join(("id", account, row.external_id, str(row.leg)))
            if (told := f"{base}{_UNIT}{cells}") in stated:
                repeated.append(Ignored(row.line, "repeated_row"))
                continue
            stated.add(told)
        else:
            when = traded_at if row.traded_at else f"{row.trade_date} {row.local_time}"
            base = _UNIT.join(
                (
                    "row",
                    account,
                    row.kind,
                    as_given(row.instrument),
                    when,
                    quantity,
                    price,
                    row.currency,
                    cash,
                    _price(row.ratio),
                )
            )
        ordinal = seen.get(base, 0)
        seen[base] = ordinal + 1
        legs.append(Leg(row.line, blake(base, str(ordinal)), ordinal, bool(row.external_id), cells))
    return legs, repeated


def _position(row: PositionRow, keys: _Instruments, account_default: str) -> Report:
    key = keys.key(row.instrument)
    cells = (key, _number(row.quantity), _number(row.cost_basis), row.currency, _day(row.as_of))
    account = row.account or account_default
    return Report(
        row.line, blake("position", account, *cells), position_place(account, key), not row.quantity, row.as_of,
        _joined(copy_text(row.account), *cells),
    )  # fmt: skip


def _cash(row: CashRow, account_default: str) -> Report:
    cells = (row.currency, _number(row.balance), _day(row.as_of))
    account = row.account or account_default
    return Report(
        row.line, blake("cash", account, *cells), cash_place(account, row.currency), not row.balance, row.as_of,
        _joined(copy_text(row.account), *cells),
    )  # fmt: skip


def position_place(account: str, instrument: str) -> str:
    return _UNIT.join((account, instrument))


def cash_place(account: str, currency: str) -> str:
    return _UNIT.join((account, "cash", currency))


def _prices(statement: Statement, keys: _Instruments) -> list[str]:
    """Marks stated on their own or beside a position, once each; the first one stated for a day stands."""
    marks: dict[tuple[str, date, str], str] = {}
    for mark in statement.prices:
        marks.setdefault((keys.key(mark.instrument), mark.day, mark.currency), _price(mark.close))
    for row in statement.positions:
        if row.price is not None and row.currency:
            marks.setdefault((keys.key(row.instrument), row.as_of, row.currency), _price(row.price))
    return [_joined(key, _day(day), close, currency) for (key, day, currency), close in marks.items()]


def _instrument(key: str, ref: InstrumentRef) -> str:
    return _joined(
        key, copy_text(ref.symbol), copy_text(ref.name[:200]), ref.kind, ref.isin, copy_text(ref.figi),
        copy_text(ref.cusip), copy_text(ref.conid), copy_text(ref.exchange), ref.currency, _number(ref.multiplier),
    )  # fmt: skip


def _digest(statement: Statement, batch: Batch, account_default: str, mapping: Mapping[str, Any]) -> str:
    """SHA-256 over what was said, as listed; neither the time it was generated nor line numbers count."""
    digest = hashlib.sha256()
    head = [
        statement.layout, statement.institution, statement.references_issued, statement.cash_mode, statement.time_order,
        sorted(statement.base_currencies.items()), account_default, mapping,
    ]  # fmt: skip
    digest.update(json.dumps(head, sort_keys=True, default=str).encode())
    sections: tuple[Iterable[str], ...] = (
        batch.instruments.values(),
        (leg.cells for leg in batch.transactions),
        (row.cells for row in batch.positions),
        (row.cells for row in batch.cash),
        batch.prices,
        batch.rates,
        batch.coverage,
    )
    for section in sections:
        digest.update("\x1e".join(section).encode())
        digest.update(b"\x1d")
    return digest.hexdigest()


# --- cells as COPY text ----


def _joined(*cells: str) -> str:
    return "\t".join(cells)


def copy_text(value: str) -> str:
    return value.translate(_ESCAPES)


def _number(value: Decimal | None) -> str:
    return NULL if value is None else plain(value)


def _price(value: Decimal | None) -> str:
    """A price, rate or ratio: informative, so cut half-even to what the column holds."""
    if value is None:
        return NULL
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -RECORDED_PLACES:
        value = value.quantize(RECORDED_QUANTUM, rounding=ROUND_HALF_EVEN)
    return plain(value)


def _day(value: date | None) -> str:
    return NULL if value is None else value.isoformat()


def _moment(value: datetime | None) -> str:
    return NULL if value is None else value.isoformat()

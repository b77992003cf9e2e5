"""The user's own prices and rates as they arrive: a JSON list or a CSV, checked row by row."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from ingestion.adapters.base import InstrumentRef
from ingestion.adapters.rows import RowProblem, parse_currency, parse_instrument_kind, parse_isin
from stackmotive.common.currencies import ISO_4217, QUOTE_UNITS
from stackmotive.common.money import RECORDED_LIMIT, RECORDED_QUANTUM, fits_recorded, parse_number
from stackmotive.common.problems import BadRequest, FieldError

MOST_ROWS = 10_000
MOST_ERRORS = 100
FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2200, 12, 31)


@dataclass(frozen=True, slots=True)
class StatedPrice:
    """currency: an ISO 4217 code or a quote unit (GBX). instrument: its id, or how it is named."""

    instrument: UUID | InstrumentRef
    date: dt.date
    close: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class StatedRate:
    base: str
    quote: str
    date: dt.date
    rate: Decimal


def read_csv(text: str, *, required: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV with a header, comma or semicolon. Raises BadRequest where columns are missing or rows are too
    many.
    """
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        missing = [name for name in required if not set(name.split("|")) & set(names)]
        if missing:
            words = " and ".join(" or ".join(name.split("|")) for name in missing)
            raise BadRequest(
                f"The CSV needs a header with the column {words}.", errors=[FieldError("#", "Missing column.")]
            )
        rows: list[dict[str, str]] = []
        for row in reader:
            if None in row or None in row.values():
                raise BadRequest(
                    f"Row {len(rows) + 1} has another number of cells than the header.",
                    errors=[FieldError(f"#/{len(rows)}", "Another number of cells than the header.")],
                )
            rows.append({name: cell.strip() for name, cell in row.items()})
            if len(rows) > MOST_ROWS:
                break
    except csv.Error as exc:
        raise BadRequest(f"The CSV cannot be read: {exc}.") from exc
    return rows


def prices_of(rows: Any) -> list[StatedPrice]:
    """Raises BadRequest naming every bad row (the first 100)."""
    return _checked(rows, _price)


def rates_of(rows: Any) -> list[StatedRate]:
    """Raises BadRequest naming every bad row (the first 100)."""
    return _checked(rows, _rate)


def _checked(rows: Any, read: Any) -> list[Any]:
    if not isinstance(rows, list) or not rows:
        raise BadRequest("Send a list with at least one row.", errors=[FieldError("#", "Not a list of rows.")])
    if len(rows) > MOST_ROWS:
        raise BadRequest(f"Send at most {MOST_ROWS} rows at once.", errors=[FieldError("#", "Too many rows.")])
    found, errors = [], []
    for place, row in enumerate(rows):
        try:
            if not isinstance(row, Mapping):
                raise RowProblem("invalid", "A row is an object.")
            found.append(read(row))
        except RowProblem as problem:
            pointer = f"#/{place}/{problem.field}" if problem.field else f"#/{place}"
            errors.append(FieldError(pointer, problem.detail, problem.code))
            if len(errors) == MOST_ERRORS:
                break
    if errors:
        detail = (
            errors[0].detail if len(errors) == 1 else f"{len(errors)} rows need a correction; nothing was recorded."
        )
        raise BadRequest(detail, errors=errors)
    return found


def _price(row: Mapping[str, Any]) -> StatedPrice:
    currency = _text(row, "currency")
    if currency not in ISO_4217 and currency not in QUOTE_UNITS:
        currency = parse_currency(currency)
    named = row.get("instrument")
    stated = named if isinstance(named, Mapping) else row
    is_id = isinstance(named, str) and bool(named.strip())
    instrument = _id(str(named).strip()) if is_id else _reference(stated, currency)
    return StatedPrice(instrument, _day(row), _number(row, "close", least=Decimal(0)), currency)


def _rate(row: Mapping[str, Any]) -> StatedRate:
    base, quote = parse_currency(_text(row, "base"), "base"), parse_currency(_text(row, "quote"), "quote")
    if base == quote:
        raise RowProblem("contradiction", "base and quote are the same currency.", "quote")
    rate = _number(row, "rate", least=Decimal(0))
    if not rate:
        raise RowProblem("bad_number", "rate is not above 0.", "rate")
    return StatedRate(base, quote, _day(row), rate)


def reference_from(stated: Mapping[str, Any], *, currency: str) -> InstrumentRef:
    """An instrument named by symbol, kind, exchange?, isin?, name?. Raises RowProblem."""
    return _reference(stated, currency)


def _reference(stated: Mapping[str, Any], currency: str) -> InstrumentRef:
    symbol, isin = (
        _text(stated, "symbol", most=60, needed=False),
        parse_isin(_text(stated, "isin", most=30, needed=False)),
    )
    if not symbol and not isin:
        raise RowProblem("missing", "Name the instrument by its id, its symbol or its ISIN.", "instrument")
    multiplier = Decimal(1)
    if stated.get("multiplier") not in (None, ""):
        multiplier = _number(stated, "multiplier", least=RECORDED_QUANTUM)
    return InstrumentRef(
        symbol=symbol,
        name=_text(stated, "name", most=200, needed=False),
        kind=parse_instrument_kind(_text(stated, "kind", most=30, needed=False)),
        isin=isin,
        exchange=_text(stated, "exchange", most=40, needed=False),
        currency=currency,
        multiplier=multiplier,
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as exc:
        raise RowProblem("does_not_exist", "Nothing of yours has this id.", "instrument") from exc


def _text(row: Mapping[str, Any], field: str, *, most: int = 40, needed: bool = True) -> str:
    value = row.get(field)
    if value is None or value == "":
        if needed:
            raise RowProblem("required", f"{field} is missing.", field)
        return ""
    if not isinstance(value, str) or len(value) > most or any(ord(char) < 32 for char in value):
        raise RowProblem("invalid", f"{field} is a text of at most {most} characters.", field)
    return value.strip()


def _day(row: Mapping[str, Any]) -> dt.date:
    text = _text(row, "date")
    try:
        day = dt.date.fromisoformat(text) if len(text) == 10 and text.isascii() else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise RowProblem("bad_date", "date is a day YYYY-MM-DD from 1900 to 2200.", "date")
    return day


def _number(row: Mapping[str, Any], field: str, *, least: Decimal) -> Decimal:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or value == "":
        raise RowProblem("bad_number", f'{field} is a plain decimal number, such as "12.5".', field)
    try:
        text = str(value).strip()
        number = parse_number(text) if len(text) <= 100 else None
    except ValueError:
        number = None
    if number is None:
        raise RowProblem("bad_number", f'{field} is a plain decimal number, such as "12.5".', field)
    if abs(number) >= RECORDED_LIMIT or not fits_recorded(number):
        raise RowProblem("number_out_of_range", f"{field} has more than 20 digits or 18 decimals.", field)
    if number < least:
        raise RowProblem("bad_number", f"{field} is too small.", field)
    return number


def instruments_named(rows: Iterable[StatedPrice]) -> set[tuple[UUID | InstrumentRef, str]]:
    """Each way that the rows name an instrument, with the currency they quote it in."""
    return {(row.instrument, row.currency) for row in rows}

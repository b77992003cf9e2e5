"""Attributes of Flex rows to values. Every attribute may be missing, empty, "--", "-" or "N/A" (BROKERS of
the format).
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from ingestion.adapters.base import FileRefused, InstrumentRef
from ingestion.adapters.dates import DateProblem, day_of, parse_day
from ingestion.adapters.numbers import NumberProblem, parse_number, recorded
from ingestion.adapters.rows import NAME_CHARACTERS, TEXT_LIMITS, RowProblem, isin_or_nothing
from stackmotive.common.currencies import ISO_4217, quote_unit

Attributes = Mapping[str, str]
ONE = Decimal(1)
NOTHING = frozenset({"", "-", "--", "N/A", "n/a"})

_MOMENT = re.compile(
    r"(\d{8}|\d{4}-\d{2}-\d{2}|\d{1,2}-[A-Za-z]{3}-\d{2,4})(?:(?:[;T ]|, ?)(\d{2}):?(\d{2}):?(\d{2}))?(?: "
    r"[A-Z]{2,4})?",
    re.ASCII,
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)", re.ASCII)
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}.*", re.ASCII)

_KINDS = {
    "STK": "equity", "FUND": "fund", "BOND": "bond", "BILL": "bond", "OPT": "option", "FOP": "option",
    "FSFOP": "option",
    "FUT": "future", "CRYPTO": "crypto", "CMDTY": "commodity", "CFD": "other", "WAR": "other",
    "IOPT": "other",
}  # fmt: skip


def identifier(attributes: Attributes, name: str) -> str:
    """An id or "" where the row has none. Raises RowProblem where it is longer than any id of theirs."""
    value = attributes.get(name, "").strip()
    if value in NOTHING:
        return ""
    if len(value) > 100:
        raise RowProblem("too_long", f"{name} is longer than 100 characters.", name)
    return value


class FlexValues:
    """Readers with memory: one file repeats its days and instruments thousands of times."""

    def __init__(self) -> None:
        self._days: dict[str, date] = {}
        self._clocks: dict[str, str] = {}
        self._currencies: dict[str, tuple[str, Decimal]] = {}
        self._instruments: dict[tuple[str | None, ...], InstrumentRef] = {}

    def number(self, attributes: Attributes, name: str, *, is_price: bool = False) -> Decimal | None:
        text = attributes.get(name)
        if not text:
            return None
        try:
            return parse_number(text, is_price=is_price)
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"{name}: {exc.detail}", name) from exc

    def amount(self, attributes: Attributes, name: str, unit: Decimal, *, is_price: bool = False) -> Decimal | None:
        """A number of money in units of `unit` of the currency, such as pence."""
        value = self.number(attributes, name, is_price=is_price)
        if value is None or unit == 1:
            return value
        return stored(value * unit, name, is_price=is_price)

    def needed(self, attributes: Attributes, name: str) -> Decimal:
        value = self.number(attributes, name)
        if value is None:
            raise RowProblem("missing", f"{name} is empty. Include it in the Flex query.", name)
        return value

    def moment(self, text: str, name: str) -> tuple[date | None, str]:
        """(day, "HH:MM:SS" or "") as stated, in no zone. Raises RowProblem, and FileRefused for dates with
        slashes.
        """
        day = self._days.get(text[:8])
        if day is not None and (len(text) == 8 or (len(text) == 15 and text[8] == ";")):
            return day, self.clock(text[9:]) if len(text) == 15 else ""
        stripped = text.strip()
        if stripped in NOTHING:
            return None, ""
        match = _MOMENT.fullmatch(stripped)
        if match is None:
            if _SLASHED.fullmatch(stripped):
                raise FileRefused(
                    "date_format",
                    f"Dates such as {stripped[:10]} do not say which part is the month. "
                    "Set the date format of the Flex query to yyyyMMdd or yyyy-MM-dd and run it again.",
                )
            raise RowProblem("bad_date", f"{name}: “{stripped[:40]}” is not a date of a Flex query.", name)
        stated = match[1]
        try:
            if stated.isdigit():
                day = day_of(int(stated[:4]), int(stated[4:6]), int(stated[6:]), stripped)
                self._days[stated] = day
            else:
                day = parse_day(stated, "ymd")
        except DateProblem as exc:
            raise RowProblem("bad_date", f"{name}: {exc}", name) from exc
        return day, self.clock(match[2] + match[3] + match[4]) if match[2] else ""

    def day(self, attributes: Attributes, name: str) -> date | None:
        text = attributes.get(name)
        return self.moment(text, name)[0] if text else None

    def clock(self, text: str) -> str:
        """ "093406" or "09:34:06" as "09:34:06"; "" for what is no time."""
        known = self._clocks.get(text)
        if known is None:
            match = _CLOCK.fullmatch(text.strip())
            known = self._clocks[text] = ":".join(match.groups()) if match else ""
        return known

    def currency(self, code: str, name: str = "currency") -> tuple[str, Decimal]:
        """(ISO 4217 currency, what one unit of `code` is in it): ("GBP", 0.01) for GBX. Raises RowProblem."""
        known = self._currencies.get(code)
        if known is None:
            known = quote_unit(code.strip())
            if known[0] not in ISO_4217:
                raise RowProblem("currency", f"{name}: “{code[:20]}” is no ISO 4217 currency.", name)
            self._currencies[code] = known
        return known

    def instrument(self, attributes: Attributes, listing_currency: str) -> InstrumentRef | None:
        """Who the row is about, by conid before all else; None where it names nobody. `listing_currency`:
        "" on cash rows.
        """
        get = attributes.get
        key = (
            get("conid"), get("symbol"), get("isin"), get("cusip"), get("figi"), get("description"),
            get("listingExchange"),
            get("multiplier"), get("assetCategory"), get("subCategory"), get("securityID"), listing_currency,
        )  # fmt: skip
        known = self._instruments.get(key)
        if known is not None:
            return known
        conid, symbol, isin = (
            identifier(attributes, "conid"),
            identifier(attributes, "symbol"),
            isin_or_nothing(get("isin", "")),
        )
        if get("securityIDType") == "ISIN":
            isin = isin or isin_or_nothing(get("securityID", ""))
        if not (conid or symbol or isin):
            return None
        if len(conid) > TEXT_LIMITS["conid"] or len(symbol) > TEXT_LIMITS["symbol"]:
            raise RowProblem("too_long", "conid or symbol is longer than any of theirs.", "symbol")
        multiplier = self.number(attributes, "multiplier") or ONE
        known = self._instruments[key] = InstrumentRef(
            symbol=" ".join(symbol.split()) if get("assetCategory") in ("OPT", "FOP", "FSFOP") else symbol,
            name=get("description", "").strip()[:NAME_CHARACTERS] if listing_currency else "",
            kind="etf"
            if get("subCategory") == "ETF"
            else _KINDS.get(get("assetCategory", ""), "other" if get("assetCategory") else ""),
            isin=isin,
            figi=_sized(get("figi", ""), 12),
            cusip=_sized(get("cusip", ""), 9),
            conid=conid,
            exchange=identifier(attributes, "listingExchange")[: TEXT_LIMITS["exchange"]],
            currency=listing_currency,
            multiplier=abs(multiplier),
        )
        return known


def _sized(text: str, size: int) -> str:
    """An identifier of fixed length, "" where the attribute holds something else."""
    value = text.strip()
    return value if len(value) == size and value.isascii() and value.isalnum() else ""


def scaled(value: Decimal, factor: Decimal) -> Decimal:
    """An amount in pence and the like in its whole currency. Raises RowProblem."""
    return value if factor == 1 else stored(value * factor, "amount")


def stored(value: Decimal, name: str, *, is_price: bool = False) -> Decimal:
    """A computed value, if it can be stored. Raises RowProblem."""
    try:
        return recorded(value, is_price=is_price)
    except NumberProblem as exc:
        raise RowProblem(exc.code, f"{name}: {exc.detail}", name) from exc

"""What every page is filtered by: period, currency and account, in the address and kept from page to page."""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from urllib.parse import urlencode
from uuid import UUID

from stackmotive.common.currencies import ISO_4217
from stackmotive.common.display import day_text

KEPT = ("period", "from", "to", "currency", "account")
USUAL_CURRENCIES = ("EUR", "USD", "GBP", "CHF")


@dataclass(frozen=True, slots=True)
class PeriodChoice:
    code: str
    short: str
    label: str


PERIODS = (
    PeriodChoice("1w", "1W", "past week"),
    PeriodChoice("1m", "1M", "past month"),
    PeriodChoice("3m", "3M", "past 3 months"),
    PeriodChoice("ytd", "YTD", "this year"),
    PeriodChoice("1y", "1Y", "past year"),
    PeriodChoice("5y", "5Y", "past 5 years"),
    PeriodChoice("all", "All", "since the start"),
)
DEFAULT = "1y"
FREE = "free"


@dataclass(frozen=True, slots=True)
class Period:
    """Days `start` to `end`, both included; start None = from the first day there is."""

    code: str
    short: str
    label: str
    start: date | None
    end: date


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or its last: 31 March less one month is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def start_of(code: str, today: date) -> date | None:
    match code:
        case "1w":
            return today - timedelta(days=7)
        case "ytd":
            return date(today.year - 1, 12, 31)  # the last close of the old year is where the year starts
        case "1m" | "3m" | "6m":
            return months_before(today, int(code[0]))
        case "1y" | "5y":
            return months_before(today, 12 * int(code[0]))
        case _:
            return None


def day_of(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return day if day and 1900 <= day.year < MAXYEAR else None


def period_of(params: Mapping[str, str], *, today: date) -> Period:
    """The period an address asks for. What makes no sense (a wrong day, from after to) shows a year."""
    start, end = day_of(params.get("from", "")), day_of(params.get("to", ""))
    if start and end and start <= min(end, today):
        end = min(end, today)
        return Period(FREE, "Period", f"{day_text(start)} to {day_text(end)}", start, end)
    asked = params.get("period", DEFAULT)
    choice = next((c for c in PERIODS if c.code == asked), None) or next(c for c in PERIODS if c.code == DEFAULT)
    return Period(choice.code, choice.short, choice.label, start_of(choice.code, today), today)


def kept_query(params: Mapping[str, str]) -> str:
    """The query that links to other pages carry, with its "?"; "" for none."""
    kept = [(name, params[name]) for name in KEPT if params.get(name)]
    return f"?{urlencode(kept)}" if kept else ""


@dataclass(frozen=True, slots=True)
class Filters:
    """account: an id the user may see, or "" for all. currencies: what is offered, the chosen one too."""

    period: Period
    currency: str
    account: str
    today: date
    currencies: tuple[str, ...]
    query: str
    period_fields: tuple[tuple[str, str], ...]
    currency_asked: bool = False
    periods: tuple[PeriodChoice, ...] = PERIODS

    @property
    def account_id(self) -> UUID | None:
        return UUID(self.account) if self.account else None


def filters_of(
    params: Mapping[str, str], *, today: date, base_currency: str, accounts: Iterable[tuple[UUID, str]]
) -> Filters:
    """Filters of one request. accounts: (id, currency) the user may see; any other id means all."""
    rows = list(accounts)
    asked = params.get("currency", "")
    currency = asked if asked in ISO_4217 else base_currency
    account = next((str(pk) for pk, _ in rows if str(pk) == params.get("account", "")), "")
    offered = dict.fromkeys([base_currency, currency, *(code for _, code in rows), *USUAL_CURRENCIES])
    kept = {name: params[name] for name in ("period", "from", "to") if params.get(name)}
    valid = dict(params) | {"account": account, "currency": asked if asked in ISO_4217 else ""}
    return Filters(
        period=period_of(params, today=today),
        currency=currency,
        account=account,
        today=today,
        currencies=tuple(offered),
        query=kept_query(valid),
        period_fields=tuple(kept.items()),
        currency_asked=asked in ISO_4217,
    )

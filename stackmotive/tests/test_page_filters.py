from datetime import date
from uuid import UUID

import pytest

from stackmotive.common.page_filters import Filters, filters_of, kept_query, period_of

TODAY = date(2026, 3, 31)
MINE = UUID("01890000-0000-7000-8000-000000000001")
OTHER = "01890000-0000-7000-8000-000000000002"


def filters(**params: str) -> Filters:
    return filters_of(params, today=TODAY, base_currency="CHF", accounts=[(MINE, "SEK")])


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("1w", date(2026, 3, 24)),
        ("1m", date(2026, 2, 28)),
        ("3m", date(2025, 12, 31)),
        ("ytd", date(2025, 12, 31)),
        ("1y", date(2025, 3, 31)),
        ("5y", date(2021, 3, 31)),
        ("all", None),
    ],
)
def test_period_starts_at_the_close_before_it(code: str, start: date | None) -> None:
    period = period_of({"period": code}, today=TODAY)
    assert (period.code, period.start, period.end) == (code, start, TODAY)


def test_free_dates_win_and_end_today_at_the_latest() -> None:
    period = period_of({"from": "2026-01-05", "to": "2027-01-01", "period": "1w"}, today=TODAY)
    assert (period.code, period.start, period.end) == ("free", date(2026, 1, 5), TODAY)
    assert period.label == "5 Jan 2026 to 31 Mar 2026"


@pytest.mark.parametrize(
    "params",
    [
        {"period": "42x"},
        {"from": "banana", "to": "2026-01-01"},
        {"from": "2026-03-01", "to": "2026-02-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "2027-01-01", "to": "2027-02-01"},
        {"period": "\x00"},
    ],
)
def test_period_that_makes_no_sense_is_the_past_year(params: dict[str, str]) -> None:
    assert period_of(params, today=TODAY).code == "1y"


def test_account_of_another_user_means_all_accounts() -> None:
    assert filters(account=str(MINE)).account_id == MINE
    assert filters(account=OTHER).account == ""
    assert filters(account=OTHER).query == ""


def test_currency_is_iso_or_the_base_currency() -> None:
    assert filters(currency="JPY").currency == "JPY"
    assert filters(currency="BTC").currency == "CHF"
    assert filters(currency="BTC").currencies == ("CHF", "SEK", "EUR", "USD", "GBP")


def test_filters_are_kept_from_page_to_page_and_nothing_else_is() -> None:
    assert kept_query({"period": "1m", "currency": "EUR", "sort": "name", "account": ""}) == "?period=1m&currency=EUR"
    assert kept_query({}) == ""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.dates import (
    FIRST_DAY,
    LAST_DAY,
    DateProblem,
    parse_day,
    parse_iso_day,
    parse_iso_time,
    proved_orders,
)


def test_an_instant_keeps_the_day_as_stated() -> None:
    day, instant, clock = parse_iso_time("2024-05-02T23:30:00-05:00")
    assert day == date(2024, 5, 2)
    assert instant == datetime(2024, 5, 3, 4, 30, tzinfo=UTC)
    assert clock == "23:30:00"


def test_a_naive_time_is_no_instant() -> None:
    assert parse_iso_time("2024-05-02 14:30:05.123") == (date(2024, 5, 2), None, "14:30:05")
    assert parse_iso_time("2024-05-02 14:30") == (date(2024, 5, 2), None, "14:30:00")


def test_utc_may_be_written_as_a_word() -> None:
    assert parse_iso_time("2024-05-02 14:30:05 UTC")[1] == datetime(2024, 5, 2, 14, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2024-02-30", "1899-12-31", "2201-01-01", "20240502", "2024-W05-1", "٢٠٢٤-٠٥-٠٢", "2024-05-02T25:00:00Z", ""],
)
def test_what_is_no_iso_day(text: str) -> None:
    with pytest.raises(DateProblem):
        parse_iso_time(text)


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("01-09-2021", "dmy", date(2021, 9, 1)),
        ("01-09-2021", "mdy", date(2021, 1, 9)),
        ("12/31/19", "mdy", date(2019, 12, 31)),
        ("21-03-05", "ymd", date(2021, 3, 5)),
        ("2024/3/5", "dmy", date(2024, 3, 5)),
        ("02-Apr-2025", "mdy", date(2025, 4, 2)),
        ("12.04.2024 13:00:22", "dmy", date(2024, 4, 12)),
        ("20220125", "dmy", date(2022, 1, 25)),
    ],
)
def test_days_in_a_known_order(text: str, order: str, day: date) -> None:
    assert parse_day(text, "dmy" if order == "dmy" else "mdy" if order == "mdy" else "ymd") == day


@pytest.mark.parametrize(
    ("cells", "orders"),
    [
        (["2024-05-02", "20240503"], None),
        (["01/02/2024"], {"dmy", "mdy"}),
        (["01/02/2024", "16/02/2024"], {"dmy"}),
        (["01/02/2024", "02/16/2024"], {"mdy"}),
        (["16/02/2024", "02/16/2024"], set()),
        (["02-Apr-2025"], None),
    ],
)
def test_the_order_of_day_and_month_is_proved_by_the_file(cells: list[str], orders: set[str] | None) -> None:
    assert proved_orders(cells) == orders


@given(st.text(max_size=40), st.sampled_from(["dmy", "mdy", "ymd"]))
def test_any_text_is_a_day_in_bounds_or_a_problem(text: str, order: str) -> None:
    for read in (
        parse_iso_day,
        lambda t: parse_day(t, "mdy" if order == "mdy" else "dmy" if order == "dmy" else "ymd"),
    ):
        try:
            day = read(text)
        except DateProblem:
            continue
        assert FIRST_DAY <= day <= LAST_DAY

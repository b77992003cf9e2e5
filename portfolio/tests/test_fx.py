"""Rates of exchange: paths, days, quote units, and the two forms that must agree."""

from datetime import date, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.fx import Rate, RateTable

FRIDAY, SATURDAY, MONDAY = date(2024, 1, 5), date(2024, 1, 6), date(2024, 1, 8)

ECB = {
    ("EUR", "USD"): [(FRIDAY, D("1.25")), (MONDAY, D("1.28"))],
    ("EUR", "GBP"): [(FRIDAY, D("0.8"))],
    ("EUR", "ZAR"): [(FRIDAY, D("20"))],
    ("EUR", "ILS"): [(FRIDAY, D("4"))],
    ("USD", "TWD"): [(MONDAY, D("32"))],
}


def test_a_pair_is_looked_up_on_or_before_the_day_with_its_date() -> None:
    table = RateTable(ECB)
    assert table.rate("EUR", "USD", SATURDAY) == Rate(D("1.25"), FRIDAY, ("EUR", "USD"))
    assert table.rate("USD", "EUR", MONDAY) == Rate(D("0.78125"), MONDAY, ("USD", "EUR"))
    assert table.rate("EUR", "USD", date(2024, 1, 4)) is None


def test_a_rate_never_observed_is_unknown_and_never_one() -> None:
    table = RateTable(ECB)
    assert table.rate("EUR", "CHF", MONDAY) is None
    assert table.rate("CHF", "TWD", MONDAY) is None
    assert np.isnan(table.column("EUR", "CHF", FRIDAY, MONDAY)).all()
    assert RateTable({("EUR", "USD"): []}).rate("EUR", "USD", MONDAY) is None


def test_two_currencies_cross_through_the_euro_and_are_as_old_as_the_older_leg() -> None:
    assert RateTable(ECB).rate("GBP", "USD", MONDAY) == Rate(D("1.6"), FRIDAY, ("GBP", "EUR", "USD"))


def test_a_currency_without_a_euro_rate_crosses_through_the_dollar() -> None:
    table = RateTable(ECB)
    assert table.rate("EUR", "TWD", MONDAY) == Rate(D("40.96"), MONDAY, ("EUR", "USD", "TWD"))
    assert table.rate("EUR", "TWD", SATURDAY) is None


def test_the_same_currency_is_one() -> None:
    assert RateTable({}).rate("CHF", "CHF", MONDAY) == Rate(D(1), MONDAY, ("CHF",))
    assert RateTable({}).column("CHF", "CHF", FRIDAY, SATURDAY).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("base", "quote", "rate"),
    [
        ("GBX", "EUR", "0.0125"),
        ("GBX", "GBP", "0.01"),
        ("GBP", "GBX", "100"),
        ("ZAc", "EUR", "0.0005"),
        ("ILA", "EUR", "0.0025"),
        ("GBX", "ZAc", "25"),
    ],
)
def test_sub_units_are_quote_units(base: str, quote: str, rate: str) -> None:
    table = RateTable(ECB)
    found = table.rate(base, quote, FRIDAY)
    assert found is not None
    assert found.value == D(rate)
    assert table.column(base, quote, FRIDAY, FRIDAY)[0] == pytest.approx(float(rate))


def test_the_users_own_rate_goes_before_the_markets_of_its_day_and_yields_to_a_newer_one() -> None:
    own = {("USD", "EUR"): [(FRIDAY, D("0.5"))], ("GBP", "USD"): [(FRIDAY, D("1.7"))]}
    table = RateTable(ECB, own)
    assert table.rate("EUR", "USD", FRIDAY) == Rate(D(2), FRIDAY, ("EUR", "USD"))
    assert table.rate("EUR", "USD", MONDAY) == Rate(D("1.28"), MONDAY, ("EUR", "USD"))
    assert table.rate("GBP", "USD", SATURDAY) == Rate(D("1.7"), FRIDAY, ("GBP", "USD"))
    later = RateTable(ECB | {("EUR", "GBP"): [(MONDAY, D("0.8"))]}, own)
    assert later.rate("GBP", "USD", MONDAY) == Rate(D("1.6"), MONDAY, ("GBP", "EUR", "USD"))


days = st.integers(0, 20).map(lambda n: FRIDAY + timedelta(days=n))
rates = st.decimals(min_value="0.001", max_value="1000", places=6)
observations = st.dictionaries(
    st.sampled_from([("EUR", "USD"), ("EUR", "GBP"), ("USD", "EUR"), ("GBP", "USD"), ("USD", "TWD")]),
    st.lists(st.tuples(days, rates), max_size=6),
)


@settings(max_examples=100, deadline=None)
@given(market=observations, own=observations)
def test_a_column_is_the_exact_rate_of_each_of_its_days(
    market: dict[tuple[str, str], list[tuple[date, D]]], own: dict[tuple[str, str], list[tuple[date, D]]]
) -> None:
    table = RateTable(market, own)
    for base in ("EUR", "USD", "GBP", "TWD"):
        for quote in ("EUR", "GBX", "TWD"):
            column = table.column(base, quote, FRIDAY, FRIDAY + timedelta(days=22))
            for place, value in enumerate(column):
                exact = table.rate(base, quote, FRIDAY + timedelta(days=place))
                if exact is None:
                    assert np.isnan(value)
                else:
                    assert value == pytest.approx(float(exact.value), rel=1e-12)

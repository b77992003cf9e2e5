from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.adapters.numbers import COMMA, POINT, NumberProblem, parse_exact, parse_number, proved_format
from stackmotive.common.money import fits_recorded


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-12.50", "-12.50"),
        (".9232", "0.9232"),
        ("+5", "5"),
        ("5.", "5"),
        ("$1,234.56", "1234.56"),
        ("-$5", "-5"),
        ("(1,850.00)", "-1850.00"),
        ("−3.5", "-3.5"),  # U+2212
        ("1\u00a0234.5", "1234.5"),
        ("12\u202f345", "12345"),
        ("1'234.56", "1234.56"),
        ("-2.637591265E-4", "-0.0002637591265"),
        ("0.10000000000000000000000", "0.1"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_numbers_with_a_decimal_point(text: str, value: str) -> None:
    assert parse_number(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", " ", "-", "--", "N/A", "Not available"])
def test_cells_that_say_there_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("NaN", "bad_number"),
        ("Infinity", "bad_number"),
        ("1e400", "number_too_large"),
        ("1e-400", "number_too_precise"),
        ("123456789012345678901", "number_too_large"),
        ("0.1234567890123456789", "number_too_precise"),
        ("٣", "bad_number"),  # an Arabic digit: \d and Decimal() would take it
        ("１２", "bad_number"),
        ("1,5", "bad_number"),
        ("1_000", "bad_number"),
        ("0x10", "bad_number"),
        ("1" * 200, "bad_number"),
        ("12 shares", "bad_number"),
        ("\ud800", "bad_number"),
    ],
)
def test_what_is_no_number_or_cannot_be_stored(text: str, code: str) -> None:
    with pytest.raises(NumberProblem) as caught:
        parse_number(text)
    assert caught.value.code == code


def test_a_price_is_rounded_half_even_where_an_amount_is_refused() -> None:
    assert parse_number("0.1234567890123456785", is_price=True) == Decimal("0.123456789012345678")
    assert parse_number("1e-400", is_price=True) == 0


def test_decimal_commas() -> None:
    assert parse_number("1.234,56", COMMA) == Decimal("1234.56")
    assert parse_number("-0,5", COMMA) == Decimal("-0.5")
    with pytest.raises(NumberProblem):
        parse_number("1,234.56", COMMA)


def test_a_lone_thousands_comma_is_not_guessed_in_layouts_with_a_point() -> None:
    assert parse_exact("1,200.50") == Decimal("1200.50")
    with pytest.raises(NumberProblem, match="ambiguous"):
        parse_exact("1,200")


@pytest.mark.parametrize(
    ("cells", "proved", "ambiguous"),
    [
        (["1.234,56", "1,200"], {COMMA}, "1,200"),
        (["1,234.56"], {POINT}, ""),
        (["1,5"], {COMMA}, ""),
        (["0.123"], {POINT}, ""),
        (["1234.567"], {POINT}, ""),
        (["1,234,567"], {POINT}, ""),
        (["1.200"], set(), "1.200"),
        (["1200", "7"], set(), ""),
        (["33,9", "21.31"], {COMMA, POINT}, ""),
    ],
)
def test_what_cells_prove_about_the_number_format(cells: list[str], proved: set[str], ambiguous: str) -> None:
    assert proved_format(cells) == (proved, ambiguous)


@given(st.text(max_size=60), st.sampled_from([POINT, COMMA]), st.booleans())
def test_any_text_is_a_storable_number_none_or_a_problem(text: str, number_format: str, is_price: bool) -> None:
    try:
        value = parse_number(text, COMMA if number_format == COMMA else POINT, is_price=is_price)
    except NumberProblem:
        return
    assert value is None or fits_recorded(value)


@given(st.text(alphabet="0123456789.,eE+-() ", max_size=40), st.booleans())
def test_number_like_text_is_a_storable_number_none_or_a_problem(text: str, is_price: bool) -> None:
    for number_format in (POINT, COMMA):
        try:
            value = parse_number(text, number_format, is_price=is_price)
        except NumberProblem:
            continue
        assert value is None or fits_recorded(value)

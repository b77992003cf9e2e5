from datetime import date
from decimal import Decimal

import pytest
from django.template import Context, Template

from stackmotive.common import display


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (Decimal("1234.565"), "EUR", "€1,234.56"),
        (Decimal("1234.575"), "EUR", "€1,234.58"),
        (Decimal("-1234.5"), "EUR", "−€1,234.50"),
        (Decimal("-0.001"), "EUR", "€0.00"),
        (Decimal("1500.4"), "JPY", "¥1,500"),
        (Decimal("12"), "CHF", "CHF\u00a012.00"),
        (None, "EUR", "—"),
    ],
)
def test_money_is_rounded_half_even_to_the_minor_unit(value: Decimal | None, currency: str, text: str) -> None:
    assert display.money_text(value, currency) == text


def test_sign_is_shown_only_where_there_is_a_direction() -> None:
    assert display.money_text(Decimal("5"), "USD", signed=True) == "+$5.00"
    assert display.money_text(Decimal("0"), "USD", signed=True) == "$0.00"
    assert display.percent_text(Decimal("-0.05314"), signed=True) == "−5.31%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("612.500000000000000000"), "612.5"),
        (Decimal("2100"), "2,100"),
        (Decimal("0.00000001"), "0.00000001"),
        (None, "—"),
    ],
)
def test_quantity_has_no_trailing_zeros(value: Decimal | None, text: str) -> None:
    assert display.quantity_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("64210.552", "$64,210.55"),
        ("3.8421", "$3.8421"),
        ("0.00001234", "$0.00001234"),
        ("9.5", "$9.50"),
        ("0", "$0.00"),
    ],
)
def test_price_under_ten_keeps_its_digits(value: str, text: str) -> None:
    assert display.price_text(Decimal(value), "USD") == text


def test_day_is_unambiguous_in_every_country() -> None:
    assert display.day_text(date(2026, 4, 3)) == "3 Apr 2026"


def rendered(source: str, **context: object) -> str:
    return Template("{% load figures %}" + source).render(Context(context))


def test_amounts_can_be_hidden_and_percentages_stay() -> None:
    assert rendered("{% money v 'EUR' %}", v=Decimal("5")) == '<span class="amt"><span>€5.00</span></span>'
    assert rendered("{% percent v %}", v=Decimal("0.5")) == "50.00%"


def test_direction_is_told_by_arrow_and_sign_as_well_as_color() -> None:
    html = rendered("{% change_percent v %}", v=Decimal("-0.01"))
    assert html == '<span class="chg down"><span class="arrow" aria-hidden="true">▼</span> −1.00%</span>'


def test_unknown_is_a_dash_with_its_reason_escaped() -> None:
    html = rendered("{% money v 'EUR' reason=r %}", v=None, r="<no price>")
    assert html == '<span class="none" title="&lt;no price&gt;">—<span class="sr"> &lt;no price&gt;</span></span>'

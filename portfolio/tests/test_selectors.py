"""Headline figures read back from what a refresh stored."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from portfolio import selectors, services
from portfolio.tests.factories import Ledger, day, make_account, make_instrument, make_rate, make_user
from portfolio.tests.test_refresh import own_prices

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def test_summary_of_cash_and_a_share() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="999", fee="1")
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50", fee="2")
    ledger.row("sell", "2024-01-05", listing, quantity="-4", price="60", fee="1")
    ledger.row("dividend", "2024-01-08", listing, cash_amount="2.5", tax="0.5")
    own_prices(user, listing, d2024_01_09="65", d2024_01_10="70")
    services.refresh(user_id=user.pk)

    headline = selectors.summary(user=user)
    assert (headline.market_value, headline.cash) == (D(420), D("738.5"))
    assert (headline.net_contribution, headline.total_value) == (D(1000), D("1158.5"))
    assert headline.total_gain == D("158.5")
    assert (headline.realized_gain, headline.unrealized_gain) == (D("38.2"), D("118.8"))
    assert (headline.dividends, headline.income, headline.fees, headline.taxes) == (D(3), D(3), D(4), D("0.5"))
    assert headline.day_change == D(30)
    assert headline.day_change_ratio == (D(30) / D("1128.5")).quantize(D("1e-10"))
    assert (headline.coverage, headline.coverage_by_cost, headline.unpriced, headline.reasons) == (D(1), D(1), [], {})


def test_a_past_day_shows_what_was_held_then() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50", fee="2")
    ledger.row("sell", "2024-01-05", listing, quantity="-4", price="60", fee="1")
    own_prices(user, listing, d2024_01_04="55", d2024_01_10="70")
    services.refresh(user_id=user.pk)
    headline = selectors.summary(user=user, as_of=day("2024-01-04"))
    (row,) = selectors.positions(user=user, as_of=day("2024-01-04"))
    assert (row.quantity, row.cost_basis, row.average_cost, row.price) == (D(10), D(502), D("50.2"), D(55))
    assert (headline.market_value, headline.cash, headline.realized_gain) == (D(550), D(-502), D(0))
    assert headline.day_change == D(50)


def test_reporting_currency_takes_each_amount_at_its_own_day() -> None:
    user = make_user(base="EUR")
    make_rate("EUR", "USD", "2024-01-02", "1.25")
    make_rate("EUR", "USD", "2024-01-10", "1.5")
    listing = make_instrument(user, currency="EUR")
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="100")
    ledger.row("buy", "2024-01-02", listing, quantity="1", price="100")
    own_prices(user, listing, d2024_01_02="100", d2024_01_10="100")
    services.refresh(user_id=user.pk)
    headline = selectors.summary(user=user, currency="USD")
    assert (headline.market_value, headline.net_contribution) == (D(150), D(125))
    assert (headline.unrealized_gain, headline.total_gain) == (D(25), D(25))
    assert selectors.performance(user=user, currency="USD").twr == D("0.2")


def test_a_deposit_changes_no_return() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="100")
    ledger.row("buy", "2024-01-02", listing, quantity="1", price="100")
    own_prices(user, listing, d2024_01_02="100", d2024_01_05="110", d2024_01_10="121")
    services.refresh(user_id=user.pk)
    before = selectors.performance(user=user)
    ledger.row("deposit", "2024-01-05", cash_amount="110")
    ledger.row("buy", "2024-01-05", listing, quantity="1", price="110")
    services.refresh(user_id=user.pk)
    after = selectors.performance(user=user)
    assert (before.twr, after.twr) == (D("0.21"), D("0.21"))
    assert after.reasons["twr_annualized"] == after.reasons["calmar"] == "under_one_year"
    assert after.reasons["beta"] == "no_benchmark"
    assert (after.series[0].date, after.series[0].value) == (day("2024-01-01"), D(0))
    assert (after.series[-1].value, after.series[-1].twr_index) == (D(242), D("1.21"))


def test_an_annual_rate_beyond_meaning_is_null_with_a_reason() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-09", cash_amount="100")
    ledger.row("buy", "2024-01-09", listing, quantity="1", price="100")
    own_prices(user, listing, d2024_01_09="100", d2024_01_10="400")
    services.refresh(user_id=user.pk)
    found = selectors.performance(user=user)  # four times as much in a day is 4 ** 365 in a year
    assert (found.twr, found.xirr, found.reasons["xirr"]) == (D(3), None, "out_of_range")


def test_nothing_at_all_is_null_with_reasons() -> None:
    user = make_user()
    headline = selectors.summary(user=user)
    assert (headline.market_value, headline.total_gain, headline.is_stale) == (D(0), D(0), False)
    figures = selectors.performance(user=user)
    assert (figures.twr, figures.xirr, figures.n_obs) == (None, None, 0)
    assert figures.reasons["xirr"] == "no_value"


def test_allocation_shares_add_up_to_one_and_cash_is_a_slice() -> None:
    user = make_user()
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="400")
    for symbol, sector in (("A", "Energy"), ("B", "Energy"), ("C", "")):
        listing = make_instrument(user, symbol, sector=sector)
        ledger.row("buy", "2024-01-03", listing, quantity="1", price="100")
    services.refresh(user_id=user.pk)
    split = selectors.allocation(user=user, by="sector")
    assert [(part.key, part.value) for part in split.slices] == [
        ("Energy", D(200)),
        ("cash", D(100)),
        ("unknown", D(100)),
    ]
    assert sum(part.share or 0 for part in split.slices) == 1
    assert [part.key for part in selectors.allocation(user=user, by="currency").slices] == ["USD"]


def test_two_users_and_two_accounts_do_not_mix() -> None:
    owner, stranger = make_user(), make_user("stranger@example.org")
    first, second = make_account(owner), make_account(owner, name="Second")
    for account, amount in ((first, "1"), (second, "2"), (make_account(stranger), "4")):
        Ledger(account).row("deposit", "2024-01-02", cash_amount=amount)
    for user in (owner, stranger):
        services.refresh(user_id=user.pk)
    assert selectors.summary(user=owner).cash == D(3)
    assert selectors.summary(user=owner, account=second.pk).cash == D(2)
    assert selectors.summary(user=stranger).cash == D(4)
    assert selectors.summary(user=stranger, account=second.pk).cash == D(0)


def test_positions_cost_the_same_queries_for_one_row_and_for_twenty(django_assert_num_queries: Any) -> None:
    user = make_user()
    ledger = Ledger(make_account(user))
    for number in range(1, 21):
        ledger.row("buy", "2024-01-03", make_instrument(user, f"S{number}"), quantity="1", price="1")
        if number in (1, 20):
            services.refresh(user_id=user.pk)
            with django_assert_num_queries(5):
                assert len(selectors.positions(user=user)) == number

"""Ledger rows in, stored figures out: exact values."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from federation.models import LedgerState, Transaction
from portfolio import services
from portfolio.models import (
    CashBalance,
    DailyValue,
    FigureState,
    HoldingStep,
    Lot,
    Position,
    RealizedGain,
    ValueSeries,
)
from portfolio.tests.factories import (
    Ledger,
    day,
    make_account,
    make_instrument,
    make_rate,
    make_user,
    snapshot,
)

pytestmark = pytest.mark.django_db
D = Decimal
COMPUTED = (Position, CashBalance, Lot, RealizedGain, HoldingStep, DailyValue, ValueSeries)


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def own_prices(user: Any, listing: Any, **closes: str) -> None:
    services.record_prices(
        user_id=user.pk,
        prices=[
            services.OwnPrice(listing.pk, day(name.removeprefix("d").replace("_", "-")), D(close))
            for name, close in closes.items()
        ],
    )


def test_a_bought_and_partly_sold_share_gives_exact_figures() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50", fee="2")
    ledger.row("sell", "2024-01-05", listing, quantity="-4", price="60", fee="1")
    ledger.row("dividend", "2024-01-08", listing, cash_amount="3", tax="0.5")
    own_prices(user, listing, d2024_01_03="50", d2024_01_09="65", d2024_01_10="70")

    assert services.refresh(user_id=user.pk)

    position = Position.objects.get()
    assert (position.quantity, position.cost_basis, position.average_cost) == (D(6), D("301.2"), D("50.2"))
    assert (position.price, position.price_as_of, position.price_provider) == (D(70), day("2024-01-10"), "own")
    assert (position.market_value, position.market_value_base) == (D(420), D(420))
    assert (position.unrealized_gain, position.realized_gain_base) == (D("118.8"), D("38.2"))
    assert (position.income_base, position.day_change_base) == (D("3.5"), D(30))
    assert CashBalance.objects.get().amount == D(1000) - 502 + 239 + 3
    gain = RealizedGain.objects.get()
    assert (gain.proceeds, gain.cost, gain.gain) == (D(239), D("200.8"), D("38.2"))
    today = DailyValue.objects.get(date=day("2024-01-10"))
    assert (today.value, today.cash) == (D(1160), D(740))
    assert DailyValue.objects.get(date=day("2024-01-02")).external_flow == D(1000)
    assert DailyValue.objects.exclude(date=day("2024-01-02")).exclude(external_flow=0).count() == 0
    steps = HoldingStep.objects.filter(instrument=listing.instrument).order_by("day")
    assert [(step.quantity, step.cost) for step in steps] == [(D(10), D(502)), (D(6), D("301.2"))]
    state = LedgerState.objects.get()
    assert (state.valued_version, state.dirty_from) == (state.ledger_version, None)


def test_a_second_refresh_has_nothing_to_do() -> None:
    user = make_user()
    Ledger(make_account(user)).row("deposit", "2024-01-02", cash_amount="5")
    assert services.refresh(user_id=user.pk)
    assert not services.refresh(user_id=user.pk)


def test_foreign_cost_takes_the_purchase_day_and_a_recorded_rate_goes_first() -> None:
    user = make_user(base="EUR")
    first, second = make_instrument(user, "A"), make_instrument(user, "B")
    ledger = Ledger(make_account(user, cash_mode="external"))
    make_rate("EUR", "USD", "2024-01-02", "1.25")
    make_rate("EUR", "USD", "2024-01-10", "1.6")
    ledger.row("buy", "2024-01-02", first, quantity="1", price="100")
    ledger.row("buy", "2024-01-02", second, quantity="1", price="100", fx_rate="0.9", cash_currency="EUR")
    services.refresh(user_id=user.pk)
    plain, recorded = Position.objects.order_by("instrument__symbol")
    assert (plain.cost_basis_base, recorded.cost_basis_base) == (D(80), D(90))
    assert plain.market_value_base == D("62.5")
    assert (plain.price_provider, plain.unrealized_gain_base) == ("trade", D("-17.5"))


def test_unpriced_holding_is_null_with_a_reason_and_no_loss() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("deposit", "2024-01-02", cash_amount="1000")
    ledger.row("buy", "2024-01-03", listing, quantity="10", price="50")
    services.set_trade_prices(user_id=user.pk, enabled=False)
    services.refresh(user_id=user.pk)
    position = Position.objects.get()
    assert (position.market_value, position.unrealized_gain, position.reason) == (None, None, "no_price")
    assert position.cost_basis == D(500)
    bought = DailyValue.objects.get(date=day("2024-01-03"))
    assert (bought.value, bought.border_flow, bought.unpriced_count) == (D(500), D(-500), 1)

    own_prices(user, listing, d2024_01_08="55")
    services.refresh(user_id=user.pk)
    first_priced = DailyValue.objects.get(date=day("2024-01-08"))
    assert (first_priced.value, first_priced.border_flow) == (D(1050), D(550))


def test_own_price_beats_a_shared_one_of_the_same_day_only() -> None:
    user, stranger = make_user(), make_user("stranger@example.org")
    listing = make_instrument(None)
    for person in (user, stranger):
        Ledger(make_account(person)).row("transfer_in", "2024-01-02", listing, quantity="1")
    shared = [(listing.pk, day("2024-01-08"), D(10)), (listing.pk, day("2024-01-09"), D(11))]
    services.load_shared_prices(rows=shared, provider="demo", basis="traded")
    own_prices(user, listing, d2024_01_09="12", d2024_01_07="9")
    services.refresh(user_id=user.pk)
    services.refresh(user_id=stranger.pk)
    mine, theirs = Position.objects.get(user=user), Position.objects.get(user=stranger)
    assert (mine.price, mine.price_provider) == (D(12), "own")
    assert (theirs.price, theirs.price_provider) == (D(11), "demo")
    assert DailyValue.objects.get(account__user=user, date=day("2024-01-08")).value == D(10)


def test_split_changes_no_value_before_its_first_new_close() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user))
    ledger.row("transfer_in", "2024-01-02", listing, quantity="10", price="100")
    ledger.row("split", "2024-01-05", listing, ratio="2")
    own_prices(user, listing, d2024_01_02="100", d2024_01_09="51")
    services.refresh(user_id=user.pk)
    values = dict(DailyValue.objects.values_list("date", "value"))
    assert [values[day(f"2024-01-0{n}")] for n in (4, 5, 8, 9)] == [D(1000), D(1000), D(1000), D(1020)]
    position = Position.objects.get()
    assert (position.quantity, position.average_cost) == (D(20), D(50))


def test_paired_transfer_is_a_flow_of_the_account_but_not_of_the_portfolio() -> None:
    user = make_user()
    listing = make_instrument(user)
    first, second = make_account(user), make_account(user, name="Second")
    one, two = Ledger(first), Ledger(second)
    group = listing.pk
    one.row("buy", "2024-01-02", listing, quantity="10", price="100")
    one.row("transfer_out", "2024-01-05", listing, quantity="-4", group=group)
    two.row("transfer_in", "2024-01-05", listing, quantity="4", group=group)
    own_prices(user, listing, d2024_01_02="100", d2024_01_05="110")
    services.refresh(user_id=user.pk)
    out = DailyValue.objects.get(account=first, date=day("2024-01-05"))
    into = DailyValue.objects.get(account=second, date=day("2024-01-05"))
    assert (out.external_flow, out.transfer_flow) == (D(-440), D(-440))
    assert (into.external_flow, into.transfer_flow) == (D(440), D(440))
    assert Lot.objects.get(account=second).cost == D(400)


def test_external_cash_mode_keeps_no_cash_and_calls_trades_flows() -> None:
    user = make_user()
    listing = make_instrument(user)
    ledger = Ledger(make_account(user, cash_mode="external"))
    ledger.row("buy", "2024-01-02", listing, quantity="2", price="100", fee="1")
    ledger.row("dividend", "2024-01-04", listing, cash_amount="5")
    services.refresh(user_id=user.pk)
    assert not CashBalance.objects.exists()
    flows = dict(DailyValue.objects.exclude(external_flow=0).values_list("date", "external_flow"))
    assert flows == {day("2024-01-02"): D(201), day("2024-01-04"): D(-5)}


def recomputed(user: Any) -> list[Any]:
    """The computed rows after everything was thrown away and computed again."""
    for model in COMPUTED:
        model.objects.all().delete()
    services.refresh(user_id=user.pk, everything=True)
    return snapshot(*COMPUTED, user_id=user.pk)


def test_every_refresh_on_the_way_equals_a_refresh_from_nothing() -> None:
    user = make_user(base="EUR")
    make_rate("EUR", "USD", "2024-01-01", "1.1")
    make_rate("EUR", "USD", "2024-01-08", "1.2")
    first, second = make_account(user), make_account(user, name="Second", cash_mode="external")
    one, two = Ledger(first), Ledger(second)
    share, fund, coin = make_instrument(user, "A"), make_instrument(user, "F", "EUR"), make_instrument(user, "C")
    group = share.pk

    def check() -> None:
        services.refresh(user_id=user.pk)
        stepwise = snapshot(*COMPUTED, user_id=user.pk)
        inputs = FigureState.objects.get(pk=user.pk).inputs
        assert recomputed(user) == stepwise
        assert FigureState.objects.get(pk=user.pk).inputs == inputs

    one.row("deposit", "2024-01-02", cash_amount="1000", currency="USD")
    one.row("buy", "2024-01-05", share, quantity="3", price="100", fee="1")
    two.row("buy", "2024-01-04", fund, quantity="5", price="10.1")
    check()
    one.row("buy", "2024-01-03", share, quantity="1", price="98")  # before what is there
    check()
    two.row("transfer_in", "2024-01-05", coin, quantity="7")  # never priced
    check()
    own_prices(user, share, d2024_01_05="101.3", d2024_01_09="99.7")
    check()
    own_prices(user, coin, d2024_01_08="3.333")
    two.row("buy", "2024-01-09", fund, quantity="1", price="11")
    check()
    one.row("transfer_out", "2024-01-06", share, quantity="-2", group=group)
    check()
    into = two.row("transfer_in", "2024-01-06", share, quantity="2", group=group)
    check()
    into.delete()  # its other leg is an outside flow again
    two.changed("2024-01-06")
    check()
    one.row("split", "2024-01-08", share, ratio="2")
    one.row("reward", "2024-01-08", coin, quantity="1")
    check()
    Transaction.objects.filter(instrument=fund.instrument).delete()
    two.changed("2024-01-04")
    check()


def test_a_refresh_leaves_what_was_not_touched_alone() -> None:
    user = make_user()
    accounts = [make_account(user), make_account(user, name="Second")]
    ledgers = [Ledger(account) for account in accounts]
    listings = [make_instrument(user, "A"), make_instrument(user, "B")]
    for ledger, listing in zip(ledgers, listings, strict=True):
        ledger.row("buy", "2024-01-03", listing, quantity="1", price="5")
    services.refresh(user_id=user.pk)
    ledgers[0].row("buy", "2024-01-04", listings[0], quantity="1", price="5")
    ValueSeries.objects.update(digest="as it was")
    DailyValue.objects.update(unpriced_count=99)
    services.refresh(user_id=user.pk)
    assert set(ValueSeries.objects.filter(digest="as it was").values_list("account", flat=True)) == {accounts[1].pk}
    assert set(DailyValue.objects.filter(unpriced_count=99).values_list("account", flat=True)) == {accounts[1].pk}

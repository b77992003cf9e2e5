"""Lots, gains and gaps of one instrument, with exact amounts."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal as D
from decimal import localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.lot_matching import match_lots
from portfolio.lots import Amounts, Entry, Lot, LotResult, Method

JANUARY = date(2024, 1, 1)


def entry(number: int, kind: str, quantity: str | None, gross: str | None = None, **fields: Any) -> Entry:
    """Row `number`, on the day of that number; amounts in USD at 1:1 unless said."""
    row: dict[str, Any] = {"account": "A", "currency": "USD", "base_rate": D(1)} | fields
    return Entry(
        id=f"t{number}",
        day=JANUARY + timedelta(days=number),
        kind=kind,
        quantity=None if quantity is None else D(quantity),
        gross=None if gross is None else D(gross),
        **row,
    )


def three_purchases_and_a_sale() -> list[Entry]:
    return [
        entry(1, "buy", "5", "1340.5"),
        entry(2, "buy", "15", "9186.75"),
        entry(3, "buy", "3", "1810.245"),
        entry(4, "sell", "-8", "5600"),
    ]


def relieved(result: LotResult) -> D:
    return sum((part.base_cost.total for part in result.realized if part.base_cost), D(0))


def open_lots(lots: Sequence[Lot]) -> list[tuple[object, ...]]:
    return [(lot.id, lot.quantity, lot.cost.total if lot.cost else None) for lot in lots]


@pytest.mark.parametrize(
    ("method", "cost"),
    [("fifo", "3177.85"), ("lifo", "4872.495"), ("hifo", "4899.6")],
)
def test_each_method_relieves_its_own_lots(method: Method, cost: str) -> None:
    result = match_lots(three_purchases_and_a_sale(), method=lambda account, day: method)
    assert relieved(result) == D(cost)
    assert result.state("A").quantity == 15


def test_average_relieves_a_share_of_one_pool() -> None:
    result = match_lots(three_purchases_and_a_sale(), method=lambda account, day: "average")
    assert len(result.open) == 1
    assert result.open[0].acquired_on == JANUARY + timedelta(days=1)
    assert abs(relieved(result) - D("4291.30260869565217")) < D("1e-13")
    assert relieved(result) + result.open[0].base_cost.total == D("12337.495")


def test_specific_lots_are_relieved_as_named_and_the_rest_is_the_oldest() -> None:
    result = match_lots(
        three_purchases_and_a_sale(),
        method=lambda account, day: "specific",
        specific={"t4": [("t3", D(2)), ("t2", D(1)), ("unknown", D(4))]},
    )
    assert [(part.lot_id, part.quantity) for part in result.realized] == [
        ("t3", D(2)),
        ("t2", D(1)),
        ("t1", D(5)),
    ]
    assert open_lots(result.open) == [("t2", 14, D("8574.30")), ("t3", 1, D("603.415"))]


def test_method_may_change_from_a_day() -> None:
    rows = [entry(1, "buy", "1", "10"), entry(2, "buy", "1", "30"), entry(3, "sell", "-1", "50")]
    changed = match_lots(rows, method=lambda account, day: "lifo" if day >= rows[2].day else "fifo")
    assert relieved(changed) == 30


def test_fees_and_taxes_are_in_cost_and_off_proceeds_and_can_be_left_out() -> None:
    bought = entry(1, "buy", "10", "1000", fee=D(10), tax=D(2))
    sold = entry(2, "sell", "-5", "600", fee=D(4), tax=D(1))
    result = match_lots([bought, sold])
    part = result.realized[0]
    assert part.proceeds == Amounts(D(600), D(4), D(1))
    assert part.cost == Amounts(D(500), D(5), D(1))
    assert part.gain() == 595 - 506
    assert part.gain(fees=False, taxes=False) == 100
    assert part.gain(taxes=False) == 596 - 505


def test_the_cash_that_moved_decides_the_cost() -> None:
    bought = entry(1, "buy", "3", "100.02", fee=D(1), cash_amount=D("-101"))
    sold = entry(2, "sell", "-3", "120", fee=D(1), cash_amount=D("118.5"))
    part = match_lots([bought, sold]).realized[0]
    assert part.cost == Amounts(D(100), D(1), D(0))
    assert part.proceeds is not None
    assert part.proceeds.net == D("118.5")


def test_a_fee_paid_apart_is_added_to_the_cash() -> None:
    bought = entry(1, "buy", "3", "100", fee=D(1), cash_amount=D("-100"), fee_in_cash=False)
    assert match_lots([bought]).open[0].cost == Amounts(D(100), D(1), D(0))


def test_base_gain_takes_each_side_at_its_own_rate_and_tells_the_currency_gain() -> None:
    bought = entry(1, "buy", "10", "1000", fee=D(10), base_rate=D("0.90"))
    sold = entry(2, "sell", "-10", "1200", base_rate=D("0.80"))
    part = match_lots([bought, sold]).realized[0]
    assert part.gain() == 190
    assert part.base_gain() == 1200 * D("0.80") - 1010 * D("0.90")
    assert part.fx_gain == 1010 * (D("0.80") - D("0.90"))


def test_an_unknown_rate_leaves_base_figures_unknown() -> None:
    part = match_lots([entry(1, "buy", "1", "10", base_rate=None), entry(2, "sell", "-1", "12")]).realized[0]
    assert part.gain() == 2
    assert part.base_gain() is None
    assert part.fx_gain is None


def test_currencies_are_never_mixed_in_one_gain() -> None:
    rows = [entry(1, "buy", "1", "10", currency="GBP", base_rate=D("1.2")), entry(2, "sell", "-1", "15")]
    part = match_lots(rows).realized[0]
    assert part.gain() is None
    assert part.base_gain() == 15 - 12


def test_more_sold_than_known_is_a_gap_and_no_short() -> None:
    result = match_lots([entry(1, "buy", "10", "1000"), entry(2, "sell", "-12", "1800")])
    state = result.state("A")
    assert (state.quantity, state.missing_quantity) == (D(0), D(2))
    known, gap = result.realized
    assert known.base_gain() == 500
    assert gap.is_missing
    assert gap.base_gain() is None
    assert gap.base_proceeds is not None
    assert gap.base_proceeds.net == 300


def test_a_short_opens_where_the_account_allows_it_and_a_purchase_covers_it() -> None:
    rows = [
        entry(1, "sell", "-2", "100", fee=D(1), base_rate=D("0.9")),
        entry(2, "buy", "3", "90", fee=D(3), base_rate=D("0.8")),
    ]
    short = match_lots(rows[:1], allows_short=lambda account: True)
    assert short.state("A").cost == Amounts(D(-100), D(1), D(0))
    covered = match_lots(rows, allows_short=lambda account: True)
    part = covered.realized[0]
    assert (part.side, part.quantity, part.gain()) == ("short", D(2), D(99 - 62))
    assert part.base_gain() == 99 * D("0.9") - 62 * D("0.8")
    assert part.fx_gain == -99 * D("0.8") + 99 * D("0.9")
    assert open_lots(covered.open) == [("t2", 1, D(31))]


def test_an_unknown_cost_makes_the_gain_unknown_and_not_the_proceeds() -> None:
    rows = [entry(1, "transfer_in", "2"), entry(2, "buy", "1", "7"), entry(3, "sell", "-2", "20")]
    result = match_lots(rows)
    assert result.realized[0].gain() is None
    assert result.state("A").cost == Amounts(D(7), D(0), D(0))
    before = match_lots(rows[:2]).state("A")
    assert before.base_cost is None
    assert before.known_base_cost.total == 7
    assert before.unknown_quantity == 2


def test_a_reward_stated_at_nothing_costs_nothing_and_one_without_a_price_is_unknown() -> None:
    result = match_lots([entry(1, "reward", "2", "0"), entry(2, "reward", "2")])
    assert [lot.cost.total if lot.cost else None for lot in result.open] == [0, None]
    assert [crossing.quantity for crossing in result.crossings] == [D(2), D(2)]


def test_outside_transfers_open_at_price_plus_fee_and_leave_at_cost() -> None:
    rows = [entry(1, "transfer_in", "4", "400", fee=D(2)), entry(2, "transfer_out", "-1", "300")]
    result = match_lots(rows)
    assert result.realized == ()
    assert open_lots(result.open) == [("t1", 3, D("301.5"))]
    left = result.crossings[1]
    assert (left.quantity, left.cost) == (D(-1), Amounts(D(100), D("0.5"), D(0)))


def test_units_paid_as_a_fee_or_expired_end_their_lot() -> None:
    rows = [entry(1, "buy", "3", "30"), entry(2, "fee", "-1", "12"), entry(3, "fee", "-1")]
    stated, unstated = match_lots(rows).realized
    assert stated.gain() == 2
    assert unstated.gain() is None
    expired = match_lots([entry(1, "buy", "3", "30"), entry(2, "expiry", "-3")])
    assert expired.realized[0].gain() == -30


# Splits


def test_a_split_without_account_scales_every_account_and_keeps_cost_and_dates() -> None:
    rows = [
        entry(1, "buy", "10", "100"),
        entry(2, "buy", "3", "60", account="B"),
        entry(3, "split", None, ratio=D(2), account=None),
        entry(4, "sell", "-5", "50"),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t1", 15, D(75)), ("t2", 6, D(60))]
    assert result.open[0].acquired_on == rows[0].day
    assert result.realized[0].gain() == 25


def test_a_row_that_states_units_goes_before_the_ratio_for_its_account() -> None:
    rows = [
        entry(1, "buy", "7", "70"),
        entry(2, "buy", "7", "70", account="B"),
        entry(3, "split", "-4", event_group="s"),  # a fraction was paid out: 7 are 3, not 3.5
        entry(4, "split", None, ratio=D("0.5"), account=None, event_group="s"),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t1", 3, D(70)), ("t2", D("3.5"), D(70))]


def test_old_units_out_and_new_units_in_are_one_split() -> None:
    old = entry(3, "split", "-9", event_group="s")
    new = Entry(id="t3b", account="A", day=old.day, kind="split", quantity=D(3), currency="USD", event_group="s")
    result = match_lots([entry(1, "buy", "4", "40"), entry(2, "buy", "5", "55"), old, new])
    assert result.state("A").quantity == 3
    assert result.state("A").cost == Amounts(D(95), D(0), D(0))
    assert result.realized == ()


def test_a_fraction_paid_out_in_the_splits_own_group_is_a_sale() -> None:
    rows = [
        entry(1, "buy", "7", "70"),
        entry(2, "split", "-3.5", event_group="s"),
        entry(3, "sell", "-0.5", "15", event_group="s"),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t1", 3, D(60))]
    assert result.realized[0].gain() == 5


def test_a_split_of_nothing_known_is_said_and_invents_no_cost() -> None:
    result = match_lots([entry(1, "split", "5")])
    assert open_lots(result.open) == [("t1", 5, None)]
    assert [row.reason for row in result.unresolved] == ["split_without_position"]


# Transfers


def pair(number: int, out: str, into: str, *, later: int = 0) -> list[Entry]:
    return [
        entry(number, "transfer_out", out, transfer_group=f"g{number}"),
        Entry(
            id=f"t{number}in",
            account="B",
            day=JANUARY + timedelta(days=number + later),
            kind="transfer_in",
            quantity=D(into),
            currency="USD",
            transfer_group=f"g{number}",
        ),
    ]


def test_a_paired_transfer_carries_lots_costs_fees_and_dates() -> None:
    rows = [
        entry(1, "buy", "10", "1000", fee=D(10)),
        entry(2, "buy", "5", "1000", fee=D(5)),
        *pair(3, "-12", "12"),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t2", 3, D(603)), ("t1.1", 10, D(1010)), ("t2.1", 2, D(402))]
    assert [lot.acquired_on.day for lot in result.open] == [3, 2, 3]
    assert result.open[2].cost == Amounts(D(400), D(2), D(0))
    assert result.realized == ()
    assert result.crossings == ()


def test_between_its_legs_a_transfer_is_in_transit() -> None:
    rows = [entry(1, "buy", "10", "1000"), *pair(2, "-4", "4", later=3)]
    result = match_lots(rows[:2])
    assert open_lots(result.in_transit) == [("t1", 4, D(400))]
    assert result.state("A").quantity == 6
    assert result.state().quantity == 10


def test_units_kept_as_a_fee_leave_at_cost() -> None:
    result = match_lots([entry(1, "buy", "10", "1000"), *pair(2, "-4", "3.99")])
    assert result.state("B").cost == Amounts(D(399), D(0), D(0))
    assert [(lost.quantity, lost.cost) for lost in result.crossings] == [(D("-0.01"), Amounts(D(1), D(0), D(0)))]
    assert result.in_transit == ()


def test_an_arrival_dated_before_its_departure_still_carries_the_lots() -> None:
    out, into = pair(2, "-4", "4")
    result = match_lots([entry(1, "buy", "4", "44"), into, out])
    assert open_lots(result.open) == [("t1.1", 4, D(44))]


def test_an_arrival_beyond_what_left_is_of_unknown_cost() -> None:
    result = match_lots([entry(1, "buy", "3", "30"), *pair(2, "-5", "5")])
    assert open_lots(result.open) == [("t1.1", 3, D(30)), ("t2in", 2, None)]
    assert result.state("A").missing_quantity == 2


def test_lots_that_arrive_cover_a_short_of_their_new_account() -> None:
    rows = [
        entry(1, "buy", "3", "30"),
        entry(2, "sell", "-2", "50", account="B"),
        *pair(3, "-3", "3"),
    ]
    result = match_lots(rows, allows_short=lambda account: True)
    assert [(part.side, part.quantity, part.gain()) for part in result.realized] == [("short", D(2), D(30))]
    assert open_lots(result.open) == [("t1.1", 1, D(10))]


# Other events


def test_capital_returned_lowers_the_cost_and_beyond_it_is_a_gain() -> None:
    rows = [
        entry(1, "buy", "10", "100"),
        entry(2, "buy", "10", "300"),
        entry(3, "return_of_capital", None, cash_amount=D(240)),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t1", 10, D(0)), ("t2", 10, D(180))]
    assert [part.gain() for part in result.realized] == [20]


def test_an_adjustment_explains_what_was_sold_beyond_the_known_before_it_opens_a_lot() -> None:
    rows = [entry(1, "sell", "-5", "50"), entry(2, "adjustment", "8")]
    assert open_lots(match_lots(rows).open) == [("t2", 3, None)]


def test_an_adjustment_may_show_a_short_that_no_row_explains() -> None:
    rows = [entry(1, "buy", "2", "20"), entry(2, "adjustment", "-5")]
    assert open_lots(match_lots(rows, allows_short=lambda account: True).open) == [("t2", -3, None)]
    assert match_lots(rows).state("A").missing_quantity == 3


def test_legs_of_another_instrument_are_said_and_cost_is_not_invented() -> None:
    result = match_lots([entry(1, "spinoff", "4")])
    assert open_lots(result.open) == [("t1", 4, None)]
    assert [row.reason for row in result.unresolved] == ["event_across_instruments"]


def test_an_instrument_that_only_changes_its_name_keeps_cost_and_dates() -> None:
    rows = [
        entry(1, "buy", "10", "100"),
        entry(2, "symbol_change", "-10", event_group="c"),
        entry(3, "symbol_change", "10", event_group="c"),
    ]
    result = match_lots(rows)
    assert open_lots(result.open) == [("t1", 10, D(100))]
    assert (result.realized, result.unresolved) == ((), ())


def test_numbers_at_the_limits_of_the_ledger_neither_raise_nor_lose_units() -> None:
    rows = [
        entry(1, "buy", "99999999999999999999.999999999999999999", "1e38"),
        entry(2, "sell", "-33333333333333333333.333333333333333333", "1e38"),
        entry(3, "sell", "-0.000000000000000001", "0"),
    ]
    result = match_lots(rows)
    assert result.state("A").quantity == D("66666666666666666666.666666666666666665")


# Invariants

quantities = st.decimals(min_value="0.0001", max_value="10000", places=6)
amounts = st.decimals(min_value="0", max_value="100000", places=4)
steps = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "split", "transfer"]),
        st.sampled_from(["A", "B"]),
        quantities,
        amounts,
        st.decimals(min_value="0", max_value="20", places=2),
    ),
    min_size=1,
    max_size=25,
)
methods = st.sampled_from(["fifo", "lifo", "hifo", "average"])


def exact_sum(values: Iterable[D]) -> D:
    with localcontext(prec=60):
        return sum(values, D(0))


def ledger(drawn: list[tuple[str, str, D, D, D]]) -> list[Entry]:
    rows: list[Entry] = []
    for number, (kind, account, quantity, gross, fee) in enumerate(drawn):
        day = JANUARY + timedelta(days=number)
        if kind == "split":
            ratio = D(3) if quantity > 1 else D("0.1")
            rows.append(Entry(f"t{number}", None, day, "split", None, "USD", ratio=ratio))
        elif kind == "transfer":
            other = "B" if account == "A" else "A"
            rows.append(Entry(f"o{number}", account, day, "transfer_out", -quantity, "USD", transfer_group=str(number)))
            rows.append(
                Entry(f"i{number}", other, day, "transfer_in", quantity, "USD", D(0), transfer_group=str(number))
            )
        else:
            signed = quantity if kind == "buy" else -quantity
            rows.append(Entry(f"t{number}", account, day, kind, signed, "USD", gross, fee, base_rate=D("0.9")))
    return rows


@settings(max_examples=150, deadline=None)
@given(drawn=steps, method=methods)
def test_cost_that_went_in_is_open_or_relieved(drawn: list[tuple[str, str, D, D, D]], method: Method) -> None:
    """Splits and transfers conserve cost to the last digit; every lot is of units above 0."""
    rows = ledger(drawn)
    result = match_lots(rows, method=lambda account, day: method)
    bought = exact_sum(row.gross + row.fee for row in rows if row.kind == "buy" and row.gross is not None)
    held = [lot.cost for lot in result.open if lot.cost]
    gone = [part.cost for part in result.realized if part.cost]
    assert exact_sum(value for cost in held + gone for value in (cost.gross, cost.fee, cost.tax)) == bought
    assert all(lot.quantity > 0 for lot in result.open)
    assert result.in_transit == ()
    proceeds = [part.proceeds for part in result.realized if part.proceeds]
    sold = exact_sum(row.gross - row.fee for row in rows if row.kind == "sell" and row.gross is not None)
    assert exact_sum(value for one in proceeds for value in (one.gross, -one.fee, -one.tax)) == sold


@settings(max_examples=150, deadline=None)
@given(drawn=steps, method=methods)
def test_open_lots_sum_to_what_came_in_less_what_went_out(
    drawn: list[tuple[str, str, D, D, D]], method: Method
) -> None:
    rows = [row for row in ledger(drawn) if row.kind != "split"]
    result = match_lots(rows, method=lambda account, day: method)
    for account in ("A", "B"):
        ledger_quantity = sum((row.quantity for row in rows if row.account == account and row.quantity), D(0))
        state = result.state(account)
        assert state.quantity - state.missing_quantity == ledger_quantity


@settings(max_examples=100, deadline=None)
@given(drawn=steps, method=methods)
def test_a_short_is_what_the_ledger_says(drawn: list[tuple[str, str, D, D, D]], method: Method) -> None:
    rows = [row for row in ledger(drawn) if row.kind in ("buy", "sell")]
    result = match_lots(rows, method=lambda account, day: method, allows_short=lambda account: True)
    for account in ("A", "B"):
        assert result.state(account).quantity == sum(
            (row.quantity for row in rows if row.account == account and row.quantity), D(0)
        )
    flows = (
        row.gross - row.fee if row.kind == "sell" else -row.gross - row.fee for row in rows if row.gross is not None
    )
    with localcontext(prec=60):
        ends = [part.proceeds.net - part.cost.total for part in result.realized if part.proceeds and part.cost]
        held = [lot.cost.total for lot in result.open if lot.cost]
    assert exact_sum(ends) - exact_sum(held) == exact_sum(flows)


@settings(max_examples=50, deadline=None)
@given(drawn=steps, method=methods)
def test_the_same_rows_give_the_same_ids_and_ids_are_unique(
    drawn: list[tuple[str, str, D, D, D]], method: Method
) -> None:
    rows = ledger(drawn)
    first, second = (match_lots(rows, method=lambda account, day: method) for _ in range(2))
    assert first == second
    assert len({lot.id for lot in first.open}) == len(first.open)

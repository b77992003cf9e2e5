"""Corporate actions on short positions, and cost conserved over whole sequences of actions, long or short."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.holding_steps import Held
from portfolio.lot_events import Leg, Terms, held_together
from portfolio.tests.test_lot_events import FIRST, open_lots, row

ZERO = Decimal(0)


def sell_short(number: int, quantity: str, brought: str, day: int, instrument: str = "OLD") -> Leg:
    return row(number, instrument, "sell", f"-{quantity}", day, cash_amount=brought)


def run(
    rows: list[Leg], terms: list[Terms] | None = None, worths: Callable[..., object] = lambda instruments, day: None
) -> dict[str, Held]:
    return held_together(
        rows,
        method=lambda account, day: "fifo",
        allows_short=lambda account: True,
        terms=terms or [],
        worths=worths,  # type: ignore[arg-type]
    )


def stated(kind: str, **fields: Decimal | None) -> list[Terms]:
    return [Terms("t", kind, "OLD", "NEW", FIRST + timedelta(days=10), **fields)]


SHORT = [sell_short(1, "100", "1000", 0), sell_short(2, "5", "80", 3)]


def test_a_short_position_goes_through_a_merger_with_its_proceeds_and_dates() -> None:
    legs = [row(3, "OLD", "merger", "105", 10, event_group="g"), row(4, "NEW", "merger", "-21", 10, event_group="g")]
    for order in (legs, legs[::-1]):
        found = run([*SHORT, *order])
        assert open_lots(found["OLD"]) == []
        assert open_lots(found["NEW"]) == [
            (FIRST, Decimal(-20), Decimal(-1000)), (FIRST + timedelta(days=3), Decimal(-1), Decimal(-80)),
        ]  # fmt: skip
        assert found["OLD"].lots.unresolved == found["NEW"].lots.unresolved == ()
        assert found["OLD"].lots.realized == ()


def test_a_short_position_is_bought_back_by_a_merger_for_cash() -> None:
    for group in (None, "g"):
        found = run(
            [*SHORT, row(3, "OLD", "merger", "105", 10, event_group=group, cash_amount="-1200")],
        )
        assert found["OLD"].lots.open == ()
        assert sum(gain.gain() or ZERO for gain in found["OLD"].lots.realized) == -120
        assert {gain.side for gain in found["OLD"].lots.realized} == {"short"}


def test_cash_beside_stock_realizes_its_part_of_a_short_position() -> None:
    found = run(
        [
            SHORT[0],
            row(3, "OLD", "merger", "100", 10, event_group="g", cash_amount="-300"),
            row(4, "NEW", "merger", "-50", 10, event_group="g"),
        ],
        stated("merger", allocation=Decimal("0.75")),
    )
    assert open_lots(found["NEW"]) == [(FIRST, Decimal(-50), Decimal(-750))]
    assert [(gain.side, gain.quantity, gain.gain()) for gain in found["OLD"].lots.realized] == [
        ("short", Decimal(25), Decimal(-50))
    ]


def test_cash_of_unknown_share_leaves_a_short_position_of_unknown_proceeds() -> None:
    found = run([
        SHORT[0],
        row(3, "OLD", "merger", "100", 10, event_group="g", cash_amount="-300"),
        row(4, "NEW", "merger", "-50", 10, event_group="g"),
    ])  # fmt: skip
    assert open_lots(found["NEW"]) == [(FIRST, Decimal(-50), None)]
    (gain,) = found["OLD"].lots.realized
    assert (gain.side, gain.cost and gain.cost.total, gain.proceeds, gain.gain()) == ("short", Decimal(300), None, None)
    assert [one.reason for one in found["OLD"].lots.unresolved] == ["allocation_unknown"]


def test_who_is_short_owes_what_is_spun_off_and_pays_for_its_fraction() -> None:
    found = run(
        [*SHORT, row(3, "NEW", "spinoff", "-10.5", 10, event_group="g"),
         row(4, "NEW", "spinoff", "0.5", 10, event_group="g", cash_amount="-7.77")],
        stated("spinoff", ratio=Decimal("0.1"), allocation=Decimal("0.2")),
    )  # fmt: skip
    assert open_lots(found["OLD"]) == [
        (FIRST, Decimal(-100), Decimal(-800)), (FIRST + timedelta(days=3), Decimal(-5), Decimal(-64)),
    ]  # fmt: skip
    assert open_lots(found["NEW"]) == [
        (FIRST, Decimal("-9.5"), Decimal(-190)), (FIRST + timedelta(days=3), Decimal("-0.5"), Decimal(-16)),
    ]  # fmt: skip
    assert [gain.gain() for gain in found["NEW"].lots.realized] == [Decimal("2.23")]


def test_a_short_position_goes_through_splits_and_pays_for_its_fraction() -> None:
    found = run([*SHORT, row(3, "OLD", "split", "95", 10, ratio="0.1", cash_amount="-60")])
    assert sum(lot.quantity for lot in found["OLD"].lots.open) == -10
    assert [(gain.side, gain.quantity, gain.gain()) for gain in found["OLD"].lots.realized] == [
        ("short", Decimal("0.5"), Decimal(-10))
    ]
    doubled = run([*SHORT, row(3, "OLD", "split", None, 10, ratio="2")])
    assert open_lots(doubled["OLD"])[0] == (FIRST, Decimal(-200), Decimal(-1000))


def test_capital_that_the_short_pays_back_lowers_its_proceeds() -> None:
    found = run([SHORT[0], row(3, "OLD", "return_of_capital", None, 10, cash_amount="-150")])
    assert open_lots(found["OLD"]) == [(FIRST, Decimal(-100), Decimal(-850))]


def test_an_option_sold_and_expired_is_a_gain_of_its_premium() -> None:
    found = run([sell_short(1, "2", "300", 0), row(2, "OLD", "expiry", "2", 10)])
    assert found["OLD"].lots.open == ()
    assert [(gain.side, gain.gain()) for gain in found["OLD"].lots.realized] == [("short", Decimal(300))]


@pytest.mark.parametrize(
    ("option", "stock", "cash", "held", "expected_open", "expected_gain"),
    [
        (sell_short(1, "2", "300", 0), "200", "-10000", [], Decimal(9700), None),  # a put that was sold
        (sell_short(1, "2", "300", 0), "-200", "10000", [("200", "9000")], None, Decimal(1300)),  # a call, covered
        (row(1, "OLD", "buy", "2", 0, cash_amount="-300"), "-200", "10000", [("200", "9000")], None, Decimal(700)),
        (sell_short(1, "2", "300", 0), "-200", "10000", [], Decimal(-10300), None),  # a call without the shares
        (row(1, "OLD", "buy", "2", 0, cash_amount="-300"), "200", "-10000", [], Decimal(10300), None),  # a call
    ],
)
def test_the_premium_of_an_option_goes_into_the_trade_that_settles_it(
    option: Leg,
    stock: str,
    cash: str,
    held: list[tuple[str, str]],
    expected_open: Decimal | None,
    expected_gain: Decimal | None,
) -> None:
    back = "2" if option[1].quantity and option[1].quantity < 0 else "-2"
    rows = [option, *(row(5, "NEW", "buy", units, 1, cash_amount=f"-{cost}") for units, cost in held)]
    rows += [row(2, "OLD", "exercise", back, 10, event_group="g"),
             row(3, "NEW", "exercise", stock, 10, event_group="g", cash_amount=cash)]  # fmt: skip
    found = run(rows)
    assert found["OLD"].lots.open == ()
    assert [lot.cost.total for lot in found["NEW"].lots.open if lot.cost] == ([expected_open] if expected_open else [])
    assert [gain.gain() for gain in found["NEW"].lots.realized] == ([expected_gain] if expected_gain else [])


# --- sequences ----

NAMES = ("A", "B", "C")
sizes = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(500), places=2)
money = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10000), places=2)
KINDS = (
    "buy",
    "sell",
    "split",
    "merger",
    "cash_merger",
    "mixed_merger",
    "spinoff",
    "symbol_change",
    "capital",
    "expiry",
)


@st.composite
def sequences(draw: st.DrawFn) -> tuple[list[Leg], list[Terms]]:
    """Trades and actions on three instruments, each with the legs that a broker would state for what is held."""
    rows: list[Leg] = []
    terms: list[Terms] = []
    held = dict.fromkeys(NAMES, ZERO)

    def leg(name: str, kind: str, units: Decimal | None, day: int, cash: Decimal | None = None) -> None:
        fields = {} if cash is None else {"cash_amount": str(cash)}
        rows.append(row(len(rows), name, kind, None if units is None else str(units), day, event_group=group, **fields))
        held[name] += units or ZERO

    for number in range(draw(st.integers(2, 9))):
        day, name, other = number * 10, draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        kind, group = draw(st.sampled_from(KINDS)), None
        mine = held[name]
        if kind in ("buy", "sell") or not mine or (other == name and kind not in ("split", "capital", "expiry")):
            units = draw(sizes) * (-1 if kind == "sell" else 1)
            leg(name, "buy" if units > 0 else "sell", units, day, draw(money) * (-1 if units > 0 else 1))
            continue
        group, side = f"g{number}", 1 if mine > 0 else -1
        new, cash = draw(sizes) * side, draw(money) * side
        share = draw(st.decimals(min_value=Decimal("0.01"), max_value=Decimal("0.99"), places=2))
        if kind in ("mixed_merger", "spinoff"):
            stated_as = "merger" if kind == "mixed_merger" else kind
            terms.append(Terms(group, stated_as, name, other, FIRST + timedelta(days=day), allocation=share))
        match kind:
            case "split":
                group = None
                leg(name, "split", draw(sizes) * side, day)
            case "merger" | "symbol_change":
                leg(name, kind, -mine, day)
                leg(other, kind, new, day)
            case "cash_merger":
                leg(name, "merger", -mine, day, cash)
            case "mixed_merger":
                leg(name, "merger", -mine, day, cash)
                leg(other, "merger", new, day)
            case "spinoff":
                leg(other, "spinoff", new, day)
            case "capital":
                group = None
                leg(name, "return_of_capital", None, day, cash)
            case "expiry":
                group = None
                leg(name, "expiry", -mine, day)
    return rows, terms


@given(sequences())
def test_cost_cash_and_units_are_conserved_over_sequences_long_and_short(drawn: tuple[list[Leg], list[Terms]]) -> None:
    """What came in cash and what is open at cost is what was gained, to the last digit; the units are the ledger's."""
    rows, terms = drawn
    found = run(rows, terms)
    cash = sum((entry.cash_amount or ZERO for _, entry in rows), ZERO)
    lots = [lot for held in found.values() for lot in held.lots.open]
    gains = [gain for held in found.values() for gain in held.lots.realized]
    assert all(lot.cost is not None for lot in lots)
    assert all(gain.gain() is not None for gain in gains)
    basis = sum((lot.cost.total for lot in lots if lot.cost), ZERO)
    base = sum((lot.base_cost.total for lot in lots if lot.base_cost), ZERO)
    assert cash + basis == sum((gain.gain() or ZERO for gain in gains), ZERO)
    assert cash * Decimal("0.9") + base == sum((gain.base_gain() or ZERO for gain in gains), ZERO)
    for name, held in found.items():
        units = sum((entry.quantity or ZERO for instrument, entry in rows if instrument == name), ZERO)
        assert sum((lot.quantity for lot in held.lots.open), ZERO) == units
        assert held.lots.unresolved == ()
        assert held.missing == {}

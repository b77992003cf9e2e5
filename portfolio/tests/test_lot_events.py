"""Corporate actions over several instruments conserve cost and cash to the last digit."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.holding_steps import Held
from portfolio.lot_events import Leg, Terms, held_together
from portfolio.lots import Entry

FIRST = date(2024, 1, 1)
ZERO = Decimal(0)


def row(number: int, instrument: str, kind: str, quantity: str | None, day: int, **fields: Any) -> Leg:
    values = {
        name: Decimal(value) if name in ("gross", "cash_amount", "ratio") else value for name, value in fields.items()
    }
    units = None if quantity is None else Decimal(quantity)
    values.setdefault("base_rate", Decimal("0.9"))
    return instrument, Entry(f"r{number}", "A", FIRST + timedelta(days=day), kind, units, "USD", **values)


def buy(number: int, quantity: str, cost: str, day: int, instrument: str = "OLD") -> Leg:
    return row(number, instrument, "buy", quantity, day, cash_amount=f"-{cost}")


def terms(kind: str, **fields: Any) -> list[Terms]:
    return [Terms("t", kind, "OLD", "NEW", FIRST + timedelta(days=10), **fields)]


def run(rows: list[Leg], **fields: Any) -> dict[str, Held]:
    return held_together(rows, method=lambda account, day: "fifo", allows_short=lambda account: False, **fields)


def open_lots(held: Held) -> list[tuple[date, Decimal, Decimal | None]]:
    return [(lot.acquired_on, lot.quantity, lot.cost.total if lot.cost else None) for lot in held.lots.open]


def cost_of(found: dict[str, Held]) -> Decimal:
    """Cost of what is open and of what was realized."""
    total = ZERO
    for held in found.values():
        total += sum((lot.cost.total for lot in held.lots.open if lot.cost), ZERO)
        total += sum((gain.cost.total for gain in held.lots.realized if gain.cost), ZERO)
    return total


def proceeds_of(found: dict[str, Held]) -> Decimal:
    return sum((gain.proceeds.net for held in found.values() for gain in held.lots.realized if gain.proceeds), ZERO)


BOUGHT = [buy(1, "100", "1000", 0), buy(2, "5", "80", 3)]


def test_a_symbol_change_carries_the_whole_cost_and_its_dates() -> None:
    found = run([
        *BOUGHT, row(3, "OLD", "symbol_change", "-105", 10, event_group="g"),
        row(4, "NEW", "symbol_change", "105", 10, event_group="g"),
    ])  # fmt: skip
    assert open_lots(found["OLD"]) == []
    assert open_lots(found["NEW"]) == [
        (FIRST, Decimal(100), Decimal(1000)), (FIRST + timedelta(days=3), Decimal(5), Decimal(80)),
    ]  # fmt: skip
    assert [lot.base_cost.total for lot in found["NEW"].lots.open if lot.base_cost] == [Decimal(900), Decimal(72)]
    assert found["NEW"].lots.unresolved == ()


def test_legs_happen_together_whichever_is_listed_first() -> None:
    legs = [
        row(4, "NEW", "merger", "50", 10, event_group="g"),
        row(3, "OLD", "merger", "-100", 10, event_group="g"),
    ]
    found = run([buy(1, "100", "1000", 0), *legs, row(5, "NEW", "sell", "-20", 12, cash_amount="600")])
    assert open_lots(found["NEW"]) == [(FIRST, Decimal(30), Decimal(600))]
    assert [gain.gain() for gain in found["NEW"].lots.realized] == [Decimal(200)]


def test_a_spin_off_takes_the_stated_share_and_sells_the_fraction() -> None:
    found = run(
        [
            *BOUGHT,
            row(3, "NEW", "spinoff", "10.5", 10, event_group="g"),
            row(4, "NEW", "spinoff", "-0.5", 10, event_group="g", cash_amount="7.77"),
        ],
        terms=terms("spinoff", ratio=Decimal("0.1"), allocation=Decimal("0.2")),
    )
    assert open_lots(found["OLD"]) == [
        (FIRST, Decimal(100), Decimal(800)), (FIRST + timedelta(days=3), Decimal(5), Decimal(64)),
    ]  # fmt: skip
    assert open_lots(found["NEW"]) == [
        (FIRST, Decimal("9.5"), Decimal(190)), (FIRST + timedelta(days=3), Decimal("0.5"), Decimal(16)),
    ]  # fmt: skip
    (sold,) = found["NEW"].lots.realized
    assert (sold.quantity, sold.cost and sold.cost.total, sold.gain()) == (
        Decimal("0.5"), Decimal(10), Decimal("-2.23"),
    )  # fmt: skip
    assert (cost_of(found), proceeds_of(found)) == (Decimal(1080), Decimal("7.77"))


def test_cash_in_lieu_of_a_spin_off_without_units_sells_what_the_ratio_tells() -> None:
    found = run(
        [
            *BOUGHT,
            row(3, "NEW", "spinoff", "10", 10, event_group="g"),
            row(4, "NEW", "spinoff", None, 10, event_group="g", cash_amount="7.77"),
        ],
        terms=terms("spinoff", ratio=Decimal("0.1"), allocation=Decimal("0.2")),
    )
    assert sum(lot.quantity for lot in found["NEW"].lots.open) == 10
    assert [(gain.quantity, gain.gain()) for gain in found["NEW"].lots.realized] == [(Decimal("0.5"), Decimal("-2.23"))]
    assert cost_of(found) == 1080


def test_a_spin_off_without_a_stated_share_divides_by_value_on_the_day() -> None:
    spun = row(3, "NEW", "spinoff", "10", 10)
    priced = run(
        [buy(1, "100", "1000", 0), spun],
        terms=terms("spinoff"),
        worths=lambda instruments, day: {"OLD": Decimal(9), "NEW": Decimal(10)},
    )
    assert open_lots(priced["OLD"]) == [(FIRST, Decimal(100), Decimal(900))]
    assert open_lots(priced["NEW"]) == [(FIRST, Decimal(10), Decimal(100))]
    unpriced = run([buy(1, "100", "1000", 0), spun], terms=terms("spinoff"))
    assert open_lots(unpriced["NEW"]) == [(FIRST, Decimal(10), None)]
    assert [one.reason for one in unpriced["NEW"].lots.unresolved] == ["allocation_unknown"]


def test_a_merger_for_cash_is_a_sale() -> None:
    for group in (None, "g"):
        found = run(
            [buy(1, "100", "1000", 0), row(2, "OLD", "merger", "-100", 10, event_group=group, cash_amount="1234.56")]
        )
        assert [gain.gain() for gain in found["OLD"].lots.realized] == [Decimal("234.56")]
        assert found["OLD"].lots.open == ()


def test_a_merger_for_cash_and_stock_realizes_the_part_that_cash_pays_for() -> None:
    found = run(
        [
            *BOUGHT,
            row(3, "OLD", "merger", "-105", 10, event_group="g", cash_amount="500"),
            row(4, "NEW", "merger", "35", 10, event_group="g"),
        ],
        worths=lambda instruments, day: {"NEW": Decimal(27)},  # 945 in base beside 450 of cash
    )
    gains = found["OLD"].lots.realized
    assert sum(gain.quantity for gain in gains) == pytest.approx(Decimal(105) * 450 / 1395)
    assert sum(lot.quantity for lot in found["NEW"].lots.open) == 35
    assert (cost_of(found), proceeds_of(found)) == (Decimal(1080), Decimal(500))
    unpriced = run([
        buy(1, "100", "1000", 0), row(3, "OLD", "merger", "-100", 10, event_group="g", cash_amount="500"),
        row(4, "NEW", "merger", "35", 10, event_group="g"),
    ])  # fmt: skip
    assert (proceeds_of(unpriced), open_lots(unpriced["NEW"])) == (Decimal(500), [(FIRST, Decimal(35), None)])
    assert [gain.gain() for gain in unpriced["OLD"].lots.realized] == [None]


def test_a_reverse_split_sells_its_fraction() -> None:
    legs = [row(3, "OLD", "split", "-94.5", 10, event_group="g", ratio="0.1"),
            row(4, "OLD", "split", "-0.5", 10, event_group="g", cash_amount="60")]  # fmt: skip
    for order in (legs, legs[::-1]):
        found = run([*BOUGHT, *order])
        assert open_lots(found["OLD"]) == [
            (FIRST, Decimal("9.5"), Decimal(950)), (FIRST + timedelta(days=3), Decimal("0.5"), Decimal(80)),
        ]  # fmt: skip
        assert (cost_of(found), proceeds_of(found)) == (Decimal(1080), Decimal(60))


def test_a_reverse_split_in_one_row_with_its_cash_sells_the_fraction_too() -> None:
    found = run([*BOUGHT, row(3, "OLD", "split", "-95", 10, ratio="0.1", cash_amount="60")])
    assert sum(lot.quantity for lot in found["OLD"].lots.open) == 10
    assert [(gain.quantity, gain.gain()) for gain in found["OLD"].lots.realized] == [(Decimal("0.5"), Decimal(10))]
    assert cost_of(found) == 1080


def test_an_exercise_adds_what_was_paid_to_the_cost_of_the_right() -> None:
    found = run([
        buy(1, "2", "300", 0), row(2, "OLD", "exercise", "-2", 10, event_group="g"),
        row(3, "NEW", "exercise", "200", 10, event_group="g", cash_amount="-10000"),
    ])  # fmt: skip
    assert open_lots(found["NEW"]) == [(FIRST, Decimal(200), Decimal(10300))]


def test_units_beyond_those_known_bring_no_cost() -> None:
    found = run([
        buy(1, "60", "600", 0), row(2, "OLD", "merger", "-100", 10, event_group="g"),
        row(3, "NEW", "merger", "50", 10, event_group="g"),
    ])  # fmt: skip
    assert open_lots(found["NEW"]) == [
        (FIRST, Decimal(30), Decimal(600)), (FIRST + timedelta(days=10), Decimal(20), None),
    ]  # fmt: skip
    assert [one.reason for one in found["OLD"].lots.unresolved] == ["event_without_position"]


amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(100000), places=2)
sizes = st.decimals(min_value=Decimal("0.001"), max_value=Decimal(1000), places=3)


@settings(max_examples=100, deadline=None)
@given(
    bought=st.lists(st.tuples(sizes, amounts), min_size=1, max_size=5),
    came=sizes,
    cash=amounts,
    share=st.decimals(min_value=Decimal("0.0001"), max_value=Decimal("0.9999"), places=4),
    kind=st.sampled_from(["merger", "spinoff"]),
)
def test_cost_and_cash_are_conserved_to_the_last_digit(
    bought: list[tuple[Decimal, Decimal]], came: Decimal, cash: Decimal, share: Decimal, kind: str
) -> None:
    rows = [buy(number, str(size), str(cost), number) for number, (size, cost) in enumerate(bought)]
    held = sum((size for size, _ in bought), ZERO)
    if kind == "merger":
        rows.append(row(90, "OLD", "merger", f"-{held}", 10, event_group="g", cash_amount=str(cash)))
    rows.append(row(91, "NEW", kind, str(came), 10, event_group="g"))
    found = run(rows, terms=terms(kind, allocation=share))
    assert cost_of(found) == sum((cost for _, cost in bought), ZERO)
    assert proceeds_of(found) == (cash if kind == "merger" else ZERO)
    assert sum(lot.quantity for lot in found["NEW"].lots.open) == came

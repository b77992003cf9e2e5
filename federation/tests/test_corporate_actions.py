"""Ledger rows that follow from actions stated once: units and cash of every kind, long and short."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.corporate_actions import Action, action_rows
from federation.rows import AccountInfo, LedgerRow

USER, OLD, NEW = UUID(int=1), UUID(int=2), UUID(int=3)
ACCOUNT = AccountInfo(UUID(int=4), "USD", "transactions", "tracked")


def action(kind: str, **fields: str) -> Action:
    numbers = {name: Decimal(value) for name, value in fields.items()}
    return Action(
        UUID(int=5), kind, OLD, NEW, date(2024, 1, 15), numbers.get("ratio"), numbers.get("cash_per_unit"), "USD",
        numbers.get("cash_in_lieu"),
    )  # fmt: skip


def rows(of: Action, held: str) -> list[LedgerRow]:
    return action_rows(of, held=Decimal(held), user=USER, account=ACCOUNT)


def legs(of: Action, held: str) -> list[tuple[str, str, str | None, str | None]]:
    def told(value: Decimal | None) -> str | None:
        return None if value is None else f"{value.normalize():f}"

    name = {OLD: "old", NEW: "new", None: ""}
    return [(row.kind, name[row.instrument], told(row.quantity), told(row.cash_amount)) for row in rows(of, held)]


@pytest.mark.parametrize(
    ("stated", "held", "expected"),
    [
        (action("split", ratio="0.1", cash_in_lieu="120"), "105",
         [("split", "old", None, None), ("sell", "old", "-0.5", "60")]),
        (action("split", ratio="0.1", cash_in_lieu="120"), "-105",
         [("split", "old", None, None), ("buy", "old", "0.5", "-60")]),
        (action("merger", ratio="0.5", cash_per_unit="5"), "100",
         [("merger", "old", "-100", "500"), ("merger", "new", "50", None)]),
        (action("merger", ratio="0.5", cash_per_unit="5"), "-100",
         [("merger", "old", "100", "-500"), ("merger", "new", "-50", None)]),
        (action("spinoff", ratio="0.1", cash_in_lieu="10"), "-105",
         [("spinoff", "new", "-10.5", None), ("buy", "new", "0.5", "-5")]),
        (action("stock_dividend", ratio="0.05"), "100", [("stock_dividend", "old", "5", None)]),
        (action("return_of_capital", cash_per_unit="1.5"), "-100", [("return_of_capital", "old", None, "-150")]),
        (action("exercise", ratio="100", cash_per_unit="5000"), "2",
         [("exercise", "old", "-2", None), ("exercise", "new", "200", "-10000")]),
        (action("exercise", ratio="100", cash_per_unit="5000"), "-2",
         [("exercise", "old", "2", None), ("exercise", "new", "-200", "10000")]),
        (action("exercise", ratio="-100", cash_per_unit="5000"), "2",
         [("exercise", "old", "-2", None), ("exercise", "new", "-200", "10000")]),
        (action("exercise", ratio="-100", cash_per_unit="5000"), "-2",
         [("exercise", "old", "2", None), ("exercise", "new", "200", "-10000")]),
        (action("expiry"), "-2", [("expiry", "old", "2", None)]),
        (action("expiry"), "0", []),
    ],
)  # fmt: skip
def test_an_action_moves_units_and_cash_of_long_and_short_positions(
    stated: Action, held: str, expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    assert legs(stated, held) == expected


@given(
    st.sampled_from(["split", "merger", "symbol_change", "spinoff", "rights", "stock_dividend", "exercise"]),
    st.decimals(min_value=Decimal("0.01"), max_value=Decimal(1000), places=2),
    st.sampled_from(["0.1", "0.333", "1", "2.5"]),
)
def test_a_short_position_mirrors_a_long_one(kind: str, held: Decimal, ratio: str) -> None:
    """What comes to who is long is owed by who is short, to the last digit."""
    of = action(kind, ratio=ratio, cash_per_unit="3", cash_in_lieu="7")
    long, short = rows(of, str(held)), rows(of, str(-held))
    assert [(row.instrument, row.quantity, row.cash_amount) for row in long] == [
        (
            row.instrument,
            None if row.quantity is None else -row.quantity,
            None if row.cash_amount is None else -row.cash_amount,
        )
        for row in short
    ]
    assert {row.group for row in long} == {row.group for row in short}
    assert [row.id for row in long] == [row.id for row in short]

"""The bench's made-up ledgers: the same every time, and right by the product's own lots."""

import io
from collections import defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from ingestion.adapters.base import ParseOptions, no_progress
from ingestion.adapters.generic_transactions import GenericTransactions
from ingestion.adapters.ibkr_flex import IbkrFlex
from portfolio.lot_matching import match_lots
from portfolio.lots import Entry
from stackmotive.bench import growth, raw_valuation
from stackmotive.bench.formats import flex_xml, transactions_csv
from stackmotive.bench.generator import Answers, Ledger, generate
from stackmotive.bench.measuring import Result


@pytest.fixture(scope="module")
def made() -> tuple[Ledger, Answers]:
    return generate("small")


def test_a_seed_gives_one_ledger(made: tuple[Ledger, Answers]) -> None:
    ledger, answers = generate("small")
    assert transactions_csv(ledger) == transactions_csv(made[0])
    assert (ledger.closes == made[0].closes).all()
    assert answers == made[1]
    assert transactions_csv(generate("small", seed=8)[0]) != transactions_csv(ledger)


def test_it_has_the_size_and_currencies_it_promises_and_never_lacks_cash(made: tuple[Ledger, Answers]) -> None:
    ledger, answers = made
    assert (len(ledger.trades), len(ledger.assets), ledger.closes.shape) == (500, 20, (783, 20))
    assert {trade.kind for trade in ledger.trades} == {"buy", "sell", "dividend"}
    balances: dict[str, int] = defaultdict(int)
    for number in range(len(ledger.days)):
        for move in ledger.moves:
            if move.day == number:
                balances[move.currency] += move.cents
        for trade in ledger.trades:
            if trade.day == number:
                balances[ledger.assets[trade.asset].currency] += trade.cash
        assert min(balances.values(), default=0) >= 0
    assert dict(balances) == answers.cash


def test_its_gains_are_those_of_the_lots_engine_and_of_numpy(made: tuple[Ledger, Answers]) -> None:
    ledger, answers = made
    entries: dict[int, list[Entry]] = defaultdict(list)
    for trade in ledger.trades:
        if trade.kind == "dividend":
            continue
        units = Decimal(trade.quantity).scaleb(-4) * (1 if trade.kind == "buy" else -1)
        entries[trade.asset].append(
            Entry(
                id=str(trade.number),
                account="main",
                kind=trade.kind,
                day=ledger.days[trade.day],
                quantity=units,
                currency="USD",
                gross=Decimal(trade.gross).scaleb(-2),
                fee=Decimal(trade.fee).scaleb(-2),
                tax=Decimal(0),
                base_rate=Decimal(1),
            )
        )
    by_numpy = raw_valuation.value(raw_valuation.columns(ledger)).gains
    for asset, found in entries.items():
        result = match_lots(found, method=lambda account, day: "fifo", allows_short=lambda account: False)
        gain = sum((one.gain(fees=True, taxes=True) or Decimal(0) for one in result.realized), Decimal(0))
        exact = answers.gains.get(asset, 0)
        assert abs(gain * 100 - Decimal(exact.numerator) / Decimal(exact.denominator)) < Decimal("1e-20")
        assert np.isclose(by_numpy[asset], float(gain), atol=1e-6)
        assert result.state(None).quantity == Decimal(answers.quantities[asset]).scaleb(-4)


def test_both_formats_are_read_without_a_problem_and_say_the_same(made: tuple[Ledger, Answers]) -> None:
    ledger, answers = made
    total = len(ledger.trades) + len(ledger.moves)
    sums = []
    for adapter, content in ((GenericTransactions(), transactions_csv(ledger)), (IbkrFlex(), flex_xml(ledger))):
        statement = adapter.parse(content, ParseOptions(), no_progress)
        assert (len(statement.transactions), statement.problems) == (total, [])
        cash: dict[str, Decimal] = defaultdict(Decimal)
        for row in statement.transactions:
            cash[row.currency] += row.cash_amount or Decimal(0)
        sums.append(dict(cash))
    assert sums[0] == sums[1] == {currency: Decimal(cents).scaleb(-2) for currency, cents in answers.cash.items()}


@pytest.mark.django_db(transaction=True)
def test_all_workloads_run_to_their_end_with_right_answers(settings: Any) -> None:
    settings.AS_OF, settings.CSV_MAX_ROWS = (
        settings.AS_OF,
        settings.CSV_MAX_ROWS,
    )  # the command sets them for its process
    out = io.StringIO()
    call_command("bench", "--here", "--size", "small", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("bench")] == [
        "bench import",
        "bench reconciliation",
        "bench valuation",
        "bench growth",
    ]
    assert any(line.startswith("  StackMotive: bytes to committed facts") for line in lines)
    assert any(line.startswith("  one trade a year back") for line in lines)


@pytest.mark.parametrize(
    ("result", "ratio", "met"),
    [
        (Result("slower than allowed", 3.0, 1.0, 2.5), 3.0, False),
        (Result("within the goal", 2.0, 1.0, 2.5), 2.0, True),
        (Result("in seconds", 0.04, goal=0.05), None, True),
        (Result("faster than a peer", 0.5, 2.0, 3.0, is_floor=True), 4.0, True),
        (Result("not fast enough", 1.0, 2.0, 3.0, is_floor=True), 2.0, False),
        (Result("without a goal", 1.0, 2.0), 0.5, None),
    ],
)
def test_a_goal_is_met_or_missed(result: Result, ratio: float | None, met: bool | None) -> None:
    assert (result.ratio, result.is_met) == (ratio, met)


def test_a_daily_statement_holds_what_was_bought_in_turn() -> None:
    told = IbkrFlex().parse(growth.statement(7, growth.FIRST_DAY, 5), ParseOptions(), no_progress)
    assert [row.quantity for row in told.positions] == [12, 12, 12, 11, 11]
    assert [(row.instrument.symbol, row.quantity) for row in told.transactions if row.instrument] == [("SH2", 1)]
    assert (len(told.prices), told.problems) == (5, [])

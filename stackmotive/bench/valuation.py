"""`bench valuation`: figures of a whole ledger built and brought up to date, beside numpy over the same columns."""

import datetime as dt
import statistics
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import Sum

from accounts.models import User
from federation.models import BrokerAccount, LedgerState, Listing
from federation.services import reconcile
from ingestion.adapters.base import InstrumentRef, TransactionRow
from ingestion.models import ImportRun
from ingestion.services import run_import, stage_manual_transaction
from portfolio.models import (
    CashBalance,
    DailyValue,
    FigureState,
    FxRate,
    HoldingStep,
    Lot,
    Position,
    RealizedGain,
    ValueSeries,
)
from portfolio.services import load_shared_prices, refresh
from stackmotive.bench import raw_valuation
from stackmotive.bench.formats import transactions_csv
from stackmotive.bench.generator import BASE, LAST_DAY, Answers, Ledger, generate
from stackmotive.bench.imports import new_user, opened
from stackmotive.bench.measuring import Result, WrongAnswer, once

ROUNDS = 3
CENT = Decimal("0.01")
DERIVED = (Position, CashBalance, Lot, RealizedGain, ValueSeries, HoldingStep, DailyValue)
GOALS = {"small": (0.050, None), "medium": (0.250, 25.0), "large": (2.5, 10.0)}
"""W2, full build with database: seconds, and times the limit."""
GOAL_TODAY, GOALS_BACK = 0.020, {"small": 0.060, "medium": 0.060, "large": 0.150}


def measure(size: str) -> Iterator[Result]:
    ledger, answers = generate(size)
    user = prepared(ledger)
    listings = list(Listing.objects.filter(instrument__user=user).values_list("pk", flat=True))
    told = raw_valuation.columns(ledger)
    limits, reads, builds, unchanged = [], [], [], []
    refresh(user_id=user.pk)
    check(user, ledger, answers, raw_valuation.value(told))
    for _ in range(ROUNDS):
        limits.append(once(lambda: raw_valuation.value(told)))
        reads.append(once(lambda: raw_valuation.read_packed(listings)))
        forget(user)
        builds.append(once(lambda: refresh(user_id=user.pk, everything=True)))
        unchanged.append(once(lambda: refresh(user_id=user.pk, everything=True)))
    check(user, ledger, answers, raw_valuation.value(told))
    limit = statistics.median(limits) + statistics.median(reads)
    cells = f"{len(ledger.trades)} trades, {len(ledger.assets)} assets, {len(ledger.days)} days"
    yield Result("limit: numpy, closes read packed", limit, note=cells)
    seconds, ratio = GOALS[size]
    build = statistics.median(builds)
    yield Result("StackMotive: everything built and written", build, goal=seconds)
    yield Result("the same as a ratio", build, limit, ratio)
    yield Result("StackMotive: built again, nothing differs (no goal)", statistics.median(unchanged), limit)
    yield Result("one trade today", after_a_trade(user, ledger, LAST_DAY), goal=GOAL_TODAY)
    back = LAST_DAY - dt.timedelta(days=365)
    yield Result("one trade a year back", after_a_trade(user, ledger, back), goal=GOALS_BACK[size])


def prepared(ledger: Ledger) -> User:
    """A user whose ledger came in as a file, with closes and rates for every trading day."""
    settings.CSV_MAX_ROWS = 1_000_000
    user = new_user()
    run_id = opened(user, transactions_csv(ledger))
    run_import(run_id=run_id)
    reconcile(user.pk)
    if ImportRun.objects.filter(pk=run_id).exclude(rejected=0).exists():
        raise WrongAnswer("Rows of the made-up file were rejected.")
    by_symbol = dict(Listing.objects.filter(instrument__user=user).values_list("instrument__symbol", "pk"))

    def closes() -> Iterator[tuple[UUID, dt.date, Decimal]]:
        for number, asset in enumerate(ledger.assets):
            if asset.symbol in by_symbol:
                for day, close in zip(ledger.days, ledger.closes[:, number].tolist(), strict=True):
                    yield by_symbol[asset.symbol], day, Decimal(close).scaleb(-4)

    load_shared_prices(rows=closes(), provider="bench", basis="traded")
    FxRate.objects.bulk_create(
        (
            FxRate(base=currency, quote=BASE, date=day, rate=Decimal(rate).scaleb(-5), provider="bench", number=1)
            for currency, rates in ledger.rates.items()
            for day, rate in zip(ledger.days, rates.tolist(), strict=True)
        ),
        batch_size=5000,
    )
    return user


def forget(user: User) -> None:
    """Throw the figures away; they follow from the facts."""
    for model in DERIVED:
        model.objects.filter(user=user).delete()
    FigureState.objects.filter(user=user).delete()


def after_a_trade(user: User, ledger: Ledger, day: dt.date) -> float:
    """Seconds of bringing the figures up to one more purchase on `day`, the ledger already including it."""
    account = BrokerAccount.objects.get(user=user)
    asset = ledger.assets[0]
    instrument = InstrumentRef(symbol=asset.symbol, isin=asset.isin, kind=asset.kind, currency=asset.currency)
    taken = []
    for number in range(ROUNDS):
        row = TransactionRow(
            line=1, account="", kind="buy", trade_date=day, currency=asset.currency, instrument=instrument,
            quantity=Decimal(number + 1), price=Decimal(10),
        )  # fmt: skip
        stage_manual_transaction(user=user, row=row, account_id=account.pk)
        reconcile(user.pk)
        taken.append(once(lambda: refresh(user_id=user.pk)))
    return statistics.median(taken)


def check(user: User, ledger: Ledger, answers: Answers, valued: raw_valuation.Valued) -> None:
    """Exact quantities, cash and gains; the value of every trading day to the cent by numpy. Raises WrongAnswer."""
    state = LedgerState.objects.get(user=user)
    if state.valued_version < state.ledger_version:
        raise WrongAnswer("The figures are behind their ledger.")
    held = {
        row.instrument.symbol: row.quantity for row in Position.objects.filter(user=user).select_related("instrument")
    }
    for number, asset in enumerate(ledger.assets):
        units = Decimal(answers.quantities.get(number, 0)).scaleb(-4)
        if held.get(asset.symbol, Decimal(0)) != units:
            raise WrongAnswer(f"{held.get(asset.symbol)} units of {asset.symbol} and should be {units}.")
    for balance in CashBalance.objects.filter(user=user):
        if balance.amount != Decimal(answers.cash[balance.currency]).scaleb(-2):
            raise WrongAnswer(
                f"{balance.amount} {balance.currency} and should be {answers.cash[balance.currency]} cents."
            )
    gains = RealizedGain.objects.filter(user=user).values("instrument__symbol").annotate(total=Sum("gain"))
    realized = {row["instrument__symbol"]: row["total"] for row in gains}
    for number, asset in enumerate(ledger.assets):
        gain = answers.gains.get(number)
        exact = Decimal(0) if gain is None else Decimal(gain.numerator) / Decimal(gain.denominator) / 100
        if abs(realized.get(asset.symbol, Decimal(0)) - exact) > Decimal("1e-9"):
            raise WrongAnswer(f"Gains of {asset.symbol} are {realized.get(asset.symbol)} and should be {exact}.")
    days = DailyValue.objects.filter(user=user).values_list("date").annotate(total=Sum("value"))
    values = {day: total for day, total in days}
    for day, expected in zip(ledger.days, valued.value.tolist(), strict=True):
        if day in values and abs(values[day] - Decimal(expected)) > CENT:
            raise WrongAnswer(f"The value on {day} is {values[day]} and should be {expected:.2f}.")

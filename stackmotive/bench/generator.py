"""A made-up ledger of any size, the same for the same seed, with the exact answers that any correct system must give.

All money is integer arithmetic: cents, prices and units in ten-thousandths, rates in hundred-thousandths.
"""

import datetime as dt
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

SIZES = {"small": (20, 500, 3), "medium": (100, 10_000, 10), "large": (1000, 100_000, 20)}  # assets, trades, years
LAST_DAY = dt.date(2025, 12, 31)
BASE = "USD"
RATES = {"EUR": 110_000, "GBP": 128_000, "CHF": 104_000}  # at the start, of 0.00001 dollars
TICKS = 10_000
HUNDRED = 10_000  # cents: deposits are whole hundreds
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Asset:
    symbol: str
    isin: str
    kind: str
    currency: str


@dataclass(frozen=True, slots=True)
class Trade:
    """kind: buy, sell or dividend. quantity unsigned, in ten-thousandths; gross and fee in cents."""

    number: int
    day: int
    second: int
    asset: int
    kind: str
    quantity: int
    price: int
    gross: int
    fee: int

    @property
    def cash(self) -> int:
        return (-self.gross if self.kind == "buy" else self.gross) - self.fee


@dataclass(frozen=True, slots=True)
class Move:
    """A deposit or, below zero, a withdrawal, in cents."""

    day: int
    currency: str
    cents: int


@dataclass(slots=True)
class Answers:
    """quantities and gains by asset number, cash by currency (cents). Gains: first in, first out, after fees."""

    quantities: dict[int, int]
    gains: dict[int, Fraction]
    cash: dict[str, int]


@dataclass(slots=True)
class Ledger:
    days: list[dt.date]
    assets: list[Asset]
    closes: Ints  # days x assets
    rates: dict[str, Ints]  # by day
    trades: list[Trade] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)


def generate(size: str, *, seed: int = 7) -> tuple[Ledger, Answers]:
    """size: a key of SIZES."""
    asset_count, trade_count, years = SIZES[size]
    draw = random.Random(seed)  # noqa: S311  # reproducible on purpose
    walk = np.random.default_rng(seed)
    start = dt.date(LAST_DAY.year - years + 1, 1, 1)
    every = (start + dt.timedelta(days=number) for number in range((LAST_DAY - start).days + 1))
    days = [day for day in every if day.weekday() < 5]
    assets = [_asset(number, draw) for number in range(asset_count)]
    closes = np.column_stack([_closes(asset, len(days), draw, walk) for asset in assets])
    rates = {
        currency: _walk(first, 0.003, 0.0, len(days), walk, first // 2, first * 2) for currency, first in RATES.items()
    }
    ledger = Ledger(days, assets, closes, rates)
    answers = _trade(ledger, trade_count, draw)
    _fund(ledger, answers)
    return ledger, answers


def _asset(number: int, draw: random.Random) -> Asset:
    letters, rest = "", number
    for _ in range(4):
        rest, letter = divmod(rest, 26)
        letters = chr(65 + letter) + letters
    symbol = f"Z{letters}"
    if draw.random() < 0.15:
        return Asset(symbol, "", "crypto", BASE)
    [currency] = draw.choices(("USD", "EUR", "GBP", "CHF"), (55, 25, 12, 8))
    return Asset(symbol, f"US{symbol:0<9}{number % 10}", "equity", currency)


def _closes(asset: Asset, days: int, draw: random.Random, walk: np.random.Generator) -> Ints:
    volatility = draw.uniform(0.01, 0.025) * (2 if asset.kind == "crypto" else 1)
    drift = draw.uniform(-0.0004, 0.0006)
    return _walk(draw.randint(5, 300) * TICKS, volatility, drift, days, walk, TICKS // 2, 5000 * TICKS)


def _walk(
    first: int, volatility: float, drift: float, days: int, walk: np.random.Generator, low: int, high: int
) -> Ints:
    """A multiplicative walk of whole ticks inside bounds."""
    steps = np.cumsum(walk.normal(drift, volatility, days))
    ticks: Ints = np.clip(np.rint(first * np.exp(steps)), low, high).astype(np.int64)
    return ticks


def _trade(ledger: Ledger, count: int, draw: random.Random) -> Answers:
    """Buys, sells and dividends in time order: few assets are traded often, most seldom."""
    held: dict[int, int] = defaultdict(int)
    lots: dict[int, deque[tuple[int, Fraction]]] = defaultdict(deque)
    answers = Answers(held, defaultdict(Fraction), dict.fromkeys((BASE, *RATES), 0))
    moments = sorted((draw.randrange(len(ledger.days)), draw.randrange(23_400)) for _ in range(count))
    for number, (day, second) in enumerate(moments, start=1):
        asset = int(len(ledger.assets) * draw.random() ** 2)
        is_whole = ledger.assets[asset].kind == "equity"
        price = max(1, int(ledger.closes[day, asset] * draw.uniform(0.99, 1.01)))
        choice, fee = draw.random(), draw.randint(100, 300)
        if choice < 0.62 or not held[asset]:
            kind, units = "buy", draw.uniform(200, 5000) * TICKS / price
            quantity = max(1, int(units)) * TICKS if is_whole else max(1, int(units * TICKS))
        elif choice < 0.88:
            kind, quantity = "sell", _sold(held[asset], draw, is_whole=is_whole)
        else:
            kind, quantity, price, fee = "dividend", held[asset], max(1, price // 200), 0
        gross = round(Fraction(quantity * price, TICKS * TICKS // 100))
        trade = Trade(number, day, second, asset, kind, quantity, price, max(gross, 1), fee)
        ledger.trades.append(trade)
        answers.cash[ledger.assets[asset].currency] += trade.cash
        if kind == "buy":
            held[asset] += quantity
            lots[asset].append((quantity, Fraction(-trade.cash)))
        elif kind == "sell":
            held[asset] -= quantity
            answers.gains[asset] += trade.cash - _relieved(lots[asset], quantity)
    return answers


def _sold(held: int, draw: random.Random, *, is_whole: bool) -> int:
    """A part of what is held, all of it in three of twenty sales."""
    part = draw.random()
    if part > 0.85:
        return held
    quantity = int(held * part)
    if is_whole:
        quantity -= quantity % TICKS
    return quantity or held


def _relieved(lots: deque[tuple[int, Fraction]], quantity: int) -> Fraction:
    """The cost of the first `quantity` units, taken out of `lots`."""
    cost = Fraction(0)
    while quantity:
        units, of_lot = lots.popleft()
        used = min(units, quantity)
        cost += of_lot * used / units
        if used < units:
            lots.appendleft((units - used, of_lot - of_lot * used / units))
        quantity -= used
    return cost


def _fund(ledger: Ledger, answers: Answers) -> None:
    """Deposits on the first trading day of a month, so that no balance falls below zero; too much goes out again."""
    moved: dict[str, dict[tuple[int, int], list[int]]] = {currency: defaultdict(list) for currency in answers.cash}
    for trade in ledger.trades:
        day = ledger.days[trade.day]
        moved[ledger.assets[trade.asset].currency][day.year, day.month].append(trade.cash)
    first_days: dict[tuple[int, int], int] = {}
    for number, day in enumerate(ledger.days):
        first_days.setdefault((day.year, day.month), number)
    for currency, months in moved.items():
        balance = 0
        for month in sorted(months):
            running = np.cumsum([balance, *months[month]])
            lowest = int(running.min())
            cents = 0
            if lowest < 0:
                cents = -(lowest // HUNDRED) * HUNDRED
            elif lowest > 5000 * 100:
                cents = -(lowest // 2 // HUNDRED * HUNDRED)
            if cents:
                ledger.moves.append(Move(first_days[month], currency, cents))
            balance = int(running[-1]) + cents
        answers.cash[currency] = balance
    ledger.moves.sort(key=lambda move: (move.day, move.currency))

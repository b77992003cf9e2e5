"""What a valuation costs at least here: numpy over whole columns, closes read packed by one query.

Nothing of the product's own arithmetic is used, so that it also is the second opinion on its answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection

from stackmotive.bench.generator import BASE, Ledger

Floats = np.ndarray[Any, np.dtype[np.float64]]
PACKED = "SELECT listing_id, closes FROM portfolio_priceseries WHERE user_id IS NULL AND listing_id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Columns:
    """A ledger as arrays, made outside of what is timed. Money in dollars of the asset's currency."""

    day: Any
    asset: Any
    units: Floats  # signed; 0 for dividends
    cash: Floats
    move_day: Any
    move_amount: Floats
    move_currency: Any
    currency: Any  # of each asset, as an index into `rates`
    rates: Floats  # currencies x days
    closes: Floats  # days x assets


@dataclass(frozen=True, slots=True)
class Valued:
    """value: at the close of each trading day, in dollars. gains: realized, by asset, in its currency."""

    value: Floats
    gains: Floats
    twr: float
    volatility: float
    max_drawdown: float


def columns(ledger: Ledger) -> Columns:
    codes = [BASE, *ledger.rates]
    rates = np.vstack([np.ones(len(ledger.days)), *(ledger.rates[code] / 1e5 for code in codes[1:])])
    sign = {"buy": 1, "sell": -1, "dividend": 0}
    return Columns(
        day=np.array([trade.day for trade in ledger.trades]),
        asset=np.array([trade.asset for trade in ledger.trades]),
        units=np.array([sign[trade.kind] * trade.quantity / 1e4 for trade in ledger.trades]),
        cash=np.array([trade.cash / 100 for trade in ledger.trades]),
        move_day=np.array([move.day for move in ledger.moves], dtype=np.int64),
        move_amount=np.array([move.cents / 100 for move in ledger.moves]),
        move_currency=np.array([codes.index(move.currency) for move in ledger.moves], dtype=np.int64),
        currency=np.array([codes.index(asset.currency) for asset in ledger.assets]),
        rates=rates,
        closes=ledger.closes / 1e4,
    )


def read_packed(listings: Sequence[UUID]) -> int:
    """Get the closes of all listings out of the database, as the product does; how many."""
    with connection.cursor() as cursor:
        cursor.execute(PACKED, [list(listings)])
        return sum(np.frombuffer(closes, dtype="<f8").size for _, closes in cursor.fetchall())


def value(told: Columns) -> Valued:
    """Daily values of assets and cash, gains first in first out, and what returns are summed up by."""
    days, assets = told.closes.shape
    quantity = np.zeros((days, assets))
    np.add.at(quantity, (told.day, told.asset), told.units)
    np.cumsum(quantity, axis=0, out=quantity)
    total = (quantity * told.closes * told.rates[told.currency].T).sum(axis=1)
    cash = np.zeros((len(told.rates), days))
    np.add.at(cash, (told.currency[told.asset], told.day), told.cash)
    np.add.at(cash, (told.move_currency, told.move_day), told.move_amount)
    total += (np.cumsum(cash, axis=1) * told.rates).sum(axis=0)
    flow = np.zeros(days)
    np.add.at(flow, told.move_day, told.move_amount * told.rates[told.move_currency, told.move_day])
    before = total[:-1]
    growth = np.where(before > 0, (total[1:] - flow[1:]) / np.where(before > 0, before, 1), 1)
    returns = growth - 1
    index = np.cumprod(growth)
    drawdown = (index / np.maximum.accumulate(np.maximum(index, 1)) - 1).min()
    return Valued(
        total, _gains(told, assets), float(index[-1] - 1), float(returns.std(ddof=1) * np.sqrt(252)), float(drawdown)
    )


def _gains(told: Columns, assets: int) -> Floats:
    """The first x units bought cost a piecewise linear function of x: what was sold cost its value there."""
    gains = np.zeros(assets)
    order = np.argsort(told.asset, kind="stable")
    edges = np.searchsorted(told.asset[order], np.arange(assets + 1))
    for asset in range(assets):
        rows = order[edges[asset] : edges[asset + 1]]
        units, cash = told.units[rows], told.cash[rows]
        bought, sold = units > 0, units < 0
        if not sold.any():
            continue
        bought_units = np.concatenate(([0.0], np.cumsum(units[bought])))
        bought_cost = np.concatenate(([0.0], np.cumsum(-cash[bought])))
        sold_units = np.concatenate(([0.0], np.cumsum(-units[sold])))
        gains[asset] = cash[sold].sum() - np.interp(sold_units[-1], bought_units, bought_cost)
    return gains

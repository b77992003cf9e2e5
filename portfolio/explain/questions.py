"""Which figure is asked about, and who explains it."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from accounts.models import User
from portfolio.explain.lots import GAIN_FIGURES, LOT_FIGURES, gain_figure, lot_figure
from portfolio.explain.positions import POSITION_FIGURES, position_figure
from portfolio.explain.returns import WORDS, return_figure
from portfolio.explain.sight import Sight
from portfolio.explain.totals import DAY_FIGURES, HEADLINES, Totals, cash_figure, day_figure
from portfolio.explain.tree import Node, figure, given, less, over
from portfolio.models import CashBalance, Lot, Position, RealizedGain
from portfolio.selectors.allocation import BREAKDOWNS, allocation
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.scope import exchange, standing

CASH_FIGURES: Final = ("amount", "amount_base")
SLICE_FIGURES: Final = ("value", "share")
FIGURES: Final[dict[str, tuple[str, ...]]] = {
    "portfolio": HEADLINES,
    "position": tuple(POSITION_FIGURES),
    "instrument": tuple(POSITION_FIGURES),
    "cash": CASH_FIGURES,
    "lot": LOT_FIGURES,
    "gain": GAIN_FIGURES,
    "date": DAY_FIGURES,
    "by": SLICE_FIGURES,
    "period": tuple(WORDS),
}
"""Figures by what they are of."""


@dataclass(frozen=True, slots=True)
class Question:
    """A figure of the portfolio, or of the one thing that is named. instrument: a holding over all its accounts, or, with
    a return, that holding alone. by and key: a part of a breakdown. start, end, benchmark: of returns.
    """

    figure: str
    account: UUID | None = None
    currency: str = ""
    as_of: dt.date | None = None
    position: UUID | None = None
    instrument: UUID | None = None
    cash: tuple[UUID, str] | None = None
    lot: UUID | None = None
    gain: UUID | None = None
    date: dt.date | None = None
    by: str = ""
    key: str = ""
    start: dt.date | None = None
    end: dt.date | None = None
    benchmark: UUID | None = None


def explain(*, user: User, question: Question) -> Node | None:
    """The tree of a figure; None where the user has no such thing, or it has no such figure."""
    now = standing(user=user)
    rate = exchange(user=user, currency=question.currency or None)
    day = min(question.as_of or now.valued_on, now.valued_on)
    asked: dict[str, object] = {"account": question.account, "currency": question.currency, "as_of": question.as_of}
    sight = Sight(user, now, rate, question.account, day, asked)
    name = question.figure
    if question.position is not None:
        held = Position.objects.visible_to(user).filter(pk=question.position).first()
        return None if held is None else position_figure(sight, name, held)
    if question.lot is not None:
        lot = Lot.objects.visible_to(user).filter(pk=question.lot).first()
        return None if lot is None else lot_figure(sight, name, lot)
    if question.gain is not None:
        gain = RealizedGain.objects.visible_to(user).filter(pk=question.gain).first()
        return None if gain is None else gain_figure(sight, name, gain)
    if question.cash is not None:
        account, currency = question.cash
        balance = CashBalance.objects.visible_to(user).filter(account=account, currency=currency).first()
        return None if balance is None else cash_figure(sight, name, balance)
    if question.by:
        return _slice_figure(sight, question)
    if question.date is not None:
        return _day_figure(sight, name, question)
    if name in WORDS:
        period = {"start": question.start, "end": question.end}
        return return_figure(sight, name, period | {"instrument": question.instrument, "benchmark": question.benchmark})
    if question.instrument is not None:
        return _grouped_figure(sight, name, question.instrument)
    return Totals(sight).headline(name)


def _day_figure(sight: Sight, name: str, question: Question) -> Node | None:
    if name not in DAY_FIGURES or question.date is None:
        return None
    if question.account is None:
        return Totals(sight).day_total(name, question.date)
    return day_figure(sight, name, question.account, question.date)


def _slice_figure(sight: Sight, question: Question) -> Node | None:
    """A part of a breakdown. The largest share takes what rounding leaves, so that all add up to 1."""
    if question.by not in BREAKDOWNS or question.figure not in SLICE_FIGURES:
        return None
    found = allocation(
        user=sight.user, by=question.by, account=sight.account, currency=sight.rate.currency, as_of=sight.day
    )
    mine = next((one for one in found.slices if one.key == question.key), None)
    if mine is None:
        return None
    value = Totals(sight).slice_value(question.by, question.key)
    if question.figure == "value":
        return value
    about = {"by": question.by, "key": question.key}
    own = figure("Its value", value.value, value.unit, sight.question("value", **about))
    sizes = [given(one.label, abs(one.value), value.unit) for one in found.slices]
    whole = Node(
        "All parts, whichever their sign",
        "sum",
        sum((abs(one.value) for one in found.slices), Decimal(0)),
        value.unit,
        tuple(sizes),
    )
    share = over(
        f"Share of {mine.label}",
        "ratio",
        Node(own.label, "size", abs(own.value or Decimal(0)), own.unit, (own,)),
        whole,
        places=10,
    )
    if share.value == mine.share:
        return share
    others = [given(f"Share of {one.label}", one.share, "ratio") for one in found.slices if one.key != mine.key]
    return less(
        f"Share of {mine.label}: what the others leave",
        "ratio",
        [given("All", Decimal(1), "ratio"), *others],
        places=10,
    )


def _grouped_figure(sight: Sight, name: str, instrument: UUID) -> Node | None:
    """A holding over all its accounts: the sum of its parts, or the average of its cost."""
    user, currency = sight.user, sight.rate.currency
    rows = [row for row in positions(user=user, account=sight.account, as_of=sight.day, currency=currency)
            if row.instrument == instrument]  # fmt: skip
    whole = next(
        (row for row in positions(user=user, account=sight.account, group_by="instrument", as_of=sight.day, currency=currency)
         if row.instrument == instrument),
        None,
    )  # fmt: skip
    if whole is None or name not in POSITION_FIGURES:
        return None
    if len(rows) == 1 and rows[0].id is not None:
        held = Position.objects.visible_to(user).filter(pk=rows[0].id).first()
        return None if held is None else position_figure(sight, name, held)
    value: Decimal | None = getattr(whole, name)
    unit = _unit(whole, name)
    if value is None:
        return given(name.replace("_", " ").capitalize(), None, unit, reason=whole.reason or "unknown")
    if name == "average_cost":
        about = sight.question("cost_basis", instrument=instrument), sight.question("quantity", instrument=instrument)
        cost = figure("Cost", whole.cost_basis, whole.currency, about[0])
        return over("Average cost of one unit", unit, cost, figure("Quantity", whole.quantity, "units", about[1]))
    if name == "weight":
        own = figure(
            "Its value", whole.market_value_base, currency, sight.question("market_value_base", instrument=instrument)
        )
        every = positions(user=user, account=sight.account, group_by="instrument", as_of=sight.day, currency=currency)
        sizes = [
            given(row.symbol, abs(row.market_value_base), currency)
            for row in every
            if row.market_value_base is not None
        ]
        total = Node(
            "All holdings, whichever their sign",
            "sum",
            sum((one.value or Decimal(0) for one in sizes), Decimal(0)),
            currency,
            tuple(sizes),
        )
        return over("Weight", "ratio", own, total, places=10)
    if name == "price":
        return given("Price", value, unit)
    parts = [
        figure(row.account_name, getattr(row, name), _unit(row, name), sight.question(name, position=row.id))
        for row in rows
    ]
    return Node(name.replace("_", " ").capitalize(), "sum", value, unit, tuple(parts))


def _unit(row: PositionRow, name: str) -> str:
    if name in ("quantity", "unexplained_quantity", "missing_quantity"):
        return "units"
    return "ratio" if name == "weight" else row.base_currency if name.endswith("_base") else row.currency

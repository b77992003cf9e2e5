"""The headline figures, breakdowns, cash balances and single days of accounts."""

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Final
from uuid import UUID

from portfolio.explain.rows import cash_parts, flow_parts
from portfolio.explain.sight import Sight
from portfolio.explain.tree import (
    MONEY_PLACES,
    RECORDED_PLACES,
    Node,
    Ref,
    added,
    figure,
    given,
    less,
    over,
    size,
    times,
)
from portfolio.ledger_rows import FlowKind
from portfolio.models import CashBalance, DailyValue, Position, RealizedGain, ValueSeries
from portfolio.selectors.allocation import BREAKDOWNS
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.scope import account_filter
from portfolio.selectors.summary import CashRow, cash_rows
from portfolio.series import unpack

FLOW_KINDS: Final[dict[str, FlowKind]] = {
    "external_flow": "external", "transfer_flow": "transfer", "dividends": "dividends", "interest": "interest",
    "income": "income", "fees": "fees", "taxes": "taxes",
}  # fmt: skip
FLOW_WORDS: Final = {
    "external_flow": "Paid in from outside, less paid out",
    "transfer_flow": "Of it between your own accounts",
    "border_flow": "Moved to and from what has no value",
    "dividends": "Dividends, before tax",
    "interest": "Interest, before tax",
    "income": "Income, before tax",
    "fees": "Fees",
    "taxes": "Taxes",
    "payments": "Paid to others",
    "in_transit": "On its way between your own accounts",
}
SUMMED_FLOWS: Final = ("income", "dividends", "interest", "fees", "taxes", "payments")
DAY_FIGURES: Final = ("value", "cash", *FLOW_WORDS)


class Totals:
    """The sums over what a sight holds."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight

    @cached_property
    def held(self) -> list[PositionRow]:
        sight = self.sight
        return positions(user=sight.user, account=sight.account, as_of=sight.day, currency=sight.rate.currency)

    @cached_property
    def balances(self) -> list[CashRow]:
        sight = self.sight
        return cash_rows(
            user=sight.user, account=sight.account, day=sight.day, rate=sight.rate, is_today=sight.is_today
        )

    @property
    def unit(self) -> str:
        return self.sight.rate.currency

    def of_row(self, row: PositionRow, name: str) -> Node:
        """One figure of a holding; of a past day it is what the daily series say."""
        label, value = f"{row.symbol} in {row.account_name}", getattr(row, name)
        if row.id is None:
            ref = Ref(
                "daily_value",
                detail={"account": str(row.account), "instrument": str(row.instrument), "date": str(row.as_of)},
            )
            return given(label, value, self.unit, ref=ref, on=row.as_of, reason=row.reason, is_double=True)
        return figure(label, value, self.unit, self.sight.question(name, position=row.id), reason=row.reason)

    def over_holdings(self, name: str, label: str, reason: str = "") -> Node:
        return added(
            label, self.unit, [self.of_row(row, name) for row in self.held], places=MONEY_PLACES, reason=reason
        )

    # --- headline figures ----

    def market_value(self) -> Node:
        return self.over_holdings("market_value_base", "Market value of the holdings", "no_holding_has_a_value")

    def cash(self) -> Node:
        names = {one.pk: one.name for one in self.sight.accounts.values()}
        parts = []
        for row in self.balances:
            label = f"{row.currency} in {names.get(row.account, '')}"
            if self.sight.is_today:
                asked = self.sight.question("amount_base", cash=f"{row.account}:{row.currency}")
                parts.append(
                    figure(
                        label,
                        row.amount_base,
                        self.unit,
                        asked,
                        reason="" if row.amount_base is not None else "no_rate",
                    )
                )
            else:
                rate = self.sight.rate_node(row.currency, self.unit, self.sight.day)
                parts.append(
                    times(label, self.unit, [given("Balance", row.amount, row.currency), rate], reason="no_rate")
                )
        return added("Cash", self.unit, parts, places=MONEY_PLACES, reason="no_rate")

    def total_value(self) -> Node:
        return added(
            "Holdings and cash",
            self.unit,
            [
                self.named("market_value"),
                self.named("cash"),
                *([] if self.sight.account else [self.named("in_transit")]),
            ],
            places=MONEY_PLACES,
            reason="nothing_has_a_value",
        )

    def in_transit(self) -> Node:
        if self.sight.account is not None:
            return given(FLOW_WORDS["in_transit"], Decimal(0), self.unit)
        return added(
            FLOW_WORDS["in_transit"], self.unit, [self.day_total("in_transit", self.sight.day)], places=MONEY_PLACES
        )

    def named(self, name: str) -> Node:
        """Another headline figure, to be opened by itself."""
        node = self.headline(name)
        if node is None:
            raise ValueError(name)
        return figure(node.label, node.value, node.unit, self.sight.question(name), reason=node.reason)

    def flows(self, name: str) -> Node:
        """Day by day up to the sight's day, each at the rate of its own."""
        sight = self.sight
        rows = (
            DailyValue.objects.visible_to(sight.user)
            .filter(date__lte=sight.day, **account_filter(sight.account))
            .exclude(**{name: 0})
            .order_by("date", "account_id")
        )
        names = {pk: one.name for pk, one in sight.accounts.items()}
        parts = []
        for account, date, amount in rows.values_list("account_id", "date", name):
            asked = {"figure": name, "account": account, "date": date}
            day = figure(f"{date.isoformat()} in {names.get(account, '')}", amount, sight.rate.base, asked, on=date)
            parts.append(sight.exchanged(day, date))
        return added(FLOW_WORDS[name], self.unit, parts, places=MONEY_PLACES)

    def net_contribution(self) -> Node:
        inside = [] if self.sight.account else [self.flows("transfer_flow")]
        return less("Paid in, less paid out", self.unit, [self.flows("external_flow"), *inside], places=MONEY_PLACES)

    def total_gain(self) -> Node:
        return less(
            "Gain since the first day",
            self.unit,
            [self.named("total_value"), self.named("net_contribution"), self.flows("border_flow")],
            places=MONEY_PLACES,
            reason="nothing_has_a_value",
        )

    def realized_gain(self) -> Node:
        sight = self.sight
        rows = (
            RealizedGain.objects.visible_to(sight.user)
            .filter(closed_on__lte=sight.day, gain_base__isnull=False, **account_filter(sight.account))
            .select_related("instrument")
            .order_by("closed_on", "id")
        )
        parts = []
        for one in rows:
            label = f"{one.instrument.symbol}, closed on {one.closed_on.isoformat()}"
            if sight.rate.table is None:
                parts.append(
                    figure(label, one.gain_base, self.unit, sight.question("gain_base", gain=one.pk), on=one.closed_on)
                )
                continue
            opened, closed = (
                (one.acquired_on, one.closed_on) if one.side == "long" else (one.closed_on, one.acquired_on)
            )
            sides = [
                sight.exchanged(
                    figure(name, value, sight.rate.base, {"figure": key, "gain": one.pk}), day or one.closed_on
                )
                for name, key, value, day in (
                    ("Proceeds", "proceeds_base", one.proceeds_base, closed),
                    ("Cost", "cost_base", one.cost_base, opened),
                )
            ]
            parts.append(less(label, self.unit, sides))
        return added("Gains realized by sales", self.unit, parts, places=MONEY_PLACES)

    def day_change(self) -> Node:
        sight = self.sight
        before = sight.day - dt.timedelta(days=1)
        moved = [self.day_total("external_flow", sight.day), self.day_total("border_flow", sight.day)]
        flow = added("Paid in, less paid out", self.unit, moved)
        if sight.account is None:
            flow = less("Paid in, less paid out", self.unit, [flow, self.day_total("transfer_flow", sight.day)])
        return less(
            "Gain of the day",
            self.unit,
            [self.close_of(sight.day), self.close_of(before), flow],
            places=MONEY_PLACES,
            reason="no_value_the_day_before",
        )

    def close_of(self, day: dt.date) -> Node:
        """The value of a day; of all accounts with what was on its way between them."""
        value = self.day_total("value", day)
        if self.sight.account is not None:
            return value
        return added(f"Value of {day.isoformat()}", self.unit, [value, self.day_total("in_transit", day)])

    def day_total(self, name: str, day: dt.date) -> Node:
        """A column of the accounts' days, summed, at the rate of its day."""
        sight = self.sight
        rows = DailyValue.objects.visible_to(sight.user).filter(date=day, **account_filter(sight.account))
        names = {pk: one.name for pk, one in sight.accounts.items()}
        parts = [
            figure(
                names.get(account, ""),
                value,
                sight.rate.base,
                {"figure": name, "account": account, "date": day},
                on=day,
            )
            for account, value in rows.order_by("account_id").values_list("account_id", name)
        ]
        label = {"value": "Value at the close"}.get(name, FLOW_WORDS.get(name, name))
        return sight.exchanged(added(f"{label} of {day.isoformat()}", sight.rate.base, parts), day)

    def day_change_ratio(self) -> Node:
        return over(
            "Gain of the day, of the value before",
            "ratio",
            self.named("day_change"),
            self.close_of(self.sight.day - dt.timedelta(days=1)),
            places=MONEY_PLACES,
            reason="no_value_the_day_before",
        )

    def coverage(self) -> Node:
        fresh, known = [], []
        for row in self.held:
            if row.market_value_base is not None:
                known.append(size(self.of_row(row, "market_value_base")))
                if not row.is_stale:
                    fresh.append(known[-1])
        money = [
            size(given(f"Cash in {row.currency}", row.amount_base, self.unit))
            for row in self.balances
            if row.amount_base is not None
        ]
        return self._ratio("Value with a fresh price, of all known value", [*fresh, *money], [*known, *money])

    def coverage_by_cost(self) -> Node:
        valued, known = [], []
        for row in self.held:
            if row.cost_basis_base is not None:
                known.append(size(self.of_row(row, "cost_basis_base")))
                if row.market_value_base is not None:
                    valued.append(known[-1])
        return self._ratio("Cost of what has a value, of all known cost", valued, known)

    def _ratio(self, label: str, above: Sequence[Node], below: Sequence[Node]) -> Node:
        whole = added("All of it", self.unit, below)
        if not whole.value:
            return given(label, None if self.held else Decimal(1), "ratio", reason="unknown" if self.held else "")
        return over(label, "ratio", added("Known", self.unit, above), whole, places=MONEY_PLACES)

    def headline(self, name: str) -> Node | None:
        if name in SUMMED_FLOWS:
            return self.flows(name)
        make: dict[str, Callable[[], Node]] = {
            "market_value": self.market_value,
            "cash": self.cash,
            "in_transit": self.in_transit,
            "total_value": self.total_value,
            "net_contribution": self.net_contribution,
            "total_gain": self.total_gain,
            "realized_gain": self.realized_gain,
            "unrealized_gain": lambda: self.over_holdings("unrealized_gain_base", "Unrealized gain"),
            "cost_basis": lambda: self.over_holdings("cost_basis_base", "Cost of what is held"),
            "day_change": self.day_change,
            "day_change_ratio": self.day_change_ratio,
            "coverage": self.coverage,
            "coverage_by_cost": self.coverage_by_cost,
        }
        return make[name]() if name in make else None

    # --- breakdowns ----

    def slice_value(self, by: str, key: str) -> Node:
        parts = [self.of_row(row, "market_value_base") for row in self.held
                 if row.market_value_base is not None and BREAKDOWNS[by](row) == key]  # fmt: skip
        for row in self.balances:
            belongs = {"currency": row.currency, "account": str(row.account)}.get(by, "cash")
            if row.amount and row.amount_base is not None and belongs == key:
                parts.append(given(f"Cash in {row.currency}", row.amount_base, self.unit))
        return added(f"Value of {key}", self.unit, parts, places=MONEY_PLACES, reason="nothing_has_a_value")


HEADLINES: Final = (
    "market_value", "cash", "in_transit", "total_value", "net_contribution", "payments", "total_gain", "realized_gain",
    "unrealized_gain", "cost_basis", "income", "dividends", "interest", "fees", "taxes", "day_change",
    "day_change_ratio", "coverage", "coverage_by_cost",
)  # fmt: skip


def cash_figure(sight: Sight, name: str, stored: CashBalance) -> Node | None:
    """A balance in its own currency, or in the one asked for."""
    amount = added(
        f"Balance in {stored.currency}", stored.currency, cash_parts(sight, stored.account_id, stored.currency),
        places=RECORDED_PLACES,
    )  # fmt: skip
    if name == "amount":
        return amount
    if name != "amount_base":
        return None
    asked = sight.question("amount", cash=f"{stored.account_id}:{stored.currency}")
    own = figure(amount.label, amount.value, amount.unit, asked)
    rate = sight.rate_node(stored.currency, sight.rate.base, sight.now.valued_on)
    value = times("Cash", sight.rate.base, [own, rate], places=MONEY_PLACES, reason="no_rate")
    return sight.exchanged(value, stored.as_of)


def day_figure(sight: Sight, name: str, account: UUID, day: dt.date) -> Node | None:
    """A column of one day of an account, in base currency."""
    stored = DailyValue.objects.visible_to(sight.user).filter(account=account, date=day).first()
    if stored is None or name not in DAY_FIGURES:
        return None
    value: Decimal | None = getattr(stored, name)
    base = sight.rate.base
    if name in FLOW_KINDS:
        parts = flow_parts(
            sight, [FLOW_KINDS[name]], wanted=lambda line: line.account == account, days=lambda on: on == day
        )
        return added(FLOW_WORDS[name], base, parts, places=MONEY_PLACES)
    if name not in ("value", "cash"):
        ref = Ref("daily_value", detail={"account": str(account), "date": day.isoformat()})
        return given(FLOW_WORDS[name], value, base, ref=ref, on=day, is_double=True)
    if name == "value" and day == sight.now.valued_on:
        return _value_today(sight, account)
    series = ValueSeries.objects.filter(user=sight.user, account=account).select_related("instrument")
    if name == "cash":
        series = series.filter(instrument=None)
    parts = []
    for one in series.order_by("instrument_id", "currency"):
        place, values = (day - one.first_day).days, unpack(one.value)
        if 0 <= place < values.size and values[place] == values[place]:
            label = one.instrument.symbol if one.instrument else f"Cash in {one.currency}"
            ref = Ref("daily_value", detail={"account": str(account), "date": day.isoformat()})
            parts.append(given(label, Decimal(repr(float(values[place]))), base, ref=ref, on=day, is_double=True))
    label = "Cash at the close" if name == "cash" else "Value at the close"
    return added(label, base, parts, places=MONEY_PLACES, reason="no_price", is_double=True)


def _value_today(sight: Sight, account: UUID) -> Node:
    base = sight.rate.base
    held = Position.objects.filter(account=account, market_value_base__isnull=False).select_related("instrument")
    parts = [
        figure(one.instrument.symbol, one.market_value_base, base, {"figure": "market_value_base", "position": one.pk})
        for one in held.order_by("id")
    ]
    parts += [
        figure(
            f"Cash in {one.currency}", one.amount_base, base,
            {"figure": "amount_base", "cash": f"{account}:{one.currency}"},
        )
        for one in CashBalance.objects.filter(account=account, amount_base__isnull=False).order_by("currency")
    ]  # fmt: skip
    return added("Value at the last close", base, parts, places=MONEY_PLACES, reason="no_price")

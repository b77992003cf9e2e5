"""What StackMotive answers to a calculation case: its files imported by a fresh user, its figures read where the API reads them."""

import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from accounts.models import Tier, User
from federation.models import BrokerAccount, Instrument, Transaction
from federation.services.accounts import update_account
from federation.services.instruments import ensure_instrument
from federation.services.reconciliation import reconcile
from ingestion.adapters.base import InstrumentRef
from ingestion.models import ImportRun, JobStatus
from ingestion.services import open_import, run_import
from portfolio import returns
from portfolio.models import Lot, RealizedGain
from portfolio.returns import Figure
from portfolio.selectors import Performance, Summary, performance, positions, summary
from portfolio.selectors.positions import PositionRow
from portfolio.selectors.scope import exchange
from portfolio.selectors.summary import cash_rows
from portfolio.services.prices import OwnPrice, record_prices, set_trade_prices
from portfolio.services.rates import OwnRate, record_rates
from portfolio.services.refresh import refresh
from stackmotive.case_files import Case, transactions_csv

ZERO = Decimal(0)
Answer = Decimal | float | dt.date | list[Any] | None
Expected = dict[str, Any]


class NotAnswered(Exception):
    """The product has no way to ask for this figure."""


def pure_answer(case: Case, wanted: Expected) -> Answer:
    """A figure of a case that has no ledger: return statistics, cash flows, a value series."""
    kind, name = case.body["kind"], wanted["figure"]
    figure: Figure[Any]
    if kind == "cashflows":
        figure = returns.xirr([(_day(flow["date"]), Decimal(flow["amount"])) for flow in case.body["flows"]])
    elif kind == "values":
        days = [_day(one["date"]) for one in case.body["values"]]
        fall = returns.drawdown(days, [Decimal(one["value"]) for one in case.body["values"]])
        known: dict[str, Answer] = {
            "peak_date": fall.peak_on, "trough_date": fall.trough_on, "recovery_date": fall.recovered_on,
        }  # fmt: skip
        if name in known:
            return known[name]
        figure = fall.value
    else:
        figure = _statistic(case, wanted)
    value: Answer = figure.value
    return value


def _statistic(case: Case, wanted: Expected) -> Figure[Any]:
    given = [None if one is None else Decimal(one) for one in case.body["returns"]]
    against = [None if one is None else Decimal(one) for one in case.body.get("benchmark") or []]
    observed = returns.observed(given)
    periods = case.body.get("periods_per_year", 252)
    risk_free = float(wanted.get("risk_free", "0"))
    cutoff = float(wanted.get("cutoff", "0.05"))
    yearly = partial(partial, periods_per_year=periods)
    excess = partial(partial, periods_per_year=periods, risk_free=risk_free)
    single: dict[str, Callable[..., Figure[Any]]] = {
        "cumulative_return": returns.cumulative_return,
        "annualised_return": yearly(returns.annualized_return),
        "volatility": yearly(returns.volatility),
        "sharpe": excess(returns.sharpe),
        "downside_deviation": excess(returns.downside_deviation),
        "sortino": excess(returns.sortino),
        "max_drawdown": returns.max_drawdown,
        "calmar": yearly(returns.calmar),
        "omega": partial(returns.omega, risk_free=risk_free),
        "var": partial(returns.value_at_risk, cutoff=cutoff),
        "cvar": partial(returns.conditional_value_at_risk, cutoff=cutoff),
    }
    paired: dict[str, Callable[..., Figure[Any]]] = {
        "beta": returns.beta,
        "alpha": excess(returns.alpha),
        "information_ratio": partial(
            returns.information_ratio, periods_per_year=periods if wanted.get("annualised") else 1
        ),
    }
    if wanted["figure"] in paired:
        return paired[wanted["figure"]](*returns.paired(given, against))
    if wanted["figure"] not in single:
        raise NotAnswered
    return single[wanted["figure"]](observed)


class Ledger:
    """One case as a user of StackMotive. Use inside a transaction that is rolled back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.base: str = case.body["base_currency"]
        self.as_of = _day(case.body["as_of"])
        self.user = User.objects.create_user(
            f"case-{uuid4().hex}@cases.example", None, tier=Tier.SOVEREIGN, base_currency=self.base
        )
        settings.AS_OF = self.as_of
        self._import()
        self.accounts = {account.reference: account for account in BrokerAccount.objects.visible_to(self.user)}
        self._settle()
        self._observe()
        refresh(user_id=self.user.pk, everything=True)
        self.method = "fifo"

    # --- building

    def _import(self) -> None:
        if not self.case.body.get("transactions"):
            return
        run = open_import(user=self.user, content=transactions_csv(self.case), filename=f"{self.case.id}.csv")
        run_import(run_id=run.pk)
        run = ImportRun.objects.get(pk=run.pk)
        if run.status in (JobStatus.FAILED, JobStatus.NEEDS_MAPPING):
            rows = [f"line {row.line}: {row.detail}" for row in run.left_out.all()[:3]]
            raise NotAnswered(f"import {run.status}: {run.error or run.questions} {rows}")
        reconcile(self.user.pk)

    def _settle(self) -> None:
        currencies = {account["id"]: account["currency"] for account in self.case.body.get("accounts", [])}
        for reference, account in self.accounts.items():
            update_account(
                account=account,
                cash_mode="external" if not self.case.rules.get("track_cash", True) else "tracked",
                allows_short=self.case.rules.get("oversell", "short") == "short",
                currency=currencies.get(reference, self.base),
            )
        set_trade_prices(user_id=self.user.pk, enabled=self.case.rules.get("missing_price") == "last_trade")

    def _observe(self) -> None:
        prices = []
        for symbol, closes in self.case.body.get("prices", {}).items():
            asset = self.case.body.get("assets", {}).get(symbol, {})
            _, listing = ensure_instrument(
                user=self.user, named=InstrumentRef(symbol=symbol, currency=asset.get("currency", self.base))
            )
            prices += [OwnPrice(listing.pk, _day(day), Decimal(close)) for day, close in closes]
        record_prices(user_id=self.user.pk, prices=prices)
        rates = [
            OwnRate(pair[:3], pair[3:], _day(day), Decimal(rate))
            for pair, observed in self.case.body.get("fx", {}).items()
            for day, rate in observed
        ]
        record_rates(user_id=self.user.pk, rates=rates)

    def use_method(self, method: str) -> None:
        if method == self.method:
            return
        for account in self.accounts.values():
            update_account(account=account, cost_basis_method=method)
        refresh(user_id=self.user.pk, everything=True)
        self.method = method

    # --- answering

    def answer(self, wanted: Expected) -> Answer:
        """The figure asked for. Raises NotAnswered."""
        self.use_method(wanted.get("method", "fifo"))
        asked = getattr(self, f"_{wanted['figure']}", None)
        if asked is None:
            raise NotAnswered
        value: Answer = asked(wanted)
        return value

    def _rows(self, wanted: Expected) -> list[PositionRow]:
        held = positions(user=self.user, account=self._account(wanted), as_of=self._until(wanted))
        return [row for row in held if wanted.get("symbol") in (None, row.symbol)]

    def _quantity(self, wanted: Expected) -> Answer:
        return sum((row.quantity for row in self._rows(wanted)), ZERO)

    def _open_positions(self, wanted: Expected) -> Answer:
        return Decimal(len({row.instrument for row in self._rows(wanted) if row.quantity}))

    def _missing_quantity(self, wanted: Expected) -> Answer:
        return sum((row.missing_quantity for row in self._rows(wanted)), ZERO)

    def _price(self, wanted: Expected) -> Answer:
        return next((row.price for row in self._rows(wanted)), None)

    def _market_value(self, wanted: Expected) -> Answer:
        return _known(
            row.market_value if self._is_own(wanted, row.currency) else row.market_value_base
            for row in self._rows(wanted)
        )

    def _cost_basis(self, wanted: Expected) -> Answer:
        if not self._is_net(wanted):
            return sum((self._lot_cost(lot, wanted) for lot in self._open_lots(wanted)), ZERO)
        return _known(
            row.cost_basis if self._is_own(wanted, row.currency) else row.cost_basis_base for row in self._rows(wanted)
        )

    def _average_cost(self, wanted: Expected) -> Answer:
        quantity, cost = self._quantity(wanted), self._cost_basis(wanted)
        if not isinstance(quantity, Decimal) or not isinstance(cost, Decimal):
            return None
        return cost / quantity if quantity else ZERO

    def _unrealised_gain(self, wanted: Expected) -> Answer:
        value, cost = self._market_value(wanted), self._cost_basis(wanted)
        return value - cost if isinstance(value, Decimal) and isinstance(cost, Decimal) else None

    def _simple_return(self, wanted: Expected) -> Answer:
        gain, cost = self._unrealised_gain(wanted), self._cost_basis(wanted)
        return gain / cost if isinstance(gain, Decimal) and isinstance(cost, Decimal) and cost else None

    def _unrealised_fx_gain(self, wanted: Expected) -> Answer:
        total = ZERO
        for lot in self._open_lots(wanted):
            rate = exchange(user=self.user, currency=lot.currency).at(self.as_of)
            if not rate:
                return None
            own = wanted | {"currency": lot.currency}
            total += self._lot_cost(lot, own) / rate - self._lot_cost(lot, wanted)
        return total

    def _lots(self, wanted: Expected) -> Answer:
        lots = sorted(self._open_lots(wanted), key=lambda lot: (lot.acquired_on, lot.opened_by))
        return [[lot.acquired_on, lot.quantity, self._lot_cost(lot, wanted)] for lot in lots]

    def _realised_gains(self, wanted: Expected) -> Answer:
        by_sale: dict[UUID, Decimal] = {}
        for gain in self._gains(wanted):
            by_sale[gain.closed_by] = by_sale.get(gain.closed_by, ZERO) + self._gain(gain, wanted)
        return list(by_sale.values())

    def _realised_gain(self, wanted: Expected) -> Answer:
        return sum((self._gain(gain, wanted) for gain in self._gains(wanted)), ZERO)

    def _relieved_cost(self, wanted: Expected) -> Answer:
        return sum((self._gain_cost(gain, wanted) for gain in self._gains(wanted)), ZERO)

    def _realised_fx_gain(self, wanted: Expected) -> Answer:
        return sum((gain.fx_gain_base or ZERO for gain in self._gains(wanted)), ZERO)

    def _dividends(self, wanted: Expected) -> Answer:
        return self._summary(wanted).dividends

    def _interest(self, wanted: Expected) -> Answer:
        return self._summary(wanted).interest

    def _fees(self, wanted: Expected) -> Answer:
        return self._summary(wanted).fees

    def _taxes(self, wanted: Expected) -> Answer:
        return self._summary(wanted).taxes

    def _cash(self, wanted: Expected) -> Answer:
        day = self._until(wanted)
        rows = cash_rows(
            user=self.user,
            account=self._account(wanted),
            day=day,
            rate=exchange(user=self.user, currency=None),
            is_today=day == self.as_of,
        )
        return sum((row.amount for row in rows if row.currency == wanted["currency"]), ZERO)

    def _cash_total(self, wanted: Expected) -> Answer:
        return self._summary(wanted).cash

    def _net_contribution(self, wanted: Expected) -> Answer:
        return self._summary(wanted).net_contribution

    def _total_value(self, wanted: Expected) -> Answer:
        return self._summary(wanted).total_value

    def _total_gain(self, wanted: Expected) -> Answer:
        if "symbol" not in wanted:
            return self._summary(wanted).total_gain
        gain, realized = self._unrealised_gain(wanted), self._realised_gain(wanted)
        income = _known(row.income_base for row in self._rows(wanted))
        parts = (gain, realized, income or ZERO)
        return sum((part for part in parts if isinstance(part, Decimal)), ZERO) if gain is not None else None

    def _period_gain(self, wanted: Expected) -> Answer:
        return self._performance(wanted).period_gain

    def _twr(self, wanted: Expected) -> Answer:
        return self._performance(wanted).twr

    def _twr_annualised(self, wanted: Expected) -> Answer:
        found = self._performance(wanted)
        if found.twr is None or found.start is None or found.end is None:
            return None
        return returns.annualized(found.twr, days=(found.end - found.start).days).value

    def _modified_dietz(self, wanted: Expected) -> Answer:
        return self._performance(wanted).modified_dietz

    def _xirr(self, wanted: Expected) -> Answer:
        return self._performance(wanted).xirr

    def _max_drawdown(self, wanted: Expected) -> Answer:
        return self._performance(wanted).max_drawdown.value

    # --- reading

    def _until(self, wanted: Expected) -> dt.date:
        return _day(wanted["as_of"]) if "as_of" in wanted else self.as_of

    def _account(self, wanted: Expected) -> UUID | None:
        return self.accounts[wanted["account"]].pk if "account" in wanted else None

    def _is_own(self, wanted: Expected, currency: str) -> bool:
        """Whether the figure is wanted in the asset's currency and not in base."""
        return currency != self.base and currency == wanted.get("currency")

    def _is_net(self, wanted: Expected) -> bool:
        return "excluded" not in (wanted.get("fees"), wanted.get("taxes"))

    def _summary(self, wanted: Expected) -> Summary:
        return summary(user=self.user, account=self._account(wanted), as_of=self._until(wanted))

    def _performance(self, wanted: Expected) -> Performance:
        scope, _, symbol = self.case.rules.get("scope", "portfolio").partition(":")
        if scope not in ("portfolio", "holding"):
            raise NotAnswered(f"performance of a {scope}")
        period = self.case.body["period"]
        return performance(
            user=self.user,
            start=_day(period["start"]),
            end=_day(period["end"]),
            account=self._account(wanted),
            instrument=self._instruments({"symbol": symbol})[0] if symbol else None,
        )

    def _instruments(self, wanted: Expected) -> list[UUID]:
        found = Instrument.objects.filter(user=self.user)
        if "symbol" in wanted:
            found = found.filter(symbol=wanted["symbol"])
        return list(found.values_list("pk", flat=True))

    def _open_lots(self, wanted: Expected) -> list[Lot]:
        if self._until(wanted) != self.as_of:
            raise NotAnswered("lots of a past day")
        lots = Lot.objects.visible_to(self.user).filter(instrument__in=self._instruments(wanted))
        return list(lots.filter(account=self._account(wanted)) if "account" in wanted else lots)

    def _gains(self, wanted: Expected) -> list[RealizedGain]:
        gains = RealizedGain.objects.visible_to(self.user).filter(
            instrument__in=self._instruments(wanted), closed_on__lte=self._until(wanted)
        )
        if "account" in wanted:
            gains = gains.filter(account=self._account(wanted))
        places = dict(Transaction.objects.filter(user=self.user).values_list("pk", "position"))
        return sorted(gains, key=lambda gain: (gain.closed_on, places[gain.closed_by]))

    def _lot_cost(self, lot: Lot, wanted: Expected) -> Decimal:
        return self._part(lot.cost, lot.cost_base, lot.fee, lot.tax, lot.currency, wanted, sign=-1)

    def _gain_cost(self, gain: RealizedGain, wanted: Expected) -> Decimal:
        return self._part(gain.cost, gain.cost_base, gain.cost_fee, gain.cost_tax, gain.currency, wanted, sign=-1)

    def _gain(self, gain: RealizedGain, wanted: Expected) -> Decimal:
        proceeds = self._part(
            gain.proceeds, gain.proceeds_base, gain.proceeds_fee, gain.proceeds_tax, gain.currency, wanted, sign=1
        )
        return proceeds - self._gain_cost(gain, wanted)

    def _part(
        self,
        own: Decimal | None,
        base: Decimal | None,
        fee: Decimal,
        tax: Decimal,
        currency: str,
        wanted: Expected,
        *,
        sign: int,
    ) -> Decimal:
        """An amount with or without its fee and tax (sign: what leaving them out adds), in the currency wanted."""
        if own is None or base is None:
            raise NotAnswered("a cost is unknown")
        left_out = (fee if wanted.get("fees") == "excluded" else ZERO) + (
            tax if wanted.get("taxes") == "excluded" else ZERO
        )
        amount = own + sign * left_out
        if self._is_own(wanted, currency):
            return amount
        return amount * base / own if own else base


def _known(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of the values; None where one is unknown, 0 for none."""
    total = ZERO
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)

"""Everything computed from one user's ledger, prices and rates, before it is written."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.db.models import Q

from accounts.models import User
from federation.models import AccountSetting, BrokerAccount, Listing, Transaction
from federation.selectors import unexplained
from portfolio.fx import RateTable
from portfolio.holding_steps import Held, Step
from portfolio.ledger_rows import Flows, Holding, LedgerRow, account_flows, lot_entries, lot_entry
from portfolio.lot_events import Terms, Worths, held_together
from portfolio.lots import Entry, Method
from portfolio.selectors.actions import action_terms
from portfolio.selectors.prices import (
    TRADE,
    Close,
    PackedCloses,
    horizon,
    last_closes,
    newest_closes,
    packed_closes,
    uses_trade_prices,
)
from portfolio.selectors.rates import rate_table
from portfolio.series import Closes, Events, Floats, build_blocks
from portfolio.series import Holding as SeriesHolding
from portfolio.services.touched import Touched
from portfolio.valued import NO_CLOSES, Quoted, quoted
from stackmotive.common.currencies import ISO_4217, quote_unit

ZERO, ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True)
class Line:
    """A holding with how it is quoted. factor: multiplier times quote unit; currency: of its value."""

    holding: Holding
    kind: str
    listing: UUID | None
    currency: str
    multiplier: Decimal
    unit: Decimal  # of the listing's quotes
    quoted: Quoted | None
    close: Close | None  # the last one, in `currency`, after splits
    horizon: int

    @property
    def factor(self) -> Decimal:
        return self.multiplier * self.unit


@dataclass(slots=True)
class Series:
    """Daily columns of one line from first_day to the valuation day, in base but `quantity`. NaN is unknown."""

    line: Line
    first_day: dt.date
    quantity: Floats
    value: Floats
    is_fresh: np.ndarray[Any, np.dtype[np.bool_]]
    border: dict[dt.date, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Figures:
    """What a refresh writes."""

    user: User
    today: dt.date
    base: str
    touched: Touched
    accounts: dict[UUID, BrokerAccount]
    rates: RateTable
    rows: list[LedgerRow]
    held: dict[UUID, Held]  # by instrument
    flows: Flows
    lines: dict[Holding, Line] = field(default_factory=dict)
    series: dict[Holding, Series] = field(default_factory=dict)
    unexplained: dict[Holding, Decimal] = field(default_factory=dict)
    reported: dict[Holding, dt.date] = field(default_factory=dict)
    _cash_steps: dict[Holding, list[Step]] = field(default_factory=dict)

    def rate(self, currency: str, day: dt.date) -> Decimal | None:
        """Base currency for one unit of `currency`."""
        found = self.rates.rate(currency, self.base, day)
        return None if found is None else found.value

    def worth(self, line: Line) -> Decimal | None:
        """Today's value of a line in base; None where no close or rate is known."""
        steps, rate = self.steps(line.holding), self.rate(line.currency, self.today)
        if not steps or rate is None:
            return None
        if line.holding.instrument is None:
            return steps[-1].quantity * rate
        return None if line.close is None else steps[-1].quantity * line.close.close * line.multiplier * rate

    def cash_steps(self, line: Holding) -> list[Step]:
        """The running balance at the end of each day on which it moved."""
        steps = self._cash_steps.get(line)
        if steps is None:
            balance = ZERO
            steps = self._cash_steps[line] = []
            for day, amount in sorted(self.flows.cash.get(line, {}).items()):
                balance += amount
                steps.append(Step(day, balance, line.currency, None, None))
        return steps

    def steps(self, line: Holding) -> list[Step]:
        if line.instrument is None:
            return self.cash_steps(line)
        held = self.held.get(line.instrument)  # none where only income came of it
        return held.steps.get(str(line.account), []) if held else []


def compute(*, user: User, today: dt.date, touched: Touched) -> Figures:
    """The figures that are touched, as of the close of `today`."""
    accounts = {account.pk: account for account in BrokerAccount.objects.filter(user=user)}
    rows, listings = read_ledger(user=user, accounts=accounts, until=today, touched=touched)
    currencies = {user.base_currency, *(row.currency for row in rows), *(row.cash_currency for row in rows)}
    currencies |= {row.fee_currency for row in rows if row.fee_currency in ISO_4217}
    by_instrument = _listings_of(rows)
    currencies |= {listing.currency for found in by_instrument.values() for listing in found}
    table = rate_table(user_id=user.pk, currencies=currencies)
    known: dict[tuple[str, str, dt.date], Decimal | None] = {}

    def rate_on(base: str, quote: str, day: dt.date) -> Decimal | None:
        place = (base, quote, day)
        if place not in known:
            found = table.rate(base, quote, day)
            known[place] = None if found is None else found.value
        return known[place]

    base = user.base_currency
    figures = Figures(
        user=user,
        today=today,
        base=base,
        touched=touched,
        accounts=accounts,
        rates=table,
        rows=rows,
        held=_held(
            [row for row in rows if touched.has(account=row.account, instrument=row.instrument)],
            accounts,
            base,
            rate_on,
            terms=action_terms(user=user),
            worths=_Worths(user, base, rate_on, by_instrument),
        ),
        flows=account_flows(
            rows,
            base=base,
            rate_on=rate_on,
            payments={leg for leg, meaning in touched.beyond.items() if meaning == "payment"},
        ),
    )
    _read_reports(figures)
    _add_lines(figures, listings, by_instrument)
    _add_series(figures)
    _add_in_kind_flows(figures)
    _add_borders(figures)
    return figures


def read_ledger(
    *, user: User, accounts: Mapping[UUID, BrokerAccount], until: dt.date, touched: Touched
) -> tuple[list[LedgerRow], dict[Holding, UUID]]:
    """The ledger in its order, and the listing that each holding was last traded on."""
    rows: list[LedgerRow] = []
    listings: dict[Holding, UUID] = {}
    tracked = {pk: account.cash_mode == BrokerAccount.CashMode.TRACKED for pk, account in accounts.items()}
    same: dict[UUID, UUID] = {}  # one object for each account and instrument: equal keys are found at once
    for (
        pk, account, instrument, multiplier, listing, kind, day, position, leg, quantity, price, currency, fee,
        fee_currency, tax, cash_amount, cash_currency, fx_rate, ratio, group, lots,
    ) in _ledger(user, until, touched):  # fmt: skip
        account = same.setdefault(account, account)
        if instrument is not None:
            instrument = same.setdefault(instrument, instrument)
            if listing is not None:
                listings[Holding(account, instrument)] = listing
        rows.append(
            LedgerRow(
                pk, account, tracked[account], instrument, multiplier if multiplier is not None else ONE,
                _meant(kind, instrument, touched.beyond.get(pk)), day, position, leg, quantity, price, currency,
                fee or ZERO, fee_currency or currency, tax or ZERO, cash_amount, cash_currency or currency, fx_rate,
                ratio, group, pk in touched.paired, touched.paired.get(pk), lots,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: row.order), listings


def _ledger(user: User, until: dt.date, touched: Touched) -> list[tuple[Any, ...]]:
    """Rows of the touched accounts and instruments, in the order of days and positions."""
    if not (touched.is_all or touched.accounts or touched.instruments):
        return []
    wanted = Transaction.objects.filter(user=user, trade_date__lte=until)
    if not touched.is_all:
        wanted = wanted.filter(Q(account__in=touched.accounts) | Q(instrument__in=touched.instruments))
    columns = wanted.order_by("trade_date", "position", "pk").values_list(
        "pk", "account_id", "instrument_id", "instrument__multiplier", "listing_id", "kind", "trade_date", "position",
        "leg", "quantity", "price", "currency", "fee", "fee_currency", "tax", "cash_amount", "cash_currency", "fx_rate",
        "ratio", "group", "lots",
    )  # fmt: skip
    statement, parameters = columns.query.sql_with_params()
    with connection.cursor() as cursor:  # the ORM would look at each cell again
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _meant(kind: str, instrument: UUID | None, beyond: str | None) -> str:
    """What a row counts as: income where the user called it so; a payment leaves like any withdrawal, and is told."""
    if beyond == "income":
        return "reward" if instrument else "interest"
    return kind


def _listings_of(rows: Sequence[LedgerRow]) -> dict[UUID, list[Listing]]:
    by_instrument: dict[UUID, list[Listing]] = defaultdict(list)
    held_ids = {row.instrument for row in rows if row.instrument}
    for listing in Listing.objects.filter(instrument_id__in=held_ids).select_related("instrument").order_by("pk"):
        by_instrument[listing.instrument_id].append(listing)
    return by_instrument


def _methods(accounts: Mapping[UUID, BrokerAccount]) -> dict[str, list[tuple[dt.date, Method]]]:
    """By account, from which day which method relieves lots."""
    methods: dict[str, list[tuple[dt.date, Method]]] = {}
    dated = AccountSetting.objects.filter(account__in=accounts, key="cost_basis_method", valid_from__isnull=False)
    later: dict[UUID, list[tuple[dt.date, Method]]] = defaultdict(list)
    for account, day, value in dated.order_by("valid_from", "number").values_list("account_id", "valid_from", "value"):
        if day is not None:
            later[account].append((day, value))
    for account_id, one in accounts.items():
        current: Any = one.cost_basis_method
        dates = later.get(account_id, [])
        methods[str(account_id)] = [(dt.date.min, "fifo" if dates else current), *dates]
    return methods


def _held(
    rows: Sequence[LedgerRow],
    accounts: Mapping[UUID, BrokerAccount],
    base: str,
    rate_on: Any,
    *,
    terms: Sequence[Terms],
    worths: Worths,
) -> dict[UUID, Held]:
    methods = _methods(accounts)
    shorts = {str(pk) for pk, account in accounts.items() if account.allows_short}

    def method(account: str, day: dt.date) -> Method:
        dated = methods[account]
        return dated[0][1] if len(dated) == 1 else [name for since, name in dated if since <= day][-1]

    symbols = _coin_symbols(rows)
    entries: list[tuple[str, Entry]] = []
    for row in rows:
        if row.instrument and (row.moves_units or row.kind == "return_of_capital" or row.pays_for_event):
            entries.extend((str(row.instrument), one) for one in lot_entries(row, base=base, rate_on=rate_on))
        if row.fee and row.fee_currency not in ISO_4217:
            coin = symbols.get((row.account, row.fee_currency.upper()))
            if coin is not None:
                entries.append((str(coin), _coin_fee(row, coin, base, rate_on)))
    found = held_together(
        entries, method=method, allows_short=lambda account: account in shorts, terms=terms, worths=worths
    )
    return {UUID(instrument): one for instrument, one in found.items()}


class _Worths:
    """Closes on the day of an event or soon after, when all of its instruments have one."""

    LATEST = 5  # days after it until a new instrument trades

    def __init__(self, user: User, base: str, rate_on: Any, listings: Mapping[UUID, Sequence[Listing]]) -> None:
        self.user, self.base, self.rate_on, self.listings = user, base, rate_on, listings

    def __call__(self, instruments: Collection[str], day: dt.date) -> dict[str, Decimal] | None:
        asked = {one.pk: one for name in instruments for one in self.listings.get(UUID(name), ())}
        for offset in range(self.LATEST + 1):
            on = day + dt.timedelta(days=offset)
            worth: dict[str, Decimal] = {}
            for listing, close in last_closes(user_id=self.user.pk, listing_ids=asked, day=on).items():
                one = asked[listing]
                rate = self.rate_on(one.currency, self.base, on)
                if close.date == on and rate is not None:
                    unit = quote_unit(one.quote_unit)[1] if one.quote_unit else Decimal(1)
                    worth[str(one.instrument_id)] = close.close * unit * one.instrument.multiplier * rate
            if worth.keys() >= set(instruments):
                return worth
        return None


def _coin_symbols(rows: Sequence[LedgerRow]) -> dict[tuple[UUID, str], UUID]:
    """(account, symbol) -> the instrument held there under which a fee paid in units leaves."""
    if all(row.fee_currency in ISO_4217 for row in rows if row.fee):
        return {}
    held_in = {(row.account, row.instrument) for row in rows if row.instrument}
    symbols = dict(
        Listing.objects.filter(instrument_id__in={instrument for _, instrument in held_in}).values_list(
            "instrument_id", "instrument__symbol"
        )
    )
    return {
        (account, symbols[instrument].upper()): instrument
        for account, instrument in held_in
        if instrument is not None and instrument in symbols
    }


def _coin_fee(row: LedgerRow, coin: UUID, base: str, rate_on: Any) -> Entry:
    entry = lot_entry(row, base=base, rate_on=rate_on)
    worth = row.fee * row.price if coin == row.instrument and row.price is not None else None
    return replace(
        entry, id=f"{row.id}:fee", kind="fee", quantity=-row.fee, gross=worth, fee=ZERO, tax=ZERO, cash_amount=None,
        ratio=None, transfer_group=None, event_group=None,
    )  # fmt: skip


def _read_reports(figures: Figures) -> None:
    """What no transaction explains of what sources report, and when they last did."""
    for report in unexplained(figures.user):
        line = Holding(report.account, report.key.instrument, report.key.currency)
        if report.reported_as_of <= figures.today:
            figures.unexplained[line] = report.quantity
            figures.reported[line] = report.reported_as_of


def _add_lines(
    figures: Figures, listings: Mapping[Holding, UUID], by_instrument: Mapping[UUID, Sequence[Listing]]
) -> None:
    holdings = {
        Holding(UUID(account), instrument) for instrument, found in figures.held.items() for account in found.steps
    }
    holdings |= figures.flows.cash.keys() | figures.flows.by_holding.keys()
    holdings = {one for one in holdings if figures.touched.has(account=one.account, instrument=one.instrument)}
    every_listing = {listing.pk for found in by_instrument.values() for listing in found}
    packed = packed_closes(user_id=figures.user.pk, listing_ids=every_listing)
    last = newest_closes(user_id=figures.user.pk, packed=packed, day=figures.today)
    uses_trades = uses_trade_prices(user_id=figures.user.pk)
    rows_of: dict[UUID, list[LedgerRow]] = defaultdict(list)
    for row in figures.rows:
        if row.instrument:
            rows_of[row.instrument].append(row)
    for holding in holdings:
        if holding.instrument is None:
            figures.lines[holding] = Line(
                holding, "cash", None, holding.currency, Decimal(1), Decimal(1), None, None, 7
            )
            continue
        figures.lines[holding] = _line(
            figures, holding, listings.get(holding), by_instrument.get(holding.instrument, ()), packed, last,
            rows_of[holding.instrument], uses_trades=uses_trades,
        )  # fmt: skip


def _line(
    figures: Figures,
    holding: Holding,
    preferred: UUID | None,
    listings: Sequence[Listing],
    packed: Mapping[UUID, PackedCloses],
    last: Mapping[UUID, Close],
    rows: Sequence[LedgerRow],
    *,
    uses_trades: bool,
) -> Line:
    own = [row for row in rows if row.account == holding.account]
    # The listing it was traded on; one that has prices goes before one that has none.
    ranked = sorted(listings, key=lambda one: (one.pk not in last, one.pk != preferred))
    chosen = ranked[0] if ranked else None
    if chosen is not None and chosen.pk not in last and preferred:
        chosen = next((one for one in ranked if one.pk == preferred), chosen)
    kind = chosen.instrument.kind if chosen else "other"
    currency = chosen.currency if chosen else (own or list(rows))[-1].currency
    unit = quote_unit(chosen.quote_unit)[1] if chosen and chosen.quote_unit else Decimal(1)
    fresh_for = horizon(kind)
    trades = [
        (row.day, row.price / unit)
        for row in rows
        if uses_trades and row.kind in ("buy", "sell") and row.price and row.currency == currency
    ]
    kept = packed.get(chosen.pk) if chosen else None
    found = quoted(
        first_day=kept.first_day if kept else None,
        closes=kept.closes if kept else NO_CLOSES,
        trades=trades,
        splits=_splits(figures, holding, rows),
        until=figures.today,
        horizon=fresh_for,
    )
    close = None
    if found is not None:
        trade = found.trades.get(found.observed_on)
        stored = last.get(chosen.pk) if chosen else None
        price, provider = (
            (trade, TRADE) if trade is not None else (stored.close, stored.provider) if stored else (None, "")
        )
        if price is not None:
            close = Close(found.observed_on, price * unit / found.ratio, provider)
    return Line(
        holding, kind, chosen.pk if chosen else None, currency, rows[0].multiplier if rows else Decimal(1), unit, found,
        close, fresh_for,
    )  # fmt: skip


def _splits(figures: Figures, holding: Holding, rows: Sequence[LedgerRow]) -> list[tuple[dt.date, Decimal]]:
    """New units for one old by day, as any account's row states it."""
    ratios: dict[dt.date, Decimal] = {}
    for row in rows:
        if row.kind != "split":
            continue
        if row.ratio:
            ratios.setdefault(row.day, row.ratio)
        elif row.day not in ratios and row.quantity and row.instrument:
            steps = figures.held[row.instrument].steps.get(str(row.account), [])
            before = [step.quantity for step in steps if step.day < row.day]
            if before and before[-1] and (before[-1] + row.quantity) / before[-1] > 0:
                ratios[row.day] = (before[-1] + row.quantity) / before[-1]
    return sorted(ratios.items())


def _add_series(figures: Figures) -> None:
    if not figures.rows:
        return
    first_day, last_day = figures.rows[0].day, figures.today
    columns: dict[str, Floats] = {}
    lines = sorted(figures.lines.values(), key=lambda line: (line.holding.account, str(line.holding.instrument)))
    wanted = {}
    for line in lines:
        if line.currency not in columns:
            columns[line.currency] = figures.rates.column(line.currency, figures.base, first_day, last_day)
        wanted[line.holding] = _series_holding(figures, line)
    by_key = {(str(line.holding.account), _asset(line.holding)): line for line in lines}
    for block in build_blocks(list(wanted.values()), first_day=first_day, last_day=last_day):
        for row, holding in enumerate(block.holdings):
            line = by_key[holding.account, holding.asset]
            quantity, value = block.quantity[row], block.value[row]
            in_base = np.where(quantity == 0, 0.0, value * columns[line.currency])
            start = (_first_day(figures, line.holding) - first_day).days
            figures.series[line.holding] = Series(
                line,
                first_day + dt.timedelta(days=start),
                quantity[start:].copy(),
                in_base[start:],
                block.is_fresh[row][start:] & ~np.isnan(in_base[start:]),
            )


def _asset(holding: Holding) -> str:
    return str(holding.instrument) if holding.instrument else holding.currency


def _series_holding(figures: Figures, line: Line) -> SeriesHolding:
    changes: list[tuple[dt.date, Decimal]] = []
    before = ZERO
    for step in figures.steps(line.holding):
        changes.append((step.day, step.quantity - before))
        before = step.quantity
    closes: Closes | None = line.quoted.closes if line.quoted else None
    return SeriesHolding(
        account=str(line.holding.account),
        asset=_asset(line.holding),
        currency=line.currency,
        quantity=Events.of(changes),
        closes=closes,
        is_cash=line.holding.instrument is None,
        factor=float(line.factor),
        horizon=line.horizon,
    )


def _first_day(figures: Figures, holding: Holding) -> dt.date:
    days = [step.day for step in figures.steps(holding)[:1]]
    days += [min(dated) for dated in figures.flows.by_holding.get(holding, {}).values() if dated]
    days += [day for day, *_ in figures.flows.in_kind.get(holding, [])]
    return min(days, default=figures.today)


def _add_in_kind_flows(figures: Figures) -> None:
    """Units that crossed the border, valued at the close of their day; nothing where it had none."""
    for holding, crossings in figures.flows.in_kind.items():
        line = figures.lines.get(holding)
        if line is None or line.quoted is None:
            continue
        closes = line.quoted.closes
        for day, units, kind, is_paired in crossings:
            place = (day - closes.first_day).days
            rate = figures.rate(line.currency, day)
            if place < 0 or rate is None or np.isnan(closes.values[place]):
                continue
            # repr gives the shortest decimal that is this double: the recorded close, where it has 15 digits or fewer.
            worth = units * Decimal(repr(float(closes.values[place]))) * line.factor * rate
            figures.flows.add(holding, kind, day, worth)
            if is_paired:
                figures.flows.add(holding, "transfer", day, worth)


def _add_borders(figures: Figures) -> None:
    """What crosses to and from holdings without a value: money paid in leaves, the first value enters."""
    for holding, series in figures.series.items():
        is_unknown = np.isnan(series.value)
        if not is_unknown.any():
            continue
        flows = figures.flows.by_holding.get(holding, {})
        entering: dict[dt.date, Decimal] = defaultdict(Decimal)
        for kind in ("internal", "external"):
            for day, amount in flows.get(kind, {}).items():
                entering[day] += amount
        for day, amount in entering.items():
            place = (day - series.first_day).days
            if is_unknown[place]:
                series.border[day] = -amount
        for first in np.flatnonzero(is_unknown[:-1] & ~is_unknown[1:]) + 1:
            day = series.first_day + dt.timedelta(days=int(first))
            value = Decimal(repr(float(series.value[first])))
            series.border[day] = value - entering.get(day, ZERO)


def column(series: Series, dated: Mapping[dt.date, Decimal]) -> Floats:
    """Dated amounts as a column of the series' days."""
    values = np.zeros(series.value.size)
    for day, amount in dated.items():
        place = (day - series.first_day).days
        if 0 <= place < values.size:
            values[place] += float(amount)
    return values

"""Computing one user's figures from their ledger, prices and rates: all of them, or what other inputs touched.

A part is computed in two steps. First the instruments that are touched, each with all its rows: where their days differ
from what is stored tells from which day on the days of their accounts differ. Then those days of those accounts, from
the rows of these days alone: what balances open with and what other holdings were worth is stored.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from federation.models import BrokerAccount, Listing, Transaction
from federation.selectors import unexplained
from portfolio.ledger_rows import BORDER, Flows, Holding, LedgerRow, RateOn, account_flows
from portfolio.models import ValueSeries
from portfolio.selectors.actions import action_terms
from portfolio.selectors.rates import rate_table
from portfolio.services.balances import add_balances
from portfolio.services.drafts import Figures
from portfolio.services.holdings import ClosesNear, held_by_instrument
from portfolio.services.lines import add_borders, add_in_kind_flows, add_lines, add_series
from portfolio.services.reading import listings_of, read_ledger
from portfolio.services.stored_series import first_differences
from portfolio.services.touched import Touched
from stackmotive.common.currencies import ISO_4217


def compute(*, user: User, today: dt.date, touched: Touched) -> Figures:
    """The figures that are touched, as of the close of `today`. Their `touched` names all that was computed."""
    accounts = {account.pk: account for account in BrokerAccount.objects.filter(user=user)}
    if touched.is_all:
        figures = _of_instruments(user, today, accounts, touched, None)
    else:
        figures = _of_touched(user, today, accounts, touched)
    _read_reports(figures)
    add_balances(figures)
    add_borders(figures, (one for one in figures.series if one.instrument is None))
    return figures


def _of_touched(user: User, today: dt.date, accounts: Mapping[UUID, BrokerAccount], touched: Touched) -> Figures:
    """The touched instruments, and the rows of the days of accounts that they move."""
    while True:
        instruments = touched.instruments.union(*(touched.tied.get(one, ()) for one in touched.instruments))
        touched = replace(touched, instruments=instruments)
        figures = _of_instruments(user, today, accounts, touched, Q(instrument__in=instruments))
        since = dict(touched.since)
        for account, day in first_differences(figures):
            since[account] = min(day, since.get(account, day))
        since = _with_transit(touched, since)
        touched = replace(touched, since=since)
        entering = _entering(user, touched) - instruments
        if not entering:
            break
        touched = replace(touched, instruments=instruments | entering)
    figures.touched = touched
    if since:
        which = Q()
        for account, day in since.items():
            which |= Q(account=account, trade_date__gte=day)
        others = ~Q(instrument__in=instruments) | Q(instrument=None)
        rows, _listings = read_ledger(user=user, accounts=accounts, until=today, touched=touched, which=which & others)
        _add_rows(figures, rows, ())
    return figures


def _with_transit(touched: Touched, since: dict[UUID, dt.date]) -> dict[UUID, dt.date]:
    """Back to the day on which what is on its way at the first day of an account left it or came early."""
    if not touched.until or not since:
        return since
    legs = Transaction.objects.filter(pk__in=touched.until, account__in=since)
    for pk, account, day in legs.order_by("-trade_date").values_list("pk", "account_id", "trade_date"):
        if day < since[account] < touched.until[pk]:
            since[account] = day
    return since


def _entering(user: User, touched: Touched) -> set[UUID]:
    """Instruments whose flows in kind or border flows enter those days of accounts beyond what is stored of them."""
    found: set[UUID | None] = set()
    unvalued = touched.inputs["unvalued"]
    for account, day in touched.since.items():
        rows = Transaction.objects.filter(user=user, account=account, trade_date__gte=day, instrument__isnull=False)
        found |= set(rows.filter(kind__in=[*BORDER, "reward"]).values_list("instrument_id", flat=True))
    if unvalued and touched.since:
        stored = ValueSeries.objects.filter(user=user, account__in=touched.since, instrument__in=unvalued)
        found |= set(stored.values_list("instrument_id", flat=True))
    return {one for one in found if one is not None}


def _of_instruments(
    user: User, today: dt.date, accounts: Mapping[UUID, BrokerAccount], touched: Touched, which: Q | None
) -> Figures:
    """Lots, steps, quotes and days of the holdings in the rows."""
    figures = Figures(
        user=user,
        today=today,
        base=user.base_currency,
        touched=touched,
        accounts=dict(accounts),
        rates=rate_table(user_id=user.pk, currencies={user.base_currency}),
        rows=[],
        held={},
        flows=Flows(),
    )
    rows, listings = read_ledger(user=user, accounts=accounts, until=today, touched=touched, which=which)
    by_instrument = listings_of(rows)
    rate_on = _add_rows(figures, rows, (one for found in by_instrument.values() for one in found))
    figures.held = held_by_instrument(
        rows,
        accounts,
        figures.base,
        rate_on,
        terms=action_terms(user=user),
        worths=ClosesNear(user, figures.base, rate_on, by_instrument),
    )
    add_lines(figures, listings, by_instrument)
    add_series(figures)
    add_in_kind_flows(figures)
    add_borders(figures, list(figures.series))
    return figures


def _add_rows(figures: Figures, rows: Sequence[LedgerRow], listings: Iterable[Listing]) -> RateOn:
    """Take rows and what they move into the figures; how rates are looked up from then on."""
    figures.rows = sorted([*figures.rows, *rows], key=lambda row: row.order) if figures.rows else list(rows)
    currencies = {figures.base, *(listing.currency for listing in listings)}
    for row in figures.rows:
        currencies.add(row.currency)
        currencies.add(row.cash_currency)
        if row.fee_currency in ISO_4217:
            currencies.add(row.fee_currency)
    currencies |= {line.currency for line in figures.lines.values()}
    table = figures.rates = rate_table(user_id=figures.user.pk, currencies=currencies)
    known: dict[tuple[str, str, dt.date], Decimal | None] = {}

    def rate_on(base: str, quote: str, day: dt.date) -> Decimal | None:
        place = (base, quote, day)
        if place not in known:
            found = table.rate(base, quote, day)
            known[place] = None if found is None else found.value
        return known[place]

    payments = {leg for leg, meaning in figures.touched.beyond.items() if meaning == "payment"}
    account_flows(rows, base=figures.base, rate_on=rate_on, payments=payments, into=figures.flows)
    return rate_on


def _read_reports(figures: Figures) -> None:
    """What no transaction explains of what sources report, and when they last did."""
    for report in unexplained(figures.user):
        line = Holding(report.account, report.key.instrument, report.key.currency)
        if report.reported_as_of <= figures.today:
            figures.unexplained[line] = report.quantity
            figures.reported[line] = report.reported_as_of

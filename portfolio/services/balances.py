"""Cash of accounts: computed from its first day, or gone on with from what is stored before the first computed one."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from django.db.models import Q

from portfolio.holding_steps import Step
from portfolio.ledger_rows import Holding
from portfolio.models import HoldingStep
from portfolio.series import stepped
from portfolio.services.drafts import Figures, Line, Series
from portfolio.services.lines import first_day_of
from portfolio.services.stored_series import kept_columns

ONE = Decimal(1)


def add_balances(figures: Figures) -> None:
    """Lines and days of every currency that the computed accounts hold or held."""
    kept = {} if figures.touched.is_all else kept_columns(figures)
    if kept:
        _add_openings(figures)
    holdings = kept.keys() | figures.opening.keys()
    for dated_by in (figures.flows.cash, figures.flows.by_holding):
        for holding, dated in dated_by.items():
            if holding.instrument is None and figures.touched.has(account=holding.account, instrument=None) and dated:
                holdings |= {holding}
    for holding in sorted(holdings, key=lambda one: (one.account, one.currency)):
        line = figures.lines[holding] = Line(holding, "cash", None, holding.currency, ONE, ONE, None, None, 7)
        first_day, columns = kept.get(holding) or (first_day_of(figures, holding), {})
        rates = figures.rates.column(line.currency, figures.base, first_day, figures.today)
        steps = [(step.day, step.quantity) for step in figures.steps(holding)]
        quantity = stepped(steps, first_day=first_day, last_day=figures.today)
        value = np.where(quantity == 0, 0.0, quantity * rates)
        is_fresh = ~np.isnan(value)
        if columns:
            days = columns["value"].size
            quantity[:days], value[:days], is_fresh[:days] = (
                columns["quantity"], columns["value"], columns["is_fresh"] != 0,
            )  # fmt: skip
        figures.series[holding] = Series(line, first_day, quantity, value, is_fresh, kept=columns)


def _add_openings(figures: Figures) -> None:
    """The balances that the computed days begin with."""
    which = Q()
    for account, day in figures.touched.since.items():
        which |= Q(account=account, day__lt=day)
    steps = HoldingStep.objects.filter(which, user=figures.user, instrument=None).order_by(
        "account_id", "currency", "-day"
    )
    for step in steps.distinct("account_id", "currency"):
        holding = Holding(step.account_id, None, step.currency)
        figures.opening[holding] = Step(step.day, step.quantity, step.currency, None, None)

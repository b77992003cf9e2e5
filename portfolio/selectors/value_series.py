"""Value and contributions day by day."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import numpy as np
from django.db.models import F, Sum
from django.db.models.functions import Greatest, Least

from accounts.models import User
from portfolio.models import DailyValue, ValueSeries
from portfolio.returns import DayValue
from portfolio.selectors.scope import Exchange, account_filter, exchange
from portfolio.series import Floats, chart_places, unpack, window

ZERO = Decimal(0)
ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ValuePoint:
    """A day in the currency asked for. contributed: all external flows up to and with it. value None: nothing known."""

    date: dt.date
    value: Decimal | None
    flow: Decimal
    contributed: Decimal


def value_series(
    *,
    user: User,
    account: UUID | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    currency: str | None = None,
    points: int | None = None,
) -> list[ValuePoint]:
    """Every day from start (the first) to end (the last), or at most `points` of them that keep the curve's shape."""
    rate = exchange(user=user, currency=currency)
    rows = _daily(user, account, end)
    found: list[ValuePoint] = []
    contributed = ZERO
    for date, value, external, _inflow, _outflow, _border in rows:
        flow = rate.convert(external, date) or ZERO
        contributed += flow
        if start is None or date >= start:
            found.append(ValuePoint(date, rate.convert(value, date), flow, contributed))
    if points is None or len(found) <= points:
        return found
    values = np.array([np.nan if point.value is None else float(point.value) for point in found])
    return [found[place] for place in chart_places(values, points=points)]


def _daily(
    user: User, account: UUID | None, end: dt.date | None
) -> list[tuple[dt.date, Decimal | None, Decimal, Decimal, Decimal, Decimal]]:
    """(day, value, net external flow, inflow, outflow as negative, border), summed over accounts."""
    crossing = F("external_flow") if account else F("external_flow") - F("transfer_flow")
    worth = Sum("value") if account else Sum("value") + Sum("in_transit")
    days = DailyValue.objects.visible_to(user).filter(**account_filter(account))
    if end is not None:
        days = days.filter(date__lte=end)
    return list(
        days.values("date")
        .annotate(
            worth=worth,
            net=Sum(crossing),
            entering=Sum(Greatest(crossing, ZERO)),
            leaving=Sum(Least(crossing, ZERO)),
            edge=Sum("border_flow"),
        )
        .order_by("date")
        .values_list("date", "worth", "net", "entering", "leaving", "edge")
    )


def day_values(
    *,
    user: User,
    account: UUID | None,
    start: dt.date | None,
    end: dt.date | None,
    rate: Exchange,
    instrument: UUID | None = None,
) -> list[DayValue]:
    """The days of a period for return figures: the first is the opening, at whose close the period begins.

    A period without a start opens at nothing the day before the first flow. Flows at the border of what has a value
    count as external. instrument: of that holding alone, where a purchase flows in, a sale and a dividend flow out.
    """
    rows = _daily(user, account, end) if instrument is None else _daily_of_holding(user, account, instrument, end)
    if not rows:
        return []
    first = rows[0][0] - ONE_DAY
    opening = max(start, first) if start else first
    days = [DayValue(first, ZERO)] if opening <= first else []
    for date, value, _net, inflow, outflow, border in rows:
        if date < opening:
            continue
        entering, leaving = inflow + max(border, ZERO), -outflow - min(border, ZERO)
        days.append(
            DayValue(
                date,
                rate.convert(value, date),
                rate.convert(entering, date) or ZERO,
                rate.convert(leaving, date) or ZERO,
            )
        )
    return days


def _daily_of_holding(
    user: User, account: UUID | None, instrument: UUID, end: dt.date | None
) -> list[tuple[dt.date, Decimal | None, Decimal, Decimal, Decimal, Decimal]]:
    """The same columns for one holding over its accounts; what moved between them is no flow."""
    stored = list(ValueSeries.objects.visible_to(user).filter(instrument=instrument, **account_filter(account)))
    if not stored:
        return []
    first = min(series.first_day for series in stored)
    last = max(series.first_day + ONE_DAY * (unpack(series.value).size - 1) for series in stored)
    last = min(last, end) if end else last
    if last < first:
        return []
    worth, flow = np.full((last - first).days + 1, np.nan), np.zeros((last - first).days + 1)
    border = flow.copy()

    def column(series: ValueSeries, packed: bytes) -> Floats:
        return window(unpack(packed), stored_from=series.first_day, first_day=first, last_day=last)

    for series in stored:
        value = column(series, series.value)
        worth = np.where(np.isnan(value), worth, np.nan_to_num(worth) + value)
        flow += np.nan_to_num(column(series, series.external_flow)) + np.nan_to_num(
            column(series, series.internal_flow)
        )
        if account is None and series.transfer_flow:
            flow -= np.nan_to_num(column(series, series.transfer_flow))
        if series.border_flow:
            border += np.nan_to_num(column(series, series.border_flow))
    rows = []
    for place, (value, net, edge) in enumerate(zip(worth.tolist(), flow.tolist(), border.tolist(), strict=True)):
        moved = Decimal(repr(net))
        known = None if np.isnan(value) else Decimal(repr(value))
        rows.append((first + ONE_DAY * place, known, moved, max(moved, ZERO), min(moved, ZERO), Decimal(repr(edge))))
    return rows


__all__ = ["ValuePoint", "day_values", "value_series"]

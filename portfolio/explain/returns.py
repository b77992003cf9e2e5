"""Returns and risk, over the days that they are worked out from."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from portfolio.explain.sight import Sight
from portfolio.explain.tree import Node, Ref, figure, given, less, reckoned
from portfolio.returns import DayValue
from portfolio.selectors.performance import performance
from portfolio.selectors.value_series import day_values

WORDS: Final = {
    "twr": "Time-weighted return: the growth of each day, linked; flows count at the end of their day",
    "twr_annualized": "Time-weighted return a year: (1 + return) ^ (365 / days) - 1",
    "xirr": "Money-weighted return a year: the rate at which all flows are worth nothing",
    "modified_dietz": "Gain over the money at work, each flow weighted by the days it worked",
    "period_gain": "Value at the end less value at the start less what was paid in",
    "volatility": "Standard deviation of the returns, a year",
    "sharpe": "Mean return over its standard deviation, a year",
    "sortino": "Mean return over its downside deviation, a year",
    "max_drawdown": "Deepest fall from a peak of one unit of money",
    "calmar": "Return a year over the deepest fall",
    "beta": "How far the returns move with the benchmark's",
    "alpha": "What the benchmark's moves leave unexplained, a year",
    "tracking_error": "Standard deviation of the difference to the benchmark, a year",
    "information_ratio": "Mean difference to the benchmark over its deviation, a year",
    "omega": "Sum of the gains over the sum of the losses",
    "downside_deviation": "Root of the mean squared loss, a year",
    "var_95": "The return that 95 of 100 days were above",
    "cvar_95": "Mean of the returns at or below it",
}


def return_figure(sight: Sight, name: str, period: dict[str, Any]) -> Node | None:
    """period: start, end, instrument, benchmark, as the performance endpoint takes them."""
    if name not in WORDS:
        return None
    found = performance(user=sight.user, account=sight.account, currency=sight.rate.currency, **period)
    told: Any = getattr(found, name, None)
    value: Decimal | None = told.value if name == "max_drawdown" else told
    days = day_values(
        user=sight.user, account=sight.account, start=period.get("start"), end=period.get("end"), rate=sight.rate,
        instrument=period.get("instrument"),
    )  # fmt: skip
    unit = sight.rate.currency if name == "period_gain" else "ratio"
    reason = found.reasons.get(name, "")
    listed = _listed(sight, days, period.get("instrument"))
    if name == "period_gain" and days:
        flows = [given(f"Flow of {one.day.isoformat()}", one.inflow - one.outflow, unit, on=one.day)
                 for one in days[1:] if one.inflow or one.outflow]  # fmt: skip
        ends = [_close(sight, days[place], period.get("instrument")) for place in (-1, 0)]
        return less(WORDS[name], unit, [*ends, *flows], places=10, reason=reason)
    if name == "twr_annualized" and value is not None:
        asked = sight.question("twr", **_words(period))
        return reckoned(
            WORDS[name], value, unit, name,
            [figure("Time-weighted return", found.twr, "ratio", asked), given("Days", Decimal(_span(days)), "days")],
        )  # fmt: skip
    settings = [
        given("Returns counted", Decimal(found.n_obs), "count"),
        given("Periods a year", Decimal(found.periods_per_year), "count"),
    ]
    return reckoned(WORDS[name], value, unit, name, [*listed, *settings], reason=reason)


def _span(days: Sequence[DayValue]) -> int:
    return (days[-1].day - days[0].day).days if days else 0


def _words(period: dict[str, Any]) -> dict[str, Any]:
    names = {"start": "from", "end": "to"}
    return {names.get(name, name): told for name, told in period.items() if told}


def _close(sight: Sight, day: DayValue, instrument: UUID | None) -> Node:
    label = f"Value at the close of {day.day.isoformat()}"
    if instrument is not None or sight.rate.table is not None:
        ref = Ref("daily_value", detail={"date": day.day.isoformat()})
        return given(label, day.value, sight.rate.currency, ref=ref, on=day.day, is_double=True)
    asked: dict[str, object] = {"figure": "value", "date": day.day, "account": sight.account}
    return figure(label, day.value, sight.rate.currency, asked, on=day.day)


def _listed(sight: Sight, days: Sequence[DayValue], instrument: UUID | None) -> list[Node]:
    """One node a day: its value, with what flowed in and out at its end."""
    unit = sight.rate.currency
    nodes = []
    for one in days:
        flows = (given("Paid in", one.inflow, unit, on=one.day), given("Paid out", one.outflow, unit, on=one.day))
        nodes.append(
            Node(
                one.day.isoformat(),
                "statistic",
                one.value,
                unit,
                (_close(sight, one, instrument), *flows),
                on=one.day,
                statistic="day",
            )
        )
    return [reckoned("Days", Decimal(len(nodes)), "days", "days", nodes)]

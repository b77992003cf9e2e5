"""An account's reports against its ledger: from what sources stated to balances and adjustments (DESIGN 5.9).

What moved the holdings comes from outside, so that a run over a few holdings feeds only their movements.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from federation.cash import cash_effects
from federation.coverage import Held, Runs, reports_in_force
from federation.disagreements import differing_reports
from federation.opening_lots import OpeningLots, to_text
from federation.ordering import Place
from federation.positions import (
    NOTHING_MOVED,
    OPENING_BALANCE,
    Adjustment,
    CoverRuns,
    Holding,
    Movements,
    SourceCover,
    settle,
)
from federation.rows import (
    DERIVED,
    AccountInfo,
    Balance,
    Disagreement,
    HoldingKey,
    LedgerRow,
    Report,
    SourceInfo,
    StagedRow,
    Stated,
)
from stackmotive.common.currencies import ISO_4217, minor_unit
from stackmotive.common.money import to_recorded

Moves = Mapping[HoldingKey, Movements]
Choice = tuple[UUID, date | None]
"""The source that a decision believes, and the last day it does; null = every day."""


@dataclass(frozen=True, slots=True)
class InForce:
    """An account's reports that count, by holding and source, and the editions that wait for the user."""

    reports: dict[HoldingKey, dict[UUID, list[Report]]]
    held: list[tuple[UUID, Held]]


@dataclass(frozen=True, slots=True)
class Context:
    """What settling an account asks about everything but the holding itself.

    cover: by source. declared_days: days of the account that any source declares whole. chosen: decisions of
    the user.
    """

    user: UUID
    account: AccountInfo
    sources: dict[UUID, SourceInfo]
    cover: dict[UUID, SourceCover]
    declared_days: frozenset[date]
    chosen: Mapping[HoldingKey, Choice]
    opening_lots: Mapping[HoldingKey, OpeningLots] = field(default_factory=dict)


@dataclass(slots=True)
class SettledAccount:
    balances: list[Balance] = field(default_factory=list)
    rows: list[tuple[LedgerRow, Place]] = field(default_factory=list)  # adjustments, and where they stand in their day
    disagreements: list[Disagreement] = field(default_factory=list)


def in_force(
    stated: Iterable[Stated],
    *,
    sources: dict[UUID, SourceInfo],
    accepted: Collection[int],
    is_sold: Callable[[Report, date], bool],
) -> InForce:
    """The reports of one account that count. accepted, is_sold: as `reports_in_force` asks."""
    found = InForce(defaultdict(lambda: defaultdict(list)), [])
    for one in stated:
        positions, held = positions_in_force(one, sources=sources, accepted=accepted, is_sold=is_sold)
        cash, _ = reports_in_force(one.cash_reports, one.cash)
        found.held.extend((one.source, waiting) for waiting in held)
        for report in positions + cash:
            found.reports[report.key][one.source].append(report)
    return found


def positions_in_force(
    one: Stated,
    *,
    sources: dict[UUID, SourceInfo],
    accepted: Collection[int],
    is_sold: Callable[[Report, date], bool],
) -> tuple[list[Report], list[Held]]:
    """One reference's reports of positions that count, and its editions that wait; rows by hand never do."""
    return reports_in_force(
        one.position_reports,
        one.positions,
        accepted=accepted,
        explains=None if sources[one.source].by_hand else is_sold,
    )


def movements(
    rows: Iterable[StagedRow | LedgerRow],
    wanted: Collection[HoldingKey],
    *,
    account: AccountInfo,
    multipliers: Mapping[UUID, Decimal],
) -> dict[HoldingKey, Movements]:
    """Changes of the `wanted` holdings by day. Cash kept outside the account has none."""
    changes: dict[HoldingKey, list[tuple[date, Decimal]]] = defaultdict(list)
    ratios: dict[HoldingKey, list[tuple[date, Decimal]]] = defaultdict(list)
    is_tracked = account.cash_mode == "tracked"
    for row in rows:
        if row.instrument is not None:
            key = HoldingKey(row.instrument, "")
            if key in wanted:
                if row.kind == "split" and row.quantity is None and row.ratio:
                    ratios[key].append((row.trade_date, row.ratio))
                elif row.quantity:
                    changes[key].append((row.trade_date, row.quantity))
        if is_tracked:
            multiplier = multipliers.get(row.instrument, Decimal(1)) if row.instrument else Decimal(1)
            for currency, amount in cash_effects(row, multiplier):
                key = HoldingKey(None, currency)
                if key in wanted:
                    changes[key].append((row.trade_date, amount))
    return {key: Movements(changes[key], ratios[key]) for key in changes.keys() | ratios.keys()}


def settle_account(
    reports: Mapping[HoldingKey, Mapping[UUID, Sequence[Report]]],
    *,
    context: Context,
    ledger: Moves,
    by_source: Mapping[UUID, Moves],
) -> SettledAccount:
    """Settle the holdings in `reports`, each by itself: leaving holdings out changes nothing for the others.

    ledger: what the account's rows without adjustments move. by_source: what each source's own rows in force
    move; both must be whole for the holdings in `reports`.
    """
    result = SettledAccount()
    cover = {source: CoverRuns.of(days) for source, days in context.cover.items()}
    declared_days = Runs(context.declared_days)
    for key in sorted(reports, key=lambda key: (str(key.instrument or ""), key.currency)):
        holding = Holding(
            key,
            {source: one_a_day(stated) for source, stated in reports[key].items()},
            ledger.get(key, NOTHING_MOVED),
            {source: moves[key] for source, moves in by_source.items() if key in moves},
        )
        choice = context.chosen.get(key)
        settled = settle(
            holding,
            sources=context.sources,
            cover=cover,
            declared_days=declared_days,
            chosen=lambda day, choice=choice: _chosen_on(choice, day),  # type: ignore[misc]
            tolerance=Decimal(0) if key.instrument else minor_unit(key.currency) / 2,
            by_transactions=context.account.tracking == "transactions",
        )
        result.balances.extend(settled.balances)
        first_day = settled.balances[0].as_of
        result.rows.extend(
            adjustment_row(one, context, is_first=one.report_day == first_day) for one in settled.adjustments
        )
        if (differing := differing_reports(context.account.id, settled.balances[-1])) is not None:
            result.disagreements.append(differing)
    return result


def adjustment_row(one: Adjustment, context: Context, *, is_first: bool = False) -> tuple[LedgerRow, Place]:
    """The ledger row of an adjustment: an opening balance stands first in its day, any other one last.

    is_first: it makes the first report of its holding true; its lots are the user's to give.
    """
    key, account = one.key, context.account
    name = str(key.instrument) if key.instrument else key.currency
    quantity = to_recorded(one.quantity)
    row = LedgerRow(
        id=uuid5(DERIVED, f"adjustment:{account.id}:{name}:{one.report_day.isoformat()}"),
        user=context.user,
        account=account.id,
        instrument=key.instrument,
        listing=None,
        kind="adjustment",
        trade_date=one.day,
        traded_at=None,
        settled_on=None,
        quantity=quantity if key.instrument else None,
        price=None if one.unit_cost is None else to_recorded(one.unit_cost),
        currency=one.currency if one.currency in ISO_4217 else account.currency,
        fee=None,
        fee_currency="",
        tax=None,
        cash_amount=None if key.instrument else quantity,
        cash_currency="" if key.instrument else key.currency,
        fx_rate=None,
        ratio=None,
        group=None,
        leg=0,
        position=0,
        note=one.note,
        source=None,
        is_manual=False,
    )
    lots = context.opening_lots.get(key)
    is_opening = one.note == OPENING_BALANCE or is_first
    if lots and is_opening and lots.fit(quantity=quantity, day=one.day, currency=row.currency):
        row.lots = to_text(lots.lots)
        row.price = None  # each lot has its own cost
    return row, Place("", -1 if one.note == OPENING_BALANCE else 1 << 30, name)


def one_a_day(reports: Sequence[Report]) -> list[Report]:
    """One report a day of a source, ascending; several references or lines of one holding add up."""
    if len(reports) == 1:
        return list(reports)
    days: dict[date, Report] = {}
    for report in sorted(reports, key=lambda report: (report.as_of, report.content, report.line)):
        known = days.get(report.as_of)
        if known is None:
            days[report.as_of] = report
            continue
        cost = None
        if known.cost_basis is not None and report.cost_basis is not None:
            cost = known.cost_basis + report.cost_basis
        days[report.as_of] = Report(
            report.content, report.source, known.line, report.instrument, known.currency,
            known.value + report.value, cost, report.as_of,
        )  # fmt: skip
    return list(days.values())


def _chosen_on(choice: Choice | None, day: date) -> UUID | None:
    if choice is None:
        return None
    source, until = choice
    return source if until is None or day <= until else None

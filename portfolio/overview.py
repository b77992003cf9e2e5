"""What the overview shows, gathered from the same selectors as the API: the same figure is equal on all pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings

from accounts.models import User
from federation.models import Conflict
from ingestion.selectors import sources
from portfolio import selectors
from portfolio.holding_rows import KIND_LABELS, HoldingRow, in_words, returns_of
from portfolio.selectors import Allocation, Performance, Quality, Summary
from portfolio.selectors.holding_returns import holding_returns
from stackmotive.common import charts
from stackmotive.common.chart_images import chart_images
from stackmotive.common.charts import Spec, ValuePoint
from stackmotive.common.display import day_text, percent_text
from stackmotive.common.page_filters import Filters

TOP = 7
MOVERS = 4
TABLE_ROWS = 60
WIDE, NARROW = (820, 320), (330, 230)
BREAKDOWNS = {"kind": ("Kind", "kind"), "currency": ("Currency", "currency"), "account": ("Account", "account")}
PLURALS = {"kind": "kinds", "currency": "currencies", "account": "accounts"}
OTHERS = "Everything else"


@dataclass(frozen=True, slots=True)
class Headline:
    """gain and twr are of the period, the rest since the start; all at the close of as_of."""

    value: Decimal | None
    reason: str
    currency: str
    as_of: date
    is_stale: bool
    stale_reason: str
    gain: Decimal | None
    twr: Decimal | None
    twr_reason: str
    net_contribution: Decimal
    total_gain: Decimal | None
    income: Decimal
    cash: Decimal | None


@dataclass(frozen=True, slots=True)
class ChartShown:
    """spec: what the browser draws live. wide, narrow: the server's pictures, "" where none is ready."""

    id: str
    label: str
    spec: Spec
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class SliceShown:
    label: str
    value: Decimal
    share: Decimal
    swatch: int


@dataclass(frozen=True, slots=True)
class Choice:
    code: str
    label: str


@dataclass(frozen=True, slots=True)
class AllocationShown:
    by: str
    noun: str
    choices: tuple[Choice, ...]
    slices: tuple[SliceShown, ...]
    left_out: str
    chart: ChartShown | None


@dataclass(frozen=True, slots=True)
class QualityItem:
    """state: the class that colors its icon; the words say the same."""

    state: str
    icon: str
    text: str
    label: str
    page: str = ""  # the name of the page that shows more


@dataclass(frozen=True, slots=True)
class Overview:
    headline: Headline
    value_chart: ChartShown | None
    value_table: tuple[ValuePoint, ...]
    allocation: AllocationShown
    quality: tuple[QualityItem, ...]
    top: tuple[HoldingRow, ...]
    movers: tuple[HoldingRow, ...]
    holding_count: int


def overview(*, user: User, filters: Filters, by: str) -> Overview | None:
    """None for a user who has nothing yet. by: a key of BREAKDOWNS."""
    period, account = filters.period, filters.account_id
    scope: dict[str, Any] = {"user": user, "account": account, "currency": filters.currency}
    summary = selectors.summary(**scope, as_of=period.end)
    held = selectors.positions(**scope, as_of=period.end, group_by="instrument")
    points = value_points(scope, filters)
    if not held and not points and not summary.total_value:
        return None
    performance = selectors.performance(**scope, start=period.start, end=period.end, points=2)
    split = selectors.allocation(**scope, by=by, as_of=period.end)
    returns = holding_returns(user=user, start=period.start, end=period.end, account=account)
    rows = returns_of(held, returns)
    quality = selectors.quality(user=user, account=account, known=summary)
    value_chart, ring = drawn_charts(points, split, filters)
    return Overview(
        headline=headline(summary, performance, quality),
        value_chart=value_chart,
        value_table=tuple(reversed(charts.thinned(points, TABLE_ROWS))),
        allocation=allocation_shown(split, ring),
        quality=quality_items(user, quality),
        top=tuple(rows[:TOP]),
        movers=movers(rows),
        holding_count=len(rows),
    )


def value_points(scope: dict[str, Any], filters: Filters) -> list[ValuePoint]:
    period = filters.period
    series = selectors.value_series(**scope, start=period.start, end=period.end, points=charts.MAX_POINTS)
    is_live = settings.AS_OF is None
    return [
        ValuePoint(row.date, row.value, row.contributed, provisional=is_live and row.date == filters.today)
        for row in series
    ]


def headline(summary: Summary, performance: Performance, quality: Quality) -> Headline:
    stale_reason = ""
    if summary.is_stale:
        stale_reason = "being updated"
    elif quality.stale and quality.oldest_price:
        stale_reason = f"oldest price {day_text(quality.oldest_price)}"
    return Headline(
        value=summary.total_value,
        reason=in_words(summary.reasons.get("total_value", "")),
        currency=summary.currency,
        as_of=summary.as_of,
        is_stale=bool(stale_reason),
        stale_reason=stale_reason,
        gain=performance.period_gain,
        twr=performance.twr,
        twr_reason=in_words(performance.reasons.get("twr", "")),
        net_contribution=summary.net_contribution,
        total_gain=summary.total_gain,
        income=summary.income,
        cash=summary.cash,
    )


def drawn_charts(
    points: Sequence[ValuePoint], split: Allocation, filters: Filters
) -> tuple[ChartShown | None, ChartShown | None]:
    """The value line and the ring, with whatever pictures are ready in time."""
    line_label = f"Value and net contributions, {filters.period.label}. The table below has the figures."
    shares = [f"{part.label} {percent_text(part.share, digits=1)}" for part in slices_shown(split)]
    ring_label = f"Allocation by {BREAKDOWNS[split.by][1]}: {', '.join(shares)}."
    line = partial(charts.value_chart, points, currency=filters.currency, description=line_label)
    ring = charts.allocation_ring(
        [charts.Slice(part.label, part.share, part.swatch) for part in slices_shown(split)], description=ring_label
    )
    wanted = [line(width=width, height=height) for width, height in (WIDE, NARROW)] if points else []
    pictures = chart_images([*wanted, ring] if shares else wanted)
    value_chart = ChartShown("value-chart", line_label, line(), pictures[0], pictures[1]) if points else None
    return value_chart, ChartShown("allocation-chart", ring_label, ring, pictures[-1], "") if shares else None


def slices_shown(split: Allocation) -> tuple[SliceShown, ...]:
    """The largest, the rest as one: as many as there are colors."""
    parts = [part for part in split.slices if part.share]
    labels = {part.key: KIND_LABELS.get(part.key, part.label) for part in parts}
    shown = parts if len(parts) <= charts.SWATCHES else parts[: charts.SWATCHES - 1]
    slices = [SliceShown(labels[p.key], p.value, p.share or Decimal(0), i) for i, p in enumerate(shown, start=1)]
    rest = parts[len(shown) :]
    if rest:
        value = sum((part.value for part in rest), Decimal(0))
        share = sum((part.share or Decimal(0) for part in rest), Decimal(0))
        slices.append(SliceShown(OTHERS, value, share, charts.SWATCHES))
    return tuple(slices)


def allocation_shown(split: Allocation, chart: ChartShown | None) -> AllocationShown:
    count = split.left_out
    left_out = f"{count} holding{'s' if count != 1 else ''} without a known value left out." if count else ""
    parts = [part for part in split.slices if part.share]
    return AllocationShown(
        by=split.by,
        noun=PLURALS[split.by] if len(parts) != 1 else BREAKDOWNS[split.by][1],
        choices=tuple(Choice(code, label) for code, (label, _) in BREAKDOWNS.items()),
        slices=slices_shown(split),
        left_out=left_out,
        chart=chart,
    )


def quality_items(user: User, quality: Quality) -> tuple[QualityItem, ...]:
    agreeing, all_sources = sources_in_agreement(user)
    conflicts, unpriced, gaps = quality.open_conflicts, len(quality.unpriced), len(quality.unexplained)
    oldest = quality.oldest_price
    is_covered = quality.coverage is not None and quality.coverage >= Decimal("0.98")
    return (
        QualityItem(good(is_covered), "check", percent_text(quality.coverage, digits=1), "of value freshly priced"),
        QualityItem(
            good(agreeing == all_sources), "source", f"{agreeing} of {all_sources}", "sources in agreement", "sources"
        ),
        QualityItem(good(not conflicts), "scale", str(conflicts), conflict_words(user, conflicts), "reconciliation"),
        QualityItem(good(not unpriced), "tag", str(unpriced), f"holding{plural(unpriced)} without price"),
        QualityItem(
            good(not gaps), "alert", str(gaps), f"unexplained quantit{'y' if gaps == 1 else 'ies'}", "holdings"
        ),
        QualityItem("muted", "clock", day_text(oldest) if oldest else "—", "oldest price in use"),
    )


def conflict_words(user: User, count: int) -> str:
    """Open conflicts, and how many were settled: those are to be seen too."""
    settled = Conflict.objects.visible_to(user).exclude(status=Conflict.Status.OPEN).count()
    return f"conflict{plural(count)}, {settled} settled" if settled else f"open conflict{plural(count)}"


def good(is_good: bool) -> str:
    return "up" if is_good else "warn"


def plural(count: int) -> str:
    return "" if count == 1 else "s"


def sources_in_agreement(user: User) -> tuple[int, int]:
    """(sources without an open conflict, all that are believed)."""
    believed = {str(source.pk) for source in sources(user_id=user.pk) if source.enabled}
    rows = Conflict.objects.visible_to(user).filter(status=Conflict.Status.OPEN).values_list("candidates", flat=True)
    disputed = {str(candidate.get("source")) for candidates in rows for candidate in candidates}
    return len(believed - disputed), len(believed)


def movers(rows: Sequence[HoldingRow]) -> tuple[HoldingRow, ...]:
    """The largest moves of the period, up or down."""
    moved = [row for row in rows if row.move]
    return tuple(sorted(moved, key=lambda row: -abs(row.move or Decimal(0)))[:MOVERS])

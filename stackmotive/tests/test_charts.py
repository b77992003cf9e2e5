import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import altair
import pytest
from django.core.cache import cache

from stackmotive.common import chart_images, charts
from stackmotive.common.charts import Slice, Spec, ValuePoint

START = date(2025, 1, 1)


def days(values: list[int | None]) -> list[ValuePoint]:
    return [
        ValuePoint(START + timedelta(i), None if v is None else Decimal(v), Decimal(100)) for i, v in enumerate(values)
    ]


def value_spec(values: list[int | None], width: int = 600) -> Spec:
    return charts.value_chart(days(values), currency="EUR", description="Value of a year", width=width)


RING = charts.allocation_ring(
    [Slice("ETFs", Decimal("0.6"), 1), Slice("Cash", Decimal("0.4"), 2)], description="By kind"
)


@pytest.mark.parametrize(
    "spec",
    [
        value_spec([100, None, 120]),
        value_spec([]),
        charts.value_chart(days([1, 2]), currency="EUR", description="x"),
        RING,
    ],
)
def test_specs_are_valid_vega_lite_without_addresses(spec: Spec) -> None:
    altair.Chart.from_dict(spec)
    assert re.findall(r'"url"', json.dumps(spec)) == []


def test_day_without_value_breaks_the_line() -> None:
    svg = chart_images.draw_svg(value_spec([100, 110, None, 120, 130]))
    line = re.search(r'mark-line[^>]*layer_2_marks[^>]*><path[^>]* d="([^"]*)"', svg)
    assert line is not None
    assert line[1].count("M") == 2


def test_only_an_unfinished_day_is_marked() -> None:
    over = [ValuePoint(START, Decimal(1)), ValuePoint(START + timedelta(1), Decimal(2))]
    today = [*over, ValuePoint(START + timedelta(2), Decimal(3), provisional=True)]
    marks = [
        chart_images.draw_svg(charts.value_chart(points, currency="EUR", description="x", width=300)).count(
            "mark-symbol"
        )
        for points in (over, today)
    ]
    assert marks == [0, 1]


def test_first_and_last_day_keep_their_dates_in_every_time_zone() -> None:
    assert value_spec([1, 2])["data"]["format"] == {"parse": {"d": "utc:'%Y-%m-%d'"}}


def test_thinning_keeps_the_last_day() -> None:
    points = days(list(range(4000)))
    drawn = charts.thinned(points)
    assert drawn[-1] == points[-1]
    assert len(drawn) == 364


@pytest.mark.parametrize(
    ("known", "bounds"),
    [
        ([0.0, 100.0], (0.0, 108.0)),
        ([1000.0, 1100.0], (992.0, 1108.0)),
        ([-50.0, 50.0], (-58.0, 58.0)),
        ([], (0.0, 1.0)),
        ([0.0], (0.0, 1.0)),
    ],
)
def test_axis_starts_at_zero_unless_that_flattens_the_line(known: list[float], bounds: tuple[float, float]) -> None:
    assert charts.value_range(known) == bounds


def test_sparkline_skips_unknown_days_and_needs_two_points() -> None:
    assert charts.sparkline([Decimal(1), None, Decimal(3)]) == "0.0,25.0 84.0,1.0"
    assert charts.sparkline([None, Decimal(3)]) == ""


def test_one_picture_serves_both_themes_and_print_gets_real_colors() -> None:
    svg = chart_images.draw_svg(RING)
    assert 'fill="var(--c1)"' in svg
    assert "var(" not in charts.resolve_colors(chart_images.draw_svg(value_spec([1, 2])) + svg)


def test_sheet_names_every_color_of_the_charts() -> None:
    sheet = (Path(__file__).parent.parent / "static/stackmotive/app.css").read_text()
    missing = [name for name in charts.LIGHT if f"--{name}: light-dark({charts.LIGHT[name]}" not in sheet]
    assert missing == []


def test_axis_of_amounts_can_be_hidden_by_the_sheet() -> None:
    sheet = (Path(__file__).parent.parent / "static/stackmotive/app.css").read_text()
    assert '[data-amounts=hidden] .chart [aria-label^="Y-axis"] .role-axis-label' in sheet
    assert chart_images.draw_svg(value_spec([100, 200])).count('aria-label="Y-axis') == 1


def test_picture_is_drawn_once_and_then_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    drawn: list[str] = []

    def worker(args: tuple[str], expires: int) -> None:
        drawn.append(args[0])
        chart_images.draw_chart(*args)

    monkeypatch.setattr(chart_images.draw_chart, "apply_async", worker)
    first = chart_images.chart_images([RING])
    assert chart_images.chart_images([RING]) == first
    assert first[0].startswith("<svg")
    assert drawn == [chart_images.chart_key(RING)]  # no figure travels in the message or its log line


def test_late_worker_leaves_the_page_without_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(chart_images.draw_chart, "apply_async", lambda args, expires: None)
    assert chart_images.chart_images([RING], patience=0.05) == [""]

"""Charts as Vega-Lite specifications: one dict for the browser, the server's SVG and the PDF.

Colors are CSS custom properties of app.css, so one picture serves light and dark; `resolve_colors` puts real ones in
for print. Specs carry their data inline and never a URL. Floats are right here: a chart is a picture of a figure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from stackmotive.common.display import SYMBOLS

Spec = dict[str, Any]

MAX_POINTS = 366
FONT = "Inter, system-ui, sans-serif"
LIGHT = {
    "accent": "#2a52d8", "fade": "#2a52d800", "fill": "#2a52d838", "muted": "#566072", "line": "#e3e6ec",
    "surface": "#ffffff", "c1": "#2a52d8", "c2": "#0f9b8e", "c3": "#d98a10", "c4": "#8a4fd0", "c5": "#d1477a",
    "c6": "#4f9a2f", "c7": "#3a8fc7", "c8": "#8a93a3",
}  # fmt: skip
SWATCHES = 8


@dataclass(frozen=True, slots=True)
class ValuePoint:
    """One day at its close. value None = no value is known that day and the line has a gap.

    contributed: net money put in up to and including the day; provisional: the day is not over.
    """

    day: date
    value: Decimal | None
    contributed: Decimal | None = None
    provisional: bool = False


def thinned(points: Sequence[ValuePoint], most: int = MAX_POINTS) -> list[ValuePoint]:
    """At most about `most` points: the last of each run of days, so that the final day is always drawn."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) // most)
    return list(points[(len(points) - 1) % step :: step])


def base(*, height: int, width: int | str, description: str) -> Spec:
    axis = {
        "labelFont": FONT, "labelFontSize": 11, "labelColor": "var(--muted)", "labelPadding": 8,
        "domain": False, "ticks": False, "gridColor": "var(--line)", "title": None,
    }  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": width,
        "height": height,
        "padding": 0,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "config": {"font": FONT, "view": {"stroke": None}, "axis": axis, "aria": True, "mark": {"aria": False}},
    }


def value_chart(
    points: Sequence[ValuePoint], *, currency: str, description: str, width: int | str = "container", height: int = 280
) -> Spec:
    """Value as an area with its contributions as a dashed line; days without a value stay gaps.

    description must hold no amount: it is read aloud even while amounts are hidden.
    """
    drawn = thinned(points)
    rows = [
        {
            "day": p.day.isoformat(),
            "value": None if p.value is None else float(p.value),
            "contributed": None if p.contributed is None else float(p.contributed),
            "provisional": p.provisional,
        }
        for p in drawn
    ]
    known = [n for row in rows for n in (row["value"], row["contributed"]) if isinstance(n, float)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = (high - low) * 0.08 or abs(high) * 0.02 or 1.0
    # the axis starts at 0 unless that would flatten the line: value never goes below 0 only because of a margin
    floor = low - margin if low < 0 or low > (high - low) * 1.5 else 0.0
    days = (drawn[-1].day - drawn[0].day).days if len(drawn) > 1 else 0
    x_format = "%b %-d" if days <= 120 else ("%b %Y" if days <= 1100 else "%Y")
    ticks = 4 if isinstance(width, int) and width < 500 else 7
    x: Spec = {
        "field": "day", "type": "temporal", "scale": {"type": "utc"},
        "axis": {"format": x_format, "grid": False, "tickCount": min(ticks, max(2, len(drawn))), "labelFlush": True, "labelOverlap": True,
                 "description": "Days"},
    }  # fmt: skip
    y_axis = {"tickCount": 5, "format": "~s", "orient": "right", "description": "Amounts"}
    scale = {"domain": [floor, high + margin], "nice": False, "zero": False}

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "scale": scale, "axis": y_axis}

    money = f"{SYMBOLS.get(currency, currency + ' ')}"
    tooltip = [
        {"field": "day", "type": "temporal", "title": "Day", "format": "%-d %b %Y", "timeUnit": "utcyearmonthdate"},
        {"field": "value", "type": "quantitative", "title": f"Value ({money.strip()})", "format": ",.2f"},
        {"field": "contributed", "type": "quantitative", "title": "Contributed", "format": ",.2f"},
    ]
    gradient = {
        "gradient": "linear", "x1": 0, "x2": 0, "y1": 1, "y2": 0,
        "stops": [{"offset": 0, "color": "var(--fade)"}, {"offset": 1, "color": "var(--fill)"}],
    }  # fmt: skip
    layers: list[Spec] = [
        {
            "mark": {"type": "area", "color": gradient, "interpolate": "monotone", "invalid": "break-paths-filter-domains"},
            "encoding": {"x": x, "y": y("value"), "y2": {"datum": floor}},
        },
        {
            "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [4, 3], "strokeWidth": 1.5,
                     "interpolate": "step-after", "invalid": "break-paths-filter-domains"},
            "encoding": {"x": x, "y": y("contributed")},
        },
        {
            "mark": {"type": "line", "color": "var(--accent)", "strokeWidth": 2.25, "strokeCap": "round",
                     "interpolate": "monotone", "invalid": "break-paths-filter-domains"},
            "encoding": {"x": x, "y": y("value")},
        },
        {
            "transform": [{"filter": "datum.provisional && isValid(datum.value)"}],
            "mark": {"type": "point", "filled": False, "size": 60, "color": "var(--accent)", "fill": "var(--surface)",
                     "strokeWidth": 2, "opacity": 1},
            "encoding": {"x": x, "y": y("value")},
        },
        {
            "params": [{"name": "hover", "select": {"type": "point", "on": "pointerover", "nearest": True,
                                                    "encodings": ["x"], "clear": "pointerout"}}],
            "mark": {"type": "rule", "color": "var(--muted)", "strokeWidth": 1},
            "encoding": {"x": x, "tooltip": tooltip,
                         "opacity": {"condition": {"param": "hover", "empty": False, "value": 0.5}, "value": 0}},
        },
    ]  # fmt: skip
    spec = base(height=height, width=width, description=description)
    return spec | {"data": {"values": rows, "format": {"parse": {"day": "utc:'%Y-%m-%d'"}}}, "layer": layers}


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a whole. share is a fraction of the drawn whole; swatch 1 to 8 names the color in chart and legend."""

    label: str
    share: Decimal
    swatch: int


def allocation_ring(slices: Sequence[Slice], *, description: str, size: int = 190) -> Spec:
    """Shares as a ring. Only shares are drawn, so it stays readable while amounts are hidden."""
    rows = [{"label": s.label, "share": float(s.share), "order": i, "color": f"var(--c{s.swatch})"} for i, s in enumerate(slices)]
    spec = base(height=size, width=size, description=description)
    return spec | {
        "data": {"values": rows},
        "mark": {"type": "arc", "innerRadius": size * 0.36, "outerRadius": size * 0.5, "cornerRadius": 4,
                 "padAngle": 0.025 if len(slices) > 1 else 0},
        "encoding": {
            "theta": {"field": "share", "type": "quantitative", "stack": True},
            "order": {"field": "order", "type": "quantitative"},
            "color": {"field": "color", "type": "nominal", "scale": None},
            "tooltip": [{"field": "label", "type": "nominal", "title": "Part"},
                        {"field": "share", "type": "quantitative", "title": "Share", "format": ".1%"}],
        },
    }  # fmt: skip


def sparkline(values: Sequence[Decimal | None], *, width: int = 84, height: int = 26) -> str:
    """Points of an SVG polyline over `width` x `height`; "" for fewer than two known values."""
    known = [(i, float(v)) for i, v in enumerate(values) if v is not None]
    if len(known) < 2:
        return ""
    low = min(v for _, v in known)
    spread = max(v for _, v in known) - low or 1.0
    last = len(values) - 1
    return " ".join(f"{i / last * width:.1f},{height - 1 - (v - low) / spread * (height - 2):.1f}" for i, v in known)


def resolve_colors(svg: str, colors: dict[str, str] = LIGHT) -> str:
    """`svg` with real colors, for print and files. Raises KeyError for a name that the palette lacks."""
    return re.sub(r"var\(--([a-z0-9]+)\)", lambda match: colors[match[1]], svg)

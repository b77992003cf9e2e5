"""Charts as Vega-Lite specifications: one dict for the browser, the server's SVG and the PDF.

Colors are CSS custom properties of app.css, so one picture serves light and dark; `resolve_colors` puts real
ones in for print. Specs carry their data inline and never a URL. Floats are right here: a chart is a picture.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from stackmotive.common.display import SYMBOLS

Spec = dict[str, Any]
Container = Literal["container"]

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


def base(*, height: int, width: int | Container, description: str) -> Spec:
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
        "background": "transparent",
        "config": {
            "font": FONT,
            "view": {"stroke": None},
            "axis": axis,
            "aria": True,
            "mark": {"aria": False},
        },
    }


def value_chart(
    points: Sequence[ValuePoint],
    *,
    currency: str,
    description: str,
    width: int | Container = "container",
    height: int = 320,
) -> Spec:
    """Value as an area with its contributions as a dashed line; days without a value stay gaps.

    description must hold no amount: it is read aloud while amounts are hidden. Only a chart of the width of
    its container, the live one, carries what a pointer needs.
    """
    drawn = thinned(points)
    known = [float(n) for p in drawn for n in (p.value, p.contributed) if n is not None]
    floor, ceiling = value_range(known)
    days = (drawn[-1].day - drawn[0].day).days if len(drawn) > 1 else 0
    x: Spec = {
        "field": "d",
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {
            "format": "%b %-d" if days <= 120 else ("%b %Y" if days <= 1100 else "%Y"),
            "tickCount": 4 if isinstance(width, int) and width < 500 else 7,
            "grid": False,
            "labelFlush": True,
            "labelOverlap": True,
        },
    }
    y_axis = {"tickCount": 5, "labelExpr": "format(datum.value, '~s')", "orient": "right"}
    scale = {"domain": [floor, ceiling], "nice": False, "zero": False}

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "scale": scale, "axis": y_axis}

    def mark(kind: str, **look: object) -> Spec:
        return {"type": kind, "invalid": "break-paths-filter-domains", **look}

    gradient = {
        "gradient": "linear", "x1": 0, "x2": 0, "y1": 1, "y2": 0,
        "stops": [{"offset": 0, "color": "var(--fade)"}, {"offset": 1, "color": "var(--fill)"}],
    }  # fmt: skip
    contributed = {
        "color": "var(--muted)",
        "strokeDash": [4, 3],
        "strokeWidth": 1.5,
        "interpolate": "step-after",
    }
    ring = {"filled": False, "size": 60, "fill": "var(--surface)", "strokeWidth": 2, "opacity": 1}
    layers: list[Spec] = [
        {"mark": mark("area", color=gradient), "encoding": {"x": x, "y": y("v"), "y2": {"datum": floor}}},
        {"mark": mark("line", **contributed), "encoding": {"x": x, "y": y("c")}},
        {
            "mark": mark("line", color="var(--accent)", strokeWidth=2, strokeJoin="round"),
            "encoding": {"x": x, "y": y("v")},
        },
    ]
    if any(point.provisional for point in drawn):
        layers.append(
            {
                "transform": [{"filter": "datum.p && isValid(datum.v)"}],
                "mark": {"type": "point", "color": "var(--accent)", **ring},
                "encoding": {"x": x, "y": y("v")},
            }
        )
    if width == "container":
        unit = SYMBOLS.get(currency, currency)
        layers.append(pointer_line(x, [("v", f"Value, {unit}"), ("c", f"Contributed, {unit}")]))
    spec = base(height=height, width=width, description=description)
    return spec | {
        "data": {"values": [value_row(p) for p in drawn], "format": {"parse": {"d": "utc:'%Y-%m-%d'"}}},
        "layer": layers,
    }


def value_row(point: ValuePoint) -> dict[str, Any]:
    """d = day, v = value, c = contributed, p = provisional. Short names: a page carries a year of these."""
    row: dict[str, Any] = {
        "d": point.day.isoformat(),
        "v": None if point.value is None else round(float(point.value), 2),
    }
    if point.contributed is not None:
        row["c"] = round(float(point.contributed), 2)
    return row | {"p": True} if point.provisional else row


def value_range(known: Sequence[float]) -> tuple[float, float]:
    """What the axis of amounts spans: from 0, unless that would flatten the line; below 0 only for debts."""
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    margin = (high - low) * 0.08 or abs(high) * 0.02 or 1.0
    from_zero = 0 <= low <= (high - low) * 1.5
    return 0.0 if from_zero else low - margin, high + margin


def pointer_line(x: Spec, fields: Sequence[tuple[str, str]]) -> Spec:
    """A line at the day nearest to the pointer, with what that day holds."""
    day = {
        "field": "d",
        "type": "temporal",
        "title": "Day",
        "format": "%-d %b %Y",
        "timeUnit": "utcyearmonthdate",
    }
    figures = [{"field": f, "type": "quantitative", "title": title, "format": ",.2f"} for f, title in fields]
    nearest = {
        "type": "point",
        "on": "pointerover",
        "nearest": True,
        "encodings": ["x"],
        "clear": "pointerout",
    }
    return {
        "params": [{"name": "hover", "select": nearest}],
        "mark": {"type": "rule", "color": "var(--muted)", "strokeWidth": 1},
        "encoding": {
            "x": x,
            "tooltip": [day, *figures],
            "opacity": {"condition": {"param": "hover", "empty": False, "value": 0.5}, "value": 0},
        },
    }


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a whole. share is a fraction of the drawn whole; swatch (1 to 8) is its color."""

    label: str
    share: Decimal
    swatch: int


def allocation_ring(slices: Sequence[Slice], *, description: str, size: int = 190) -> Spec:
    """Shares as a ring. Only shares are drawn, so it stays readable while amounts are hidden."""
    rows = [
        {"label": s.label, "share": float(s.share), "order": i, "color": f"var(--c{s.swatch})"}
        for i, s in enumerate(slices)
    ]
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

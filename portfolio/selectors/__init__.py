"""Reads of figures, for the API and the pages alike: stored rows and packed series, sliced and summed."""

from portfolio.selectors.allocation import BREAKDOWNS, Allocation, Slice, allocation
from portfolio.selectors.findings import findings
from portfolio.selectors.performance import Performance, performance
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.quality import Quality, quality
from portfolio.selectors.scope import Standing, standing
from portfolio.selectors.summary import Summary, summary
from portfolio.selectors.value_series import ValuePoint, value_series

__all__ = [
    "BREAKDOWNS",
    "Allocation",
    "Performance",
    "PositionRow",
    "Quality",
    "Slice",
    "Standing",
    "Summary",
    "ValuePoint",
    "allocation",
    "findings",
    "performance",
    "positions",
    "quality",
    "standing",
    "summary",
    "value_series",
]

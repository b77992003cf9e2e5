"""Reads of figures, for the API and the pages alike: stored rows and packed series, sliced and summed."""

from portfolio.selectors.allocation import BREAKDOWNS, Allocation, Slice, allocation
from portfolio.selectors.contribution import Contributions, contributions
from portfolio.selectors.findings import findings
from portfolio.selectors.monthly import Monthly, monthly
from portfolio.selectors.performance import Performance, performance
from portfolio.selectors.positions import PositionRow, positions
from portfolio.selectors.quality import Quality, quality
from portfolio.selectors.risk import Risk, risk
from portfolio.selectors.scope import Standing, standing
from portfolio.selectors.summary import Summary, summary
from portfolio.selectors.trading import TradingMetrics, trading_metrics
from portfolio.selectors.value_series import ValuePoint, value_series

__all__ = [
    "BREAKDOWNS",
    "Allocation",
    "Contributions",
    "Monthly",
    "Performance",
    "PositionRow",
    "Quality",
    "Risk",
    "Slice",
    "Standing",
    "Summary",
    "TradingMetrics",
    "ValuePoint",
    "allocation",
    "contributions",
    "findings",
    "monthly",
    "performance",
    "positions",
    "quality",
    "risk",
    "standing",
    "summary",
    "trading_metrics",
    "value_series",
]

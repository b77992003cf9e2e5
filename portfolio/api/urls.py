"""Routes of the portfolio API."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from portfolio.api import (
    action_views,
    analysis_views,
    dashboard_views,
    explain_views,
    figure_views,
    finding_views,
    instrument_views,
    known_at,
    ledger_views,
    observation_views,
    preview_views,
    transfer_views,
)

router = SimpleRouter()
router.register("accounts", ledger_views.AccountViewSet, basename="api-account")
router.register("transactions", ledger_views.TransactionViewSet, basename="api-transaction")
router.register("manual-positions", ledger_views.ManualPositionViewSet, basename="api-manual-position")
router.register("instruments", instrument_views.InstrumentViewSet, basename="api-instrument")
router.register("instruments/(?P<instrument>[^/]+)/notes", instrument_views.NoteViewSet, basename="api-instrument-note")
router.register("positions", figure_views.PositionViewSet, basename="api-position")
router.register("lots", figure_views.LotViewSet, basename="api-lot")
router.register("realized-gains", figure_views.RealizedGainViewSet, basename="api-realized-gain")
router.register("cash-balances", figure_views.CashBalanceViewSet, basename="api-cash-balance")
router.register("findings", finding_views.FindingViewSet, basename="api-finding")
router.register("prices", observation_views.PriceViewSet, basename="api-price")
router.register("fx-rates", observation_views.FxRateViewSet, basename="api-fx-rate")
router.register("transfers", transfer_views.TransferViewSet, basename="api-transfer")
router.register("corporate-actions", action_views.CorporateActionViewSet, basename="api-corporate-action")

urlpatterns = [
    path("dashboard/", dashboard_views.DashboardView.as_view(), name="api-dashboard"),
    path("refresh/", dashboard_views.RefreshView.as_view(), name="api-refresh"),
    path("summary/", figure_views.SummaryView.as_view(), name="api-summary"),
    path("prices/latest/", instrument_views.LatestPricesView.as_view(), name="api-latest-prices"),
    path("prices/movers/", instrument_views.MoversView.as_view(), name="api-movers"),
    path("performance/", figure_views.PerformanceView.as_view(), name="api-performance"),
    path("explain/", explain_views.ExplainView.as_view(), name="api-explain"),
    path("performance/months/", analysis_views.MonthsView.as_view(), name="api-months"),
    path("performance/contribution/", analysis_views.ContributionView.as_view(), name="api-contribution"),
    path("trading-metrics/", analysis_views.TradingMetricsView.as_view(), name="api-trading-metrics"),
    path("risk/", analysis_views.RiskView.as_view(), name="api-risk"),
    path("risk/summary/", analysis_views.RiskSummaryView.as_view(), name="api-risk-summary"),
    path("preview/", preview_views.MoneyPreviewView.as_view(), name="api-preview"),
    path("changes/", known_at.ChangesView.as_view(), name="api-changes"),
    path("known-answers/<str:id>/", known_at.KnownAnswerView.as_view(), name="api-known-answer"),
    path("allocation/", figure_views.AllocationView.as_view(), name="api-allocation"),
    path("", include(router.urls)),
]

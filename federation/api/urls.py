"""Routes of the federation API."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from federation.api import views
from federation.api.instruments import OwnInstrumentViewSet
from federation.api.preview import PreviewView

router = SimpleRouter()
router.register("conflicts", views.ConflictViewSet, basename="api-conflict")
router.register("decisions", views.DecisionViewSet, basename="api-decision")
router.register("account-links", views.AccountLinkViewSet, basename="api-account-link")
router.register("instruments", OwnInstrumentViewSet, basename="api-own-instrument")
router.register("versions", views.LedgerVersionViewSet, basename="api-ledger-version")

urlpatterns = [
    *router.urls,
    path("provenance/", views.ProvenanceView.as_view(), name="provenance"),
    path("preview/", PreviewView.as_view(), name="preview"),
]

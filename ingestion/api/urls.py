"""Routes of the ingestion API."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from ingestion.api import views

router = SimpleRouter()
router.register("sources", views.SourceViewSet, basename="api-source")
router.register("sync-runs", views.SyncRunViewSet, basename="api-sync-run")
router.register("imports", views.ImportRunViewSet, basename="api-import")
router.register("profiles", views.ImportProfileViewSet, basename="api-import-profile")
urlpatterns = [*router.urls, path("coverage/", views.CoverageView.as_view(), name="api-coverage")]

"""Routes of the ingestion API."""

from rest_framework.routers import SimpleRouter

from ingestion.api import views

router = SimpleRouter()
router.register("sources", views.SourceViewSet, basename="api-source")
router.register("imports", views.ImportRunViewSet, basename="api-import")
router.register("profiles", views.ImportProfileViewSet, basename="api-import-profile")
urlpatterns = router.urls

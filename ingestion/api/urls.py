"""Routes of the ingestion API."""

from rest_framework.routers import SimpleRouter

from ingestion.api import views

router = SimpleRouter()
router.register("sources", views.SourceViewSet, basename="source")
router.register("imports", views.ImportRunViewSet, basename="import")
router.register("profiles", views.ImportProfileViewSet, basename="import-profile")
urlpatterns = router.urls

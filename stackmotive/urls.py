"""Where everything answers. Each app owns its prefix (DESIGN 3)."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

urlpatterns = [
    path("", include("portfolio.pages")),
    path("", include("federation.pages")),
    path("", include("ingestion.pages")),
    path("", include("accounts.pages")),
    path("health/", include("stackmotive.health")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/", include("accounts.api.urls")),
    path("api/notifications/", include("notifications.api.urls")),
    path("api/ingestion/", include("ingestion.api.urls")),
    path("api/federation/", include("federation.api.urls")),
    path("api/portfolio/", include("portfolio.api.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]
handler400 = "stackmotive.common.problems.bad_request"
handler403 = "stackmotive.common.problems.permission_denied"
handler404 = "stackmotive.common.problems.page_not_found"
handler500 = "stackmotive.common.problems.server_error"

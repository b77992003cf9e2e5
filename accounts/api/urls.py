"""Routes of the accounts API."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from accounts.api import views

router = SimpleRouter()
router.register("me/sessions", views.LoginSessionViewSet, basename="login-session")

urlpatterns = [
    path("", include(router.urls)),
    path("auth/register/", views.RegisterView.as_view(), name="register"),
    path("auth/token/", views.TokenView.as_view(), name="token"),
    path("auth/token/refresh/", views.RefreshView.as_view(), name="token-refresh"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/logout-all/", views.LogoutAllView.as_view(), name="logout-all"),
    path("auth/ws-ticket/", views.TicketView.as_view(), name="ws-ticket"),
    path("me/", views.MeView.as_view(), name="me"),
    path("tiers/", views.TierListView.as_view(), name="tiers"),
]

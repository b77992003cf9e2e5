"""Browser pages of federation: one module per tab of reconciliation, and parts of the sources page."""

from django.urls import URLPattern, URLResolver

from federation.pages import accounts, conflicts, decisions, instruments, sources

urlpatterns: list[URLPattern | URLResolver] = [
    *conflicts.urlpatterns,
    *accounts.urlpatterns,
    *instruments.urlpatterns,
    *decisions.urlpatterns,
    *sources.urlpatterns,
]

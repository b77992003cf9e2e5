"""Browser pages of federation, one module per tab: conflicts, accounts, instruments, decisions."""

from federation.pages.conflicts import urlpatterns

__all__ = ["urlpatterns"]

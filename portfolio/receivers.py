"""News from the ledger wakes the worker."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from federation.signals import ledger_changed
from portfolio import tasks


@receiver(ledger_changed, dispatch_uid="portfolio.refresh")
def refresh_figures(sender: object, user_id: UUID, **named: Any) -> None:
    tasks.refresh_user.delay(str(user_id))

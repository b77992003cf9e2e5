"""News from below: facts were staged, or a user said something that their ledger must include."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from accounts.signals import settings_changed
from federation.tasks import wake
from ingestion.signals import batch_staged


@receiver(batch_staged, dispatch_uid="federation.reconcile")
def reconcile_after_staging(sender: object, *, user_id: UUID, **_: Any) -> None:
    wake(user_id)


@receiver(settings_changed, dispatch_uid="federation.reconcile_settings")
def reconcile_after_settings(sender: object, *, user_id: UUID, **_: Any) -> None:
    wake(user_id)

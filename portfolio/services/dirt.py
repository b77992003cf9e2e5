"""Saying that figures are behind: the state row is the queue, a signal only wakes the worker."""

import datetime as dt
from uuid import UUID

from django.db import connection

from federation.signals import ledger_changed


def mark_dirty(*, user_id: UUID, since: dt.date) -> None:
    """Figures from `since` on no longer hold. Call inside the transaction that changes what they rest on."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO federation_ledgerstate
              (user_id, facts_version, ledger_version, valued_version, market_version, dirty_from, dirty_since)
            VALUES (%s, 0, 0, 0, 0, %s, now())
            ON CONFLICT (user_id) DO UPDATE SET
              dirty_from = LEAST(federation_ledgerstate.dirty_from, EXCLUDED.dirty_from), dirty_since = now()
            """,
            [user_id, since],
        )


def wake(user_id: UUID) -> None:
    """Start a refresh now; without it the sweep does."""
    ledger_changed.send_robust(None, user_id=user_id)

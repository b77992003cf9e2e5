"""News for the apps above: sent after commit, with ids only, and may be lost (LedgerState is the queue)."""

from django.dispatch import Signal

ledger_changed = Signal()  # user_id: UUID

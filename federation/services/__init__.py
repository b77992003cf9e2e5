"""What can be done with truth: one function per use case."""

from federation.services.reconciliation import Reconciled, bring_up_to_date, draft_of, lock_ledger, reconcile

__all__ = ["Reconciled", "bring_up_to_date", "draft_of", "lock_ledger", "reconcile"]

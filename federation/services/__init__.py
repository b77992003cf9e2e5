"""What can be done with truth: one function per use case."""

from federation.services.accounts import create_account, delete_account, update_account
from federation.services.corporate_actions import check_terms, preview_action, state_action, withdraw_action
from federation.services.decisions import decide, revoke
from federation.services.instruments import (
    describe_instrument,
    ensure_instrument,
    merge_instruments,
    split_instrument,
)
from federation.services.previewing import (
    Change,
    Preview,
    decision_change,
    import_change,
    link_change,
    preview,
    preview_decision,
    preview_import,
    preview_link,
    preview_source,
    source_change,
    trial,
    try_out,
)
from federation.services.rebuilding import differences_from_facts, rebuild
from federation.services.reconciliation import (
    Reconciled,
    apply_now,
    bring_up_to_date,
    differences,
    draft_of,
    lock_ledger,
    reconcile,
)
from federation.services.resolving import resolve_conflict, ruling
from federation.services.transfers import name_far_side, pair_by_hand, unlink

__all__ = [
    "Change",
    "Preview",
    "Reconciled",
    "apply_now",
    "bring_up_to_date",
    "check_terms",
    "create_account",
    "decide",
    "decision_change",
    "delete_account",
    "describe_instrument",
    "differences",
    "differences_from_facts",
    "draft_of",
    "ensure_instrument",
    "import_change",
    "link_change",
    "lock_ledger",
    "merge_instruments",
    "name_far_side",
    "pair_by_hand",
    "preview",
    "preview_action",
    "preview_decision",
    "preview_import",
    "preview_link",
    "preview_source",
    "rebuild",
    "reconcile",
    "resolve_conflict",
    "revoke",
    "ruling",
    "source_change",
    "split_instrument",
    "state_action",
    "trial",
    "try_out",
    "unlink",
    "update_account",
    "withdraw_action",
]

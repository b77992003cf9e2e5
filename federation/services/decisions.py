"""What the user says once and for all later syncs (DESIGN 5.8): recorded as facts, keyed by what sources call
things.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import User
from federation.errors import AlreadyRevoked
from federation.models import Decision, DecisionRevocation
from federation.services.decision_keys import checked_keys
from federation.services.decision_values import checked_value
from federation.services.reconciliation import reconcile

CAUSE = "decision"


def decide(*, user: User, kind: str, keys: Mapping[str, Any], value: Mapping[str, Any] | None = None) -> Decision:
    """Record a decision and make the ledger follow it.

    keys: {"key": a conflict's key} or what it stands for: {"account", "instruments": [[source, naming]]},
    {"account", "currency"}, {"rows": [[source, identity]]} or {"reference": [source, reference]}; {"account"} alone
    to merge it. value: {"source", "until"?} to choose, {"account"} to link or merge, {"field", "value"} to set,
    {"lots": [{acquired_on, quantity, cost}], "currency"?} of an opening balance, {"as"} of a transfer.
    Raises UnfitDecision.
    """
    decision = record_decision(user=user, kind=kind, keys=keys, value=value)
    reconcile(user.pk, cause=CAUSE)
    return decision


def record_decision(
    *, user: User, kind: str, keys: Mapping[str, Any], value: Mapping[str, Any] | None = None
) -> Decision:
    """`decide` without what follows from it."""
    named = checked_keys(user, keys)
    said = checked_value(user, kind, named, value or {})
    with transaction.atomic():
        number = next_fact_number(user_id=user.pk, cause=CAUSE)
        return Decision.objects.create(user=user, kind=kind, keys=named, value=said, number=number)


def revoke(*, decision: Decision) -> Decision:
    """Take a decision back; the ledger is again what the rules make it. Raises AlreadyRevoked."""
    with transaction.atomic():
        number = next_fact_number(
            user_id=decision.user_id, cause=CAUSE
        )  # holds the user's counter: no second one comes between
        _, is_new = DecisionRevocation.objects.get_or_create(decision=decision, defaults={"number": number})
        if not is_new:
            raise AlreadyRevoked("It does not count any more.")
    reconcile(decision.user_id, cause=CAUSE)
    decision.refresh_from_db()
    return decision

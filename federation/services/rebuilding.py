"""Truth thrown away and computed again: the same rows with the same ids (DESIGN 5.1)."""

from uuid import UUID

from django.db import transaction

from federation import ledger
from federation.models import (
    BrokerAccount,
    Claim,
    Conflict,
    LedgerState,
    LedgerVersion,
    ReportedBalance,
    Transaction,
    TransferLink,
)
from federation.services.linking import link_differences
from federation.services.reconciliation import (
    REBUILD,
    TABLES,
    Reconciled,
    bring_up_to_date,
    differences,
    draft_of,
    lock_ledger,
)


@transaction.atomic
def rebuild(user_id: UUID) -> Reconciled:
    """Delete the derived rows of a user and compute them from the facts. Figures are behind from the first
    day on.
    """
    lock_ledger(user_id)
    Claim.objects.filter(transaction__user=user_id).delete()
    Transaction.objects.filter(user=user_id).delete()
    ReportedBalance.objects.filter(user=user_id).delete()
    Conflict.objects.filter(user=user_id).delete()
    TransferLink.objects.filter(user=user_id).delete()
    LedgerState.objects.filter(user=user_id).update(facts_version=0)
    return bring_up_to_date(user_id, cause=REBUILD, is_full=True)


def differences_from_facts(user_id: UUID) -> list[str]:
    """What is stored but does not follow from the facts, or follows and is not stored: one line per row.
    Writes nothing.
    """
    state = LedgerState.objects.filter(user=user_id).first() or LedgerState(user_id=user_id)
    resolved, facts, draft = draft_of(user_id)
    found = []
    if resolved.number != state.facts_version:
        found.append(f"ledger includes facts up to {state.facts_version}, there are {resolved.number}")
    accounts = set(BrokerAccount.objects.filter(user=user_id).values_list("pk", flat=True))
    accounts |= {about.account.id for about in facts.accounts}
    for table, difference in zip(TABLES, differences(resolved, facts, draft, accounts), strict=True):
        name = table.name.removeprefix("federation_")
        for word, rows in (
            ("missing", difference.inserted),
            ("different", difference.changed),
            ("surplus", difference.gone),
        ):
            found += [f"{name} {key} is {word}" for key in rows]
    found += link_differences(user_id, resolved.decisions)
    version = LedgerVersion.objects.filter(user=user_id, number=state.ledger_version).first()
    content = ledger.Fingerprint()
    content.add(draft.transactions)
    if (version.content_hash if version else ledger.Fingerprint().hex()) != content.hex():
        found.append("the content hash is not that of the rows")
    return found

"""What a user says of transfers between own accounts, and of those whose far side lies outside (DESIGN 5.10)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from accounts.models import User
from federation.errors import NotATransfer, UnfitDecision
from federation.models import Claim, Decision, Transaction
from federation.services.decisions import decide
from federation.services.linking import KINDS

MOST_LEGS = 50
ZERO = Decimal(0)

Meaning = Literal["income", "payment"]


def pair_by_hand(*, user: User, rows: Sequence[Transaction]) -> Decision:
    """Say that rows are one transfer. Raises UnfitDecision, NotATransfer."""
    _check_transfers(rows)
    signs = {(_moved(row) or ZERO) > 0 for row in rows}
    units = {row.instrument_id or row.cash_currency or row.currency for row in rows}
    if signs != {True, False} or len(units) != 1:
        raise UnfitDecision("A transfer has rows that leave and rows that arrive, of one instrument or currency.")
    return _say(user, rows, "pair")


def unlink(*, user: User, rows: Sequence[Transaction]) -> Decision:
    """Say that rows belong to no transfer between own accounts; revoking it gives them back to the rules."""
    _check_transfers(rows)
    return _say(user, rows, "apart")


def name_far_side(*, user: User, row: Transaction, meaning: Meaning) -> Decision:
    """Say what lies beyond a row without a partner: income that came, or a payment that left.

    Raises UnfitDecision where the direction contradicts it.
    """
    _check_transfers([row])
    if ((_moved(row) or ZERO) > 0) != (meaning == "income"):
        raise UnfitDecision("Income arrives and a payment leaves.")
    return _say(user, [row], meaning)


def said_of(rows: Sequence[Transaction], word: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(keys, value) of the decision that says `word` of the rows."""
    claims = Claim.objects.filter(transaction__in=rows).order_by("pk").values_list("source_id", "staged__identity")
    named = [[str(source), identity] for source, identity in dict.fromkeys(claims)]
    return {"rows": named}, {"as": word}


def _say(user: User, rows: Sequence[Transaction], word: str) -> Decision:
    keys, value = said_of(rows, word)
    return decide(user=user, kind=Decision.Kind.PAIR_TRANSFER, keys=keys, value=value)


def _moved(row: Transaction) -> Decimal | None:
    moved: Decimal | None = row.quantity if row.instrument_id else row.cash_amount
    return moved


def _check_transfers(rows: Sequence[Transaction]) -> None:
    if not 0 < len(rows) <= MOST_LEGS:
        raise UnfitDecision(f"Name 1 to {MOST_LEGS} rows.")
    if any(row.kind not in KINDS for row in rows):
        raise NotATransfer("Only deposits, withdrawals and transfers can be paired.")

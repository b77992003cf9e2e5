"""Whether an account is a user's own, asked of the app above that owns accounts.

Facts stand below truth, so ingestion cannot import federation; federation says at start who answers:
`ingestion.accounts.answer_with(lambda *, user_id, account_id: BrokerAccount.objects.filter(...).exists())`.
"""

from typing import Protocol
from uuid import UUID


class AccountCheck(Protocol):
    def __call__(self, *, user_id: UUID, account_id: UUID) -> bool: ...


def _nobody(*, user_id: UUID, account_id: UUID) -> bool:
    return False


_check: AccountCheck = _nobody


def answer_with(check: AccountCheck) -> None:
    """Set who knows accounts; called once, when the apps are ready."""
    global _check  # a registry of one
    _check = check


def is_own(*, user_id: UUID, account_id: UUID) -> bool:
    return _check(user_id=user_id, account_id=account_id)

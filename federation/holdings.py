"""Which account and instrument a position of the app above means.

Truth stands below figures, so federation cannot import portfolio; portfolio says at start who answers:
`federation.holdings.answer_with(lambda *, user_id, position_id: (account_id, instrument_id) or None)`.
"""

from typing import Protocol
from uuid import UUID


class PositionLookup(Protocol):
    def __call__(self, *, user_id: UUID, position_id: UUID) -> tuple[UUID, UUID] | None: ...


def _nothing(*, user_id: UUID, position_id: UUID) -> tuple[UUID, UUID] | None:
    return None


_lookup: PositionLookup = _nothing


def answer_with(lookup: PositionLookup) -> None:
    """Set who knows positions; called once, when the apps are ready."""
    global _lookup  # a registry of one
    _lookup = lookup


def holding_of(*, user_id: UUID, position_id: UUID) -> tuple[UUID, UUID] | None:
    """(account, instrument) of a position of the user's; null for any other id."""
    return _lookup(user_id=user_id, position_id=position_id)

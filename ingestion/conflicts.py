"""Which conflicts a user has open, asked of the app above that owns them: a sync run names those it brought.

Facts stand below truth, so ingestion cannot import federation; federation says at start who answers, as for accounts.
"""

from collections.abc import Callable, Collection
from uuid import UUID

OpenConflicts = Callable[[UUID], Collection[str]]  # user -> keys


def _nobody(user_id: UUID) -> Collection[str]:
    return ()


_open_conflicts: OpenConflicts = _nobody


def answer_with(open_conflicts: OpenConflicts) -> None:
    """Set who knows conflicts; called once, when the apps are ready."""
    global _open_conflicts  # a registry of one
    _open_conflicts = open_conflicts


def open_keys(user_id: UUID) -> set[str]:
    return set(_open_conflicts(user_id))

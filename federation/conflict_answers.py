"""What a user can say of each kind of conflict (DESIGN 5.2, 5.8, 5.10)."""

from typing import Final, Literal

from federation.models import Conflict

Answer = Literal["choose", "match", "book", "accept", "ignore"]

ROW_KINDS: Final = ("only_in_one_source", "ambiguous")
REPORT_KINDS: Final = ("quantity", "cash")
TRANSFER: Final = "transfer"
ANSWERS: Final[dict[str, tuple[Answer, ...]]] = {
    "quantity": ("choose", "ignore"),
    "cash": ("choose", "ignore"),
    "field": ("choose", "ignore"),
    "only_in_one_source": ("book", "match", "ignore"),
    "ambiguous": ("match", "book", "ignore"),
    "mass_withdrawal": ("accept", "ignore"),
    TRANSFER: ("match", "ignore"),
}
"""By kind. A transfer with several partners is a kind of its own here."""


def is_transfer(conflict: Conflict) -> bool:
    """Whether it asks for the other side of a transfer."""
    return conflict.key.startswith(f"{TRANSFER}:")


def answers(conflict: Conflict) -> tuple[Answer, ...]:
    """What can be said of a conflict."""
    return ANSWERS.get(TRANSFER if is_transfer(conflict) else conflict.kind, ("ignore",))

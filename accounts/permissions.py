"""Tier gates: declared on each viewset, overridden on an action, written into the OpenAPI document."""

from typing import Any, ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.errors import TierRequired
from accounts.models import Tier, User


class TierRule(BasePermission):
    """Lets users of at least `read` look and of at least `write` change. `AtLeast` makes its subclasses."""

    read: ClassVar[Tier]
    write: ClassVar[Tier]

    @classmethod
    def tier_for(cls, method: str) -> Tier:
        return cls.read if method.upper() in SAFE_METHODS else cls.write

    def has_permission(self, request: Request, view: APIView) -> bool:
        needed = self.tier_for(request.method or "POST")
        user: Any = request.user
        held = user.effective_tier if isinstance(user, User) else None
        if held is None:
            return False
        if held < needed:
            raise TierRequired(
                f"This needs the tier {needed.label}; yours is {held.label}.",
                required_tier=needed.label, effective_tier=held.label,
            )  # fmt: skip
        return True


def AtLeast(*, read: Tier, write: Tier) -> type[TierRule]:  # a class factory, named like the class it makes
    """The permission class of a view: `tiers = AtLeast(read=Tier.NAVIGATOR, write=Tier.OPERATOR)`."""
    return type(f"AtLeast_{read.label}_{write.label}", (TierRule,), {"read": read, "write": write})

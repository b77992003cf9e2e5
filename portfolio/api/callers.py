"""Who asks, and what they name by id."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request

from accounts.models import Tier, User
from accounts.permissions import AtLeast
from stackmotive.common.problems import NotFound

EVERYBODY = AtLeast(read=Tier.OBSERVER, write=Tier.OBSERVER)


def caller(request: Request) -> User:
    """The logged-in user; the permission of every view here saw to it."""
    user: Any = request.user
    found: User = user
    return found


def parsed_id(text: str) -> UUID:
    """An id of the address. Raises NotFound for another shape."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise NotFound from exc

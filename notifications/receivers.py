"""What the apps below announce and the socket must act on."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from accounts.signals import session_ended
from notifications import push


@receiver(session_ended)
def close_sockets(*, session_id: UUID, **_: Any) -> None:
    push.end_session(session_id=session_id)

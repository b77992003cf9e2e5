"""News for the apps above: sent after commit, with ids only."""

from django.dispatch import Signal

session_ended = Signal()  # user_id: UUID, session_id: UUID

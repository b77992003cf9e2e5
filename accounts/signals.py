"""News for the apps above: sent after commit, with ids only."""

from django.dispatch import Signal

settings_changed = Signal()  # user_id: UUID; the currency that figures are in, or the zone that decides "today"
session_ended = Signal()  # user_id: UUID, session_id: UUID

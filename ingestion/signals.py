"""News for the apps above: sent after commit, with ids only, and may be lost (the state row of federation is the queue)."""

from django.dispatch import Signal

batch_staged = Signal()  # user_id: UUID

"""News for the apps above: sent after commit, with ids only; may be lost (federation's state row is the queue)."""

from django.dispatch import Signal

batch_staged = Signal()  # user_id: UUID

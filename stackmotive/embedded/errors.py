"""What the launcher tells the person who started it."""


class StoreError(Exception):
    """An embedded server cannot run here; the message is one sentence that says what to do."""

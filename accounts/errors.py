"""What can be wrong around people."""

from stackmotive.common.problems import Conflict, Forbidden, Invalid, Unauthenticated


class WrongLogin(Unauthenticated):
    code = "invalid_credentials"
    title = "E-mail and password do not belong together"


class TokenRefused(Unauthenticated):
    code = "token_not_valid"
    title = "This token is not valid any more"


class SignupClosed(Forbidden):
    code = "signup_closed"
    title = "New accounts are made by the owner of this instance"


class TierRequired(Forbidden):
    code = "tier_required"
    title = "A higher tier is needed"


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key came with another body"


class StillRunning(Conflict):
    code = "still_running"
    title = "The first request with this Idempotency-Key still runs"


class SetupEnded(Conflict):
    code = "setup_ended"
    title = "The first account exists already"

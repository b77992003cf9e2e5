"""What can be wrong around truth."""

from stackmotive.common.problems import Conflict, Invalid, NotFound


class AccountClaimed(Conflict):
    code = "account_claimed"
    title = "Sources claim this account"


class AlreadyRevoked(Conflict):
    code = "already_revoked"
    title = "This decision was taken back before"


class UnknownInstrument(NotFound):
    code = "unknown_instrument"
    title = "There is no such instrument"


class AmbiguousInstrument(Conflict):
    code = "ambiguous_instrument"
    title = "Several instruments go by this name"


class UnfitDecision(Invalid):
    code = "unfit_decision"
    title = "This decision does not fit what it is about"


class UnfitResolution(Conflict):
    code = "unfit_resolution"
    title = "This conflict takes another answer"


class NotATransfer(Invalid):
    code = "not_a_transfer"
    title = "This row is not a transfer"


class ActionStated(Conflict):
    code = "action_stated"
    title = "This corporate action was stated before"


class UnfitAction(Invalid):
    code = "unfit_action"
    title = "This corporate action lacks something"


class LedgerBusy(Conflict):
    code = "ledger_busy"
    title = "The facts keep changing"


class PreviewBusy(Conflict):
    code = "preview_busy"
    title = "Other work goes first"


class PreviewTooLong(Conflict):
    code = "preview_too_long"
    title = "The preview would take too long"

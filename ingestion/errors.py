"""What can go wrong with sources and imports; problem documents name the codes."""

from stackmotive.common.problems import Conflict, Invalid, NotFound


class QuotaExceeded(Conflict):
    code, title = "quota_exceeded", "Your tier has no room for more"


class NotUndoable(Conflict):
    code, title = "not_undoable", "This import cannot be undone"


class NotAnswerable(Conflict):
    code, title = "not_answerable", "This import asks nothing"


class SyncRunning(Conflict):
    """`id` names the run that is live."""

    code, title = "sync_running", "A sync is running"


class NotCancellable(Conflict):
    code, title = "not_cancellable", "This job cannot be cancelled"


class NotPurgeable(Conflict):
    code, title = "not_purgeable", "The file of this import is still needed"


class SourceNamed(Conflict):
    code, title = "source_named", "A source of yours has this name"


class SourceKindFixed(Conflict):
    code, title = "source_kind_fixed", "This source is kept by StackMotive itself"


class UnknownAccount(Invalid):
    code, title = "unknown_account", "No account of yours has this id"


class UnfitNumber(Invalid):
    code, title = "number_out_of_range", "A number cannot be stored without losing digits"


class RowGone(NotFound):
    code = "not_found"


class FileUnreadable(Invalid):
    """`reason` names why, `line` where (null = the file as a whole)."""

    code, title = "file_refused", "This file cannot be read"


class ProfileExists(Conflict):
    code, title = "profile_exists", "These columns have a profile"

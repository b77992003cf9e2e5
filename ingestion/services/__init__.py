"""The use cases of ingestion."""

from ingestion.services.manual import StagedManual, stage_manual_position, stage_manual_transaction, withdraw_manual
from ingestion.services.preview import Preview, preview_import, source_for_file
from ingestion.services.pulls import SourceTest, fail_pull, pull_source, try_source
from ingestion.services.replay import Replay, replay_content
from ingestion.services.runs import advance_runs, finish_runs, run_import
from ingestion.services.sources import create_source, default_source, retire_source, update_source
from ingestion.services.sync_runs import (
    cancel_sync,
    give_up_sync,
    may_sync,
    open_sync,
    settle_sync,
    why_skipped,
)
from ingestion.services.undo import undo_import
from ingestion.services.uploads import answer_import, cancel_import, open_import, purge_import, retry_import

__all__ = [
    "Preview",
    "Replay",
    "SourceTest",
    "StagedManual",
    "advance_runs",
    "answer_import",
    "cancel_import",
    "cancel_sync",
    "create_source",
    "default_source",
    "fail_pull",
    "finish_runs",
    "give_up_sync",
    "may_sync",
    "open_import",
    "open_sync",
    "preview_import",
    "pull_source",
    "purge_import",
    "replay_content",
    "retire_source",
    "retry_import",
    "run_import",
    "settle_sync",
    "source_for_file",
    "stage_manual_position",
    "stage_manual_transaction",
    "try_source",
    "undo_import",
    "update_source",
    "why_skipped",
    "withdraw_manual",
]

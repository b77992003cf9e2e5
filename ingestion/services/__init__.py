"""The use cases of ingestion."""

from ingestion.services.manual import StagedManual, stage_manual_position, stage_manual_transaction, withdraw_manual
from ingestion.services.preview import Preview, preview_import
from ingestion.services.runs import advance_runs, finish_runs, run_import
from ingestion.services.sources import create_source, default_source, retire_source, update_source
from ingestion.services.undo import undo_import
from ingestion.services.uploads import answer_import, open_import, retry_import

__all__ = [
    "Preview",
    "StagedManual",
    "advance_runs",
    "answer_import",
    "create_source",
    "default_source",
    "finish_runs",
    "open_import",
    "preview_import",
    "retire_source",
    "retry_import",
    "run_import",
    "stage_manual_position",
    "stage_manual_transaction",
    "undo_import",
    "update_source",
    "withdraw_manual",
]

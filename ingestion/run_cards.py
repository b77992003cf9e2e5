"""An import as its pages show it: one sentence, one tone, its counts and the rows it could not take."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ingestion.models import OPEN_STATUSES, ImportRow, ImportRun, JobStatus
from ingestion.options import ImportOptions
from ingestion.previews import FilePreview, run_preview

STAGES = {
    "parsing": "Reading",
    "staging": "Storing",
    "reconciling": "Reconciling",
    "valuing": "Valuing",
}
SENTENCES = {
    "": "It waits for a worker.",
    "parsing": "Reading the file.",
    "staging": "Storing its rows.",
    "reconciling": "Comparing with your other sources.",
    "valuing": "Working out values from the first day that changed.",
}
ENDS = {
    JobStatus.DONE: ("Imported", "up"),
    JobStatus.PARTIAL: ("In part", "warn"),
    JobStatus.NEEDS_MAPPING: ("Needs an answer", "warn"),
    JobStatus.FAILED: ("Failed", "down"),
    JobStatus.CANCELLED: ("Cancelled", ""),
    JobStatus.UNCHANGED: ("Nothing new", ""),
}
MOST_PROBLEMS = 200


@dataclass(frozen=True, slots=True)
class CountShown:
    label: str
    number: int
    tone: str


@dataclass(frozen=True, slots=True)
class RunCard:
    """A line of a list of imports, and the head of an import's own page."""

    id: UUID
    name: str
    text: str
    tone: str
    source_name: str
    created_at: datetime
    done: int
    total: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class RunReport:
    """All of one import. `note`: the look of `message`. problems: rejected rows, the first 200."""

    card: RunCard
    stage: str
    message: str
    note: str
    can_undo: bool
    can_skip: bool  # the good rows can be taken without the bad ones
    is_settled: bool
    counts: tuple[CountShown, ...]
    problems: tuple[ImportRow, ...]
    more_problems: int
    preview: FilePreview | None


def run_card(run: ImportRun) -> RunCard:
    is_open = run.status in OPEN_STATUSES
    if is_open:
        text, tone = STAGES.get(run.stage, "Waiting"), "info"
    elif run.undone_at is not None:
        text, tone = "Undone", ""
    else:
        text, tone = ENDS[JobStatus(run.status)]
    if run.status == JobStatus.DONE and run.undone_at is None and run.staged:
        text = f"{run.staged:,} new"
    if run.status == JobStatus.PARTIAL and run.undone_at is None and run.rejected:
        text = f"{run.rejected:,} rejected"
    return RunCard(
        id=run.pk,
        name=run.filename or "File without a name",
        text=text,
        tone=tone,
        source_name=run.source.name if run.source else "",
        created_at=run.created_at,
        done=run.done,
        total=run.total,
        is_open=is_open,
    )


def run_cards(runs: Iterable[ImportRun]) -> list[RunCard]:
    return [run_card(run) for run in runs]


def run_report(run: ImportRun, *, rejected: list[ImportRow]) -> RunReport:
    """rejected: the first rejected rows, at most MOST_PROBLEMS."""
    card = run_card(run)
    message, note = outcome(run)
    asked = run.questions if run.status == JobStatus.NEEDS_MAPPING else None
    return RunReport(
        card=card,
        stage=SENTENCES.get(run.stage, ""),
        message=message,
        note=note,
        can_undo=run.content_id is not None and run.undone_at is None and not card.is_open,
        can_skip=has_good_rows(run),
        is_settled=run.status in (JobStatus.DONE, JobStatus.PARTIAL, JobStatus.UNCHANGED),
        counts=counts_shown(run) if run.rows else (),
        problems=tuple(rejected),
        more_problems=max(0, run.rejected - len(rejected)),
        preview=run_preview(asked, options=ImportOptions.from_json(run.options)) if asked else None,
    )


def has_good_rows(run: ImportRun) -> bool:
    """Whether a file was refused for its bad rows although it has good ones."""
    refused = run.status == JobStatus.FAILED and (run.error or {}).get("code") == "rows_rejected"
    return refused and run.rejected < run.rows and run.purged_at is None


def counts_shown(run: ImportRun) -> tuple[CountShown, ...]:
    return (
        CountShown("Rows", run.rows, ""),
        CountShown("New", run.staged, "up" if run.staged else ""),
        CountShown("Already known", run.unchanged, ""),
        CountShown("Rejected", run.rejected, "down" if run.rejected else ""),
        CountShown("Ignored", run.ignored, ""),
    )


def outcome(run: ImportRun) -> tuple[str, str]:
    """What became of it in a sentence, and the look of that sentence."""
    if run.undone_at is not None:
        return "This import was undone. Upload the file again to put it back.", ""
    match run.status:
        case JobStatus.DONE:
            return "Everything in the file is part of your portfolio now.", "good"
        case JobStatus.UNCHANGED:
            return "Every row of this file was known already. Nothing changed.", ""
        case JobStatus.PARTIAL if run.rejected:
            rows = "One row" if run.rejected == 1 else f"{run.rejected:,} rows"
            return (
                f"{rows} could not be taken. Mend the file and import it again: what is known is not doubled.",
                "warn",
            )
        case JobStatus.PARTIAL:
            return "It would withdraw much of what is known, so it waits until you accept or reject it.", "warn"
        case JobStatus.FAILED if has_good_rows(run):
            rows = "One row" if run.rejected == 1 else f"{run.rejected:,} rows"
            return (
                f"{rows} of {run.rows:,} cannot be taken, so nothing was stored. Mend the file and import it again, "
                "or take the good rows now.",
                "bad",
            )
        case JobStatus.FAILED:
            return (run.error or {}).get("detail", "") or "It could not be imported.", "bad"
        case JobStatus.NEEDS_MAPPING:
            return "The file does not say everything. Answer below and the import goes on.", "warn"
        case _:
            return "", ""

"""Reading kept files again with a mended adapter: what they say now replaces what they said, as a whole and in place.

The new reading takes the old one's place among the editions of its source: it is a later fact, of the same arrival.
"""

from dataclasses import dataclass
from typing import Literal

from django.db import transaction

from ingestion import identity, reading, selectors, staging
from ingestion.adapters.base import FileRefused, NeedsMapping, Statement, no_progress
from ingestion.adapters.detection import adapter_of
from ingestion.errors import NotAnswerable
from ingestion.models import Content, ImportRun, Withdrawal
from ingestion.options import ImportOptions
from ingestion.services.sources import announce_facts
from ingestion.services.uploads import raw_bytes
from stackmotive.common.sealing import SealBroken

Outcome = Literal["same", "replaced", "kept"]


@dataclass(frozen=True, slots=True)
class Replay:
    """same: it still says what it said. kept: it cannot be read now, for `detail`, so what it said stays."""

    run: ImportRun
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Reading:
    statement: Statement
    batch: identity.Batch


def replay_content(*, content: Content) -> Replay | None:
    """Read the file of `content` again. None where nothing newer can read it, or its bytes are no longer kept."""
    version = adapter_of(content.layout).version
    run = selectors.replayable_run(content=content, version=version)
    if run is None:
        return None
    try:
        read = _read(run, content)
    except (FileRefused, NotAnswerable) as exc:
        return Replay(run, "kept", exc.detail)
    except NeedsMapping:
        return Replay(run, "kept", "It asks its user something now.")
    except SealBroken:
        return Replay(run, "kept", "The stored file cannot be opened with the configured keys.")
    return _replace(run, content, read, version)


def _read(run: ImportRun, content: Content) -> _Reading:
    """Raises FileRefused, NeedsMapping, NotAnswerable, SealBroken."""
    recognized = reading.recognize(
        raw := raw_bytes(run),
        filename=run.filename,
        options=ImportOptions.from_json(run.options),
        profile_of=lambda digest: selectors.profile_options(user_id=run.user_id, header_digest=digest),
    )
    if recognized.adapter.layout != content.layout:
        raise FileRefused("another_layout", f"It is taken for “{recognized.adapter.label}” now: upload it again.")
    statement = reading.parse(raw, recognized, no_progress)
    batch = identity.prepare(statement, default_account=content.default_account, mapping=recognized.mapping)
    has_rows = batch.transactions or batch.positions or batch.cash
    if statement.problems and (recognized.on_error == "refuse" or not has_rows):
        first = statement.problems[0]
        raise FileRefused("rows_rejected", f"Line {first.line} cannot be taken now: {first.detail}", line=first.line)
    return _Reading(statement, batch)


@transaction.atomic
def _replace(run: ImportRun, content: Content, read: _Reading, version: int) -> Replay | None:
    staging.lock_source(content.source_id)
    if staging.arrived_number(content) is None:
        return None  # undone meanwhile
    runs = ImportRun.objects.filter(content=content, undone_at=None)
    if read.batch.digest == content.digest:
        runs.filter(pk=run.pk).update(parser_version=version)
        return Replay(run, "same")
    newest = content.arrivals.order_by("-number")[0]
    staged = staging.stage(
        source=content.source,
        statement=read.statement,
        batch=read.batch,
        default_account=content.default_account,
        run=run,
        cause="replay",
        arrived_at=newest.arrived_at,
    )
    Withdrawal.objects.create(content=content, number=staged.fact_number)
    _count_anew(run, read)
    runs.update(content=staged.content, digest=read.batch.digest, parser_version=version)
    announce_facts(user_id=run.user_id)
    return Replay(run, "replaced")


def _count_anew(run: ImportRun, read: _Reading) -> None:
    """The rows of the run as they are read now; how many of them were known when it came stays."""
    counts = staging.count(batch=read.batch, statement=read.statement, known=staging.Known())
    unchanged = min(run.unchanged, counts.staged)
    run.left_out.all().delete()
    staging.write_left_out(
        run_id=run.pk,
        problems=read.statement.problems,
        ignored=[*read.statement.ignored, *read.batch.repeated],
    )
    ImportRun.objects.filter(pk=run.pk).update(
        rows=counts.rows, staged=counts.staged - unchanged, unchanged=unchanged, rejected=counts.rejected,
        ignored=counts.ignored,
    )  # fmt: skip

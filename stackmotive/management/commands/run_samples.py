"""`manage.py run_samples DIR`: import the broker files of a manifest and compare what comes out with what must."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stackmotive.sample_files import (
    MANIFEST,
    ManifestUnreadable,
    Sample,
    compare,
    figure_count,
    not_compared,
    read_manifest,
)
from stackmotive.sample_imports import ImportFailed, adapter_for, import_sample

DEFAULT = "../shared/samples"


class Command(BaseCommand):
    help = (
        "Import each file of DIR/manifest.json as a fresh user and compare the ledger with what the manifest expects."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", default=DEFAULT, metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["folder"])
        if not (folder / MANIFEST).is_file():
            self.stdout.write(f"No samples: {folder / MANIFEST} does not exist.")
            return
        try:
            samples = read_manifest(folder)
        except ManifestUnreadable as exc:
            raise CommandError(str(exc)) from exc
        counts = Counter(self.run(sample) for sample in samples)
        if counts["left out"]:
            self.stdout.write(f"{counts['left out']} files of layouts that are not registered, not counted")
        self.stdout.write(f"{counts['passed']} passed, {counts['failed']} failed")
        if counts["failed"]:
            raise SystemExit(1)

    def run(self, sample: Sample) -> str:
        """Print what became of one item; passed, failed or left out."""
        if not sample.path.is_file():
            return self.say("failed", sample, "the file is missing")
        content = sample.path.read_bytes()
        adapter = adapter_for(content, sample.name)
        if adapter is None:
            return self.say("left out", sample, "no registered layout")
        try:
            outcome, rejected = import_sample(content, sample.name)
        except ImportFailed as exc:
            return self.say("failed", sample, f"{adapter.layout}: {exc}")
        except Exception as exc:  # noqa: BLE001  # a crash is this file's failure; the others are judged all the same
            return self.say("failed", sample, f"{adapter.layout}: the import crashed: {exc!r}")
        wrong = compare(sample, outcome)
        checked = f"{figure_count(sample)} expected, {len(outcome.rows)} rows, {len(rejected)} rejected"
        notes = [*rejected, *(f"not compared: {name}" for name in not_compared(sample))]
        return self.say("failed" if wrong else "passed", sample, f"{adapter.layout}: {checked}", *wrong, *notes)

    def say(self, verdict: str, sample: Sample, text: str, *details: str) -> str:
        self.stdout.write(f"{verdict:<9} {sample.name}  {text}")
        for detail in details:
            self.stdout.write(f"          {detail}")
        return verdict

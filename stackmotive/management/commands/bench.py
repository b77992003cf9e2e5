"""`manage.py bench import|reconciliation|valuation|growth`: how long the work takes beside the limit of this machine, in
one run, and what a user's year takes on disk.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from stackmotive.bench import growth, imports, reconciliation, valuation
from stackmotive.bench.generator import LAST_DAY, SIZES
from stackmotive.bench.growth import Grown
from stackmotive.bench.measuring import Result, WrongAnswer, machine

WORKLOADS: dict[str, Callable[[str], Iterator[Result] | Iterator[Grown]]] = {
    "import": imports.measure,
    "reconciliation": reconciliation.measure,
    "valuation": valuation.measure,
    "growth": growth.measure,
}


class Command(BaseCommand):
    help = "Measure imports or valuation beside baselines of the same run, on an instance made for it."
    requires_system_checks = []  # of an instance that lasts a minute

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workload", nargs="?", choices=WORKLOADS, help="all if not said")
        parser.add_argument("--size", choices=SIZES, default="medium")
        parser.add_argument("--here", action="store_true", help="on this instance, where the facts of the bench stay")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = [options["workload"]] if options["workload"] else list(WORKLOADS)
        if not options["here"]:
            self.run_aside([*([options["workload"]] if options["workload"] else []), "--size", options["size"]])
            return
        settings.AS_OF = LAST_DAY  # the made-up prices end there; nothing else runs in this process
        self.stdout.write(machine())
        try:
            for name in chosen:
                self.stdout.write(f"bench {name}, {options['size']}")
                for result in WORKLOADS[name](options["size"]):
                    self.stdout.write(f"  {result.line()}")
                    self.stdout.flush()
        except WrongAnswer as exc:
            raise CommandError(f"A timed run gave a wrong answer: {exc}") from exc

    def run_aside(self, arguments: list[str]) -> None:
        """The same on a fresh instance that is removed afterwards: facts cannot be taken out of this one."""
        with tempfile.TemporaryDirectory() as folder:
            left_out = ("DATABASE_URL", "OWNER_DATABASE_URL", "REDIS_URL", "STACKMOTIVE_STORES")
            env = {name: value for name, value in os.environ.items() if name not in left_out}
            for command in (["migrate", "--verbosity", "0"], ["bench", "--here", *arguments]):
                argv = [sys.executable, "manage.py", *command, "--data-dir", str(Path(folder) / "data")]
                if subprocess.run(argv, cwd=settings.BASE_DIR, env=env).returncode:  # noqa: S603
                    raise CommandError(f"{command[0]} failed on the instance made for the bench: see above.")

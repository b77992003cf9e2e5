"""`manage.py up`: the whole of StackMotive in one foreground command."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.signing import TimestampSigner
from django.db import connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from stackmotive.demo.story import LAST_DAY
from stackmotive.embedded import DataDirectory, StoreError, runner, stores
from stackmotive.embedded.runner import Part

WORKER_THREADS = 4
SOCKET_MESSAGE_BYTES = 65_536


class Command(BaseCommand):
    help = "Run stores, web, worker and scheduler in the foreground until Ctrl-C."
    requires_system_checks = []  # they may ask the database, which this command starts

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default 8000)")
        # taken out by manage.py for every command; named here for --help
        parser.add_argument("--data-dir", help="where the instance keeps everything (default .data)")
        parser.add_argument("--demo", action="store_true", help="load the demo user and its files first")

    def handle(self, *args: Any, **options: Any) -> None:
        restore_signals = runner.interrupt_on(runner.STOP_SIGNALS)
        try:
            self.run(port=options["port"], demo=options["demo"])
        except StoreError as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            self.say("Stopped", "everything is saved")
        finally:
            restore_signals()

    def run(self, *, port: int, demo: bool) -> None:
        """From first start to last stop; raises StoreError, or KeyboardInterrupt at a stop signal."""
        if not 0 < port < 65_536:
            raise StoreError(f"--port is {port}; say a number from 1 to 65535.")
        public_url = (os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{port}").rstrip("/")
        env = runner.environment(PUBLIC_URL=public_url, DJANGO_DEBUG="false")
        if demo:  # its prices end there
            env.setdefault("AS_OF", LAST_DAY.isoformat())
        data = DataDirectory.at(settings.DATA_DIR)
        data.prepare()
        with self.running_stores(data) as store_parts:
            runner.refuse_used_port(port)
            self.migrate(data, env=env)
            self.collect_static(data)
            parts = list(store_parts)
            own: list[Part] = []
            try:
                for name, argv in self.command_lines(data, port=port):
                    own.append(runner.start(name, argv, cwd=settings.BASE_DIR, logs=data.logs, env=env))
                    parts.append(own[-1])
                runner.await_answer(port, "/health/live/", parts=parts)
                for part in own:
                    self.say(part.name, f"process {part.process.pid}, log {part.log}")
                if demo:
                    self.load_demo(data, env=env, beside=parts)
                self.say("StackMotive", f"{public_url}  (Ctrl-C stops it)")
                if not get_user_model()._default_manager.exists():
                    self.say(
                        "Set-up",
                        f"{public_url}/setup/{setup_token()}/  (makes the first account; for 30 minutes)",
                    )
                close_connections()
                runner.supervise(parts)
            finally:
                runner.stop(own)
                close_connections()

    @contextmanager
    def running_stores(self, data: DataDirectory) -> Iterator[list[Part]]:
        """The embedded stores as parts to watch; none where DATABASE_URL and REDIS_URL name others."""
        if os.environ.get("STACKMOTIVE_STORES") != "embedded":
            self.say("Stores", "those of DATABASE_URL and REDIS_URL")
            yield []
            return
        with stores(data.path, exclusive=True) as running:
            parts = [
                Part(name=name, process=process, log=data.logs / f"{name.lower()}.log")
                for name, process in (("Postgres", running.postgres), ("Valkey", running.valkey))
                if process
            ]
            for part in parts:
                self.say(part.name, f"process {part.process.pid}, data {data.stores / part.name.lower()}")
            yield parts

    def migrate(self, data: DataDirectory, *, env: dict[str, str]) -> None:
        """Bring the tables up to date in a process of the owner's role, which this one does not have."""
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        close_connections()
        if pending:
            owner = env | ({"DATABASE_URL": env["OWNER_DATABASE_URL"]} if env.get("OWNER_DATABASE_URL") else {})
            argv = runner.python("manage.py", "migrate", "--no-input", "--verbosity", "1")
            self.finish("Migrate", argv, data=data, env=owner, beside=[])
        self.say("Tables", f"{len(pending)} migrations applied" if pending else "up to date")

    def load_demo(self, data: DataDirectory, *, env: dict[str, str], beside: list[Part]) -> None:
        """Its output holds the login, so it is shown."""
        part = self.finish(
            "Demo", runner.python("manage.py", "load_demo"), data=data, env=env, beside=beside, fresh_log=True
        )
        self.stdout.write(part.log.read_text(errors="replace").rstrip())

    def finish(
        self,
        name: str,
        argv: list[str],
        *,
        data: DataDirectory,
        env: dict[str, str],
        beside: list[Part],
        fresh_log: bool = False,
    ) -> Part:
        """Run a command of ours to its end; it is stopped with us."""
        if fresh_log:
            (data.logs / f"{name.lower()}.log").unlink(missing_ok=True)
        part = runner.start(name, argv, cwd=settings.BASE_DIR, logs=data.logs, env=env)
        try:
            runner.finish(part, beside=beside)
        finally:
            runner.stop([part])
        return part

    def collect_static(self, data: DataDirectory) -> None:
        """Gather style sheets and scripts when one of them changed since the last start."""
        stamp, current = data.path / "static.stamp", static_fingerprint()
        if stamp.exists() and stamp.read_text() == current and settings.STATIC_ROOT.exists():
            self.say("Static files", "up to date")
            return
        stamp.unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(current)
        self.say("Static files", f"collected in {settings.STATIC_ROOT}")

    def command_lines(self, data: DataDirectory, *, port: int) -> list[tuple[str, list[str]]]:
        """The processes of our own code. The worker has threads: one process, half the memory of two."""
        web = ["-m", "uvicorn", "stackmotive.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
        # the peer is the peer: settings.TRUSTED_PROXIES decides whose X-Forwarded-For counts
        web += [
            "--no-proxy-headers",
            "--no-access-log",
            "--no-server-header",
            "--lifespan",
            "off",
            "--log-level",
            "warning",
        ]
        web += ["--timeout-graceful-shutdown", "5", "--ws-max-size", str(SOCKET_MESSAGE_BYTES)]
        celery = ["-m", "celery", "-A", "stackmotive"]
        worker = [*celery, "worker", "--pool=threads", f"--concurrency={WORKER_THREADS}", "--loglevel=info"]
        worker += ["--without-gossip", "--without-mingle"]
        beat = [
            *celery,
            "beat",
            "--loglevel=warning",
            f"--schedule={data.path / 'beat-schedule'}",
            "--pidfile=",
        ]
        return [
            ("Web", runner.python(*web)),
            ("Worker", runner.python(*worker)),
            ("Beat", runner.python(*beat)),
        ]

    def say(self, name: str, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone; stopping in order matters more
            self.stdout.write(f"{name:<13} {text}")
            self.stdout.flush()


def close_connections() -> None:
    """Give back the connections while this process only watches; the pool would keep them open."""
    if isinstance(database := connections["default"], DatabaseWrapper):
        database.close()
        database.close_pool()


def setup_token() -> str:
    """Proof that its bearer saw this terminal; the page that takes it works only while no user exists."""
    return TimestampSigner(salt="setup").sign("setup")


def static_fingerprint() -> str:
    """Changes with the name, size or time of any static file, and with the Python that serves them."""
    digest = hashlib.sha256(sys.version.encode())
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: found[0]):
            state = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()

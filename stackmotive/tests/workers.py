"""Workers and beat for tests that need them: in threads of this process, or in processes that are killed.

The tasks are the product's own. Only the queue between them is a list in memory, so that a test knows when it is empty.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery.app.task import Task
from django.db import connection, connections

SWEEPS = (
    "ingestion.tasks.sweep_imports",
    "ingestion.tasks.sweep_syncs",
    "federation.tasks.sweep_ledgers",
    "portfolio.tasks.sweep_figures",
)


def run_task(name: str, args: Sequence[Any]) -> None:
    from stackmotive.celery import app

    app.loader.import_default_modules()
    app.tasks[name].run(*args)


class Workers:
    """Threads that do what is enqueued, each on connections of its own, from `with` to its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._queue: queue.Queue[tuple[str, list[Any]] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        self.failures: list[str] = []

        def enqueue(task: Any, args: Sequence[Any] = (), kwargs: object = None, **_: Any) -> None:
            assert not kwargs
            self._queue.put((task.name, json.loads(json.dumps(list(args)))))

        monkeypatch.setattr(Task, "apply_async", enqueue)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=60)

    def _work(self) -> None:
        while (told := self._queue.get()) is not None:
            try:
                run_task(*told)
            except Exception as exc:  # noqa: BLE001  # whatever a task raises is the test's to tell
                self.failures.append(f"{told}: {exc!r}")
            finally:
                connections.close_all()
                self._queue.task_done()

    def finish(self, *, sweeps: int = 0) -> None:
        """Until nothing is enqueued; then beat `sweeps` times, each to its end."""
        self._queue.join()
        for _ in range(sweeps):
            for name in SWEEPS:
                self._queue.put((name, []))
            self._queue.join()
        assert self.failures == []


@pytest.fixture
def wide_pool() -> Iterator[None]:
    """Connections for twenty threads at once."""
    options = connection.settings_dict["OPTIONS"]
    pool = options.pop("pool")
    connections.close_all()
    yield
    connections.close_all()
    options["pool"] = pool


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each act answers, all started at one moment, each on a connection of its own."""
    barrier = threading.Barrier(len(acts))
    answers: list[Any] = [None] * len(acts)
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            answers[number] = acts[number]()
        except Exception as exc:  # noqa: BLE001  # raised below, in the test's own thread
            failures.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    if failures:
        raise failures[0]
    return answers


NURSERY = """
import os, signal, sys
import django
django.setup()
from stackmotive import urls  # whatever a worker imports, before the first is forked
from stackmotive.celery import app
from stackmotive.tests.workers import live_until
app.loader.import_default_modules()
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        live_until(int(line))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("killed" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}", flush=True)
"""


def live_until(statement: int) -> None:
    """In a process of its own: sweep and work until nothing is left, or die by SIGKILL at the numbered SQL statement.

    0 = live. It dies before the statement is sent: everything the worker did before its last commit is there.
    """
    import signal
    import traceback
    from collections import deque

    waiting: deque[tuple[str, list[Any]]] = deque()
    seen = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # Django's hook
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)

    def enqueue(task: Any, args: Sequence[Any] = (), kwargs: object = None, **_: Any) -> None:
        waiting.append((task.name, json.loads(json.dumps(list(args)))))

    Task.apply_async = enqueue  # this process has no other queue
    try:
        with connection.execute_wrapper(count):
            for _ in range(2):  # what the first round ends, the second finds ended
                waiting.extend((name, []) for name in SWEEPS)
                while waiting:
                    run_task(*waiting.popleft())
    except BaseException:  # noqa: BLE001  # the last words of this process
        traceback.print_exc()
        os._exit(3)


class Nursery:
    """Makes worker processes quickly, one at a time: each is forked from one that has everything imported."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def live(self, *, until: int = 0) -> bool:
        """Whether it was killed at the statement `until`, and did not end before."""
        given, answers = self._pipes()
        given.write(f"{until}\n")
        given.flush()
        answer = answers.readline().strip()
        assert answer in ("killed", "ended 0"), answer
        return answer == "killed"

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


@contextmanager
def nursery(*, prepare: str = "") -> Iterator[Nursery]:
    """Worker processes on the test's database. prepare: what each does first, as source code."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    address = urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
    environment = os.environ | {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "stackmotive.settings"}
    script = NURSERY.replace('print("ready"', f'{prepare}\nprint("ready"', 1)
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            yield Nursery(process)
        finally:
            process.kill()

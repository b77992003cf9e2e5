"""Supervision of an instance's own processes: start them, notice the first that dies, stop them in order."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import FrameType

from stackmotive.embedded import processes
from stackmotive.embedded.errors import StoreError

STOP_SECONDS = 12.0  # leaves the stores their time within the 15 seconds that people wait
READY_SECONDS = 120.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Part:
    """One running process and where its output goes."""

    name: str
    process: Popen[bytes]
    log: Path


class PartDied(StoreError):
    """A part ended by itself, so the whole run has to."""

    def __init__(self, part: Part) -> None:
        super().__init__(
            f"{part.name} ended with code {part.process.returncode}; {part.log} ends with:\n{processes.tail(part.log)}"
        )


def start(name: str, argv: Sequence[str | Path], *, cwd: Path, logs: Path, env: Mapping[str, str]) -> Part:
    """Start one part. It is killed with us: what it was doing is taken up again at the next start."""
    log = logs / f"{name.lower()}.log"
    process = processes.spawn(argv, cwd=cwd, env=env, log=log, on_parent_death=signal.SIGKILL)
    return Part(name=name, process=process, log=log)


def check_alive(parts: Sequence[Part]) -> None:
    for part in parts:
        if part.process.poll() is not None:
            raise PartDied(part)


def supervise(parts: Sequence[Part]) -> None:
    """Return never: raise PartDied, or KeyboardInterrupt at a stop signal."""
    while True:
        check_alive(parts)
        time.sleep(0.3)


def finish(part: Part, *, beside: Sequence[Part]) -> None:
    """Wait for `part`, which has an end; raise PartDied if it fails or one of `beside` dies meanwhile."""
    while part.process.poll() is None:
        check_alive(beside)
        time.sleep(0.1)
    if part.process.returncode != 0:
        raise PartDied(part)


def stop(parts: Sequence[Part]) -> None:
    """TERM to all at once, then wait for each; whoever needs longer than STOP_SECONDS is killed."""
    deadline = time.monotonic() + STOP_SECONDS
    alive = [part.process for part in parts if part.process.poll() is None]
    for process in alive:
        process.send_signal(signal.SIGTERM)
    for process in alive:
        processes.await_end(process, within=deadline - time.monotonic())


def await_answer(port: int, path: str, *, parts: Sequence[Part]) -> None:
    """Wait until GET `path` on 127.0.0.1 answers 200."""
    deadline = time.monotonic() + READY_SECONDS
    status: int | None = None
    while status != 200:
        check_alive(parts)
        if time.monotonic() > deadline:
            heard = f"answered {status}" if status else "did not answer"
            raise StoreError(
                f"The web process {heard} at {path} within {READY_SECONDS:.0f} seconds; see {parts[0].log}."
            )
        time.sleep(0.1)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = None
        finally:
            connection.close()


def refuse_used_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as exc:
            raise StoreError(f"Port {port} is not open to this user: choose one above 1023 with --port.") from exc
        except OSError as exc:
            raise StoreError(f"Port {port} is in use: stop what listens there or choose another with --port.") from exc


def interrupt_on(signals: Sequence[signal.Signals]) -> Callable[[], None]:
    """Turn the first of `signals` into KeyboardInterrupt, ignore later ones; returns what restores all."""
    before = {number: signal.getsignal(number) for number in signals}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

    def ignore() -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in signals:
        signal.signal(number, interrupt)
    return restore


def python(*arguments: str) -> list[str]:
    """A command line of this Python."""
    return [sys.executable, *arguments]


def environment(**changes: str) -> dict[str, str]:
    return dict(os.environ) | {"PYTHONUNBUFFERED": "1"} | changes

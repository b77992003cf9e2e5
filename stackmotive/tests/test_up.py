"""`manage.py up` as a person runs it: real processes, a fresh data directory, a port of its own."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackmotive.embedded import DataDirectory
from stackmotive.tests.test_embedded import await_gone

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
Up = Callable[..., subprocess.Popen[str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """Ours without what the test run set for itself."""
    own = (
        "DATABASE_URL",
        "OWNER_DATABASE_URL",
        "REDIS_URL",
        "STACKMOTIVE_",
        "DJANGO_SECRET",
        "JWT_",
        "FIELD_ENC",
        "PYTEST_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start `manage.py up`; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--data-dir", str(tmp_path / "data"), *words],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """The output up to the first line with `word`; fails with the output if the process ends before."""
    assert process.stdout
    lines: list[str] = []
    deadline = time.monotonic() + START_SECONDS
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
        assert time.monotonic() < deadline, "".join(lines)
    pytest.fail(f"{word!r} never came:\n{''.join(lines)}")


def children(pid: int) -> list[int]:
    """All processes below `pid`; PostgreSQL starts and ends some of its own at any moment."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # after the name in parentheses come the state and the parent
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def command_lines(pids: list[int]) -> list[str]:
    lines = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return lines


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_one_command_starts_all_stops_all_and_starts_again(tmp_path: Path, up: Up) -> None:
    port = free_port()
    first = up("--port", str(port))
    said = read_until(first, "Set-up")
    assert [line.split()[0] for line in said.splitlines()] == [
        *("Postgres", "Valkey", "Tables", "Static", "Web", "Worker", "Beat", "StackMotive", "Set-up")
    ]
    assert f"http://127.0.0.1:{port}  (Ctrl-C stops it)" in said
    assert re.search(rf"http://127\.0\.0\.1:{port}/setup/[\w:-]+/ ", said)
    assert status(port, "/health/live/") == 200
    running = command_lines(children(first.pid))
    assert [
        sum(word in line for line in running) for word in ("uvicorn", "stackmotive worker", "stackmotive beat")
    ] == [1, 1, 1]

    second = up("--port", str(free_port()))
    refusal, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert refusal.strip().splitlines() == [
        f"CommandError: StackMotive already runs on {tmp_path / 'data'} (process {first.pid}): "
        "stop it first, or choose another --data-dir."
    ]

    below = children(first.pid)
    assert len(below) >= 5
    first.send_signal(signal.SIGINT)
    asked = time.monotonic()
    assert first.wait(20) == 0
    assert time.monotonic() - asked < 15
    assert await_gone(below, within=0) == []

    third = up("--port", str(port))
    said = read_until(third, "StackMotive")
    assert "up to date" in said
    below = children(third.pid)
    third.kill()
    third.wait()
    assert await_gone(below, within=15) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_part_that_dies_ends_the_run_with_its_name(up: Up) -> None:
    running = up("--port", str(free_port()))
    said = read_until(running, "StackMotive")
    below = children(running.pid)
    worker = re.search(r"^Worker +process (\d+)", said, re.MULTILINE)
    assert worker
    os.kill(int(worker[1]), signal.SIGKILL)
    rest, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "CommandError: Worker ended with code -9" in rest
    assert await_gone(below, within=0) == []


def test_a_used_port_is_refused_in_one_sentence_and_the_stores_stop(tmp_path: Path, up: Up) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = up("--port", str(port))
        said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert said.splitlines()[-1] == (
        f"CommandError: Port {port} is in use: stop what listens there or choose another with --port."
    )
    owner = (DataDirectory.at(tmp_path / "data").path / "owner.lock").read_text()
    assert owner == f"stopped {refused.pid}"


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_is_none_is_refused_before_anything_starts(port: str, tmp_path: Path, up: Up) -> None:
    refused = up(f"--port={port}")
    said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "say a number from 1 to 65535" in said
    assert not (tmp_path / "data" / "stores").exists()

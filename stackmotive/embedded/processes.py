"""Child processes that never outlive the one that started them."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stackmotive.embedded.accounts import Account, popen_ids
from stackmotive.embedded.errors import StoreError

PR_SET_PDEATHSIG = 1
LOG_LIMIT = 5_000_000  # bytes; a longer log is set aside as NAME.1 at the next start
ORPHAN_SECONDS = 30.0


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    log: Path,
    on_parent_death: signal.Signals,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own (Ctrl-C reaches only us), output appended to `log`.

    On Linux the kernel sends `on_parent_death` when the calling thread ends, however it ends, so call this
    from the main thread. `cwd` is entered before the change to `account`, who may not reach it by name.
    """
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
            preexec_fn=die_with_parent(on_parent_death),
            **popen_ids(account),
        )


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child does before it becomes its program: ask the kernel for `death_signal` at our end."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # we died before the call above
            os._exit(1)

    return arrange


def rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))


def stop(process: subprocess.Popen[bytes], *, by: signal.Signals, within: float) -> int:
    """Ask `process` to end, kill it after `within` seconds; its exit code."""
    if process.poll() is None:
        process.send_signal(by)
    return await_end(process, within=within)


def await_end(process: subprocess.Popen[bytes], *, within: float) -> int:
    """Wait for a process that was asked to end, kill it after `within` seconds; its exit code."""
    try:
        return process.wait(max(0.0, within))
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def tail(log: Path, *, lines: int = 15) -> str:
    """The end of a log, for an error message."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def claim(lock: Path, *, orphan_signal: signal.Signals) -> int:
    """An open, locked descriptor of `lock` for one server to inherit: held until its last process has ended.

    Call it only as the owner of the stores: whoever holds `lock` then was left behind by an owner that died,
    is asked to end with `orphan_signal`, and awaited.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + ORPHAN_SECONDS
    asked = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StoreError(
                    f"A server from an earlier run still holds {lock}; end that process and start again."
                ) from None
            if not asked:
                asked = ask_holder_to_end(descriptor, orphan_signal)
            time.sleep(0.05)
        else:
            return descriptor


def ask_holder_to_end(descriptor: int, orphan_signal: signal.Signals) -> bool:
    """Signal the process named in the lock file; False if it is not written yet."""
    written = os.pread(descriptor, 20, 0)
    if not written.strip().isdigit():
        return False
    try:
        os.kill(int(written), orphan_signal)
    except ProcessLookupError:
        return True  # the server itself is gone, its last children are ending
    return True


def hand_over(descriptor: int, process: subprocess.Popen[bytes]) -> None:
    """Leave the lock to the started `process` alone."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(process.pid).encode(), 0)
    os.close(descriptor)

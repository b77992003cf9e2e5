"""Both stores for one command: started for its duration, or shared with the command that runs them already.

Two files below the data directory decide, by locks that the kernel drops when their holder dies:
`owner.lock`, held by the process whose children the servers are; `users.lock`, shared by those who attached.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from stackmotive.embedded import postgres, valkey
from stackmotive.embedded.accounts import server_account
from stackmotive.embedded.datadir import DataDirectory
from stackmotive.embedded.errors import StoreError

ATTACH_SECONDS = 90.0


class AlreadyRunning(StoreError):
    """Another process owns the stores of this data directory, and the caller wanted them for itself."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Running stores. The processes are None where another command owns them."""

    data: DataDirectory
    postgres: Popen[bytes] | None
    valkey: Popen[bytes] | None

    def environment(self) -> dict[str, str]:
        return self.data.environment()


@contextmanager
def stores(path: Path | str, *, fsync: bool = True, exclusive: bool = False) -> Iterator[Stores]:
    """Running stores under `path` for the length of the block.

    exclusive: raise AlreadyRunning instead of sharing, and do not wait at the end for those who attached.
    """
    data = DataDirectory.at(path)
    data.prepare()
    deadline = time.monotonic() + ATTACH_SECONDS
    with open_lock(data.path / "owner.lock") as owner, open_lock(data.path / "users.lock") as users:
        while not try_lock(owner, fcntl.LOCK_EX):
            state, _, pid = os.pread(owner, 40, 0).decode().partition(" ")
            if exclusive:
                raise AlreadyRunning(
                    f"StackMotive already runs on {data.path} (process {pid or 'unknown'}): "
                    "stop it first, or choose another --data-dir."
                )
            if state == "ready" and try_lock(users, fcntl.LOCK_SH):
                yield Stores(data=data, postgres=None, valkey=None)
                return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"The stores of {data.path} are not ready: process {pid} is starting or stopping them."
                )
            time.sleep(0.05)
        yield from own(data, owner=owner, users=users, fsync=fsync, exclusive=exclusive)


def own(data: DataDirectory, *, owner: int, users: int, fsync: bool, exclusive: bool) -> Iterator[Stores]:
    """Start both, lend them, stop both: Valkey first, as PostgreSQL holds what must not be lost."""
    announce(owner, "starting")
    keys = data.keys()
    account = server_account(data.stores)
    for folder in (data.stores, data.sockets):
        folder.mkdir(mode=0o700, exist_ok=True)
        if account:
            account.give(folder)
    data.link_sockets()
    database = postgres.start(data, keys=keys, account=account, fsync=fsync)
    try:
        broker = valkey.start(data, keys=keys, account=account, fsync=fsync)
        try:
            announce(owner, "ready")
            yield Stores(data=data, postgres=database, valkey=broker)
        finally:
            if not exclusive:
                await_users(users)
            announce(owner, "stopping")
            valkey.stop(broker)
    finally:
        postgres.stop(database)
        data.unlink_sockets()
        announce(owner, "stopped")


def await_users(users: int) -> None:
    """Let commands that attached meanwhile finish; they would lose their stores with us."""
    if try_lock(users, fcntl.LOCK_EX):
        return
    sys.stderr.write("Another command still uses the stores; waiting until it has ended.\n")
    fcntl.flock(users, fcntl.LOCK_EX)


@contextmanager
def open_lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def announce(owner: int, state: str) -> None:
    text = f"{state} {os.getpid()}".encode()
    os.ftruncate(owner, 0)
    os.pwrite(owner, text, 0)

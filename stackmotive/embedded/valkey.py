"""One Valkey server under a data directory, on a unix socket, every write kept in an append-only file."""

import os
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stackmotive.embedded import binaries, processes
from stackmotive.embedded.accounts import Account, folder_from_inside
from stackmotive.embedded.datadir import DataDirectory
from stackmotive.embedded.errors import StoreError
from stackmotive.embedded.keys import Keys

READY_SECONDS = 60.0
STOP_SECONDS = 10.0


def start(data: DataDirectory, *, keys: Keys, account: Account | None, fsync: bool) -> subprocess.Popen[bytes]:
    """The running server, its data loaded."""
    program = binaries.reachable_valkey(account)
    lock = processes.claim(data.stores / "valkey.lock", orphan_signal=signal.SIGTERM)
    log = data.logs / "valkey.log"
    try:
        data.valkey.mkdir(mode=0o700, exist_ok=True)
        write_configuration(data, keys=keys, account=account, fsync=fsync)
        server = processes.spawn(
            [program, Path(folder_from_inside(data.valkey, account)) / "valkey.conf"],
            cwd=data.valkey,
            log=log,
            on_parent_death=signal.SIGTERM,
            account=account,
            keep_open=[lock],
        )
    except BaseException:
        os.close(lock)
        raise
    processes.hand_over(lock, server)
    try:
        await_ready(server, data=data, keys=keys)
    except BaseException:
        stop(server)
        raise
    return server


def stop(server: subprocess.Popen[bytes]) -> None:
    processes.stop(server, by=signal.SIGTERM, within=STOP_SECONDS)


def write_configuration(data: DataDirectory, *, keys: Keys, account: Account | None, fsync: bool) -> None:
    """A file and not arguments: every user of the machine can read the arguments of a process."""
    settings = {
        "port": "0",
        "unixsocket": "../run/valkey.sock",
        "unixsocketperm": "700",
        "dir": ".",
        "requirepass": keys.valkey,
        "appendonly": "yes" if fsync else "no",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",  # a queue must not lose its oldest entries to the cache
        "loglevel": "warning",
    }
    path = data.valkey / "valkey.conf"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if account:
        account.give(data.valkey)
        account.give(path)


def client(data: DataDirectory, *, keys: Keys) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(data.socket_folder() / "valkey.sock"),
        password=keys.valkey,
        retry=Retry(NoBackoff(), 0),
    )


def await_ready(server: subprocess.Popen[bytes], *, data: DataDirectory, keys: Keys) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with client(data, keys=keys) as connection:
        while True:
            try:
                connection.ping()
            except redis.ConnectionError as exc:  # includes "loading the dataset"
                if server.poll() is not None or time.monotonic() > deadline:
                    log = processes.tail(data.logs / "valkey.log")
                    raise StoreError(f"Valkey did not start ({exc}); its log ends with:\n{log}") from exc
                time.sleep(0.02)
            else:
                return

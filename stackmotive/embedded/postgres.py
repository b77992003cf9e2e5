"""One PostgreSQL server under a data directory, on a unix socket, with an owner and an application role."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from stackmotive.embedded import binaries, processes
from stackmotive.embedded.accounts import Account, folder_from_inside, popen_ids
from stackmotive.embedded.datadir import APP_ROLE, DATABASE, OWNER_ROLE, DataDirectory
from stackmotive.embedded.errors import StoreError
from stackmotive.embedded.keys import Keys

SUPERUSER = "postgres"
READY_SECONDS = 60.0  # recovery after a crash replays the log first
STOP_SECONDS = 20.0
WITHOUT_DURABILITY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
"""Only for tests, whose data nobody needs after a crash."""


def start(data: DataDirectory, *, keys: Keys, account: Account | None, fsync: bool) -> subprocess.Popen[bytes]:
    """The running server, accepting connections, with both roles and the database in place."""
    folder = binaries.reachable_postgres(account)
    lock = processes.claim(data.stores / "postgres.lock", orphan_signal=signal.SIGINT)
    try:
        if not (data.postgres / "PG_VERSION").exists():
            initialize(folder, data=data, keys=keys, account=account, fsync=fsync)
        refuse_other_major(folder, data=data, account=account)
        log = data.logs / "postgres.log"
        options = ["listen_addresses=", "unix_socket_directories=../run", "unix_socket_permissions=0700"]
        options += [
            "log_min_messages=warning",
            "timezone=UTC",
            "log_timezone=UTC",
            "jit=off",
            "log_checkpoints=off",
        ]
        options += [] if fsync else WITHOUT_DURABILITY
        server = processes.spawn(
            [
                folder / "postgres",
                "-D",
                folder_from_inside(data.postgres, account),
                *[f"--{option}" for option in options],
            ],
            cwd=data.postgres,
            env=clean_environment(),
            log=log,
            on_parent_death=signal.SIGINT,
            account=account,
            keep_open=[lock],
        )
    except BaseException:
        os.close(lock)
        raise
    processes.hand_over(lock, server)
    try:
        await_ready(server, data=data, keys=keys, log=log)
        ensure_roles(data, keys=keys)
    except BaseException:
        stop(server)
        raise
    return server


def stop(server: subprocess.Popen[bytes]) -> None:
    """Fast stop: sessions are ended, committed work is written."""
    processes.stop(server, by=signal.SIGINT, within=STOP_SECONDS)


def clean_environment() -> dict[str, str]:
    """Ours without the PG* variables that would redirect the server, in the C locale on every machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}


def initialize(folder: Path, *, data: DataDirectory, keys: Keys, account: Account | None, fsync: bool) -> None:
    """initdb beside the final place, renamed when whole: an interrupted one leaves nothing half made."""
    fresh = data.stores / f"postgres.{secrets.token_hex(4)}"
    password = data.stores / f"{fresh.name}.password"
    fresh.mkdir(mode=0o700)
    password.touch(mode=0o600)
    password.write_text(keys.postgres_superuser)
    if account:
        account.give(fresh)
        account.give(password)
    try:
        subprocess.run(  # noqa: S603
            [
                *(folder / "initdb", "-D", folder_from_inside(fresh, account), "-U", SUPERUSER),
                *("--auth=scram-sha-256", f"--pwfile=../{password.name}", "-E", "UTF8", "--no-instructions"),
                # the builtin provider sorts alike on every platform
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                *(() if fsync else ("--no-sync",)),
            ],
            cwd=fresh,
            env=clean_environment(),
            check=True,
            capture_output=True,
            text=True,
            **popen_ids(account),
        )
        if data.postgres.exists():
            data.postgres.rmdir()
        fresh.rename(data.postgres)
    except subprocess.CalledProcessError as exc:
        raise StoreError(f"PostgreSQL could not set up its data folder: {exc.stderr.strip()}") from exc
    finally:
        password.unlink()
        shutil.rmtree(fresh, ignore_errors=True)


def refuse_other_major(folder: Path, *, data: DataDirectory, account: Account | None) -> None:
    """The files belong to one major release, and only its programs can open them."""
    written_by = (data.postgres / "PG_VERSION").read_text().strip()
    answer = subprocess.run(  # noqa: S603
        [folder / "postgres", "--version"],
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
        **popen_ids(account),
    )
    found = answer.stdout.split()[2].split(".")[0]
    if found != written_by:
        raise StoreError(
            f"The data in {data.postgres} was written by PostgreSQL {written_by}, but {found} is installed: "
            f"set STACKMOTIVE_PG_BINDIR to a PostgreSQL {written_by}, back up, restore with the new one."
        )


def connect(data: DataDirectory, *, keys: Keys, dbname: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(data.socket_folder()),
        user=SUPERUSER,
        password=keys.postgres_superuser,
        dbname=dbname,
        autocommit=True,
        connect_timeout=5,
    )


def await_ready(server: subprocess.Popen[bytes], *, data: DataDirectory, keys: Keys, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            connect(data, keys=keys, dbname="postgres").close()
        except psycopg.OperationalError as exc:
            if server.poll() is not None or time.monotonic() > deadline:
                raise StoreError(
                    f"PostgreSQL did not start ({exc}); its log ends with:\n{processes.tail(log)}"
                ) from exc
            time.sleep(0.02)
        else:
            return


def ensure_roles(data: DataDirectory, *, keys: Keys) -> None:
    """Roles, default grants and database as they must be; safe to repeat, so a crash between two steps heals.

    The owner may create databases (tests do), but is no superuser. Default privileges stand in template1 too,
    so that every database made later, a test's among them, gives the application role the same rights.
    """
    with connect(data, keys=keys, dbname="template1") as template:
        known = {name for (name,) in template.execute("SELECT rolname FROM pg_roles")}
        for role, password in ((OWNER_ROLE, keys.postgres_owner), (APP_ROLE, keys.postgres_app)):
            verb = sql.SQL("ALTER" if role in known else "CREATE")
            rights = sql.SQL("CREATEDB" if role == OWNER_ROLE else "NOCREATEDB")
            template.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                    verb, sql.Identifier(role), rights, sql.Literal(password)
                )
            )
        # lets the owner act with the application's rights, as tests of those rights do
        template.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(APP_ROLE), sql.Identifier(OWNER_ROLE)))
        grant_defaults(template)
        databases = {name for (name,) in template.execute("SELECT datname FROM pg_database")}
    if DATABASE not in databases:
        with connect(data, keys=keys, dbname="postgres") as server:
            server.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE))
            )


def grant_defaults(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """What the owner creates from now on in this database, the application may read and write, not alter."""
    for rights in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT {} TO {}").format(
                sql.Identifier(OWNER_ROLE), sql.SQL(rights), sql.Identifier(APP_ROLE)
            )
        )

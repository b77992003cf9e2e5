"""pytest plugin: PostgreSQL and Valkey of the test run's own, and no way out to the network.

Named by `-p` in pyproject.toml, so that the servers are up before pytest-django reads the settings. They live
in a temporary folder and end with the run, also when it is killed. Each worker of pytest-xdist has a pair of its
own, as every test finds Valkey empty. Set DATABASE_URL and REDIS_URL to run against other servers; nothing is
started or emptied then.

The default connection is the owner's, because the run creates its database. What the application role must
not be able to do is tested with the fixture `app_role`.
"""

import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from stackmotive.embedded import stores
from stackmotive.embedded.datadir import APP_ROLE

OWN_SERVERS = "STACKMOTIVE_TEST_SERVERS"
"""Set where the servers are a test run's own; absent where they were given from outside."""


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    given = os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL") and OWN_SERVERS not in os.environ
    if not given:
        os.environ.update(start_servers(stack))
    forbid_network(stack)
    return (yield)


def start_servers(stack: ExitStack) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp(prefix="stackmotive-test-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    environment = stack.enter_context(stores(folder / "data", fsync=False)).environment()
    return environment | {"DATABASE_URL": environment["OWNER_DATABASE_URL"], OWN_SERVERS: "1"}


class NetworkForbidden(RuntimeError):
    """A test tried to leave this machine. No OSError: code prepared for a broken network would hide it."""


def forbid_network(stack: ExitStack) -> None:
    """Let sockets reach unix sockets, this machine and the configured stores only."""
    allowed = {"localhost", ""}
    allowed |= {urlsplit(os.environ[name]).hostname or "" for name in ("DATABASE_URL", "REDIS_URL")}
    plain_connect, plain_connect_ex, plain_getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        if name in allowed:
            return
        try:
            local = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            local = None
        if local is None or not (local.is_loopback or local.is_unspecified):
            raise NetworkForbidden(f"A test tried to reach {name}: fake the outside world instead.")

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            check(address[0])
        plain_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        if self.family != socket.AF_UNIX:
            check(address[0])
        return plain_connect_ex(self, address)

    def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        check(host)
        return plain_getaddrinfo(host, *rest, **named)

    patch = pytest.MonkeyPatch()
    stack.callback(patch.undo)
    patch.setattr(socket.socket, "connect", connect)
    patch.setattr(socket.socket, "connect_ex", connect_ex)
    patch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(autouse=True)
def _empty_valkey() -> None:
    """Counters, locks and queues of one test never reach the next; a foreign server is left alone."""
    if OWN_SERVERS in os.environ:
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            client.flushall()


@pytest.fixture
def app_role(db: None) -> Iterator[str]:
    """Run the test's statements with the application role's rights; the role's name.

    Rows made before (as the owner) stay visible. A refused statement breaks the transaction: wrap it in
    `with pytest.raises(ProgrammingError), transaction.atomic():`. Needs the embedded stores.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {APP_ROLE}")
    yield APP_ROLE
    if not connection.needs_rollback:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")

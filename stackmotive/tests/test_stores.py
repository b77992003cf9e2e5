"""The pytest plugin itself: whose servers a test talks to, what it may not do, and that it cannot leave."""

import os
import socket
import urllib.request

import pytest
from django.core.cache import cache
from django.db import ProgrammingError, connection, transaction

from stackmotive.tests.stores import OWN_SERVERS, NetworkForbidden

embedded = pytest.mark.skipif(OWN_SERVERS not in os.environ, reason="the servers were given from outside")


def current_user() -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return cursor.fetchone()[0]


@embedded
def test_tests_run_as_the_owner_on_a_server_without_durability(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database(), current_setting('fsync')")
        user, database, fsync = cursor.fetchone()
    assert user == "stackmotive"
    assert database.startswith("test_stackmotive")
    assert fsync == "off"


@embedded
def test_the_application_role_can_be_borrowed_for_one_test(db: None, app_role: str) -> None:
    assert current_user() == app_role == "stackmotive_app"
    with pytest.raises(ProgrammingError, match="must be owner"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_migrations")


@embedded
def test_the_next_test_is_the_owner_again(db: None) -> None:
    assert current_user() == "stackmotive"


@embedded
@pytest.mark.parametrize("turn", [1, 2])
def test_valkey_is_empty_at_the_start_of_each_test(turn: int) -> None:
    assert cache.get("seen") is None
    cache.set("seen", turn)
    assert cache.get("seen") == turn


@pytest.mark.parametrize("address", ["http://example.org/", "http://192.0.2.1/", "http://[2001:db8::1]/"])
def test_no_test_reaches_the_network(address: str) -> None:
    with pytest.raises(NetworkForbidden):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=1)


def test_this_machine_stays_reachable() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname(), timeout=1) as connected:
            assert connected.getpeername() == listening.getsockname()

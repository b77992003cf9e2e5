from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import User
from ingestion import services
from ingestion.adapters.base import FileRefused, Problem, Statement
from ingestion.adapters.generic_transactions import GenericTransactions
from ingestion.models import Arrival, Content, ImportRun, StagedTransaction, Withdrawal
from ingestion.tests.factories import csv, finished, imported

pytestmark = pytest.mark.django_db
TWO = csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-03,buy,ACME,4,6,USD")
Mend = Callable[[Statement], None]


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mend], None]:
    """`mended(change)`: a newer adapter of generic files, whose statements `change` mends."""
    parse = GenericTransactions.parse

    def mend(change: Mend) -> None:
        def parse_anew(self: GenericTransactions, *args: Any) -> Statement:
            statement = parse(self, *args)
            change(statement)
            return statement

        monkeypatch.setattr(GenericTransactions, "parse", parse_anew)
        monkeypatch.setattr(GenericTransactions, "version", 2)

    return mend


def with_fees(statement: Statement) -> None:
    statement.transactions = [replace(row, fee=Decimal(1)) for row in statement.transactions]


def replay(*args: str) -> str:
    out = StringIO()
    call_command("replay", *args, stdout=out)
    return out.getvalue()


def test_replay_replaces_a_reading_as_a_whole_and_in_its_place(owner: User, mended: Any) -> None:
    run = finished(owner, TWO, filename="a.csv")
    old = run.content
    assert replay() == "0 replaced, 0 say the same, 0 kept.\n"
    mended(with_fees)
    assert replay("--layout", "generic_transactions") == "a.csv replaced\n1 replaced, 0 say the same, 0 kept.\n"
    run.refresh_from_db()
    assert run.content != old
    assert (run.parser_version, run.content.parser_version, old.parser_version) == (2, 2, 1)
    assert list(Content.objects.in_force()) == [run.content]
    assert Withdrawal.objects.get().content == old
    before, after = Arrival.objects.order_by("number")
    assert (after.run, after.arrived_at) == (run, before.arrived_at)
    assert after.number > before.number
    fees = StagedTransaction.objects.filter(content=run.content).values_list("fee", flat=True)
    assert list(fees) == [Decimal(1), Decimal(1)]
    uids = [set(StagedTransaction.objects.filter(content=one).values_list("uid")) for one in (old, run.content)]
    assert uids[0] == uids[1]
    assert replay() == "0 replaced, 0 say the same, 0 kept.\n"


def test_file_that_says_the_same_is_not_read_a_third_time(owner: User, mended: Any) -> None:
    finished(owner, TWO)
    mended(lambda statement: None)
    assert replay() == "0 replaced, 1 say the same, 0 kept.\n"
    assert replay() == "0 replaced, 0 say the same, 0 kept.\n"
    assert (Content.objects.count(), Arrival.objects.count()) == (1, 1)


def test_undo_after_a_replay_takes_everything_back_and_an_upload_returns_it(owner: User, mended: Any) -> None:
    run = finished(owner, TWO)
    mended(with_fees)
    replay()
    run.refresh_from_db()
    services.undo_import(run=run)
    assert not Content.objects.in_force().exists()
    assert imported(owner, TWO).content == run.content
    assert list(Content.objects.in_force()) == [run.content]


def test_all_runs_of_a_reading_move_to_the_new_one(owner: User, mended: Any) -> None:
    first, second = finished(owner, TWO), finished(owner, TWO)
    mended(with_fees)
    assert replay() == "file.csv replaced\n1 replaced, 0 say the same, 0 kept.\n"
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.content == second.content
    assert list(Content.objects.in_force()) == [first.content]


def test_rows_of_the_run_are_counted_anew(owner: User, mended: Any) -> None:
    def loses_one(statement: Statement) -> None:
        row = statement.transactions.pop()
        statement.problems.append(Problem(row.line, "odd", "It is odd."))

    run = finished(owner, TWO, on_error="skip")
    mended(loses_one)
    replay()
    run.refresh_from_db()
    assert (run.rows, run.staged, run.rejected) == (2, 1, 1)
    assert [row.code for row in run.left_out.all()] == ["odd"]


def test_file_that_cannot_be_read_now_keeps_what_it_said(owner: User, mended: Any) -> None:
    def refuses(statement: Statement) -> None:
        raise FileRefused("odd", "It is odd.")

    run = finished(owner, TWO, filename="a.csv")
    mended(refuses)
    assert replay() == "a.csv kept: It is odd.\n0 replaced, 0 say the same, 1 kept.\n"
    assert list(Content.objects.in_force()) == [run.content]


def test_purged_and_undone_files_are_left_alone(owner: User, stranger: User, mended: Any) -> None:
    services.purge_import(run=finished(owner, TWO))
    services.undo_import(run=finished(stranger, TWO))
    mended(with_fees)
    assert replay() == "0 replaced, 0 say the same, 0 kept.\n"


def test_replay_of_one_user_leaves_others_alone(owner: User, stranger: User, mended: Any) -> None:
    finished(owner, TWO)
    other = finished(stranger, TWO)
    mended(with_fees)
    assert replay("--user", owner.email) == "file.csv replaced\n1 replaced, 0 say the same, 0 kept.\n"
    other.refresh_from_db()
    assert (other.parser_version, ImportRun.objects.filter(parser_version=2).count()) == (1, 1)

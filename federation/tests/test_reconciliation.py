"""Staged facts to ledger, through the database."""

from decimal import Decimal
from time import process_time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.facts import next_fact_number
from federation.models import BrokerAccount, Claim, LedgerState, LedgerVersion, Transaction
from federation.services import bring_up_to_date, reconcile
from federation.signals import ledger_changed
from federation.tests.factories import make_source, make_user, stage, trade, withdraw

pytestmark = pytest.mark.django_db


def test_staged_rows_become_a_ledger(django_capture_on_commit_callbacks: Any) -> None:
    user = make_user()
    told = []
    ledger_changed.connect(receiver := lambda sender, **named: told.append(named["user_id"]), weak=False)
    content = stage(make_source(user), rows=[trade("01-10", "10", "5", fee="1"), trade("02-10", "-4", "6")])
    with django_capture_on_commit_callbacks(execute=True):
        version = reconcile(user.pk)
    ledger_changed.disconnect(receiver)
    assert told == [user.pk]
    assert version is not None
    assert version.number == 1
    rows = list(Transaction.objects.filter(user=user).order_by("trade_date"))
    assert [(row.kind, row.quantity, row.price, row.fee) for row in rows] == [
        ("buy", Decimal(10), Decimal(5), Decimal(1)),
        ("sell", Decimal(-4), Decimal(6), None),
    ]
    assert [row.id for row in rows] == list(content.transactions.order_by("id").values_list("uid", flat=True))
    account = BrokerAccount.objects.get(user=user)
    assert (account.name, account.currency, account.tracking) == ("A1", "USD", "transactions")
    state = LedgerState.objects.get(user=user)
    assert (state.facts_version, state.ledger_version, state.dirty_from.isoformat()) == (1, 1, "2024-01-10")
    assert Claim.objects.filter(transaction__user=user, won=True, rule="only_source").count() == 2


def test_an_unchanged_run_writes_nothing_but_the_facts_it_includes() -> None:
    user = make_user()
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    assert bring_up_to_date(user.pk).written > 0
    again = bring_up_to_date(user.pk, is_full=True)
    assert (again.version, again.written) == (None, 0)
    withdraw(stage(source, rows=[]))
    assert bring_up_to_date(user.pk).written == 0
    assert LedgerState.objects.get(user=user).facts_version == 3
    assert LedgerVersion.objects.filter(user=user).count() == 1


def test_undo_returns_to_the_same_hash() -> None:
    user = make_user()
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    before = reconcile(user.pk)
    more = stage(source, rows=[trade("01-12", "3", "5")])
    assert reconcile(user.pk).content_hash != before.content_hash
    withdraw(more)
    assert reconcile(user.pk).content_hash == before.content_hash
    assert Transaction.objects.filter(user=user).count() == 1


def test_twenty_thousand_rows_of_two_sources_cost_as_many_queries_as_two_and_seconds_of_work() -> None:
    counts = []
    for size in (1, 10_000):
        user = make_user()
        broker, file = make_source(user, "ibkr_flex"), make_source(user)
        days = [f"{1 + number % 12:02d}-{1 + number // 12 % 28:02d}" for number in range(size)]
        rows = [trade(when, "1", str(10 + number)) for number, when in enumerate(days)]
        stage(broker, rows=rows)
        stage(file, rows=rows)
        reconcile(user.pk)
        account = broker.account_links.get().account
        assert account is not None
        # as if the institution had issued the reference
        file.account_links.update(automatic=account, evidence={"rule": "institution_reference"})
        next_fact_number(user_id=user.pk, cause="source")
        started = process_time()
        with CaptureQueriesContext(connection) as asked:
            done = bring_up_to_date(user.pk)
        counts.append(len(asked))
        assert process_time() - started < 15  # about 2 s of one quiet core
        assert done.version is not None
        assert Transaction.objects.filter(user=user).count() == size
        assert Claim.objects.filter(transaction__user=user).count() == 2 * size
    assert counts[0] == counts[1]

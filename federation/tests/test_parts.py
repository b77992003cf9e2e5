"""A run over a part of an account leaves what a run over everything would: after every step of many lives."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from federation.models import BrokerAccount
from federation.services import bring_up_to_date
from federation.services.rebuilding import differences_from_facts
from federation.tests.factories import make_source, make_user, stage, trade
from federation.tests.lives import Life
from ingestion.adapters.base import InstrumentRef, TransactionRow
from ingestion.services import stage_manual_transaction, withdraw_manual

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(6))
def test_every_step_of_rows_alone_is_taken_in_part_and_leaves_what_a_full_run_would(seed: int) -> None:
    life = Life(seed)
    parts = 0
    for name in life.steps(12):
        done = bring_up_to_date(life.user.pk)
        parts += not done.wholes
        assert differences_from_facts(life.user.pk) == [], name
    assert parts >= 6  # new sources and instruments are looked at whole


@pytest.mark.parametrize("seed", range(100, 104))
def test_steps_with_whole_statements_and_reports_leave_what_a_full_run_would(seed: int) -> None:
    life = Life(seed, declares=0.4, reports=0.4)
    for name in life.steps(12):
        bring_up_to_date(life.user.pk)
        assert differences_from_facts(life.user.pk) == [], name


def test_a_row_by_hand_in_twenty_thousand_reads_its_neighbors_only() -> None:
    user = make_user()
    account = BrokerAccount.objects.create(user=user, name="one", currency="USD")
    things = [InstrumentRef(symbol=f"S{n}", kind="equity", isin=f"US{n:010d}", currency="USD") for n in range(100)]
    for source in (make_source(user, "ibkr_flex"), make_source(user)):
        rows = [
            TransactionRow(
                n,
                "",
                "buy",
                date(2015, 1, 1) + timedelta(days=n // 10),
                "USD",
                things[n % 100],
                quantity=Decimal(1 + n % 7),
                price=Decimal(100 + n % 50),
            )
            for n in range(10_000)
        ]
        stage(source, rows=rows, default_account=account.pk)
    stage_manual_transaction(user=user, row=trade("01-01", "1", "5", of=things[0]), account_id=account.pk)
    bring_up_to_date(user.pk)
    typed = stage_manual_transaction(user=user, row=trade("01-01", "3", "5", of=things[0]), account_id=account.pk)
    done = bring_up_to_date(user.pk)
    assert done.wholes == 0
    assert done.read <= 2_000  # of 20,002: 20 rows a day, 11 days about each that is reached
    assert done.written <= 2 + 20  # the row, its claim, and the places of its day
    withdraw_manual(user=user, uid=typed.uid)
    done = bring_up_to_date(user.pk)
    assert (done.wholes, done.read <= 2_000) == (0, True)
    assert differences_from_facts(user.pk) == []

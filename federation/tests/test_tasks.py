"""What wakes a ledger, and what finds it when the message was lost."""

import pytest

from federation import tasks
from federation.models import LedgerState, Transaction
from federation.tests.factories import make_source, make_user, stage, trade

pytestmark = pytest.mark.django_db


def test_the_sweep_finds_a_ledger_behind_its_facts(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    user, idle = make_user(), make_user()
    stage(make_source(user), rows=[trade("01-10", "10", "5")])
    woken: list[str] = []
    monkeypatch.setattr(tasks.reconcile_user, "delay", woken.append)
    tasks.sweep_ledgers()
    assert woken == [str(user.pk)]
    tasks.reconcile_user(woken[0])
    assert Transaction.objects.filter(user=user).count() == 1
    assert LedgerState.objects.get(user=user).facts_version == 1
    assert not LedgerState.objects.filter(user=idle).exists()
    woken.clear()
    tasks.sweep_ledgers()
    assert woken == []

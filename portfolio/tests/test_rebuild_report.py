"""`rebuild --report`: what a change of rules moves, before it is applied."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from federation.models import LedgerState, LedgerVersion, Transaction
from federation.services import reconcile
from federation.truth import Facts, Truth, compute
from portfolio import services
from portfolio.models import Position
from portfolio.tests.learner import book, new_account, signed_in

pytestmark = pytest.mark.django_db


def report(user: User) -> list[str]:
    out = StringIO()
    call_command("rebuild", "--report", "--user", user.email, stdout=out)
    return out.getvalue().splitlines()


def other_rules(user: User) -> None:
    """A ledger as rules that count a unit more would have made it."""
    Transaction.objects.filter(user=user, kind="buy").update(quantity=11)
    LedgerState.objects.filter(pk=user.pk).update(dirty_from="2024-03-01")
    services.refresh(user_id=user.pk, everything=True)


def test_a_report_lists_rows_and_figures_and_writes_nothing(owner: User) -> None:
    client = signed_in(owner)
    book(client, new_account(client))
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    assert report(owner) == ["0 of 1 users would see a change. Nothing was written."]
    other_rules(owner)
    rules = LedgerVersion.objects.filter(user=owner).latest("number").rules_version
    day = Position.objects.get(user=owner).as_of
    expected = [
        f"rules {rules} -> {rules}, figures of {day}",
        "0 rows added, 0 removed, 1 changed",
        "~ 2024-03-01 buy 11 ACME Main: quantity 11 -> 10",
        "market_value 550 -> 500 USD",
        "total_value 50 -> 0 USD",
        "total_gain 50 -> 0 USD",
        "unrealized_gain 50 -> 0 USD",
    ]
    assert report(owner)[:-1] == [f"owner@example.org: {line}" for line in expected]
    assert Position.objects.get(user=owner).quantity == 11
    call_command("rebuild", "--user", owner.email, stdout=StringIO())
    assert Position.objects.get(user=owner).quantity == 10
    assert report(owner) == ["0 of 1 users would see a change. Nothing was written."]


def test_a_change_of_rules_is_reported_before_it_applies_and_the_user_sees_why(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(owner)
    book(client, new_account(client), fee="3", fee_currency="USD")
    reconcile(owner.pk)
    services.refresh(user_id=owner.pk)
    before = LedgerVersion.objects.filter(user=owner).latest("number")

    def without_fees(facts: Facts) -> Truth:
        truth = compute(facts)
        truth.rows = [replace(row, fee=None, cash_amount=Decimal(-500)) for row in truth.rows]
        return truth

    monkeypatch.setattr("federation.services.reconciliation.compute", without_fees)
    for place in ("federation.services.reconciliation", "portfolio.management.commands.rebuild"):
        monkeypatch.setattr(f"{place}.RULES_VERSION", before.rules_version + 1)
    told = report(owner)
    assert told[0].startswith(
        f"owner@example.org: rules {before.rules_version} -> {before.rules_version + 1}, figures of "
    )
    assert "owner@example.org: 0 rows added, 0 removed, 1 changed" in told
    assert "owner@example.org: ~ 2024-03-01 buy 10 ACME Main: fee 3 -> unknown, cash_amount -503 -> -500" in told
    assert "owner@example.org: fees 3 -> 0 USD" in told
    with pytest.raises(CommandError, match="are not what the facts say"):
        call_command("rebuild", "--check", "--user", owner.email, stderr=StringIO())
    assert Transaction.objects.get(user=owner).fee == 3
    assert LedgerVersion.objects.filter(user=owner).latest("number") == before
    call_command("rebuild", "--user", owner.email, stdout=StringIO())
    call_command("rebuild", "--check", "--user", owner.email, stdout=StringIO())
    assert Transaction.objects.get(user=owner).fee is None
    newest = client.get("/api/federation/versions/").json()["results"][0]
    assert (newest["number"], newest["cause"], newest["rules_version"]) == (
        before.number + 1, "rebuild", before.rules_version + 1,
    )  # fmt: skip


def test_a_report_and_a_check_are_not_asked_together(owner: User) -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        call_command("rebuild", "--report", "--check")
    with pytest.raises(CommandError, match="Nobody logs in"):
        call_command("rebuild", "--report", "--user", "nobody@example.org")

"""The ledger is a function of the facts: order, repetition and partition of the work change nothing (DESIGN
5.1).
"""

from collections.abc import Sequence
from io import StringIO
from random import Random

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from federation import ledger
from federation.facts import load, resolve
from federation.models import Claim, Conflict, LedgerVersion, ReportedBalance, Transaction
from federation.rows import Stated
from federation.services import bring_up_to_date, decide, differences_from_facts, reconcile
from federation.tests.factories import covers, make_source, make_user, position, split, stage, trade, withdraw
from federation.truth import AccountFacts, Facts, Truth, compute
from ingestion.adapters.base import TransactionRow
from ingestion.models import Content, Source

pytestmark = pytest.mark.django_db

DAYS = ("01-05", "01-06", "01-10", "01-20", "02-03")
PRICES = ("5", "5.01", "7")


def stored(user: User) -> dict[str, list[tuple[object, ...]]]:
    """Every derived row of a user, ids included."""
    claims = Claim.objects.filter(transaction__user=user).order_by("staged")
    balances = ReportedBalance.objects.filter(user=user).order_by("account", "instrument", "as_of")
    return {
        "transactions": list(Transaction.objects.filter(user=user).order_by("id").values_list()),
        "claims": list(claims.values_list("transaction", "staged", "won", "rule")),
        "balances": list(balances.values_list("value", "source", "rule")),
        "conflicts": list(Conflict.objects.filter(user=user).order_by("id").values_list()),
    }


def shuffled(facts: Facts, random: Random) -> Facts:
    """The same facts, listed in another order."""

    def mixed(rows: Sequence[object]) -> tuple[object, ...]:
        return tuple(random.sample(list(rows), len(rows)))

    accounts = []
    for about in facts.accounts:
        stated = [
            Stated(one.source, *(mixed(getattr(one, name)) for name in (  # type: ignore[arg-type]
                "transactions", "positions", "cash", "rows", "position_reports", "cash_reports")))
            for one in about.stated
        ]  # fmt: skip
        accounts.append(AccountFacts(about.account, tuple(random.sample(stated, len(stated)))))
    random.shuffle(accounts)
    return Facts(facts.user, facts.number, facts.sources, facts.contents, accounts, facts.multipliers, facts.rulings)


def said(truth: Truth) -> tuple[object, ...]:
    rows = sorted(ledger.transaction_rows(truth.rows), key=lambda row: str(row[0]))
    conflicts = sorted((one.key, one.rule, str(one.winner), one.difference) for one in truth.disagreements)
    balances = {
        account: [(one.key, one.as_of, one.value, one.source, one.rule) for one in kept]
        for account, kept in truth.balances.items()
    }
    return rows, sorted(truth.claims, key=lambda claim: claim.staged), conflicts, balances  # fmt: skip


Step = tuple[int, tuple[tuple[str, str, str], ...], bool]


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Statements of three sources of one account: (source, rows, declared for January and reporting at its
    end).
    """
    row = st.tuples(st.sampled_from(DAYS), st.sampled_from(("1", "2", "-1")), st.sampled_from(PRICES))
    statement = st.tuples(st.integers(0, 2), st.lists(row, max_size=5).map(tuple), st.booleans())
    return draw(st.lists(statement, min_size=1, max_size=6))


def arrive(sources: Sequence[Source], step: Step, number: int) -> Content:
    which, told, is_declared = step
    rows: list[TransactionRow] = [trade(*one) for one in told]
    if not is_declared:
        return stage(sources[which], rows=rows)
    inside = [row for row in rows if row.trade_date.month == 1]
    held = str(sum(int(row.quantity or 0) for row in inside) + which)
    return stage(
        sources[which],
        rows=[*inside, split("01-15", "2")] if number % 3 == 0 else inside,
        positions=[position("01-31", held)],
        coverage=[covers("transactions", "01-01", "01-31"), covers("positions", "01-31")],
        generated=f"03-{number + 1:02d}T00:00",
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories(), random=st.randoms(use_true_random=False))
def test_no_order_repetition_or_partition_changes_the_ledger(history: list[Step], random: Random) -> None:
    user = make_user()
    sources = [make_source(user, "ibkr_flex"), make_source(user), make_source(user)]
    for source in sources:
        stage(source, rows=[trade("01-02", "10", "5")])
    reconcile(user.pk)
    account = sources[0].account_links.get().account
    for source in sources[1:]:
        decide(
            user=user,
            kind="link_account",
            keys={"reference": [str(source.pk), "A1"]},
            value={"account": str(account.pk)},
        )
    before = LedgerVersion.objects.filter(user=user).latest("number").content_hash
    contents = []
    for number, step in enumerate(history):
        contents.append(arrive(sources, step, number))
        if random.random() < 0.6:
            bring_up_to_date(user.pk)  # now and then, so that runs include one statement or several
    bring_up_to_date(user.pk)
    assert differences_from_facts(user.pk) == []
    again = bring_up_to_date(user.pk, is_full=True)
    assert (again.version, again.written) == (None, 0)
    facts = load(resolve(user.pk))
    assert said(compute(shuffled(facts, random))) == said(compute(facts))
    kept = stored(user)
    call_command("rebuild", user=user.email, stdout=StringIO())
    assert stored(user) == kept
    assert differences_from_facts(user.pk) == []
    for content in {content.pk: content for content in contents}.values():
        if not content.transactions.filter(trade_date="2024-01-02").exists():
            withdraw(content)
            bring_up_to_date(user.pk)
    assert LedgerVersion.objects.filter(user=user).latest("number").content_hash == before


def test_the_check_names_a_row_that_does_not_follow_from_the_facts() -> None:
    user = make_user()
    stage(make_source(user), rows=[trade("01-10", "10", "5")])
    reconcile(user.pk)
    call_command("rebuild", user=user.email, check=True, stdout=StringIO())
    row = Transaction.objects.get(user=user)
    Transaction.objects.filter(pk=row.pk).update(quantity=11)
    told = StringIO()
    with pytest.raises(CommandError, match="1 rows are not what the facts say"):
        call_command("rebuild", user=user.email, check=True, stderr=told)
    assert f"transaction {row.pk} is different" in told.getvalue()
    call_command("rebuild", user=user.email, stdout=StringIO())
    assert Transaction.objects.get(user=user).quantity == 10


def test_reconcile_by_command_takes_up_what_is_behind() -> None:
    user = make_user()
    stage(make_source(user), rows=[trade("01-10", "10", "5")])
    told = StringIO()
    call_command("reconcile", stdout=told)
    assert told.getvalue().startswith("1 ledger up to date;")
    assert Transaction.objects.filter(user=user).count() == 1
    with pytest.raises(CommandError, match="Nobody logs in"):
        call_command("reconcile", user="nobody@example.com")

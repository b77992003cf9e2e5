"""What the user says beats every rule: held editions, matches, instruments, accounts (DESIGN 5.2, 5.4 to 5.8)."""

from decimal import Decimal

import pytest

from accounts.models import User
from federation.errors import UnfitDecision
from federation.models import AccountLink, Claim, Conflict, Decision, Instrument, ReportedBalance, Transaction
from federation.services import decide, differences_from_facts, reconcile, resolve_conflict, revoke
from federation.tests.factories import (
    ACME,
    cash_event,
    covers,
    make_source,
    make_user,
    position,
    stage,
    trade,
    withdraw,
)
from federation.tests.test_truth import one_account, quantities
from ingestion.adapters.base import InstrumentRef
from ingestion.models import Source, StagedTransaction

pytestmark = pytest.mark.django_db
JANUARY = covers("transactions", "01-01", "01-31")


@pytest.fixture
def user() -> User:
    return make_user()


def january(source: Source, count: int, *, generated: str) -> None:
    rows = [trade(f"01-{day:02d}", str(day), "5") for day in range(1, count + 1)]
    stage(source, rows=rows, coverage=[JANUARY], generated=generated)


def identity(source: Source, quantity: str) -> list[str]:
    row = StagedTransaction.objects.get(content__source=source, quantity=Decimal(quantity))
    return [str(source.pk), row.identity]


# --- editions that withdraw much ------------------------------------------------------------------


def test_an_edition_that_withdraws_much_waits_until_it_is_accepted(user: User) -> None:
    source = make_source(user)
    january(source, 12, generated="02-01T09:00")
    january(source, 6, generated="02-05T09:00")
    reconcile(user.pk)
    assert len(quantities(user)) == 12
    conflict = Conflict.objects.get(user=user)
    coverage = source.contents.latest("pk").coverage.get()
    assert (conflict.kind, conflict.key, conflict.status) == ("mass_withdrawal", f"coverage:{coverage.pk}", "open")
    assert [one["value"] for one in conflict.candidates] == ["12", "6"]
    decision = resolve_conflict(conflict=conflict, action="accept")
    assert len(quantities(user)) == 6
    assert not Conflict.objects.filter(user=user).exists()
    revoke(decision=decision)
    assert len(quantities(user)) == 12
    assert differences_from_facts(user.pk) == []


def test_a_refused_edition_leaves_the_one_before_in_force_and_the_question_settled(user: User) -> None:
    source = make_source(user)
    january(source, 12, generated="02-01T09:00")
    january(source, 6, generated="02-05T09:00")
    reconcile(user.pk)
    resolve_conflict(conflict=Conflict.objects.get(user=user), action="ignore")
    assert Conflict.objects.get(user=user).status == "resolved"
    assert len(quantities(user)) == 12


def test_five_rows_and_a_twentieth_may_go_unasked(user: User) -> None:
    source = make_source(user)
    january(source, 12, generated="02-01T09:00")
    january(source, 7, generated="02-05T09:00")
    reconcile(user.pk)
    assert len(quantities(user)) == 7
    assert not Conflict.objects.filter(user=user).exists()


def test_a_held_edition_books_nothing_of_its_own(user: User) -> None:
    source = make_source(user)
    january(source, 12, generated="02-01T09:00")
    stage(source, rows=[trade("01-20", "99", "5")], coverage=[JANUARY], generated="02-05T09:00")
    reconcile(user.pk)
    assert Decimal(99) not in quantities(user)


def test_a_report_that_closes_over_half_of_the_positions_waits_unless_sales_explain_it(user: User) -> None:
    source = make_source(user)
    globex = InstrumentRef(symbol="GLBX", kind="equity", isin="US0000000028", currency="USD")
    stage(source, positions=[position("01-31", "10"), position("01-31", "4", of=globex)])
    closing = stage(source, coverage=[covers("positions", "02-29")])
    reconcile(user.pk)
    assert set(ReportedBalance.objects.filter(user=user).values_list("value", flat=True)) == {10, 4}
    assert Conflict.objects.get(user=user).key == f"coverage:{closing.coverage.get().pk}"
    stage(source, rows=[trade("02-10", "-10", "5"), trade("02-10", "-4", "5", of=globex)])
    reconcile(user.pk)
    assert not Conflict.objects.filter(user=user).exists()
    latest = ReportedBalance.objects.filter(user=user).latest("as_of")
    assert (latest.value, latest.as_of.isoformat()) == (0, "2024-02-29")


# --- the same, or not -----------------------------------------------------------------------------


def test_rows_are_one_or_two_as_the_user_says(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5")])
    stage(file, rows=[trade("01-16", "10.5", "5.2")])
    one_account(user, broker, file)
    assert quantities(user) == [10, Decimal("10.5")]
    rows = [identity(broker, "10"), identity(file, "10.5")]
    same = decide(user=user, kind="same", keys={"rows": rows})
    assert quantities(user) == [10]
    assert Claim.objects.get(transaction__user=user, source=file).rule == "decision"
    decide(user=user, kind="different", keys={"rows": rows})
    assert quantities(user) == [10, Decimal("10.5")]
    revoke(decision=Decision.objects.get(kind="different"))
    assert quantities(user) == [10]
    revoke(decision=same)
    assert quantities(user) == [10, Decimal("10.5")]
    assert differences_from_facts(user.pk) == []


def test_rows_kept_apart_do_not_match(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5")])
    stage(file, rows=[trade("01-10", "10", "5")])
    one_account(user, broker, file)
    assert quantities(user) == [10]
    decide(user=user, kind="different", keys={"rows": [identity(broker, "10"), identity(file, "10")]})
    assert quantities(user) == [10, 10]


def test_rows_of_one_source_are_never_one(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-10", "4", "5")])
    with pytest.raises(UnfitDecision):
        decide(user=user, kind="same", keys={"rows": [identity(source, "10"), identity(source, "4")]})
    assert not Decision.objects.exists()


@pytest.mark.parametrize("action", ["match", "book"])
def test_a_row_with_two_good_partners_is_matched_or_booked_by_hand(user: User, action: str) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5"), trade("01-10", "10", "5.02")], coverage=[JANUARY])
    stage(file, rows=[trade("01-10", "10", "5.01", cash_amount=None)])
    one_account(user, broker, file)
    conflict = Conflict.objects.get(user=user, kind="ambiguous")
    assert conflict.status == "open"
    partner = Transaction.objects.get(user=user, price=Decimal("5.02"))
    resolve_conflict(conflict=conflict, action=action, match=str(partner.pk) if action == "match" else None)
    assert not Conflict.objects.filter(user=user, status="open").exists()
    booked = Transaction.objects.get(claims__source=file)
    assert (booked == partner) is (action == "match")
    assert differences_from_facts(user.pk) == []


def test_an_event_of_several_legs_is_ignored_as_one(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[
            cash_event("01-10", "fx", "-100", group="g", leg=0),
            cash_event("01-10", "fx", "90", group="g", leg=1, currency="EUR"),
            cash_event("01-10", "fee", "-1", group="other"),
        ],
    )
    reconcile(user.pk)
    row = StagedTransaction.objects.get(cash_amount=90)
    decide(user=user, kind="ignore", keys={"rows": [[str(source.pk), row.identity]]})
    assert [row.kind for row in Transaction.objects.filter(user=user)] == ["fee"]


def test_a_content_that_returns_with_a_newer_generation_time_speaks_again(user: User) -> None:
    source = make_source(user)
    first = [trade("01-10", "4", "5", line=1)]
    stage(source, rows=first, coverage=[JANUARY], generated="02-01T09:00")
    stage(source, rows=[trade("01-10", "5", "5")], coverage=[JANUARY], generated="02-02T09:00")
    stage(source, rows=first, coverage=[JANUARY], generated="02-03T09:00")
    reconcile(user.pk)
    assert quantities(user) == [4]


def test_fills_a_day_apart_are_one_bundle(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "10.03")])
    stage(file, rows=[trade("01-11", "4", "10.03"), trade("01-11", "6", "10.03")])
    one_account(user, broker, file)
    assert quantities(user) == [10]
    assert Claim.objects.filter(transaction__user=user).count() == 3


# --- accounts and instruments ---------------------------------------------------------------------


def test_a_new_account_whose_rows_are_anothers_is_proposed_and_settled_by_hand(user: User) -> None:
    first, second = make_source(user), make_source(user)
    rows = [trade("01-10", "10", "5"), trade("01-11", "3", "6"), trade("01-12", "2", "6")]
    stage(first, rows=rows)
    reconcile(user.pk)
    other = stage(second, rows=[*rows[:2], trade("01-20", "7", "6")])
    reconcile(user.pk)
    old, new = first.account_links.get(), second.account_links.get()
    assert (old.state, new.state) == ("linked", "proposed")
    assert new.account_id != old.account_id
    assert new.evidence == {
        "rule": "new_account", "account": str(old.account_id), "basis": "rows", "matching": "2", "compared": "3",
        "share": "0.67",
        "examples": [
            {"day": "2024-01-10", "kind": "buy", "symbol": "ACME", "value": "10"},
            {"day": "2024-01-11", "kind": "buy", "symbol": "ACME", "value": "3"},
        ],
    }  # fmt: skip
    assert reconcile(user.pk) is None
    keys = {"reference": [str(second.pk), "A1"]}
    refused = decide(user=user, kind="link_account", keys=keys, value={"account": str(new.account_id)})
    assert second.account_links.get().state == "linked"
    revoke(decision=refused)
    assert second.account_links.get().state == "proposed"
    decide(user=user, kind="link_account", keys=keys, value={"account": str(old.account_id)})
    assert (second.account_links.get().state, len(quantities(user))) == ("linked", 4)
    withdraw(other)
    reconcile(user.pk)
    assert len(quantities(user)) == 3
    assert AccountLink.objects.filter(state="proposed").count() == 0


def namings(*instruments: Instrument) -> list[list[str]]:
    return [[str(link.source_id), link.key] for one in instruments for link in one.links.order_by("pk")]


def test_instruments_are_merged_and_parted_by_hand(user: User) -> None:
    source, other = make_source(user), make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    stage(other, rows=[trade("01-10", "3", "5", of=InstrumentRef(symbol="ACMEX", kind="equity", exchange="XETRA"))])
    reconcile(user.pk)
    acme, renamed = Instrument.objects.get(symbol="ACME"), Instrument.objects.get(symbol="ACMEX")
    merge = decide(user=user, kind="merge_instruments", keys={"instruments": namings(acme, renamed)})
    assert set(Transaction.objects.filter(user=user).values_list("instrument", flat=True)) == {acme.pk}
    revoke(decision=merge)
    assert set(Transaction.objects.filter(user=user).values_list("instrument", flat=True)) == {acme.pk, renamed.pk}
    assert differences_from_facts(user.pk) == []


def test_a_naming_is_set_apart_from_what_the_rules_join_it_with(user: User) -> None:
    source, other = make_source(user), make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    reconcile(user.pk)
    stage(other, rows=[trade("01-11", "3", "5", of=InstrumentRef(symbol="ACME", kind="equity", isin=ACME.isin))])
    reconcile(user.pk)
    acme = Instrument.objects.get(symbol="ACME")
    mine = [[str(other.pk), acme.links.get(source=other).key]]
    split = decide(user=user, kind="split_instrument", keys={"instruments": mine})
    rows = Transaction.objects.filter(user=user).order_by("trade_date")
    assert rows[0].instrument_id == acme.pk
    assert rows[1].instrument_id != acme.pk
    revoke(decision=split)
    assert set(Transaction.objects.filter(user=user).values_list("instrument", flat=True)) == {acme.pk}

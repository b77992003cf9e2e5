"""What the ledger is, rule by rule: statements in, rows out (DESIGN 5.2 to 5.9)."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.facts import next_fact_number
from accounts.models import User
from federation.models import BrokerAccount, Claim, Conflict, Decision, ReportedBalance, Transaction
from federation.services import decide, reconcile, resolve_conflict, revoke
from federation.tests.factories import (
    ACME,
    BITCOIN,
    balance,
    cash_event,
    covers,
    make_source,
    make_user,
    moment,
    position,
    split,
    stage,
    trade,
    withdraw,
)
from ingestion.adapters.base import InstrumentRef
from ingestion.models import Source

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user()


def rows_of(user: User) -> list[tuple[str, str, Any, Any]]:
    """(day, kind, quantity, cash) of the ledger, in its order."""
    rows = Transaction.objects.filter(user=user).order_by("trade_date", "position")
    return [(row.trade_date.strftime("%m-%d"), row.kind, row.quantity, row.cash_amount) for row in rows]


def quantities(user: User) -> list[Decimal]:
    return [quantity for _, _, quantity, _ in rows_of(user)]


def one_account(user: User, *sources: Source) -> BrokerAccount:
    """Link the reference A1 of each source to the account of the first."""
    reconcile(user.pk)
    account = sources[0].account_links.get(reference="A1").account
    assert account is not None
    for source in sources[1:]:
        keys = {"reference": [str(source.pk), "A1"]}
        decide(user=user, kind="link_account", keys=keys, value={"account": str(account.pk)})
    return account


# --- one source ------------------------------------------------------------------


def test_overlapping_files_of_one_account_do_not_double(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-20", "5", "6")])
    stage(source, rows=[trade("01-20", "5", "6"), trade("01-30", "2", "7")])
    reconcile(user.pk)
    assert quantities(user) == [10, 5, 2]
    assert Claim.objects.filter(transaction__user=user).count() == 4


def test_equal_fills_of_one_file_stay_two_and_count_as_often_as_the_file_with_most(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-10", "10", "5")])
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-11", "1", "5")])
    reconcile(user.pk)
    assert quantities(user) == [10, 10, 1]


def test_a_newer_declared_edition_owns_its_days(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[trade("01-10", "10", "5"), trade("01-20", "5", "6")],
        coverage=[covers("transactions", "01-01", "01-31")],
        generated="02-01T09:00",
    )
    corrected = stage(
        source,
        rows=[trade("01-20", "4", "6")],
        coverage=[covers("transactions", "01-15", "01-31")],
        generated="02-05T09:00",
    )
    reconcile(user.pk)
    assert quantities(user) == [10, 4]
    withdraw(corrected)
    reconcile(user.pk)
    assert quantities(user) == [10, 5]


def test_an_older_edition_that_arrives_later_changes_nothing(user: User) -> None:
    source = make_source(user)
    january = [covers("transactions", "01-01", "01-31")]
    stage(source, rows=[trade("01-20", "4", "6")], coverage=january, generated="02-05T09:00")
    before = reconcile(user.pk)
    stage(source, rows=[trade("01-20", "5", "6")], coverage=january, generated="02-01T09:00")
    assert reconcile(user.pk) is None
    assert quantities(user) == [4]
    assert before is not None


def test_the_last_day_of_a_statement_made_before_it_ended_is_not_whole(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[trade("01-31", "1", "5")],
        coverage=[covers("transactions", "01-01", "01-31")],
        generated="01-31T12:00",
    )
    stage(source, rows=[trade("01-31", "2", "5")])
    reconcile(user.pk)
    assert sorted(quantities(user)) == [1, 2]


def test_a_broken_file_adds_and_never_withdraws(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    stage(source, rows=[trade("01-11", "1", "5")], coverage=[covers("transactions", "01-01", "01-31", how="broken")])
    reconcile(user.pk)
    assert quantities(user) == [10, 1]


def test_a_source_that_is_not_believed_says_nothing(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5")])
    before = reconcile(user.pk)
    Source.objects.filter(pk=source.pk).update(enabled=False)
    bump(user)
    assert reconcile(user.pk) is not None
    assert rows_of(user) == []
    Source.objects.filter(pk=source.pk).update(enabled=True)
    bump(user)
    after = reconcile(user.pk)
    assert after is not None
    assert before is not None
    assert after.content_hash == before.content_hash


def bump(user: User) -> None:
    """A setting of a source changed."""
    next_fact_number(user_id=user.pk, cause="source")


# --- order inside a day ----------------------------------------------------------


def test_a_descending_file_is_read_backwards_and_actions_come_first(user: User) -> None:
    rows = [
        trade("01-10", "-5", "6", line=1),
        trade("01-10", "10", "5", line=2),
        split("01-10", "2", line=3),
    ]
    stage(make_source(user), rows=rows, time_order="descending")
    reconcile(user.pk)
    assert [kind for _, kind, _, _ in rows_of(user)] == ["split", "buy", "sell"]


def test_units_come_in_before_they_go_where_only_the_day_is_known(user: User) -> None:
    stage(make_source(user), rows=[trade("01-10", "-5", "6", line=1), trade("01-10", "10", "5", line=2)])
    reconcile(user.pk)
    assert quantities(user) == [10, -5]


# --- two sources -----------------------------------------------------------------


def test_two_sources_of_one_account_do_not_add_up(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5", fee="1"), cash_event("01-12", "dividend", "3.50", instrument=ACME)])
    stage(file, rows=[trade("01-10", "10", "5"), cash_event("01-12", "dividend", "3.5", instrument=ACME)])
    one_account(user, broker, file)
    assert rows_of(user) == [("01-10", "buy", 10, -51), ("01-12", "dividend", None, Decimal("3.5"))]
    claims = Claim.objects.filter(transaction__user=user).order_by("transaction", "-won").values_list("won", "rule")
    assert sorted(claims) == [(False, "exact"), (False, "exact"), (True, "priority"), (True, "priority")]


def test_two_accounts_that_hold_the_same_add_up(user: User) -> None:
    stage(make_source(user, "ibkr_flex"), rows=[trade("01-10", "10", "5")])
    stage(make_source(user), rows=[trade("01-10", "10", "5")])
    reconcile(user.pk)
    assert quantities(user) == [10, 10]
    assert BrokerAccount.objects.filter(user=user).count() == 2
    assert Transaction.objects.filter(user=user).values("instrument").distinct().count() == 1


def test_a_price_half_a_percent_away_is_the_same_trade_and_the_winner_gives_it_whole(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "100")])
    stage(file, rows=[trade("01-10", "10", "100.4", fee="2")])
    one_account(user, broker, file)
    row = Transaction.objects.get(user=user)
    assert (row.price, row.fee, row.cash_amount) == (100, None, -1000)
    conflict = Conflict.objects.get(user=user, key=f"transaction:{row.pk}:price")
    assert (conflict.status, conflict.rule, conflict.difference) == ("settled", "priority", 4)


def test_a_price_one_percent_away_is_another_trade(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "100")])
    stage(file, rows=[trade("01-10", "10", "101")])
    one_account(user, broker, file)
    assert quantities(user) == [10, 10]


def test_partial_fills_are_the_one_order_of_another_source(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "4", "10"), trade("01-10", "6", "10.05")])
    stage(file, rows=[trade("01-10", "10", "10.03")])
    one_account(user, broker, file)
    assert quantities(user) == [4, 6]


def test_a_day_apart_is_the_same_where_a_time_is_missing(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5", traded_at=moment("01-10T23:30"))])
    stage(file, rows=[trade("01-11", "10", "5")])
    one_account(user, broker, file)
    assert [(when, quantity) for when, _, quantity, _ in rows_of(user)] == [("01-10", 10)]


def test_two_equally_good_partners_are_left_apart(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "99.8"), trade("01-10", "10", "100.2")])
    stage(file, rows=[trade("01-10", "10", "100")])
    one_account(user, broker, file)
    assert quantities(user) == [10, 10, 10]
    assert Conflict.objects.get(user=user).kind == "ambiguous"


def test_cash_a_cent_apart_is_not_the_same(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[cash_event("01-10", "deposit", "100.00")])
    stage(file, rows=[cash_event("01-10", "deposit", "100.01")])
    one_account(user, broker, file)
    assert [cash for _, _, _, cash in rows_of(user)] == [100, Decimal("100.01")]


def test_a_row_of_a_lower_source_on_an_owned_day_is_not_booked_until_the_user_says_so(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "5")], coverage=[covers("transactions", "01-01", "01-31")])
    stage(file, rows=[trade("01-20", "7", "5"), trade("02-20", "1", "5")])
    one_account(user, broker, file)
    assert quantities(user) == [10, 1]
    before = user.ledger_versions.latest("number").content_hash
    conflict = Conflict.objects.get(user=user)
    assert (conflict.kind, conflict.status, conflict.effect_base) == ("only_in_one_source", "open", 35)
    decision = resolve_conflict(conflict=conflict, action="book")
    assert quantities(user) == [10, 7, 1]
    assert not Conflict.objects.filter(user=user).exists()
    revoke(decision=decision)
    assert quantities(user) == [10, 1]
    assert user.ledger_versions.latest("number").content_hash == before
    resolve_conflict(conflict=Conflict.objects.get(user=user), action="ignore")
    assert quantities(user) == [10, 1]
    assert not Conflict.objects.filter(user=user).exists()


def test_choosing_the_other_source_of_a_trade_changes_its_values_and_not_its_id(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, rows=[trade("01-10", "10", "100")])
    stage(file, rows=[trade("01-10", "10", "100.4")])
    one_account(user, broker, file)
    row = Transaction.objects.get(user=user)
    before = user.ledger_versions.latest("number").content_hash
    decision = resolve_conflict(
        conflict=Conflict.objects.get(user=user, key__endswith=":price"), action="choose", source=file.pk
    )
    after = Transaction.objects.get(user=user)
    assert (after.pk, after.price, after.source) == (row.pk, Decimal("100.4"), file)
    assert Conflict.objects.get(user=user, key__endswith=":price").status == "resolved"
    revoke(decision=decision)
    assert Transaction.objects.get(user=user).price == 100
    assert user.ledger_versions.latest("number").content_hash == before


def test_an_ignored_row_is_gone_and_stays_gone_when_it_arrives_again(user: User) -> None:
    source = make_source(user)
    content = stage(source, rows=[trade("01-10", "10", "5"), trade("01-11", "1", "5")])
    reconcile(user.pk)
    identity = content.transactions.get(quantity=1).identity
    decide(user=user, kind=Decision.Kind.IGNORE, keys={"rows": [[str(source.pk), identity]]})
    assert quantities(user) == [10]
    stage(source, rows=[trade("01-11", "1", "5"), trade("01-12", "2", "5")])
    reconcile(user.pk)
    assert quantities(user) == [10, 2]


def test_an_ignored_reference_has_no_account(user: User) -> None:
    source = make_source(user)
    stage(source, rows=[trade("01-10", "10", "5"), trade("01-10", "3", "5", account="A2")])
    reconcile(user.pk)
    decision = decide(user=user, kind="ignore", keys={"reference": [str(source.pk), "A2"]})
    assert quantities(user) == [10]
    revoke(decision=decision)
    assert sorted(quantities(user)) == [3, 10]


# --- reports ---------------------------------------------------------------------


def test_what_a_report_has_beyond_the_ledger_is_shown_as_unexplained(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[trade("01-10", "10", "5")],
        positions=[position("01-31", "10"), position("02-29", "12")],
        coverage=[covers("transactions", "01-01", "03-31"), covers("positions", "01-31"), covers("positions", "02-29")],
        generated="04-01T00:00",
    )
    reconcile(user.pk)
    assert rows_of(user) == [("01-10", "buy", 10, -50), ("02-29", "adjustment", 2, None)]
    assert [(one.value, one.rule) for one in ReportedBalance.objects.filter(user=user).order_by("as_of")] == [
        (10, "only_source"),
        (12, "only_source"),
    ]


def test_the_first_gap_is_an_opening_balance_before_the_covered_history(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[trade("01-10", "-4", "5")],
        positions=[position("01-31", "6", cost="30")],
        coverage=[covers("transactions", "01-05", "01-31"), covers("positions", "01-31")],
        generated="02-01T00:00",
    )
    reconcile(user.pk)
    opening = Transaction.objects.get(user=user, kind="adjustment")
    assert (opening.trade_date.isoformat(), opening.quantity, opening.price) == ("2024-01-04", 10, None)


def test_an_opening_balance_passes_through_a_later_split(user: User) -> None:
    stage(
        make_source(user),
        rows=[split("01-10", "2")],
        positions=[position("01-31", "20")],
        coverage=[covers("transactions", "01-05", "01-31"), covers("positions", "01-31")],
        generated="02-01T00:00",
    )
    reconcile(user.pk)
    assert Transaction.objects.get(user=user, kind="adjustment").quantity == 10


def test_a_holding_that_a_whole_report_leaves_out_is_closed(user: User) -> None:
    source = make_source(user)
    stage(source, positions=[position("01-31", "10", cost="50"), position("01-31", "1", of=BITCOIN)])
    stage(source, positions=[position("02-29", "1", of=BITCOIN)])
    reconcile(user.pk)
    account = BrokerAccount.objects.get(user=user)
    assert account.tracking == "positions"
    rows = Transaction.objects.filter(user=user, instrument__symbol="ACME").order_by("trade_date")
    assert [(row.trade_date.strftime("%m-%d"), row.quantity, row.price) for row in rows] == [
        ("01-31", 10, 5),
        ("02-29", -10, None),
    ]


def test_a_report_of_a_part_closes_nothing(user: User) -> None:
    source = make_source(user)
    stage(source, positions=[position("01-31", "10")])
    stage(
        source, positions=[position("02-29", "1", of=BITCOIN)], coverage=[covers("positions", "02-29", how="inferred")]
    )
    reconcile(user.pk)
    assert sorted(quantities(user)) == [1, 10]


@pytest.mark.parametrize(
    ("kinds", "days", "winner", "rule"),
    [
        (("ibkr_flex", "csv"), ("02-28", "02-29"), 0, "priority"),
        (("ibkr_flex", "csv"), ("01-02", "02-29"), 1, "freshness"),
        (("csv", "csv"), ("02-20", "02-29"), 1, "as_of"),
        (("csv", "csv"), ("02-29", "02-29"), 0, "source_id"),
    ],
)
def test_who_is_believed_on_a_position(
    user: User, kinds: tuple[str, str], days: tuple[str, str], winner: int, rule: str
) -> None:
    sources = [make_source(user, kind) for kind in kinds]
    for source, when, held in zip(sources, days, ("10", "11"), strict=True):
        stage(source, positions=[position(when, held)])
    account = one_account(user, *sources)
    latest = ReportedBalance.objects.filter(user=user).latest("as_of")
    assert (latest.source, latest.rule) == (sources[winner], rule)
    conflict = Conflict.objects.get(user=user)
    assert conflict.key == f"position:{account.pk}:{latest.instrument_id}"
    assert (conflict.winner, conflict.rule, conflict.status) == (sources[winner].pk, rule, "open")


def test_equal_priority_is_decided_by_confidence(user: User) -> None:
    file, broker = make_source(user, priority=50), make_source(user, "ibkr_flex", priority=50)
    for source, held in ((file, "10"), (broker, "11")):
        stage(source, positions=[position("02-29", held)])
    one_account(user, broker, file)
    assert Conflict.objects.get(user=user).rule == "confidence"


def test_choosing_a_source_for_a_position_lasts_until_it_is_taken_back(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(broker, positions=[position("02-29", "10")])
    stage(file, positions=[position("02-29", "11")])
    one_account(user, broker, file)
    before = user.ledger_versions.latest("number").content_hash
    assert quantities(user) == [10]
    decision = resolve_conflict(conflict=Conflict.objects.get(user=user), action="choose", source=file.pk)
    conflict = Conflict.objects.get(user=user)
    assert (quantities(user), conflict.status, conflict.rule) == ([11], "resolved", "decision")
    stage(broker, positions=[position("03-01", "10")])
    stage(file, positions=[position("03-01", "12")])
    reconcile(user.pk)
    assert quantities(user) == [11, 1]
    revoke(decision=decision)
    assert quantities(user) == [10]
    assert user.ledger_versions.latest("number").content_hash == before


def test_an_older_report_is_compared_as_its_own_later_trades_move_it_on(user: User) -> None:
    broker, file = make_source(user, "ibkr_flex"), make_source(user)
    stage(
        broker,
        rows=[trade("02-10", "5", "5")],
        positions=[position("01-31", "10")],
        coverage=[covers("transactions", "01-01", "02-29"), covers("positions", "01-31")],
        generated="03-01T00:00",
    )
    stage(file, positions=[position("02-29", "15")])
    one_account(user, broker, file)
    assert not Conflict.objects.filter(user=user).exists()
    assert ReportedBalance.objects.filter(user=user).latest("as_of").value == 15


def test_cash_reports_step_where_cash_is_tracked(user: User) -> None:
    source = make_source(user)
    stage(
        source,
        rows=[cash_event("01-10", "deposit", "100"), trade("01-11", "10", "5", fee="1")],
        cash=[balance("01-31", "49"), balance("02-29", "50")],
        coverage=[covers("transactions", "01-01", "02-29"), covers("cash", "01-31"), covers("cash", "02-29")],
        generated="03-01T00:00",
        cash_mode="tracked",
    )
    reconcile(user.pk)
    assert rows_of(user)[2:] == [("02-29", "adjustment", None, 1)]


# --- instruments and transfers ---------------------------------------------------


def test_a_ticker_means_the_one_instrument_it_fits(user: User) -> None:
    bare = InstrumentRef(symbol="ACME", kind="equity", currency="USD")
    stage(make_source(user), rows=[trade("01-10", "10", "5")])
    stage(make_source(user), rows=[trade("01-10", "1", "5", of=bare)])
    reconcile(user.pk)
    assert Transaction.objects.filter(user=user).values("instrument").distinct().count() == 1


def test_different_isins_are_never_joined_and_a_bare_ticker_that_fits_both_waits_for_review(user: User) -> None:
    other = InstrumentRef(symbol="ACME", kind="equity", isin="CA0000000019", currency="USD")
    bare = InstrumentRef(symbol="ACME", kind="equity", currency="USD")
    for of in (ACME, other, bare):
        stage(make_source(user), rows=[trade("01-10", "10", "5", of=of)])
    reconcile(user.pk)
    instruments = user.instruments.order_by("pk")
    assert [one.needs_review for one in instruments] == [False, False, True]


def test_tickers_of_different_exchanges_are_different_things(user: User) -> None:
    for exchange in ("NYSE", "LSE"):
        of = InstrumentRef(symbol="ABC", kind="equity", exchange=exchange, currency="USD")
        stage(make_source(user), rows=[trade("01-10", "10", "5", of=of)])
    reconcile(user.pk)
    assert user.instruments.count() == 2


def test_undo_parts_what_a_joining_row_had_brought_together_and_gives_back_each_id(user: User) -> None:
    first = InstrumentRef(symbol="AAA", kind="equity", isin="US0000000036")
    second = InstrumentRef(symbol="BBB", kind="equity", conid="77")
    stage(make_source(user), rows=[trade("01-10", "10", "5", of=first)])
    stage(make_source(user), rows=[trade("01-10", "4", "5", of=second)])
    reconcile(user.pk)
    before = dict(Transaction.objects.filter(user=user).values_list("quantity", "instrument"))
    joining = InstrumentRef(symbol="AAA", kind="equity", isin="US0000000036", conid="77")
    content = stage(make_source(user), rows=[trade("01-11", "1", "5", of=joining)])
    reconcile(user.pk)
    assert Transaction.objects.filter(user=user).values("instrument").distinct().count() == 1
    withdraw(content)
    reconcile(user.pk)
    assert dict(Transaction.objects.filter(user=user).values_list("quantity", "instrument")) == before


def test_both_legs_of_a_stated_transfer_share_a_group(user: User) -> None:
    out = trade("01-10", "-4", "5", kind="transfer_out", cash_amount=None, group="T1")
    into = trade("01-10", "4", "5", kind="transfer_in", cash_amount=None, group="T1", leg=1, account="A2")
    stage(make_source(user), rows=[trade("01-05", "10", "5"), out, into])
    reconcile(user.pk)
    legs = Transaction.objects.filter(user=user, kind__startswith="transfer")
    assert legs.count() == 2
    assert len({leg.group for leg in legs}) == 1
    assert legs[0].group is not None
    assert len({leg.account_id for leg in legs}) == 2

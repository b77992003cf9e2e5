"""What holds of ledgers of several accounts with transfers between them, on generated histories (DESIGN 5.1, 5.10).

With the profile `ci` 500 histories, with `soak` 10,000.
"""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from federation.tests.histories import DAYS, FIRST, History, Said, everything, in_other_order, parted, values
from federation.tests.households import household, households, link_values, links, told, transfer_legs
from federation.transfers import LARGEST_FEE, pair
from federation.truth import compute
from ingestion.identity import prepare


@given(households(), st.integers(0, 1000))
def test_the_order_in_which_facts_are_processed_changes_no_row_and_no_link(history: History, seed: int) -> None:
    facts = household(history).live().facts()
    one, other = compute(facts), compute(in_other_order(facts, seed))
    assert everything(one) == everything(other)
    legs = transfer_legs(other)
    assert pair(random.Random(seed).sample(legs, len(legs))) == links(one)


@given(households(), st.integers(1, 5))
def test_the_last_files_once_more_change_no_account(history: History, count: int) -> None:
    book = household(history).live()
    before = book.truth()
    for said in history.said[-count:]:
        book.arrive(said)
    after = book.truth()
    assert everything(after) == everything(before)
    assert links(after) == links(before)


@given(households(), st.builds(Said, st.just(0), told()), st.integers(0, 5))
def test_an_import_of_accounts_that_is_undone_leaves_no_trace(history: History, other: Said, place: int) -> None:
    known = {(said.source, prepare(said.statement).digest) for said in history.said}
    assume((other.source, prepare(other.statement).digest) not in known)
    book = household(history)
    for number, said in enumerate(history.said):
        if number == place:
            book.undo(book.arrive(other))
        book.arrive(said)
    if place >= len(history.said):
        book.undo(book.arrive(other))
    mended, whole = book.truth(), household(history).live().truth()
    assert values(mended) == values(whole)
    assert link_values(mended) == link_values(whole)


@given(households(), st.integers(1, DAYS - 1), st.data())
def test_one_file_of_accounts_or_several_that_meet_say_the_same(
    history: History, offset: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(history.said) - 1))
    parts = parted(history.said[place], FIRST + timedelta(days=offset))
    said = (*history.said[:place], *parts, *history.said[place + 1 :])
    apart, whole = household(replace(history, said=said)).live().truth(), household(history).live().truth()
    assert values(apart) == values(whole)
    assert link_values(apart) == link_values(whole)


@given(households())
def test_every_row_fact_and_leg_counts_once(history: History) -> None:
    """As of one account; and a leg is in one link, of one unit, between two accounts, of which nothing grew."""
    truth = household(history).live().truth()
    assert len({row.id for row in truth.rows}) == len(truth.rows)
    assert len({claim.staged for claim in truth.claims}) == len(truth.claims)
    won = [claim.transaction for claim in truth.claims if claim.won]
    assert sorted(won) == sorted(row.id for row in truth.rows if row.kind != "adjustment")
    pairs = links(truth).pairs
    used = [leg.id for one in pairs for leg in one.legs]
    assert len(set(used)) == len(used)
    for one in pairs:
        assert {leg.unit for leg in one.legs} == {one.unit}
        left = -sum((leg.quantity for leg in one.outs), Decimal(0))
        if one.rule == "rule":
            assert not {leg.account for leg in one.outs} & {leg.account for leg in one.ins}
            stated = sum((leg.fee for leg in one.outs), Decimal(0))
            assert 0 <= one.fee <= max(stated, left * LARGEST_FEE)


@given(households())
def test_an_account_follows_from_its_own_facts_alone(history: History) -> None:
    """What other accounts say changes no row of one: only links join them."""
    facts = household(history).live().facts()
    together = compute(facts)
    for about in facts.accounts:
        alone = compute(replace(facts, accounts=[about]))
        assert sorted(row.id for row in alone.rows) == sorted(
            row.id for row in together.rows if row.account == about.account.id
        )

"""Legs of transfers find each other (DESIGN 5.10)."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from federation.transfers import Leg, Pair, Pairing, Word, pair, transaction_hashes

COIN = UUID(int=900)
FIRST = date(2024, 3, 1)


def leg(number: int, account: int, quantity: str, day: int = 0, unit: UUID | str = "USD", **fields: object) -> Leg:
    return Leg(
        UUID(int=number), UUID(int=100 + account), unit, FIRST + timedelta(days=day), Decimal(quantity), **fields
    )


def ids(found: Pairing) -> list[tuple[list[int], list[int], str]]:
    return [([x.id.int for x in one.outs], [x.id.int for x in one.ins], one.rule) for one in found.pairs]


def test_equal_amounts_within_five_days_are_one_transfer() -> None:
    assert ids(pair([leg(1, 1, "-100"), leg(2, 2, "100", 5)])) == [([1], [2], "rule")]
    assert ids(pair([leg(1, 1, "-100"), leg(2, 2, "100", 6)])) == []


def test_a_coin_takes_two_days_at_most() -> None:
    out = leg(1, 1, "-1", unit=COIN, is_crypto=True)
    assert ids(pair([out, leg(2, 2, "1", 2, COIN, is_crypto=True)])) == [([1], [2], "rule")]
    assert ids(pair([out, leg(2, 2, "1", 3, COIN, is_crypto=True)])) == []


def test_an_arrival_may_be_a_day_early_only_where_a_zone_is_missing() -> None:
    assert ids(pair([leg(1, 1, "-100", 1), leg(2, 2, "100")])) == [([1], [2], "rule")]
    assert ids(pair([leg(1, 1, "-100", 1, has_zone=True), leg(2, 2, "100", has_zone=True)])) == []


def test_the_stated_fee_and_half_a_percent_explain_what_is_missing() -> None:
    found = pair([leg(1, 1, "-1", unit=COIN, fee=Decimal("0.1")), leg(2, 2, "0.9", 1, COIN)])
    assert (ids(found), found.pairs[0].fee) == ([([1], [2], "rule")], Decimal("0.1"))
    found = pair([leg(1, 1, "-1", unit=COIN), leg(2, 2, "0.995", 1, COIN)])
    assert (ids(found), found.pairs[0].fee) == ([([1], [2], "rule")], Decimal("0.005"))
    assert ids(pair([leg(1, 1, "-1", unit=COIN), leg(2, 2, "0.9949", 1, COIN)])) == []
    assert ids(pair([leg(1, 1, "-1", unit=COIN), leg(2, 2, "1.0001", 1, COIN)])) == []


def test_one_account_and_two_units_are_no_transfer() -> None:
    assert ids(pair([leg(1, 1, "-100"), leg(2, 1, "100")])) == []
    assert ids(pair([leg(1, 1, "-100"), leg(2, 2, "100", unit="EUR")])) == []


def test_the_closest_partner_is_taken() -> None:
    found = pair([leg(1, 1, "-100"), leg(2, 2, "100", 3), leg(3, 3, "100", 1), leg(4, 4, "99.9")])
    assert ids(found) == [([1], [3], "rule")]
    assert found.undecided == ()


def test_two_equally_good_partners_are_left_to_the_user() -> None:
    found = pair([leg(1, 1, "-100"), leg(2, 2, "100", 1), leg(3, 3, "100", 1)])
    assert found.pairs == ()
    assert [(one.leg.id.int, [x.id.int for x in one.partners]) for one in found.undecided] == [(1, [2, 3])]


def test_twins_of_the_same_accounts_and_day_pair_each_to_each() -> None:
    found = pair([leg(1, 1, "-100"), leg(2, 1, "-100"), leg(3, 2, "100", 1), leg(4, 2, "100", 1)])
    assert ids(found) == [([1], [3], "rule"), ([2], [4], "rule")]


def test_what_left_at_once_may_come_in_parts_and_the_other_way_round() -> None:
    assert ids(pair([leg(1, 1, "-100"), leg(2, 2, "60", 1), leg(3, 2, "40", 2)])) == [([1], [2, 3], "rule")]
    assert ids(pair([leg(1, 1, "-60"), leg(2, 1, "-40", 1), leg(3, 2, "100", 2)])) == [([1, 2], [3], "rule")]


def test_parts_that_could_be_chosen_in_two_ways_are_left_to_the_user() -> None:
    found = pair([leg(1, 1, "-100"), leg(2, 2, "60", 1), leg(3, 2, "40", 1), leg(4, 3, "70", 1), leg(5, 3, "30", 1)])
    assert found.pairs == ()
    assert [one.leg.id.int for one in found.undecided] == [1]


def test_a_hash_pairs_whatever_the_days_say() -> None:
    name = "ab" * 32
    hashes = transaction_hashes(f"withdrawn, tx 0x{name.upper()}")
    assert hashes == {name}
    found = pair(
        [leg(1, 1, "-1", unit=COIN, hashes=hashes), leg(2, 2, "0.9", 30, COIN, hashes=transaction_hashes(name))]
    )
    assert ids(found) == [([1], [2], "hash")]


def test_a_stated_group_pairs_first() -> None:
    group = UUID(int=77)
    found = pair([leg(1, 1, "-100", group=group), leg(2, 2, "100", 9, group=group), leg(3, 3, "100")])
    assert ids(found) == [([1], [2], "group")]


def test_the_users_word_goes_before_every_rule() -> None:
    legs = [leg(1, 1, "-100"), leg(2, 2, "100", 1), leg(3, 3, "90", 40)]
    assert ids(pair(legs, Word(together=[frozenset({UUID(int=1), UUID(int=3)})]))) == [([1], [3], "decision")]
    assert ids(pair(legs, Word(apart={UUID(int=2)}))) == []
    assert ids(pair(legs, Word(beyond={UUID(int=2): "income"}))) == [([], [2], "income")]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["-2", "-1", "1", "2", "0.999", "-3", "3"]), st.integers(0, 6)),
        max_size=12,
    ),
    random=st.randoms(use_true_random=False),
)
def test_no_leg_is_used_twice_and_no_order_changes_the_pairs(rows: list[tuple[int, str, int]], random: Random) -> None:
    legs = [leg(number, *row) for number, row in enumerate(rows, 1)]
    found = pair(legs)
    used = [one.id for link in found.pairs for one in link.legs]
    assert len(used) == len(set(used))
    assert pair(random.sample(legs, len(legs))) == found
    for link in found.pairs:
        assert is_sound(link)


def is_sound(link: Pair) -> bool:
    left = -sum(one.quantity for one in link.outs)
    accounts = {one.account for one in link.outs} | {one.account for one in link.ins}
    return Decimal(0) <= link.fee <= left * Decimal("0.005") and len(accounts) == 2

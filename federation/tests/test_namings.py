"""Which ways of naming an instrument mean the same one, and from which day."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from federation.components import components
from federation.instruments import InstrumentPlan
from federation.naming_rules import Forest
from federation.namings import Days, InstrumentRuling, Named

BANK = uuid5(UUID(int=1), "bank")
BROKER = uuid5(UUID(int=1), "broker")
OLD, NEW = "US0000000010", "US0000000028"
EARLY: Days = (date(2010, 1, 10), date(2012, 6, 1))
LATE: Days = (date(2020, 1, 10), date(2024, 6, 1))


def named(key: str, first: int, *, days: Days | None = None, source: UUID = BANK, **values: str) -> Named:
    told = {"symbol": "XYZ", "kind": "equity", "currency": "USD"} | values
    return Named(
        source, key, first, told["symbol"], told.get("name", ""), told["kind"], told.get("isin", ""),
        told.get("figi", ""), told.get("cusip", ""), told.get("conid", ""), told.get("exchange", ""), told["currency"],
        Decimal(1), days=days,
    )  # fmt: skip


def keys(*names: Named, rulings: tuple[InstrumentRuling, ...] = ()) -> list[set[tuple[str, date | None]]]:
    return [{(one.key, one.since) for one in component} for component in components(names, rulings)[0]]


def test_a_bare_ticker_means_the_company_that_had_it_on_the_day() -> None:
    bare = named("bare", 3, days=(date(2011, 1, 1), date(2023, 1, 1)))
    found = keys(named("old", 1, isin=OLD, days=EARLY), named("new", 2, isin=NEW, days=LATE), bare)
    since = date(2016, 3, 22)  # the nearer of the last day of one and the first of the other
    assert found == [{("old", None), ("bare", None)}, {("new", None), ("bare", since)}]


def test_a_ticker_on_an_exchange_goes_by_its_days_too() -> None:
    old = named("old", 1, isin=OLD, exchange="NYSE", days=EARLY)
    new = named("new", 2, isin=NEW, exchange="NYSE", days=LATE)
    later = named("plain", 0, exchange="NYSE", days=(date(2023, 1, 1), date(2023, 2, 1)))
    assert keys(old, new, later) == [{("plain", None), ("new", None)}, {("old", None)}]


def test_two_companies_that_have_a_ticker_at_once_leave_it_unclear() -> None:
    old, new = named("old", 1, isin=OLD, days=EARLY), named("new", 2, isin=NEW, days=(EARLY[1], LATE[1]))
    bare = named("bare", 3, source=BROKER, days=LATE)
    together, unclear = components([old, new, bare])
    assert [[one.key for one in component] for component in together] == [["old"], ["new"], ["bare"]]
    assert unclear == {bare.naming}


def test_rows_without_days_do_not_tell_a_reused_ticker() -> None:
    bare = named("bare", 3, source=BROKER)
    _, unclear = components([named("old", 1, isin=OLD, days=EARLY), named("new", 2, isin=NEW, days=LATE), bare])
    assert unclear == {bare.naming}


def test_a_security_may_change_its_isin_where_a_stronger_number_stays() -> None:
    before, after = named("a", 1, isin=OLD, conid="7", days=EARLY), named("b", 2, isin=NEW, conid="7", days=LATE)
    assert keys(before, after) == [{("a", None), ("b", None)}]
    assert keys(before, replace(after, days=(EARLY[1], LATE[1]))) == [{("a", None)}, {("b", None)}]
    assert keys(before, replace(after, days=None)) == [{("a", None)}, {("b", None)}]


def test_a_ticker_never_joins_two_isins_however_far_apart() -> None:
    before, after = (
        named("a", 1, isin=OLD, exchange="NYSE", days=EARLY),
        named("b", 2, isin=NEW, exchange="NYSE", days=LATE),
    )
    assert keys(before, after) == [{("a", None)}, {("b", None)}]


def test_the_word_of_the_user_comes_before_the_days() -> None:
    old, new, bare = (
        named("old", 1, isin=OLD, days=EARLY), named("new", 2, isin=NEW, days=LATE), named("bare", 3, days=LATE)
    )  # fmt: skip
    apart = InstrumentRuling(is_merge=False, namings=frozenset({bare.naming}))
    assert keys(old, new, bare, rulings=(apart,)) == [{("old", None)}, {("new", None)}, {("bare", None)}]
    one = InstrumentRuling(is_merge=True, namings=frozenset({bare.naming, old.naming}))
    assert keys(old, new, bare, rulings=(one,)) == [{("old", None), ("bare", None)}, {("new", None)}]


def test_a_plan_tells_what_a_naming_means_on_a_day() -> None:
    first, then = UUID(int=3), UUID(int=4)
    naming = (BANK, "bare")
    plan = InstrumentPlan(namings={naming: (first, None)}, later={naming: [(date(2016, 1, 1), (then, None))]})
    assert plan.meaning(naming, date(2015, 12, 31)) == (first, None)
    assert plan.meaning(naming, date(2016, 1, 1)) == (then, None)
    assert plan.meaning((BANK, "other"), date(2016, 1, 1)) is None


_days = st.sampled_from([EARLY, LATE, (EARLY[0], LATE[1]), None])
_namings = st.builds(
    lambda key, **values: named(str(key), key, **values),
    st.integers(1, 10_000),
    source=st.sampled_from([BANK, BROKER]),
    symbol=st.sampled_from(["XYZ", "ABC", ""]),
    kind=st.sampled_from(["equity", "etf", "crypto", ""]),
    isin=st.sampled_from(["", "", OLD, NEW]),
    conid=st.sampled_from(["", "", "7", "8"]),
    exchange=st.sampled_from(["", "NYSE", "LSE"]),
    currency=st.sampled_from(["USD", ""]),
    days=_days,
)


@given(st.lists(_namings, max_size=7, unique_by=lambda one: one.first))
def test_buckets_that_are_plain_need_no_other_rule(names: list[Named]) -> None:
    """Cutting namings into buckets, and joining plain ones at once, is what all rules together say."""
    ordered = sorted(names, key=lambda one: one.first)
    found, unclear = components(names)
    together, of_several = Forest(ordered).joined([])
    assert [{one.piece for one in component} for component in found] == [
        {one.piece for one in members} for _, members in together
    ]
    assert unclear == of_several

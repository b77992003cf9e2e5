"""What holds of every ledger, on generated histories (DESIGN 5.1, 5.12).

Five properties of the pure rules: with the profile `ci` 500 histories, with `soak` 10,000.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from federation.tests.histories import (
    DAYS,
    FIRST,
    Book,
    History,
    Said,
    everything,
    histories,
    in_other_order,
    parted,
    statements,
    values,
)
from federation.truth import compute
from ingestion.identity import prepare


@given(histories(), st.integers(0, 1000))
def test_the_order_in_which_facts_are_processed_changes_nothing(history: History, seed: int) -> None:
    facts = Book(history).live().facts()
    assert everything(compute(in_other_order(facts, seed))) == everything(compute(facts))


@given(histories(), st.integers(1, 5))
def test_the_last_files_once_more_change_nothing(history: History, count: int) -> None:
    book = Book(history).live()
    before = everything(book.truth())
    for said in history.said[-count:]:
        book.arrive(said)
    assert everything(book.truth()) == before


@given(histories(), st.builds(Said, st.just(0), statements()), st.integers(0, 5))
def test_an_import_that_is_undone_leaves_no_trace(history: History, other: Said, place: int) -> None:
    known = {(said.source, prepare(said.statement).digest) for said in history.said}
    assume((other.source, prepare(other.statement).digest) not in known)
    book = Book(history)
    for number, said in enumerate(history.said):
        if number == place:
            book.undo(book.arrive(other))
        book.arrive(said)
    if place >= len(history.said):
        book.undo(book.arrive(other))
    assert values(book.truth()) == values(Book(history).live().truth())


@given(histories(), st.integers(1, DAYS - 1), st.data())
def test_one_file_or_several_that_meet_say_the_same(history: History, offset: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(history.said) - 1))
    parts = parted(history.said[place], FIRST + timedelta(days=offset))
    said = (*history.said[:place], *parts, *history.said[place + 1 :])
    apart = Book(replace(history, said=said)).live().truth()
    assert values(apart) == values(Book(history).live().truth())


@given(histories())
def test_every_row_and_every_fact_is_booked_once(history: History) -> None:
    """Ids differ, a staged row speaks for one ledger row, and each row that is no adjustment has one winner."""
    truth = Book(history).live().truth()
    assert len({row.id for row in truth.rows}) == len(truth.rows)
    assert len({claim.staged for claim in truth.claims}) == len(truth.claims)
    won = [claim.transaction for claim in truth.claims if claim.won]
    assert sorted(won) == sorted(row.id for row in truth.rows if row.kind != "adjustment")

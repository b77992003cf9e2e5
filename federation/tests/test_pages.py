"""Where sources disagree, in a browser: what differs, who won and why, and how to change it."""

import json
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Tier, User
from federation.models import Conflict, Decision, DecisionRevocation
from federation.reasons import claim_reason, reason, row_words, with_article
from federation.services import reconcile
from federation.tests.factories import covers, day, make_source, stage, trade
from federation.tests.test_views import disputed
from ingestion.adapters.base import InstrumentRef

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
PAGE = "/reconciliation/"


def html_of(client: Client, address: str = PAGE) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_page_shows_both_values_the_winner_and_the_rule(browser: Browser, owner: User) -> None:
    broker, file = disputed(owner)
    html = html_of(browser(owner))
    open_part = html.split("Needs your eye")[1].split("Settled by a rule")[0]
    assert "How many are held" in open_part
    assert open_part.count('<li class="won">') == 1
    assert f"“{broker.name}” stands before “{file.name}” in your order of sources." in open_part
    for value in ("10", "11"):
        assert f'<span class="amt"><span>{value}</span></span>' in open_part
    assert "29 Feb 2024" in open_part
    assert "Price of the purchase on 1 Jan 2024" in html.split("Settled by a rule")[1]


def test_choosing_answers_the_new_list_and_a_toast(browser: Browser, owner: User) -> None:
    _, file = disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    answer = browser(owner).post(
        f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk), "remember": "1"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 200
    assert json.loads(answer["HX-Trigger"])["toast:show"]["title"] == "Your word counts"
    decision = Decision.objects.get(kind="choose")
    assert decision.value == {"source": str(file.pk)}
    conflict.refresh_from_db()
    assert (conflict.status, conflict.winner, conflict.rule) == ("resolved", file.pk, "decision")
    html = answer.content.decode()
    assert f"You decided to believe “{file.name}”." in html
    assert f"/reconciliation/decisions/{decision.pk}/revoke/" in html


def test_choice_that_is_not_remembered_ends_with_the_reports_compared(browser: Browser, owner: User) -> None:
    _, file = disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    browser(owner).post(f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk)})
    assert Decision.objects.get(kind="choose").value == {"source": str(file.pk), "until": "2024-02-29"}


def test_undo_lets_the_rules_decide_again(browser: Browser, owner: User) -> None:
    _, file = disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    client = browser(owner)
    client.post(f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk), "remember": "1"})
    decision = Decision.objects.get(kind="choose")
    answer = client.post(f"{PAGE}decisions/{decision.pk}/revoke/")
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    conflict.refresh_from_db()
    assert (conflict.status, conflict.rule) == ("open", "priority")


def test_row_of_one_source_alone_is_booked_or_ignored(browser: Browser, owner: User) -> None:
    broker, file = disputed(owner)
    stage(broker, rows=[trade("03-04", "1", "100")], coverage=[covers("transactions", "03-01", "03-31")])
    stage(file, rows=[trade("03-05", "7", "100")])
    reconcile(owner.pk)
    conflict = Conflict.objects.get(kind="only_in_one_source")
    client = browser(owner)
    html = html_of(client)
    assert f"A purchase on 5 Mar 2024 that only {file.name} has" in html
    assert "covers this day as a whole and has no such row" in html
    assert "no such row</b>" in html
    client.post(f"{PAGE}{conflict.pk}/resolve/", {"book": "1"})
    assert owner.transactions.filter(trade_date=day("03-05"), quantity=7).count() == 1
    told = "Book a purchase on 5 Mar 2024 although only one source has it."
    assert told in html_of(client).split("What you decided last")[1]
    assert told in html_of(client, f"{PAGE}decisions/").split("In force")[1]


def test_ignored_difference_leaves_the_open_ones(browser: Browser, owner: User) -> None:
    disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    client = browser(owner)
    client.post(f"{PAGE}{conflict.pk}/resolve/", {"ignore": "1"})
    assert Conflict.objects.filter(status="open").count() == 0
    assert client.get(f"{PAGE}count/").content.decode().strip() == ""


def test_navigation_counts_open_conflicts(browser: Browser, owner: User) -> None:
    disputed(owner)
    assert "1 open conflict" in browser(owner).get(f"{PAGE}count/").content.decode()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 409),
        ({"choose": "x"}, 422),
        ({"choose": "01890000-0000-7000-8000-000000000001"}, 422),
        ({"book": "1"}, 409),
    ],
)
def test_form_that_does_not_fit_changes_nothing(
    browser: Browser, owner: User, form: dict[str, str], status: int
) -> None:
    disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    before = Decision.objects.count()
    client = browser(owner)
    assert client.post(f"{PAGE}{conflict.pk}/resolve/", form).status_code == status
    assert client.get(f"{PAGE}{conflict.pk}/preview/", form).status_code == status
    assert Decision.objects.count() == before


def test_stranger_finds_no_conflict_and_no_decision(browser: Browser, owner: User, stranger: User) -> None:
    _, file = disputed(owner)
    conflict, decision = Conflict.objects.get(kind="quantity"), Decision.objects.get()
    client = browser(stranger)
    assert client.post(f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk)}).status_code == 404
    assert client.post(f"{PAGE}decisions/{decision.pk}/revoke/").status_code == 404
    assert Decision.objects.count() == 1
    assert DecisionRevocation.objects.count() == 0
    assert "Nothing to reconcile" in html_of(client)


def test_navigator_sees_and_decides_nothing(browser: Browser, make_user: Callable[..., User]) -> None:
    user = make_user(tier=Tier.OPERATOR)
    _, file = disputed(user)
    user.tier = Tier.NAVIGATOR
    user.save(update_fields=["tier"])
    client = browser(user)
    html = html_of(client)
    assert "How many are held" in html
    assert "Believe this" not in html
    conflict = Conflict.objects.get(kind="quantity")
    assert client.post(f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk)}).status_code == 403
    assert Decision.objects.count() == 1


def test_observer_is_told_what_it_needs(browser: Browser, make_user: Callable[..., User]) -> None:
    client = browser(make_user(tier=Tier.OBSERVER))
    assert "needs the navigator tier" in html_of(client)
    assert client.get("/sources/coverage/").status_code == 403


def test_twenty_conflicts_cost_as_many_queries_as_one(browser: Browser, owner: User, stranger: User) -> None:
    disputed(owner, count=1)
    disputed(stranger, count=20)
    counts = []
    for user in (owner, stranger):
        client = browser(user)
        client.get(PAGE)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_coverage_names_accounts_and_counts_months_that_no_source_covers(browser: Browser, owner: User) -> None:
    source = make_source(owner, "ibkr_flex")
    stage(source, rows=[trade("01-04", "1", "100")], coverage=[covers("transactions", "01-01", "01-31")])
    stage(source, rows=[trade("03-04", "1", "100")], coverage=[covers("transactions", "03-01", "03-31")])
    reconcile(owner.pk)
    html = html_of(browser(owner), "/sources/coverage/")
    account = source.account_links.get().account
    assert account.name in html
    assert "2 covered in whole" in html
    assert "nothing in Feb" in html


def test_reasons_are_sentences_without_amounts() -> None:
    for rule in ("decision", "freshness", "priority", "as_of", "confidence", "source_id", "only_source", "owned_day"):
        told = reason(rule, winner="A", loser="B")
        assert "“A”" in told
        assert told.endswith(".")
    assert reason("", winner="A") == "No rule decides this one."
    assert claim_reason("day_apart", winner="A") == "The same row, booked a few days apart from that of “A”."
    assert with_article(row_words("interest", day("02-01"))) == "an interest payment on 1 Feb 2024"


@pytest.mark.parametrize(
    ("action", "told"), [("book", "1 row comes in"), ("ignore", "1 disagreement would be settled.")]
)
def test_what_an_answer_would_do_is_shown_before_it_is_given(
    browser: Browser, owner: User, action: str, told: str
) -> None:
    broker, file = disputed(owner)
    stage(broker, rows=[trade("03-04", "1", "100")], coverage=[covers("transactions", "03-01", "03-31")])
    stage(file, rows=[trade("03-05", "7", "100")])
    reconcile(owner.pk)
    conflict = Conflict.objects.get(kind="only_in_one_source")
    decided = Decision.objects.count()
    html = html_of(browser(owner), f"{PAGE}{conflict.pk}/preview/?{action}=1&list=found&run=x")
    assert told in html
    assert f'<input type="hidden" name="{action}" value="1">' in html
    assert 'hx-target="#found"' in html
    assert Decision.objects.count() == decided


def test_what_was_said_before_stays_with_the_difference(browser: Browser, owner: User) -> None:
    _, file = disputed(owner)
    conflict = Conflict.objects.get(kind="quantity")
    client = browser(owner)
    client.post(f"{PAGE}{conflict.pk}/resolve/", {"choose": str(file.pk), "remember": "1"})
    decision = Decision.objects.get(kind="choose")
    assert "What you said before" not in html_of(client)
    client.post(f"{PAGE}decisions/{decision.pk}/revoke/")
    assert f"Believe {file.name} about" in html_of(client).split("What you said before")[1].split("</details>")[0]
    html = html_of(client, f"{PAGE}decisions/")
    assert f"Believe {file.name} about" in html.split("Taken back")[1]
    assert f"Believe {file.name} about" not in html.split("Taken back")[0]


def test_rows_of_a_name_can_be_left_out_and_taken_back(browser: Browser, owner: User) -> None:
    source = make_source(owner, "csv")
    stage(source, rows=[trade("01-04", "1", "100")])
    reconcile(owner.pk)
    link = source.account_links.get()
    client = browser(owner)
    assert "1 row goes" in html_of(client, f"{PAGE}links/{link.pk}/preview/?account=ignored&list=accounts")
    answer = client.post(f"{PAGE}links/{link.pk}/", {"account": "ignored", "list": "accounts"})
    assert answer["Location"] == f"{PAGE}accounts/"
    assert owner.transactions.count() == 0
    assert '<option value="ignored" selected>' in html_of(client, f"{PAGE}accounts/")
    client.post(f"{PAGE}decisions/{Decision.objects.get().pk}/revoke/")
    assert owner.transactions.count() == 1


def test_instrument_is_renamed_joined_and_parted(browser: Browser, owner: User, stranger: User) -> None:
    broker, file = make_source(owner, "ibkr_flex"), make_source(owner, "csv")
    named = partial(InstrumentRef, kind="equity", currency="USD")
    stage(broker, rows=[trade("01-04", "1", "100", of=named(symbol="AAA"))])
    stage(file, rows=[trade("01-05", "2", "100", of=named(symbol="BBB"))])
    reconcile(owner.pk)
    first, second = owner.instruments.get(symbol="AAA"), owner.instruments.get(symbol="BBB")
    client, tab = browser(owner), f"{PAGE}instruments/"
    client.post(f"{tab}{first.pk}/", {"symbol": "AAX", "name": " Triple  A ", "kind": "equity", "list": "instruments"})
    first.refresh_from_db()
    assert (first.symbol, first.name) == ("AAX", "Triple A")
    assert "Symbol “AAX”" in html_of(client, tab)
    assert "What would change" in html_of(client, f"{tab}{second.pk}/merge/preview/?into={first.pk}&list=instruments")
    client.post(f"{tab}{second.pk}/merge/", {"into": str(first.pk)})
    assert owner.transactions.filter(instrument=first).count() == 2
    naming = next(link for link in first.links.all() if link.source_id == file.pk)
    client.post(f"{tab}{first.pk}/split/", {"naming": f"{file.pk}:{naming.key}"})
    assert owner.transactions.filter(instrument=first).count() == 1
    assert browser(stranger).post(f"{tab}{first.pk}/", {"symbol": "MINE"}).status_code == 404
    assert client.get(f"{tab}{first.pk}/merge/preview/?into={first.pk}").status_code == 422

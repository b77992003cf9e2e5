"""Choosing a file, seeing what it holds, following its import and taking it back, in a browser."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Tier, User
from ingestion.models import ImportRun, JobStatus, Source, Withdrawal
from ingestion.tests.factories import csv, finished, imported

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
GOOD = csv("A1,2024-01-02,buy,ACME,3,10.5,USD", "A1,2024-01-03,buy,ACME,2,11,USD")
BAD = csv("A1,2024-01-02,buy,ACME,1O,10.5,USD")
OWN = b"Datum;Soort;Aantal;Koers\n03/04/2024;Koop;3;10,5\n"


def file(content: bytes, name: str = "my file.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="text/csv")


def preview(client: Client, content: bytes, **form: Any) -> str:
    answer = client.post("/import/preview/", {"file": file(content), **form})
    assert answer.status_code == 200
    return answer.content.decode()


def test_preview_shows_the_first_rows_and_stores_nothing(browser: Browser, owner: User) -> None:
    html = preview(browser(owner), GOOD)
    assert "2 new" in html
    assert '<td class="nowrap">ACME</td>' in html
    assert ImportRun.objects.count() == 0


def test_preview_names_each_bad_row(browser: Browser, owner: User) -> None:
    html = preview(browser(owner), BAD)
    assert "1 row cannot be taken" in html
    assert "it would be refused whole" in html
    assert "1O" in html


def test_preview_asks_what_the_file_does_not_say(browser: Browser, owner: User) -> None:
    html = preview(browser(owner), OWN)
    assert "Say which column is which" in html
    assert '<option value="quantity" selected>Quantity</option>' in html
    assert '<input type="hidden" name="columns" value="Aantal">' in html


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"\xff\xfe", b"<a", b"{}", b"\n\n\n"])
def test_preview_of_what_is_no_statement_says_so(browser: Browser, owner: User, content: bytes) -> None:
    html = preview(browser(owner), content)
    assert "cannot be read" in html or "Say which column" in html


def test_import_opens_a_run_and_shows_it(browser: Browser, owner: User) -> None:
    client = browser(owner)
    answer = client.post("/import/", {"file": file(GOOD)})
    run = ImportRun.objects.get()
    assert (run.user, run.filename, run.status) == (owner, "my file.csv", JobStatus.QUEUED)
    assert answer["Location"] == f"/import/{run.pk}/"
    html = client.get(f"/import/{run.pk}/").content.decode()
    assert "It waits for a worker." in html
    assert 'hx-trigger="every 2s, job:ended from:body"' in html
    assert "my file.csv" in client.get("/import/jobs/").content.decode()


def test_own_page_of_a_run_needs_no_card_beside_it(browser: Browser, owner: User) -> None:
    client = browser(owner)
    client.post("/import/", {"file": file(GOOD)})
    address = f"http://testserver/import/{ImportRun.objects.get().pk}/"
    assert client.get("/import/jobs/", headers={"HX-Current-URL": address}).content.decode().strip() == ""


def test_answers_of_the_form_reach_the_run(browser: Browser, owner: User) -> None:
    form = {"columns": ["Datum", "Soort", "Aantal", "Koers"], "column:0": "trade_date", "column:1": "kind"}
    form |= {"column:2": "quantity", "column:3": "no such field", "date_order": "dmy", "constant_currency": "EUR"}
    browser(owner).post("/import/", {"file": file(OWN), **form})
    assert ImportRun.objects.get().options == {
        "mapping": {"Datum": "trade_date", "Soort": "kind", "Aantal": "quantity"},
        "constants": {"currency": "EUR"},
        "date_order": "dmy",
    }


def test_run_that_asks_is_answered_on_its_page(browser: Browser, owner: User) -> None:
    run = imported(owner, OWN)
    assert run.status == JobStatus.NEEDS_MAPPING
    client = browser(owner)
    html = client.get(f"/import/{run.pk}/").content.decode()
    assert "Say which column is which" in html
    client.post(f"/import/{run.pk}/", {"column:0": "trade_date", "column:1": "kind", "constant_currency": "EUR"})
    run.refresh_from_db()
    assert run.status == JobStatus.QUEUED
    assert run.options["mapping"] == {"Datum": "trade_date", "Soort": "kind"}


def test_result_lists_every_rejected_row_with_its_reason(browser: Browser, owner: User) -> None:
    run = finished(owner, BAD)
    html = browser(owner).get(f"/import/{run.pk}/").content.decode()
    assert run.status == JobStatus.FAILED
    assert "Rows that cannot be taken" in html
    assert "A1,2024-01-02,buy,ACME,1O,10.5,USD" in html
    assert "Undo this import" not in html


def test_undo_takes_the_import_back_once(browser: Browser, owner: User) -> None:
    run = finished(owner, GOOD)
    client = browser(owner)
    assert "Undo this import" in client.get(f"/import/{run.pk}/").content.decode()
    client.post(f"/import/{run.pk}/undo/")
    assert Withdrawal.objects.count() == 1
    html = client.get(f"/import/{run.pk}/").content.decode()
    assert "This import was undone." in html
    assert "The import was undone. Your figures follow in a moment." in html
    assert client.post(f"/import/{run.pk}/undo/").status_code == 409
    assert Withdrawal.objects.count() == 1


def test_stranger_finds_no_run(browser: Browser, owner: User, stranger: User) -> None:
    run = finished(owner, GOOD)
    client = browser(stranger)
    for method, address in (("get", ""), ("post", ""), ("post", "undo/")):
        assert getattr(client, method)(f"/import/{run.pk}/{address}").status_code == 404
    assert client.post("/import/", {"file": file(GOOD), "source": str(run.source_id)}).status_code == 404
    assert ImportRun.objects.count() == 1
    assert Withdrawal.objects.count() == 0


def test_navigator_sees_imports_and_makes_none(browser: Browser, make_user: Callable[..., User]) -> None:
    user = make_user(tier=Tier.NAVIGATOR)
    client = browser(user)
    assert "Importing needs the operator tier" in client.get("/import/").content.decode()
    assert client.post("/import/", {"file": file(GOOD)}).status_code == 403
    assert ImportRun.objects.count() == 0


@pytest.mark.parametrize(
    "form", [{"account": "x"}, {"source": "x"}, {"account": "01890000-0000-7000-8000-000000000001"}, {}]
)
def test_form_that_names_what_is_not_there_is_refused(browser: Browser, owner: User, form: dict[str, str]) -> None:
    upload = {"file": file(GOOD)} if form else {}
    assert browser(owner).post("/import/", {**upload, **form}).status_code in (404, 422)
    assert ImportRun.objects.count() == 0


def test_file_of_somebody_new_makes_a_source_of_its_own(browser: Browser, owner: User) -> None:
    client = browser(owner)
    client.post("/import/", {"file": file(GOOD)})
    form = {"source": "new", "source_name": " My  own list "}
    answer = client.post("/import/preview/", form | {"file": file(GOOD)})
    assert "It goes to “My  own list”" in answer.content.decode()
    answer = client.post("/import/", form | {"file": file(GOOD)})
    assert answer.status_code == 302
    newest = ImportRun.objects.latest("created_at")
    assert newest.source is not None
    assert (newest.source.name, newest.source.kind, newest.source.is_default) == ("My own list", "csv", False)


@pytest.mark.parametrize(
    ("name", "told"), [("", "Give the new source a name"), ("my OWN list", "You have a source called")]
)
def test_new_source_needs_a_name_of_its_own(browser: Browser, owner: User, name: str, told: str) -> None:
    client = browser(owner)
    client.post("/import/", {"source": "new", "source_name": "My own list", "file": file(GOOD)})
    answer = client.post("/import/", {"source": "new", "source_name": name, "file": file(GOOD)})
    assert told in answer.content.decode()
    assert (Source.objects.count(), ImportRun.objects.count()) == (1, 1)

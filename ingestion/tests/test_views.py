import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from accounts.models import Tier, User
from ingestion import accounts, services, tasks
from ingestion.models import ImportProfile, ImportRun, Source, SourceSetting, StagedTransaction
from ingestion.tests.factories import HEADER, buys, csv, finished
from stackmotive.common import sealing

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
IMPORTS = "/api/ingestion/imports/"
SOURCES = "/api/ingestion/sources/"
TWO = csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-03,sell,ACME,4,6,USD")
ONE_BAD = csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-13-03,buy,ACME,4,6,USD")


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "wake", lambda run_id: None)


def post(client: APIClient, content: bytes, address: str = IMPORTS, name: str = "file.csv", **said: Any) -> Any:
    return client.post(address, {"file": SimpleUploadedFile(name, content), **said}, format="multipart")


def test_upload_is_accepted_and_its_run_can_be_watched(api: Api, owner: User) -> None:
    client = api(owner)
    answer = post(client, TWO)
    assert answer.status_code == 202
    body = answer.json()
    assert answer["Location"].endswith(f"{IMPORTS}{body['id']}/")
    assert (body["status"], body["progress"], body["digest"]) == ("queued", {"stage": "", "done": 0, "total": 0}, None)
    assert body["counts"] == {"rows": 0, "staged": 0, "unchanged": 0, "rejected": 0, "ignored": 0}
    assert body["problems_url"].endswith(f"{IMPORTS}{body['id']}/rows/?status=rejected")
    services.run_import(run_id=body["id"])
    services.finish_runs(user_id=owner.pk, fact_number=10**6, ledger_version=7)
    seen = client.get(answer["Location"]).json()
    assert (seen["status"], seen["ledger_version"], seen["source_name"]) == ("done", 7, "Generic CSV files")
    assert seen["counts"] == {"rows": 2, "staged": 2, "unchanged": 0, "rejected": 0, "ignored": 0}
    assert len(seen["digest"]) == 64
    assert [row["id"] for row in client.get(IMPORTS).json()["results"]] == [body["id"]]


def test_equal_open_uploads_are_one_run(api: Api, owner: User) -> None:
    client = api(owner)
    assert post(client, TWO).json()["id"] == post(client, TWO).json()["id"]
    assert post(client, TWO).json()["id"] != post(client, TWO, on_error="skip").json()["id"]


def test_idempotency_key_answers_the_first_run(api: Api, owner: User) -> None:
    client = api(owner)
    first = client.post(
        IMPORTS, {"file": SimpleUploadedFile("f.csv", TWO)}, format="multipart", HTTP_IDEMPOTENCY_KEY="k1"
    )
    services.run_import(run_id=first.json()["id"])
    again = client.post(
        IMPORTS, {"file": SimpleUploadedFile("f.csv", TWO)}, format="multipart", HTTP_IDEMPOTENCY_KEY="k1"
    )
    other = client.post(
        IMPORTS, {"file": SimpleUploadedFile("f.csv", buys(1))}, format="multipart", HTTP_IDEMPOTENCY_KEY="k1"
    )
    assert again.json()["id"] == first.json()["id"]
    assert other.status_code == 422
    assert ImportRun.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"on_error": "maybe"}, "#/on_error"),
        ({"encoding": "utf-7"}, "#/encoding"),
        ({"as_of": "2024-02-30"}, "#/as_of"),
        ({"as_of": "٢٠٢٤-01-01"}, "#/as_of"),
        ({"mapping": "[1]"}, "#/mapping"),
        ({"mapping": '{"a": 1}'}, "#/mapping"),
        ({"mapping": "[" * 5000}, "#/mapping"),
        ({"source": "nonsense"}, "#/source"),
        ({"profile": "00000000-0000-0000-0000-000000000000"}, "#/profile"),
        ({"account": "x"}, "#/account"),
    ],
)
def test_bad_options_are_refused_by_name(api: Api, owner: User, said: dict[str, str], pointer: str) -> None:
    answer = post(api(owner), TWO, **said)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert not ImportRun.objects.exists()


@pytest.mark.parametrize(
    "said", [{"mapping": '{"a": "\\u0000"}'}, {"mapping": '{"a": "\\ud800"}'}, {"encoding": "utf-8\0"}]
)
def test_text_that_no_store_holds_is_refused(api: Api, owner: User, said: dict[str, str]) -> None:
    assert post(api(owner), TWO, **said).status_code == 400
    assert not ImportRun.objects.exists()


def test_foreign_account_is_refused(api: Api, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    account = "01890000-0000-7000-8000-000000000000"
    monkeypatch.setattr(accounts, "_check", lambda *, user_id, account_id: False)
    assert post(api(owner), TWO, account=account).status_code == 422
    monkeypatch.setattr(accounts, "_check", lambda *, user_id, account_id: user_id == owner.pk)
    assert post(api(owner), TWO, account=account).status_code == 202


@pytest.mark.parametrize("content", [b"", None])
def test_missing_or_empty_file_is_refused(api: Api, owner: User, content: bytes | None) -> None:
    said = {} if content is None else {"file": SimpleUploadedFile("f.csv", content)}
    answer = api(owner).post(IMPORTS, said, format="multipart")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "#/file"


def test_json_instead_of_a_file_is_refused(api: Api, owner: User) -> None:
    assert api(owner).post(IMPORTS, {"file": "text"}, format="json").status_code == 400


def test_file_over_the_cap_is_413_and_stops_being_read(api: Api, owner: User) -> None:
    answer = post(api(owner), HEADER.encode() + b"\n" + b"x" * (21 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer["Content-Type"] == "application/problem+json"
    assert not ImportRun.objects.exists()


class Endless(io.RawIOBase):
    """A multipart body that never ends; counts what was read of it."""

    def __init__(self) -> None:
        self.given = 0
        self.head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'

    def read(self, size: int = -1) -> bytes:
        size = 65536 if size < 0 else size
        chunk, self.head = (self.head, b"") if self.head else (b"x" * size, b"")
        self.given += len(chunk)
        return chunk


def test_chunked_body_is_stopped_at_the_cap(owner: User, settings: Any) -> None:
    from django.test import RequestFactory
    from rest_framework.test import force_authenticate

    from ingestion.api.views import ImportRunViewSet

    settings.CSV_MAX_BYTES = 1024 * 1024
    body = Endless()
    request = RequestFactory().post(IMPORTS)
    length = str(100 * 1024 * 1024)  # what the server says of a body that it spooled
    request.META |= {"CONTENT_TYPE": "multipart/form-data; boundary=b", "CONTENT_LENGTH": length}
    request._stream = body  # type: ignore[assignment]
    force_authenticate(request, user=owner)
    response = ImportRunViewSet.as_view({"post": "create"})(request)
    assert response.status_code == 413
    assert body.given < 2 * 1024 * 1024


def test_rows_are_listed_by_what_became_of_them(api: Api, owner: User) -> None:
    run = finished(owner, ONE_BAD, on_error="skip")
    client = api(owner)
    rejected = client.get(f"{IMPORTS}{run.pk}/rows/?status=rejected").json()
    assert rejected["count"] == 1
    row = rejected["results"][0]
    assert (row["line"], row["status"], row["raw"], row["count"]) == (
        3,
        "rejected",
        "A1,2024-13-03,buy,ACME,4,6,USD",
        1,
    )
    assert row["code"]
    assert row["detail"]
    assert client.get(f"{IMPORTS}{run.pk}/rows/?status=ignored").json()["results"] == []
    staged = client.get(f"{IMPORTS}{run.pk}/rows/?status=staged").json()
    assert staged["results"] == [
        {
            "line": 2,
            "status": "staged",
            "section": "transactions",
            "account": "A1",
            "kind": "buy",
            "day": "2024-01-02",
            "symbol": "ACME",
            "isin": None,
            "quantity": "10",
            "price": "5",
            "amount": staged["results"][0]["amount"],
            "currency": "USD",
        }
    ]
    assert client.get(f"{IMPORTS}{run.pk}/rows/?status=odd").status_code == 400


@pytest.mark.parametrize("path", ["", "rows/?status=staged", "rows/"])
def test_reading_costs_as_many_queries_for_many_rows(
    api: Api, owner: User, path: str, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = api(owner)
    finished(owner, buys(1))
    few = finished(owner, buys(1, first=50))
    with CaptureQueriesContext(
        connection,
    ) as once:
        client.get(f"{IMPORTS}{few.pk}/{path}" if path else IMPORTS)
    for n in range(5):
        finished(owner, buys(2, first=100 * n))
    many = finished(owner, buys(30, first=1000))
    with django_assert_num_queries(len(once)):
        assert client.get(f"{IMPORTS}{many.pk}/{path}" if path else IMPORTS).status_code == 200


def test_undo_and_upload_again(api: Api, owner: User) -> None:
    client = api(owner)
    run = finished(owner, TWO)
    answer = client.post(f"{IMPORTS}{run.pk}/undo/")
    assert (answer.status_code, answer.json()["is_undoable"]) == (200, False)
    assert client.post(f"{IMPORTS}{run.pk}/undo/").status_code == 409
    again = finished(owner, TWO)
    assert (again.status, again.staged, again.unchanged) == ("done", 2, 0)
    assert StagedTransaction.objects.count() == 2


def test_undo_of_a_failed_import_is_409(api: Api, owner: User) -> None:
    run = finished(owner, ONE_BAD)
    assert api(owner).post(f"{IMPORTS}{run.pk}/undo/").status_code == 409


def test_preview_reads_and_stores_nothing(api: Api, owner: User) -> None:
    answer = post(api(owner), ONE_BAD, IMPORTS + "preview/")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["layout"], body["source_name"], body["on_error"]) == (
        "generic_transactions",
        "Generic CSV files",
        "refuse",
    )
    assert body["counts"] == {"rows": 2, "staged": 1, "unchanged": 0, "rejected": 1, "ignored": 0}
    assert [problem["line"] for problem in body["problems"]] == [3]
    assert (body["rows"][0]["symbol"], body["rows"][0]["quantity"]) == ("ACME", "10")
    assert body["columns"][1] == {
        "column": "trade_date",
        "example": "2024-01-02",
        "field": "trade_date",
        "confidence": 1.0,
    }
    assert not ImportRun.objects.exists()
    assert not Source.objects.exists()


def test_preview_of_an_unreadable_file_says_why(api: Api, owner: User) -> None:
    answer = post(api(owner), b"PK\x03\x04zip", IMPORTS + "preview/")
    assert (answer.status_code, answer.json()["type"], answer.json()["reason"]) == (
        422,
        "/problems/file_refused",
        "not_text",
    )


def test_preview_asks_what_the_file_does_not_say(api: Api, owner: User) -> None:
    answer = post(api(owner), b"Datum;Typ;Stk;Whg\n01.02.2024;Kauf;3;EUR\n", IMPORTS + "preview/")
    assert answer.status_code == 200
    assert [question["code"] for question in answer.json()["questions"]] == ["columns"]


def test_run_that_asks_goes_on_with_the_answer(api: Api, owner: User) -> None:
    client = api(owner)
    content = csv("2024-01-05,purchase,ACME,10,5,EUR", header="Day,What,Thing,Pieces,Each,Money")
    run_id = post(client, content).json()["id"]
    services.run_import(run_id=run_id)
    asked = client.get(f"{IMPORTS}{run_id}/").json()
    assert (asked["status"], asked["questions"]["questions"][0]["code"]) == ("needs_mapping", "columns")
    mapping = {
        "Day": "trade_date",
        "What": "kind",
        "Thing": "symbol",
        "Pieces": "quantity",
        "Each": "price",
        "Money": "currency",
    }
    answer = client.post(
        f"{IMPORTS}{run_id}/mapping/", {"mapping": mapping, "words": {"purchase": "buy"}}, format="json"
    )
    assert answer.status_code == 202
    services.run_import(run_id=run_id)
    assert client.get(f"{IMPORTS}{run_id}/").json()["counts"]["staged"] == 1
    kept = client.get("/api/ingestion/profiles/").json()["results"]
    assert kept[0]["options"]["words"] == {"purchase": "buy"}
    assert client.post(f"{IMPORTS}{run_id}/mapping/", {"mapping": mapping}, format="json").status_code == 409


def test_mapping_in_the_form_is_json(api: Api, owner: User) -> None:
    client = api(owner)
    content = csv("2024-01-05,buy,ACME,10,5,EUR", header="Day,What,Thing,Pieces,Each,Money")
    mapping = {
        "Day": "trade_date",
        "What": "kind",
        "Thing": "symbol",
        "Pieces": "quantity",
        "Each": "price",
        "Money": "currency",
    }
    run_id = post(client, content, mapping=json.dumps(mapping)).json()["id"]
    services.run_import(run_id=run_id)
    assert client.get(f"{IMPORTS}{run_id}/").json()["counts"]["staged"] == 1


# --- sources ---


def test_source_keeps_its_credentials_sealed(api: Api, owner: User) -> None:
    client = api(owner)
    answer = client.post(
        SOURCES, {"kind": "kucoin", "name": "Coins", "credentials": {"key": "k-marked", "secret": "s-marked"}}
    )
    assert answer.status_code == 201
    body = answer.json()
    assert (body["has_credentials"], body["health"], body["priority"], body["enabled"]) == (
        True,
        "unverified",
        20,
        True,
    )
    source = Source.objects.get()
    assert source.credentials is not None
    assert json.loads(sealing.unseal(bytes(source.credentials), context=f"source:{owner.pk}:{source.pk}")) == {
        "key": "k-marked", "secret": "s-marked",
    }  # fmt: skip
    seen = b"".join(client.get(address).content for address in (SOURCES, f"{SOURCES}{source.pk}/")) + answer.content
    assert b"marked" not in seen
    assert b"marked" not in bytes(source.credentials)


def test_priority_and_enabled_are_facts(api: Api, owner: User) -> None:
    client = api(owner)
    source_id = client.post(SOURCES, {"kind": "csv", "name": "Bank"}).json()["id"]
    number = User.objects.get(pk=owner.pk).fact_number
    assert client.patch(f"{SOURCES}{source_id}/", {"priority": 5, "name": "My bank"}).json()["priority"] == 5
    assert client.patch(f"{SOURCES}{source_id}/", {"name": "Bank"}).status_code == 200
    facts = SourceSetting.objects.filter(source=source_id, number__gt=number).values_list("key", "value", "number")
    assert list(facts) == [("priority", 5, number + 1)]
    assert User.objects.get(pk=owner.pk).fact_number == number + 1


def test_deleting_a_source_retires_it(api: Api, owner: User) -> None:
    client = api(owner)
    run = finished(owner, TWO)
    assert client.delete(f"{SOURCES}{run.source_id}/").status_code == 204
    assert client.get(f"{SOURCES}{run.source_id}/").status_code == 404
    assert StagedTransaction.objects.count() == 2
    assert finished(owner, buys(1)).source_id == run.source_id
    assert client.get(f"{SOURCES}{run.source_id}/").json()["enabled"] is True
    assert client.delete(f"{SOURCES}{run.source_id}/?keep=false").status_code == 204
    assert Source.objects.get().enabled is False


def test_sources_over_quota_are_refused(api: Api, make_user: Any, settings: Any) -> None:
    settings.TIER_SOURCES = settings.TIER_SOURCES | {"operator": 1}
    user = make_user(tier=Tier.OPERATOR)
    client = api(user)
    assert client.post(SOURCES, {"kind": "csv", "name": "One"}).status_code == 201
    refused = client.post(SOURCES, {"kind": "csv", "name": "Two"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/quota_exceeded")
    run = finished(user, TWO)
    assert (run.status, run.error["code"] if run.error else "") == ("failed", "quota_exceeded")
    assert Source.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "bank", "name": "x"},
        {"kind": "csv"},
        {"kind": "csv", "name": "a\0b"},
        {"kind": "csv", "name": "x", "priority": 1e400},
        {"kind": "csv", "name": "x", "priority": -1},
        {"kind": "csv", "name": "x", "settings": {"a": {"b": 1}}},
        {"kind": "csv", "name": "x", "credentials": "secret"},
        {"kind": "csv", "name": "x" * 101},
        {"kind": "csv", "name": "x", "schedule": "every full moon"},
    ],
)
def test_bad_source_is_refused(api: Api, owner: User, body: dict[str, Any]) -> None:
    text = json.dumps(body).replace("Infinity", "1e400")
    assert api(owner).post(SOURCES, text, content_type="application/json").status_code == 400
    assert not Source.objects.exists()


def test_manual_source_is_not_made_or_retired_by_hand(api: Api, owner: User) -> None:
    client = api(owner)
    assert client.post(SOURCES, {"kind": "manual", "name": "Hand"}).status_code == 409


# --- who may ---


def test_strangers_see_nothing(api: Api, owner: User, stranger: User) -> None:
    run = finished(owner, TWO)
    profile = ImportProfile.objects.create(user=owner, name="p", header_digest="0" * 64, options={})
    client = api(stranger)
    for path in ("", "rows/"):
        assert client.get(f"{IMPORTS}{run.pk}/{path}").status_code == 404
    for path in ("undo/", "mapping/"):
        assert client.post(f"{IMPORTS}{run.pk}/{path}", {}).status_code == 404
    assert client.get(f"{SOURCES}{run.source_id}/").status_code == 404
    assert client.patch(f"{SOURCES}{run.source_id}/", {"priority": 1}).status_code == 404
    assert client.delete(f"{SOURCES}{run.source_id}/").status_code == 404
    assert client.delete(f"/api/ingestion/profiles/{profile.pk}/").status_code == 404
    assert post(client, TWO, source=str(run.source_id)).status_code == 400
    assert post(client, TWO, profile=str(profile.pk)).status_code == 400
    assert client.get(IMPORTS).json()["results"] == []
    assert client.get(f"{IMPORTS}not-an-id/").status_code == 404
    run.refresh_from_db()
    assert run.undone_at is None


def test_tiers(api: Api, make_user: Any) -> None:
    observer, navigator = api(make_user(tier=Tier.OBSERVER)), api(make_user(tier=Tier.NAVIGATOR))
    assert observer.get(IMPORTS).status_code == 403
    assert navigator.get(IMPORTS).status_code == 200
    assert post(navigator, TWO).status_code == 403
    assert navigator.post(SOURCES, {"kind": "csv", "name": "x"}).status_code == 403
    assert api().get(SOURCES).status_code == 401
    assert not ImportRun.objects.exists()


def test_imports_and_previews_are_counted_apart(api: Api, owner: User, settings: Any) -> None:
    settings.COSTLY_REQUESTS_PER_MINUTE = 2
    client = api(owner)
    assert [post(client, TWO).status_code for _ in range(3)] == [202, 202, 429]
    assert post(client, TWO, IMPORTS + "preview/").status_code == 200


def test_profiles_can_be_made_changed_and_deleted(api: Api, owner: User) -> None:
    client = api(owner)
    body = {"name": "Bank", "columns": ["B", "A"], "options": {"mapping": {"A": "kind"}}}
    made = client.post("/api/ingestion/profiles/", body)
    assert made.status_code == 201
    assert client.post("/api/ingestion/profiles/", body | {"columns": ["a", "b"]}).status_code == 409
    address = f"/api/ingestion/profiles/{made.json()['id']}/"
    assert client.patch(address, {"name": "My bank"}).json()["name"] == "My bank"
    assert client.get(address).json()["options"] == {"mapping": {"A": "kind"}}
    assert client.delete(address).status_code == 204
    assert not ImportProfile.objects.exists()

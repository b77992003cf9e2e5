"""`Idempotency-Key`, on a view of the tests' own that writes one row per call."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import ANY_TIER
from accounts.authentication import caller
from accounts.idempotency import idempotent
from accounts.models import FactVersion, IdempotencyRecord, User
from stackmotive.common.problems import Conflict
from stackmotive.common.views import ApiView
from stackmotive.urls import urlpatterns as real_urls

ENTERED, MAY_LEAVE = threading.Event(), threading.Event()


class MakeView(ApiView):
    """Writes a row; fails, dies or waits where the body says so."""

    tiers = ANY_TIER

    @idempotent
    def post(self, request: Request) -> HttpResponseBase:
        user, asked = caller(request), dict(request.data)
        number = FactVersion.objects.filter(user=user).count() + 1
        FactVersion.objects.create(user=user, number=number, cause="test")
        if asked.get("fail"):
            raise Conflict("No.")
        if asked.get("die"):
            raise SystemExit
        if asked.get("wait"):
            ENTERED.set()
            assert MAY_LEAVE.wait(10)
        return Response({"number": number}, status=201, headers={"Location": f"/made/{number}/"})


urlpatterns = [path("api/make/", MakeView.as_view()), path("api/make-other/", MakeView.as_view()), *real_urls]
pytestmark = [pytest.mark.urls("stackmotive.tests.test_idempotency")]


def post(client: Any, body: Any, key: str | None = "key-1", where: str = "/api/make/", **named: Any) -> Any:
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return client.post(where, body, **headers, **named)


def made() -> int:
    return FactVersion.objects.count()


def test_a_repeat_gets_the_first_answer_and_does_nothing(owner: User, api: Any) -> None:
    client = api(owner)
    first, again = post(client, {"b": 1, "a": 2}), post(client, {"a": 2, "b": 1})
    assert (first.status_code, again.status_code, made()) == (201, 201, 1)
    assert again.content == first.content == b'{"number":1}'
    assert again["Location"] == first["Location"] == "/made/1/"
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first


def test_another_body_under_the_same_key_is_refused(owner: User, api: Any) -> None:
    client = api(owner)
    post(client, {"a": 1})
    answer = post(client, {"a": "1.0"})
    assert (answer.status_code, answer.json()["type"], made()) == (422, "/problems/idempotency_key_reused", 1)


def test_keys_belong_to_a_user_and_an_endpoint(owner: User, stranger: User, api: Any) -> None:
    assert post(api(owner), {}).json() == {"number": 1}
    assert post(api(stranger), {}).json() == {"number": 1}
    assert post(api(owner), {}, where="/api/make-other/").json() == {"number": 2}
    assert post(api(owner), {}, key="key-2").json() == {"number": 3}
    assert [post(api(owner), {}, key=None).json()["number"] for _ in range(2)] == [4, 5]


def test_a_refused_request_leaves_nothing_and_may_be_corrected(owner: User, api: Any) -> None:
    client = api(owner)
    assert (post(client, {"fail": True}).status_code, made()) == (409, 0)
    assert (post(client, {"fail": False}).status_code, made()) == (201, 1)


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_blocks_nobody(owner: User, api: Any) -> None:
    client = api(owner)
    with pytest.raises(SystemExit):
        post(client, {"die": True})
    assert made() == 0
    assert (post(client, {}).status_code, made()) == (201, 1)


@pytest.mark.django_db(transaction=True)
def test_while_the_first_runs_the_second_is_told_to_wait(owner: User, api: Any) -> None:
    client = api(owner)
    ENTERED.clear()
    MAY_LEAVE.clear()

    def slow() -> int:
        try:
            return int(post(client, {"wait": True}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow)
        assert ENTERED.wait(10)
        second = post(client, {"wait": True})
        MAY_LEAVE.set()
        assert running.result() == 201
    assert (second.status_code, second.json()["type"]) == (409, "/problems/still_running")
    assert (post(client, {"wait": True}).json(), made()) == ({"number": 1}, 1)


def test_after_a_day_a_key_is_new(owner: User, api: Any) -> None:
    client = api(owner)
    post(client, {})
    IdempotencyRecord.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert post(client, {"other": 1}).json() == {"number": 2}


def test_files_are_compared_by_content(owner: User, api: Any) -> None:
    client = api(owner)

    def send(content: bytes) -> Any:
        return post(client, {"file": SimpleUploadedFile("a.csv", content), "note": "n"}, format="multipart")

    assert [send(b"1").status_code, send(b"1").status_code, send(b"2").status_code] == [201, 201, 422]
    assert made() == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 201, "tab\t"])
def test_odd_keys_are_refused(owner: User, api: Any, key: str) -> None:
    answer = post(api(owner), {}, key=key)
    assert (answer.status_code, made()) == (400, 0)

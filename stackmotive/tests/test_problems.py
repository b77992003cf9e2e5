"""Errors and bad input: problem documents, never a 5xx from what a client sends."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.test import RequestFactory
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError

from accounts.models import User
from stackmotive.common import problems
from stackmotive.common.fields import DayField, InstantField, NumberField
from stackmotive.common.parsing import parse_json
from stackmotive.common.problems import Conflict, FieldError, from_exception, respond
from stackmotive.common.rendering import to_json

TOKEN = "/api/auth/token/"


class Busy(Conflict):
    code, title = "busy", "It runs already"


def test_a_problem_has_the_members_of_rfc_9457_and_its_own() -> None:
    request = RequestFactory().get("/api/x/?secret=1")
    request.request_id = "abc"  # type: ignore[attr-defined]
    answer = respond(request, Busy("Wait.", errors=[FieldError("#/source", "Runs.", "busy")], source="7"))
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert json.loads(answer.content) == {
        "type": "/problems/busy", "title": "It runs already", "status": 409, "detail": "Wait.", "instance": "/api/x/",
        "errors": [{"pointer": "#/source", "detail": "Runs.", "code": "busy"}], "request_id": "abc", "source": "7",
    }  # fmt: skip


def test_nested_validation_errors_become_pointers() -> None:
    class Leg(serializers.Serializer[Any]):
        price = serializers.IntegerField()

    class Trade(serializers.Serializer[Any]):
        legs = Leg(many=True)
        name = serializers.CharField()

    asked = Trade(data={"legs": [{"price": 1}, {"price": "x"}]})
    assert not asked.is_valid()
    problem = from_exception(ValidationError(asked.errors))
    assert problem is not None
    assert [(error.pointer, error.code) for error in problem.errors] == [
        ("#/legs/1/price", "invalid"),
        ("#/name", "required"),
    ]
    assert problem.detail == "2 values need a correction; each is named in errors."


@pytest.mark.parametrize(
    ("details", "pointers"),
    [
        (["bad"], ["#"]),
        ({"non_field_errors": ["bad"]}, ["#"]),
        ({"a/b~c": ["x", "y"]}, ["#/a~1b~0c"] * 2),
        ({"message": ["m"], "code": ["c"]}, ["#/message", "#/code"]),
        ({"a": {"b": [ErrorDetail("x", "k")]}}, ["#/a/b"]),
    ],
)
def test_pointers_of_other_shapes(details: Any, pointers: list[str]) -> None:
    problem = from_exception(ValidationError(details))
    assert problem is not None
    assert [error.pointer for error in problem.errors] == pointers


@pytest.mark.parametrize(
    ("exc", "status"),
    [(DataError("secret SQL"), 400), (OperationalError("secret host"), 503), (ValueError("bug"), None)],
)
def test_what_the_database_says_stays_inside(exc: Exception, status: int | None) -> None:
    problem = from_exception(exc)
    assert (problem and problem.status) == status
    assert problem is None or "secret" not in problem.detail


BODIES: list[tuple[bytes, int]] = [
    (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b'"text"', 400), (b"NaN", 400), (b'{"email": NaN}', 400),
    (b'{"email": Infinity}', 400), (b'{"email": 1e400}', 400), (b'{"email": 1e99999999999999999999}', 400),
    (b'{"email": ' + b"9" * 5000 + b"}", 400), (b'{"email": "a\\u0000b", "password": "x"}', 400),
    (b'{"email": "\\ud800", "password": "x"}', 400), (b'{"\\u0000": 1}', 400), (b"\xff\xfe", 400), (b"\x00", 400),
    (b"[" * 100_000, 400), (b"[" * 33 + b"]" * 33, 400), (b'{"email": "a", "email": "b"}', 400),
    (b'{"email": ["a"], "password": {"b": 1}}', 400), (b'{"email": true, "password": true}', 400),
    (b'{"email": "' + b"x" * 2_700_000 + b'"}', 413),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_odd_bodies_are_problems(db: None, api: Any, number: int) -> None:
    body, status = BODIES[number]
    answer = api().generic("POST", TOKEN, body, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["request_id"] == answer["X-Request-ID"]


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense", "application/json; charset=x"],
)
def test_other_kinds_of_body_are_415(db: None, api: Any, kind: str) -> None:
    answer = api().generic("POST", TOKEN, b"{}", content_type=kind)
    assert answer.status_code == (400 if kind.startswith("application/json") else 415)
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content",
    [
        b"no boundary at all",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data; name=email\r\n\r\na\0b\r\n--x--\r\n",
    ],
)
def test_odd_multipart_bodies_are_problems(db: None, api: Any, content: bytes) -> None:
    answer = api().generic("POST", TOKEN, content, content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "named", "status"),
    [
        ("put", "/api/me/", {}, 405),
        ("trace", "/api/me/", {}, 405),
        ("get", "/api/tiers/?x=%00", {}, 400),
        ("get", "/api/%00/", {}, 404),
        ("get", "/api/tiers/", {"HTTP_ACCEPT": "application/json; version=9"}, 406),
        ("get", "/api/tiers/", {"HTTP_ACCEPT": "text/html"}, 406),
        ("get", "/api/tiers/", {"HTTP_HOST": "evil.example"}, 400),
        ("get", "/api/me/sessions/?page=0", {}, 404),
        ("get", "/api/me/sessions/?page=" + "9" * 400, {}, 404),
        ("get", "/api/me/sessions/?page_size=x", {}, 400),
        ("get", "/api/me/sessions/?page_size=0", {}, 400),
        ("get", "/api/me/sessions/?page_size=%D9%A1", {}, 400),
        ("get", "/api/me/sessions/?ordering=user__password", {}, 400),
        ("get", "/api/me/sessions/%FF/", {}, 404),
        ("get", "/api/me/sessions/" + "9" * 300 + "/", {}, 404),
    ],
)
def test_odd_addresses_are_problems(owner: User, api: Any, method: str, path: str, named: Any, status: int) -> None:
    answer = getattr(api(owner), method)(path, **named)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")


def test_a_cookie_with_nul_is_refused(db: None, api: Any) -> None:
    answer = api().get("/api/me/", HTTP_COOKIE='sessionid="aaaaaaaaaaaa\\000"')
    assert answer.status_code == 400


def test_a_page_that_is_missing_is_a_page(db: None, browser: Any) -> None:
    answer = browser().get("/nowhere/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"Nothing is here" in answer.content


def test_a_bug_is_a_problem_without_its_cause(db: None, api: Any, monkeypatch: Any) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise ValueError("secret /path SELECT")

    monkeypatch.setattr("accounts.api.views.services.verified_user", bug)
    client = api()
    client.raise_request_exception = False
    answer = client.post(TOKEN, {"email": "a@example.org", "password": "x"})
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert b"secret" not in answer.content
    assert answer.json()["type"] == "/problems/server_error"


def test_a_sane_request_id_is_kept_and_another_replaced(db: None, api: Any) -> None:
    assert api().get("/api/tiers/", HTTP_X_REQUEST_ID="abc-12345678")["X-Request-ID"] == "abc-12345678"
    assert api().get("/api/tiers/", HTTP_X_REQUEST_ID='evil" id=x <b>')["X-Request-ID"] != 'evil" id=x <b>'


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/api/tiers/", "default-src 'none'; frame-ancestors 'none'"),
        ("/health/live/", "default-src 'none'; frame-ancestors 'none'"),
    ],
)
def test_machine_answers_carry_the_closed_policy(db: None, api: Any, path: str, policy: str) -> None:
    answer = api().get(path)
    assert (answer["Content-Security-Policy"], answer["X-Content-Type-Options"]) == (policy, "nosniff")


def test_the_docs_and_pages_allow_no_inline_script(db: None, browser: Any) -> None:
    for path in ("/api/docs/", "/login/"):
        policy = browser().get(path)["Content-Security-Policy"]
        assert "script-src 'self'" in policy or "default-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert "script-src 'self' 'unsafe-inline'" not in policy


# --- values in and out ------------------------------------------------------------------------------------------


def test_numbers_with_a_point_are_read_as_decimal() -> None:
    assert parse_json(b'{"a": 0.1, "b": 1e-7, "c": 12}') == {"a": Decimal("0.1"), "b": Decimal("1e-7"), "c": 12}


def test_the_deepest_body_that_is_read_has_32_levels() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    with pytest.raises(ParseError):
        parse_json(b"[" * 33 + b"]" * 33)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1200.50"), b'"1200.5"'),
        (Decimal("1E+3"), b'"1000"'),
        (Decimal("0E-18"), b'"0"'),
        (Decimal("-0.0"), b'"0"'),
        (Decimal("12345678901234567890.123456789012345678"), b'"12345678901234567890.123456789012345678"'),
        (Decimal("1E-18"), b'"0.000000000000000001"'),
    ],
)
def test_decimals_are_plain_strings(value: Decimal, text: bytes) -> None:
    assert to_json(value) == text
    assert to_json({"a": [value]}) == b'{"a":[' + text + b"]}"


def test_numbers_that_are_not_finite_are_never_answered() -> None:
    with pytest.raises(TypeError):
        to_json(Decimal("NaN"))


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("1200.50", "1200.5"),
        (7, "7"),
        (Decimal("0.1"), "0.1"),
        (" 1 ", "1"),
        ("1.50000000000000000000", "1.5"),
        ("2.6E-4", "0.00026"),
        ("-0", "0"),
        ("9" * 20, "9" * 20),
    ],
)
def test_recorded_numbers_keep_every_digit(given: Any, value: str) -> None:
    field = NumberField()
    assert field.to_representation(field.run_validation(given)) == value


@pytest.mark.parametrize(
    "given",
    [
        "",
        "NaN",
        "Infinity",
        "1e400",
        "1E+999",
        "1e-400",
        "1_000",
        "1,5",
        "٣",
        "１",
        "0x1",
        True,
        None,
        [],
        {},
        1.5,
        "9" * 21,
        "1e20",
        "0." + "0" * 18 + "1",
        "9" * 60,
        "9" * 5000,
        "1 2",
        "--1",
    ],
)
def test_other_numbers_are_refused(given: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        NumberField().run_validation(given)


@pytest.mark.parametrize(
    "given",
    [
        "1899-12-31",
        "2201-01-01",
        "2024-02-30",
        "20240101",
        "2024-1-1x",
        "٢٠٢٤-01-01",
        5,
        None,
        "",
        "0000-00-00",
        "9999-12-31",
    ],
)
def test_odd_days_are_refused(given: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        DayField().run_validation(given)


@pytest.mark.parametrize(
    "given",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "2024-13-01T00:00:00Z",
        "now",
        5,
        "",
        "2024-01-01T25:00:00Z",
    ],
)
def test_odd_moments_are_refused(given: Any) -> None:
    with pytest.raises(serializers.ValidationError):
        InstantField().run_validation(given)


def test_a_moment_without_offset_is_utc() -> None:
    assert to_json(InstantField().run_validation("2024-03-31T02:30:00")) == b'"2024-03-31T02:30:00Z"'
    assert to_json(InstantField().run_validation("2024-03-31T02:30:00+02:00")) == b'"2024-03-31T00:30:00Z"'


def test_every_family_has_its_status() -> None:
    families = (
        problems.Invalid,
        problems.NotFound,
        problems.Conflict,
        problems.Forbidden,
        problems.UpstreamUnavailable,
    )
    assert [family.status for family in families] == [422, 404, 409, 403, 503]

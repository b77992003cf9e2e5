"""Every address states who may call it; only DESIGN's list is public; nobody reaches another's row."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import BasePermission

from accounts.models import User
from accounts.permissions import TierRule
from stackmotive.common.views import ApiRules, Public
from stackmotive.tests.owned import OWNED

PUBLIC = {
    "health/live/", "health/ready/", "api/schema/", "api/docs/", "api/tiers/", "api/auth/register/", "api/auth/token/",
    "api/auth/token/refresh/",
}  # fmt: skip
FRAME = {"api/schema/", "api/docs/", "health/live/", "health/ready/"}  # views of others, public as they are
METHODS = ("get", "post", "put", "patch", "delete")


def routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def machine_routes() -> list[tuple[str, Any]]:
    return [
        (route, view)
        for route, view in routes(get_resolver().url_patterns)
        if route.startswith(("api/", "health/", "metrics"))
    ]


def rule(view: Any) -> type[BasePermission] | None:
    cls = getattr(view, "cls", None)
    if cls is None or not issubclass(cls, ApiRules):
        return None
    declared: type[BasePermission] = getattr(view, "initkwargs", {}).get("tiers") or cls.tiers
    return declared


def test_every_api_address_states_its_tier_or_that_it_is_public() -> None:
    undeclared = [
        route for route, view in machine_routes()
        if route not in FRAME and not ((found := rule(view)) and (found is Public or issubclass(found, TierRule)))
    ]  # fmt: skip
    assert undeclared == []


def test_no_view_goes_around_the_declared_rule() -> None:
    around = [
        route for route, view in machine_routes()
        if route not in FRAME and view.cls.get_permissions is not ApiRules.get_permissions
    ]  # fmt: skip
    assert around == []


def test_only_the_listed_operations_are_public() -> None:
    assert {route for route, view in machine_routes() if route in FRAME or rule(view) is Public} == PUBLIC


class Operation(NamedTuple):
    """One operation of the OpenAPI document, with ids of nobody for its path."""

    method: str
    path: str
    is_public: bool
    made_up: dict[str, str]


def operations() -> list[Operation]:
    generator: Any = SchemaGenerator
    document = generator(api_version="1.0").get_schema(request=None, public=True)
    return [
        Operation(method, path, operation.get("security") in (None, []), made_up(operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def made_up(operation: Any) -> dict[str, str]:
    return {
        parameter["name"]: "999999" if "0-9" in str(parameter["schema"].get("pattern", "")) else str(uuid4())
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "path"
    }


def call(client: Any, method: str, path: str) -> Any:
    return getattr(client, method)(path, {}, format="json") if method != "get" else client.get(path)


def filled(path: str, parameters: Any) -> str:
    for name, value in parameters.items():
        path = path.replace("{" + name + "}", value)
    return path


def test_the_openapi_document_has_no_warning(db: None, tmp_path: Any) -> None:
    file = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--api-version", "1.0", "--file", str(file))
    assert "application/problem+json" in file.read_text()


def test_without_a_token_every_operation_but_the_public_ones_answers_401(db: None, api: Any) -> None:
    wrong = []
    for method, path, is_public, ids in operations():
        answer = call(api(), method, filled(path, ids))
        is_refused = answer.status_code == 401 and answer.get("WWW-Authenticate") == "Bearer"
        if is_refused == is_public and path.lstrip("/") not in {"api/auth/token/", "api/auth/token/refresh/"}:
            wrong.append((method, path, answer.status_code))
        if not is_public and answer["Content-Type"] != "application/problem+json":
            wrong.append((method, path, answer["Content-Type"]))
    assert wrong == []


def maker_of(path: str) -> Any:
    prefixes = [prefix for prefix in OWNED if path.startswith(prefix)]
    return OWNED[max(prefixes, key=len)] if prefixes else None


def test_every_operation_with_an_id_has_a_row_to_try_it_on(db: None) -> None:
    missing = sorted({path for _, path, _, _ in operations() if "{" in path and maker_of(path) is None})
    assert missing == [], "add them to stackmotive/tests/owned.py"


def without_traces(answer: Any) -> Any:
    return answer.json() | {"instance": "", "request_id": ""}


def test_a_stranger_gets_the_404_of_a_missing_row_for_every_id(owner: User, stranger: User, api: Any) -> None:
    client, own = api(stranger), api(owner)
    wrong: list[tuple[object, ...]] = []
    for method, path, _, ids in operations():
        maker = maker_of(path)
        if "{" not in path or maker is None:
            continue
        parameters = maker(owner)
        foreign, missing, odd = (
            call(client, method, filled(path, named)) for named in (parameters, ids, dict.fromkeys(parameters, "%27x"))
        )
        if {foreign.status_code, missing.status_code, odd.status_code} != {404}:
            wrong.append((method, path, foreign.status_code, missing.status_code, odd.status_code))
        elif not without_traces(foreign) == without_traces(missing) == without_traces(odd):
            wrong.append((method, path, "tells a foreign row from a missing one"))
        if method == "get" and call(own, method, filled(path, parameters)).status_code == 404:
            wrong.append((method, path, "the owner does not see it either: fix its maker"))
    assert wrong == []


@pytest.mark.parametrize("path", ["/api/nowhere/", "/api/me/sessions/x/y/z/", "/api", "/health/nothing/"])
def test_unknown_machine_addresses_are_problems(owner: User, api: Any, path: str) -> None:
    answer = api(owner).get(path)
    if path == "/api":
        assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    else:
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
        assert answer.json()["request_id"] == answer["X-Request-ID"]

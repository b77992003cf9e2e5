"""The runner of `reconcile-case/1`: the example of the documentation, and cases that are wrong."""

import io
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from stackmotive.reconcile_case_files import CaseRefused, ReconcileCase, check_case, read_reconcile_case
from stackmotive.reconcile_cases import judge

DOCUMENT = settings.BASE_DIR / "docs" / "reconcile-cases.md"
OWN_CASES = settings.BASE_DIR / "federation" / "tests" / "cases"


@pytest.fixture
def body() -> dict[str, Any]:
    """The example of the documentation."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.partition("```json\n")[2].partition("```")[0])
    return found


def case_of(body: dict[str, Any]) -> ReconcileCase:
    check_case(body, f"{body['id']}.json")
    return ReconcileCase(Path(), body)


@pytest.mark.django_db
def test_the_example_of_the_documentation_passes(body: dict[str, Any]) -> None:
    assert judge(case_of(body)) == []


@pytest.mark.django_db
def test_each_wrong_answer_is_a_sentence(body: dict[str, Any]) -> None:
    body["expected"][0]["ledger"][0]["price"] = "101"
    body["expected"][0]["conflicts"][0]["winner"] = "file"
    body["expected"][1]["ledger"].append(deepcopy(body["expected"][1]["ledger"][0]))
    wrong = judge(case_of(body))
    assert wrong[:2] == [
        "after step-2: ledger: number 1: price is 100, expected 101",
        "after step-2: conflicts: number 1: winner is broker, expected file",
    ]
    assert wrong[2].startswith("after step-3: ledger: 2 rows are expected, there are 1: trade_date 2024-01-10")
    assert wrong[3:] == [one.replace("after step-2", "known at step-2, asked at the end") for one in wrong[:2]]


@pytest.mark.django_db
def test_what_is_there_and_not_expected_fails(body: dict[str, Any]) -> None:
    body["expected"] = [{"conflicts": []}]
    (wrong,) = judge(case_of(body))
    assert wrong.startswith("after step-3: conflicts: not expected: kind field, key ")


@pytest.mark.django_db
def test_a_step_that_should_have_been_refused_fails(body: dict[str, Any]) -> None:
    body["steps"][2]["refused"] = "unfit_decision"
    assert judge(case_of(body)) == ["step-3: it was done, and should have been refused as unfit_decision"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda body: body.update(colour="red"), "there is no field 'colour'"),
        (lambda body: body.pop("rule"), "the field 'rule' is missing"),
        (lambda body: body.update(id="other"), "the id is the name of the file"),
        (lambda body: body["steps"][0].update(source="nobody"), "no source is named 'nobody'"),
        (lambda body: body["steps"][0].update(do="fly"), "do is one of arrive"),
        (lambda body: body["steps"][0]["statement"]["transactions"][0].update(quantity=10), "write amounts as text"),
        (
            lambda body: body["steps"][0]["statement"]["transactions"][0].update(instrument="X"),
            "no instrument is named",
        ),
        (lambda body: body["expected"][0].update(after="never"), "no step is named 'never'"),
        (lambda body: body["expected"].append({"as_of": "2024-01-31"}), "it expects nothing"),
        (lambda body: body["expected"].append({"as_of": "2024-01-31", "conflicts": []}), "conflicts has no as_of"),
        (lambda body: body.update(any_order=True), "any_order is for cases whose steps are all arrivals"),
    ],
)
def test_a_file_that_does_not_follow_the_schema_is_refused(body: dict[str, Any], change: Any, sentence: str) -> None:
    name = f"{body['id']}.json"
    change(body)
    with pytest.raises(CaseRefused, match=sentence):
        check_case(body, name)


def test_every_case_of_our_own_follows_the_schema_and_is_named_by_a_rule() -> None:
    cases = [read_reconcile_case(path) for path in sorted(OWN_CASES.glob("*.json"))]
    assert len([case for case in cases if case and not case.awaits]) >= 60
    assert all(case is not None for case in cases)


@pytest.mark.django_db
def test_the_command_lists_what_waits_and_fails_for_what_is_wrong(tmp_path: Path, body: dict[str, Any]) -> None:
    body["id"] = "zz-wrong"
    body["expected"] = [{"ledger": []}]
    (tmp_path / "zz-wrong.json").write_text(json.dumps(body))
    (tmp_path / "zz-waits.json").write_text(json.dumps(body | {"id": "zz-waits", "awaits": "a thing"}))
    (tmp_path / "zz-typo.json").write_text(json.dumps(body | {"id": "zz-typo", "sauces": []}))
    out = io.StringIO()
    with pytest.raises(CommandError, match="Some answers are wrong"):
        call_command("run_cases", str(tmp_path), "--only", "zz-", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line[:14] for line in lines if not line.startswith("  ")] == [
        "FAIL zz-typo", "wait zz-waits:", "FAIL zz-wrong", "not scored: 1 ", "0 passed, 2 fa",
    ]  # fmt: skip

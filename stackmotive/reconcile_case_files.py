"""Cases of several sources (`reconcile-case/1`, docs/reconcile-cases.md): read strictly, before anything is played.

A field that the schema does not know, a name that nothing declares or a number that is not text is refused with a
sentence that says where it stands.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

SCHEMA = "reconcile-case/1"
DEFAULT_TODAY = "2024-12-31"
Check = Callable[[Any, str], None]


class CaseRefused(Exception):
    """The file does not follow the schema; the message says where and how."""


@dataclass(frozen=True, slots=True)
class ReconcileCase:
    """One case file, checked. `body` is the JSON as it stands."""

    path: Path
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def awaits(self) -> str:
        """What has to be built before the case is judged; "" where it is."""
        return str(self.body.get("awaits", ""))

    @property
    def steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = self.body["steps"]
        return steps

    def step_name(self, number: int) -> str:
        """Of the step at `number`, from 0: what `as` says, else its place from 1."""
        return str(self.steps[number].get("as") or f"step-{number + 1}")


def read_reconcile_case(path: Path) -> ReconcileCase | None:
    """The case in a file, None where the file is of another schema. Raises CaseRefused."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except json.JSONDecodeError as exc:
        raise CaseRefused(f"{path.name}: this is not JSON: {exc}") from exc
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        return None
    check_case(body, path.name)
    return ReconcileCase(path, body)


def check_case(body: dict[str, Any], where: str) -> None:
    """Raises CaseRefused."""
    _object(CASE, required=("id", "title", "rule", "steps", "expected"))(body, where)
    if where not in (body["id"], f"{body['id']}.json"):
        raise CaseRefused(f"{where}: the id is the name of the file, so not {body['id']!r}.")
    names = [str(step.get("as") or f"step-{number}") for number, step in enumerate(body["steps"], start=1)]
    declared = {
        "sources": [one["name"] for one in body.get("sources", ())],
        "accounts": [one["name"] for one in body.get("accounts", ())],
        "steps": names,
    }
    for kind, given in declared.items():
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise CaseRefused(f"{where}: two {kind} are named {twice[0]!r}.")
    if body.get("any_order") and any(step["do"] != "arrive" for step in body["steps"]):
        raise CaseRefused(f"{where}: any_order is for cases whose steps are all arrivals.")
    for number, step in enumerate(body["steps"], start=1):
        _check_names(step, f"{where}: steps[{number}]", body, declared)
    for number, point in enumerate(body["expected"], start=1):
        for field in ("after", "same_ledger_as"):
            if point.get(field) is not None and point[field] not in names:
                raise CaseRefused(f"{where}: expected[{number}]: no step is named {point[field]!r}.")


def _check_names(
    step: Mapping[str, Any], where: str, body: Mapping[str, Any], declared: Mapping[str, list[str]]
) -> None:
    sources = {*declared["sources"], "manual"}
    if "source" in step and step["source"] not in sources:
        raise CaseRefused(f"{where}: no source is named {step['source']!r}.")
    if "default_account" in step and step["default_account"] not in declared["accounts"]:
        raise CaseRefused(f"{where}: no account is named {step['default_account']!r}.")
    if step["do"] == "arrive":
        if ("csv" in step) == ("statement" in step):
            raise CaseRefused(f"{where}: an arrival has either csv or statement.")
        if "statement" in step and "source" not in step:
            raise CaseRefused(f"{where}: rows that arrive as a statement name their source.")
    if step["do"] in ("enter", "edit") and ("transaction" in step) == ("position" in step):
        raise CaseRefused(f"{where}: it is about either a transaction or a position.")
    statement = step.get("statement", {})
    rows = [*statement.get("transactions", ()), *statement.get("positions", ()), *statement.get("prices", ())]
    rows += [step[name] for name in ("transaction", "position") if name in step]
    rows += [{"instrument": step[name]} for name in ("instrument", "new_instrument") if name in step]
    for row in rows:
        if "instrument" in row and row["instrument"] not in body.get("instruments", {}):
            raise CaseRefused(f"{where}: no instrument is named {row['instrument']!r}.")


# --- what a value may be ---


def text(value: Any, where: str) -> None:
    if not isinstance(value, str) or not value:
        raise CaseRefused(f"{where}: write text here, not {value!r}.")


def any_text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise CaseRefused(f"{where}: write text here, not {value!r}.")


def number(value: Any, where: str) -> None:
    try:
        if not isinstance(value, str) or not Decimal(value).is_finite():
            raise CaseRefused(f'{where}: write amounts as text, such as "12.50", not {value!r}.')
    except InvalidOperation as exc:
        raise CaseRefused(f"{where}: {value!r} is not a number.") from exc


def day(value: Any, where: str) -> None:
    try:
        dt.date.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise CaseRefused(f"{where}: write a day as 2024-01-31, not {value!r}.") from exc


def moment(value: Any, where: str) -> None:
    try:
        stated = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise CaseRefused(f"{where}: write an instant as 2024-01-31T10:00:00Z, not {value!r}.") from exc
    if stated.tzinfo is None:
        raise CaseRefused(f"{where}: an instant needs its zone: 2024-01-31T10:00:00Z.")


def flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise CaseRefused(f"{where}: write true or false, not {value!r}.")


def count(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise CaseRefused(f"{where}: write a whole number, not {value!r}.")


def one_of(*choices: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in choices:
            raise CaseRefused(f"{where}: {value!r} is none of {', '.join(choices)}.")

    return check


def or_null(inner: Check) -> Check:
    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def either(*inner: Check) -> Check:
    def check(value: Any, where: str) -> None:
        for one in inner[:-1]:
            try:
                return one(value, where)
            except CaseRefused:
                continue
        return inner[-1](value, where)

    return check


def _object(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise CaseRefused(f"{where}: write an object here, not {value!r}.")
        if unknown := sorted(value.keys() - fields.keys()):
            raise CaseRefused(f"{where}: there is no field {unknown[0]!r}; there are {', '.join(sorted(fields))}.")
        if missing := [name for name in required if name not in value]:
            raise CaseRefused(f"{where}: the field {missing[0]!r} is missing.")
        for name, inner in value.items():
            fields[name](inner, f"{where}: {name}")

    return check


def _list(inner: Check) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise CaseRefused(f"{where}: write a list here, not {value!r}.")
        for place, one in enumerate(value, start=1):
            inner(one, f"{where}[{place}]")

    return check


def _map(inner: Check) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise CaseRefused(f"{where}: write an object here, not {value!r}.")
        for name, one in value.items():
            inner(one, f"{where}: {name}")

    return check


# --- what may stand where ---

INSTRUMENT: dict[str, Check] = {
    **dict.fromkeys(("symbol", "name", "kind", "isin", "figi", "cusip", "conid", "exchange", "currency"), any_text),
    "multiplier": number,
}
ACCOUNT_SETTINGS: dict[str, Check] = {
    "currency": text,
    "tracking": one_of("transactions", "positions"),
    "cash_mode": one_of("tracked", "external"),
    "allows_short": flag,
    "cost_basis_method": text,
}
ACCOUNT: dict[str, Check] = {"name": text, "kind": text, "institution": text, "reference": text, **ACCOUNT_SETTINGS}
SOURCE: dict[str, Check] = {
    "name": text,
    "kind": one_of("ibkr_flex", "kucoin", "csv", "manual"),
    "layout": text,
    "priority": count,
    "enabled": flag,
}
TRANSACTION: dict[str, Check] = {
    "as": text, "account": any_text, "kind": text, "trade_date": day, "traded_at": moment, "local_time": text,
    "settled_on": day, "reported_on": day, "instrument": text, "quantity": number, "price": number, "currency": text,
    "fee": number, "fee_currency": text, "tax": number, "cash_amount": number, "cash_currency": text,
    "fx_rate": number, "ratio": number, "external_id": text, "group": text, "leg": count, "note": text,
}  # fmt: skip
POSITION: dict[str, Check] = {
    "account": any_text, "instrument": text, "quantity": number, "as_of": day, "currency": text, "cost_basis": number,
    "price": number,
}  # fmt: skip
COVERAGE: dict[str, Check] = {
    "account": any_text,
    "section": one_of("transactions", "positions", "cash"),
    "from": day,
    "to": day,
    "as_of": day,
    "completeness": one_of("declared", "inferred", "broken"),
}
STATEMENT: dict[str, Check] = {
    "layout": text,
    "institution": text,
    "references_issued": flag,
    "generated_at": moment,
    "base_currencies": _map(text),
    "cash_mode": one_of("tracked", "external"),
    "time_order": one_of("ascending", "descending"),
    "transactions": _list(_object(TRANSACTION, required=("kind", "trade_date"))),
    "positions": _list(_object(POSITION, required=("instrument", "quantity", "as_of"))),
    "cash": _list(
        _object(
            {"account": any_text, "currency": text, "balance": number, "as_of": day},
            required=("currency", "balance", "as_of"),
        )
    ),
    "prices": _list(
        _object(
            {"instrument": text, "day": day, "close": number, "currency": text}, required=("instrument", "day", "close")
        )
    ),
    "rates": _list(
        _object({"base": text, "quote": text, "day": day, "rate": number}, required=("base", "quote", "day", "rate"))
    ),
    "coverage": _list(_object(COVERAGE, required=("section", "completeness"))),
    "rejected": count,
}
OPTIONS: dict[str, Check] = {
    "mapping": _map(text), "words": _map(text), "constants": _map(text), "date_order": text, "number_format": text,
    "encoding": text, "as_of": day, "whole": flag, "on_error": one_of("refuse", "skip"),
}  # fmt: skip
STEP_COMMON: dict[str, Check] = {"do": text, "as": text, "at": moment, "refused": text, "note": text}
DECISION_KINDS = (
    "choose", "same", "different", "ignore", "book", "set_value", "link_account", "resolve_instrument",
    "merge_instruments", "split_instrument", "pair_transfer", "unpair_transfer", "far_side", "opening_lots", "accept",
    "merge_accounts",
)  # fmt: skip
STEPS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "arrive": (
        {
            "source": text,
            "default_account": text,
            "trigger": one_of("upload", "pull", "scheduled"),
            "csv": _list(any_text),
            "filename": text,
            "options": _object(OPTIONS),
            "statement": _object(STATEMENT),
        },
        (),
    ),
    "undo": ({"arrival": text}, ("arrival",)),
    "enter": (
        {"account": text, "transaction": _object(TRANSACTION), "position": _object(POSITION)},
        ("as", "account"),
    ),
    "edit": (
        {"row": text, "account": text, "transaction": _object(TRANSACTION), "position": _object(POSITION)},
        ("row", "account"),
    ),
    "delete": ({"row": text}, ("row",)),
    "decide": (
        {
            "kind": one_of(*DECISION_KINDS),
            "conflict": text,
            "rows": _list(text),
            "reference": _list(any_text),
            "account": text,
            "instrument": text,
            "instruments": _list(text),
            "currency": text,
            "source": text,
            "until": day,
            "to_account": text,
            "field": text,
            "value": text,
            "meaning": one_of("income", "payment"),
            "lots": _list(_object({"acquired_on": day, "quantity": number, "cost": or_null(number)})),
        },
        ("kind",),
    ),
    "resolve": (
        {
            "conflict": text,
            "action": one_of("choose", "book", "ignore", "match", "accept"),
            "source": text,
            "row": text,
            "remember": flag,
        },
        ("conflict", "action"),
    ),
    "revoke": ({"decision": text}, ("decision",)),
    "set_source": ({"source": text, "priority": count, "enabled": flag}, ("source",)),
    "set_account": ({"account": text, **ACCOUNT_SETTINGS}, ("account",)),
    "state_action": (
        {
            "kind": text,
            "instrument": text,
            "ex_date": day,
            "ratio": number,
            "new_instrument": text,
            "cash_per_unit": number,
            "currency": text,
            "allocation": number,
            "cash_in_lieu": number,
        },
        ("kind", "instrument", "ex_date"),
    ),
    "withdraw_action": ({"action": text}, ("action",)),
    "retire": ({"source": text, "keep": flag}, ("source",)),
    "delete_account": ({"account": text}, ("account",)),
}


def step(value: Any, where: str) -> None:
    if not isinstance(value, dict) or value.get("do") not in STEPS:
        done = value.get("do") if isinstance(value, dict) else value
        raise CaseRefused(f"{where}: do is one of {', '.join(STEPS)}, not {done!r}.")
    fields, required = STEPS[value["do"]]
    _object({**STEP_COMMON, **fields}, required)(value, where)


LEDGER_ROW: dict[str, Check] = {
    "account": text, "kind": text, "trade_date": day, "traded_at": or_null(moment), "settled_on": or_null(day),
    "instrument": or_null(text), "quantity": or_null(number), "price": or_null(number), "currency": text,
    "fee": or_null(number), "fee_currency": any_text, "tax": or_null(number), "cash_amount": or_null(number),
    "cash_currency": any_text, "fx_rate": or_null(number), "ratio": or_null(number), "group": or_null(text),
    "note": any_text, "source": or_null(text), "is_manual": flag, "id_of": text, "claims": either(count, _list(text)),
    "exchange": or_null(any_text), "position": count,
}  # fmt: skip
POSITION_ROW: dict[str, Check] = {
    "account": text, "instrument": text, "quantity": number, "currency": text, "unexplained_quantity": number,
    "reported_as_of": or_null(day), "missing_quantity": number, "cost_basis": or_null(number),
    "average_cost": or_null(number), "reason": any_text,
}  # fmt: skip
EXPECTED: dict[str, Check] = {
    "after": text,
    "as_of": day,
    "note": text,
    "ledger": _list(_object(LEDGER_ROW)),
    "positions": _list(_object(POSITION_ROW, required=("instrument",))),
    "cash": _list(
        _object(
            {
                "account": text,
                "currency": text,
                "balance": number,
                "unexplained": number,
                "reported_as_of": or_null(day),
            },
            required=("currency", "balance"),
        )
    ),
    "lots": _list(
        _object(
            {
                "account": text,
                "instrument": text,
                "acquired_on": day,
                "held_from": day,
                "quantity": number,
                "cost": or_null(number),
            },
            required=("instrument", "quantity"),
        )
    ),
    "reports": _list(
        _object(
            {
                "account": text,
                "instrument": or_null(text),
                "currency": any_text,
                "as_of": day,
                "value": number,
                "source": text,
                "rule": text,
                "candidates": _map(number),
            },
            required=("as_of", "value"),
        )
    ),
    "conflicts": _list(
        _object(
            {
                "key": text,
                "kind": text,
                "status": one_of("open", "settled", "resolved"),
                "winner": or_null(text),
                "rule": any_text,
                "candidates": _map(any_text),
                "difference": or_null(number),
                "effect_base": or_null(number),
            },
            required=("key",),
        )
    ),
    "accounts": _list(
        _object(
            {
                "name": text,
                "tracking": text,
                "cash_mode": text,
                "currency": text,
                "institution": any_text,
                "reference": any_text,
                "kind": text,
            },
            required=("name",),
        )
    ),
    "links": _list(
        _object(
            {"source": text, "reference": any_text, "account": or_null(text), "state": text},
            required=("source", "reference"),
        )
    ),
    "instruments": _list(
        _object({"names": _list(text), "needs_review": flag, "symbol": text, "kind": text}, required=("names",))
    ),
    "arrivals": _map(
        _object(
            {
                "status": text,
                "error": or_null(text),
                "rows": count,
                "staged": count,
                "unchanged": count,
                "rejected": count,
                "ignored": count,
            }
        )
    ),
    "transfers": _list(
        _object(
            {
                "out": _list(text),
                "in": _list(text),
                "by": one_of("rule", "group", "hash", "decision", "income", "payment"),
            }
        )
    ),
    "findings": _list(_object({"kind": text, "account": text, "instrument": text, "day": day, "row": text})),
    "same_ledger_as": text,
    "changed": flag,
}
POINT_SECTIONS = frozenset(EXPECTED) - {"after", "as_of", "note"}
DATED = frozenset({"ledger", "positions", "cash", "reports"})


def point(value: Any, where: str) -> None:
    _object(EXPECTED)(value, where)
    if not value.keys() & POINT_SECTIONS:
        raise CaseRefused(f"{where}: it expects nothing.")
    if "as_of" in value and (undated := sorted((value.keys() & POINT_SECTIONS) - DATED)):
        raise CaseRefused(f"{where}: {undated[0]} has no as_of; only {', '.join(sorted(DATED))} have.")


CASE: dict[str, Check] = {
    "schema": one_of(SCHEMA),
    "id": text,
    "group": text,
    "title": text,
    "rule": text,
    "note": text,
    "awaits": text,
    "any_order": flag,
    "base_currency": text,
    "today": day,
    "accounts": _list(_object(ACCOUNT, required=("name",))),
    "instruments": _map(_object(INSTRUMENT)),
    "sources": _list(_object(SOURCE, required=("name", "kind"))),
    "steps": _list(step),
    "expected": _list(point),
}

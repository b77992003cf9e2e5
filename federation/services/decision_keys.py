"""What a decision is about, in the sources' own words, so that it outlives resolved ids (DESIGN 5.8)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.errors import UnfitDecision
from federation.models import BrokerAccount, Claim, InstrumentLink, Transaction
from ingestion.models import Coverage, Source, StagedTransaction
from stackmotive.common.currencies import ISO_4217

LONGEST_REFERENCE = 100
LONGEST_IDENTITY = 32
LONGEST_NUMBER = 18
MOST_ROWS = 500


def checked_keys(user: User, keys: Mapping[str, Any]) -> dict[str, Any]:
    """`keys` as stored. Every id in them is the user's own."""
    if isinstance(key := keys.get("key"), str):
        return {"key": key} | expanded(user, key)
    named: dict[str, Any] = {}
    if "rows" in keys:
        rows = _pairs(keys["rows"])
        for source, identity in rows:
            _own_row(user, source, identity)
        named["rows"] = rows
    if "reference" in keys:
        (pair,) = _pairs([keys["reference"]])
        own_source(user, pair[0])
        named["reference"] = pair
    if "account" in keys:
        named["account"] = str(own_account(user, keys["account"]).pk)
        if "currency" in keys:
            named["currency"] = _currency(keys["currency"])
    if "instruments" in keys and "currency" not in named:
        named["instruments"] = _pairs(keys["instruments"])
        for source, _ in named["instruments"]:
            own_source(user, source)
    if not named:
        raise UnfitDecision("Say what it is about: a conflict's key, rows, a reference, or an account with a holding.")
    return named


def expanded(user: User, key: str) -> dict[str, Any]:
    """What a conflict's key stands for, in the sources' own words, so that it outlives resolved ids."""
    about, _, rest = key.partition(":")
    first, _, second = rest.partition(":")
    if about == "position":
        account, instrument = own_account(user, first), _uuid(second)
        links = InstrumentLink.objects.filter(source__user=user, instrument=instrument).order_by("pk")
        namings = [[str(source), name] for source, name in links.values_list("source", "key")]
        if not namings:
            raise UnfitDecision("No source names this instrument.")
        return {"account": str(account.pk), "instruments": namings}
    if about == "cash":
        return {"account": str(own_account(user, first).pk), "currency": _currency(second)}
    if about == "transaction":
        row = Transaction.objects.visible_to(user).filter(pk=_uuid(first)).first()
        claims = Claim.objects.filter(transaction=row).order_by("pk") if row else Claim.objects.none()
        rows = [[str(source), identity] for source, identity in claims.values_list("source", "staged__identity")]
        if not rows:
            raise UnfitDecision("No source claims this row.")
        return {"rows": [list(pair) for pair in dict.fromkeys(map(tuple, rows))]}
    if about == "coverage":
        number = int(rest) if rest.isascii() and rest.isdigit() and len(rest) <= LONGEST_NUMBER else 0
        coverage = Coverage.objects.filter(pk=number, content__source__user=user).first()
        if coverage is None:
            raise UnfitDecision("No statement of yours covers this.")
        return {"coverage": coverage.pk}
    if about in ("row", "match"):
        _own_row(user, first, second)
        return {"rows": [[str(_uuid(first)), second]]}
    if about == "reference":
        own_source(user, first)
        return {"reference": [str(_uuid(first)), second[:LONGEST_REFERENCE]]}
    raise UnfitDecision("A key starts with position, cash, transaction, row, match, coverage or reference.")


def _pairs(given: Any) -> list[list[str]]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str) and 0 < len(given) <= MOST_ROWS
    if not is_list or any(
        not isinstance(pair, Sequence)
        or isinstance(pair, str)
        or len(pair) != 2
        or not all(isinstance(x, str) for x in pair)
        for pair in given
    ):
        raise UnfitDecision("Name rows and references as pairs: [source id, what the source calls it].")
    return [[str(_uuid(pair[0])), pair[1][:LONGEST_REFERENCE]] for pair in given]


def _own_row(user: User, source: str, identity: str) -> None:
    rows = StagedTransaction.objects.filter(
        content__source=own_source(user, source), identity=identity[:LONGEST_IDENTITY]
    )
    if len(identity) > LONGEST_IDENTITY or not rows.exists():
        raise UnfitDecision("This source never stated such a row.")


def own_source(user: User, source: Any) -> Source:
    found: Source | None = Source.objects.visible_to(user).filter(pk=_uuid(source)).first()
    if found is None:
        raise UnfitDecision("Name one of your sources.")
    return found


def own_account(user: User, account: Any) -> BrokerAccount:
    found: BrokerAccount | None = BrokerAccount.objects.visible_to(user).filter(pk=_uuid(account)).first()
    if found is None:
        raise UnfitDecision("Name one of your accounts.")
    return found


def _currency(code: Any) -> str:
    if code not in ISO_4217:
        raise UnfitDecision("Name a currency by its ISO 4217 code.")
    return str(code)


def _uuid(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError as exc:
        raise UnfitDecision("An id in it is not one.") from exc

"""What was learnt between two moments: rows of the ledger, and what they did to the figures of one day."""

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from accounts.models import FactVersion, User
from federation.models import LedgerVersion, Transaction
from federation.services.versions import Moment, moment_at
from portfolio import selectors
from portfolio.services.past import figures_then
from portfolio.valuation_day import end_of_day

MOST_LISTED = 500
HEADLINES = (
    "market_value", "cash", "total_value", "net_contribution", "total_gain", "realized_gain", "unrealized_gain",
    "income", "fees", "taxes",
)  # fmt: skip
ROW_FIELDS = (
    "id", "account", "instrument", "kind", "trade_date", "traded_at", "quantity", "price", "currency", "fee",
    "fee_currency", "tax", "cash_amount", "cash_currency", "fx_rate", "ratio", "group", "note", "source", "is_manual",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """The ledger and the figures of `day`, as known at one moment."""

    day: dt.date
    rows: dict[UUID, dict[str, Any]]
    figures: dict[str, Any]


def changes(*, since: Moment, until: Moment) -> dict[str, Any]:
    """Rows added, removed and changed from `since` to `until`, and the figures of the valuation day of `since` by both.

    The day is the same on both sides, so that what a figure moved by is what was learnt and not what the market did.
    """
    before, after = _known(since), _known(replace(until, at=since.at))
    return {
        "since": _moment(since),
        "until": _moment(until),
        **compared(before, after),
        "facts": list(
            FactVersion.objects.filter(user=since.user_id, number__gt=since.fact_number, number__lte=until.fact_number)
            .order_by("-number")
            .values("number", "cause", "committed_at")[:MOST_LISTED]
        ),
        "versions": list(
            LedgerVersion.objects.filter(
                user=since.user_id, number__gt=since.ledger_version, number__lte=until.ledger_version
            )
            .order_by("-number")
            .values("number", "cause", "fact_number", "market_number", "rules_version", "content_hash", "created_at")[
                :MOST_LISTED
            ]
        ),
    }


def moved_by_rules(*, user: User) -> dict[str, Any]:
    """What computing ledger and figures again by the rules of this program would change. Writes nothing."""
    before = _read(user)
    at = min(end_of_day(user, before.day), timezone.now())
    after = _known(replace(moment_at(user_id=user.pk, at=timezone.now()), at=at))
    return compared(before, after)


def compared(before: Known, after: Known) -> dict[str, Any]:
    """Rows and headline figures that differ, as the API tells them."""
    both = before.rows.keys() & after.rows.keys()
    changed = [key for key in both if _facts(before.rows[key]) != _facts(after.rows[key])]
    added, removed = after.rows.keys() - before.rows.keys(), before.rows.keys() - after.rows.keys()
    return {
        "as_of": before.day,
        "currency": after.figures["currency"],
        "counts": {"added": len(added), "removed": len(removed), "changed": len(changed)},
        "added": _listed(added, after),
        "removed": _listed(removed, before),
        "changed": [
            {"before": before.rows[row["id"]], "after": row, "fields": _differing(before.rows[row["id"]], row)}
            for row in _listed(changed, after)
        ],
        "figures": {
            name: {
                "before": before.figures[name],
                "after": after.figures[name],
                "change": _difference(before.figures, after.figures, name),
            }
            for name in HEADLINES
        },
    }


def _known(moment: Moment) -> Known:
    with figures_then(moment) as user:
        return _read(user)


def _read(user: User) -> Known:
    found = selectors.summary(user=user).as_dict()
    return Known(found["as_of"], _rows(user), {name: found[name] for name in (*HEADLINES, "currency")})


def _rows(user: User) -> dict[UUID, dict[str, Any]]:
    found = Transaction.objects.visible_to(user).values(
        *ROW_FIELDS, account_name=F("account__name"), symbol=F("instrument__symbol")
    )
    return {row["id"]: row for row in found}


def _facts(row: dict[str, Any]) -> list[Any]:
    return [row[name] for name in ROW_FIELDS]


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in ROW_FIELDS if before[name] != after[name]]


def _listed(keys: Any, known: Known) -> list[dict[str, Any]]:
    rows = [known.rows[key] for key in keys]
    return sorted(rows, key=lambda row: (row["trade_date"], row["id"]), reverse=True)[:MOST_LISTED]


def _difference(before: dict[str, Any], after: dict[str, Any], name: str) -> Decimal | None:
    """None where either is unknown, or where they are in two currencies."""
    first, second = before[name], after[name]
    if first is None or second is None or before["currency"] != after["currency"]:
        return None
    return Decimal(second) - Decimal(first)


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "known_at": moment.at,
        "fact_number": moment.fact_number,
        "market_number": moment.market_number,
        "ledger_version": moment.ledger_version,
    }

"""Where a ledger row or a reported balance came from: claims, winner, rule, raw rows and the imports that
brought them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.models import (
    AccountLink,
    Claim,
    Conflict,
    Decision,
    InstrumentLink,
    ReportedBalance,
    Transaction,
    TransactionKind,
)
from ingestion.models import Content, ImportRun, Source, StagedCash, StagedPosition


@dataclass(frozen=True, slots=True)
class RawRow:
    """A staged row as its source stated it, and the runs that brought it. `values` holds what was stated,
    nulls left out.
    """

    source: UUID
    source_name: str
    line: int
    values: dict[str, Any]
    imports: list[dict[str, Any]]  # {id, filename, layout, created_at}, newest first


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why a figure is what it is: every claim, the winner, the rule that set it before the others, and the
    raw rows.
    """

    winner: UUID | None
    rule: str
    claims: list[dict[str, Any]]
    raw_rows: list[RawRow]
    conflicts: list[Conflict]
    decisions: list[Decision] = field(default_factory=list)  # of the user about it, in force, the newest first


MOST_RAW_ROWS = 200
STATED = (
    "kind", "trade_date", "traded_at", "settled_on", "quantity", "price", "currency", "fee", "fee_currency", "tax",
    "cash_amount", "cash_currency", "fx_rate", "ratio", "external_id", "group", "note", "account_ref",
)  # fmt: skip


def transaction_provenance(row: Transaction) -> Provenance:
    """Where a ledger row came from. An adjustment has no claims: the reports on its day are what it follows
    from.
    """
    if row.kind == TransactionKind.ADJUSTMENT:
        return _report_provenance(
            row.user_id, row.account_id, row.instrument_id, row.cash_currency if not row.instrument_id else ""
        )
    claims = list(Claim.objects.filter(transaction=row).select_related("source", "staged").order_by("-won", "staged"))
    winner = next((claim for claim in claims if claim.won), None)
    imports = _imports({claim.staged.content_id for claim in claims})
    return Provenance(
        winner=winner.source_id if winner else None,
        rule=winner.rule if winner else "",
        claims=[
            {"source": claim.source_id, "source_name": claim.source.name, "won": claim.won, "rule": claim.rule,
             "identity": claim.staged.identity}
            for claim in claims
        ],
        raw_rows=[
            RawRow(
                claim.source_id,
                claim.source.name,
                claim.staged.line,
                {name: value for name in STATED if (value := getattr(claim.staged, name)) not in (None, "")},
                imports[claim.staged.content_id],
            )
            for claim in claims[:MOST_RAW_ROWS]
        ],
        conflicts=list(
            Conflict.objects.filter(user=row.user_id, key__startswith=f"transaction:{row.pk}:").order_by("key")
        ),
        decisions=_decisions_about_rows(row.user_id, {(claim.source_id, claim.staged.identity) for claim in claims}),
    )  # fmt: skip


def _decisions_about_rows(user_id: UUID, rows: set[tuple[UUID, str]]) -> list[Decision]:
    named = {(str(source), identity) for source, identity in rows}
    found = Decision.objects.filter(user=user_id, revocation=None, keys__has_key="rows").order_by("-number")
    return [one for one in found if not named.isdisjoint((source, identity) for source, identity in one.keys["rows"])]


def _decisions_about_holding(user_id: UUID, account: UUID, instrument: UUID | None, currency: str) -> list[Decision]:
    found = Decision.objects.filter(user=user_id, revocation=None, keys__account=str(account)).order_by("-number")
    if instrument is None:
        return [one for one in found if one.keys.get("currency") == currency]
    links = InstrumentLink.objects.filter(source__user=user_id, instrument=instrument).values_list("source", "key")
    named = {(str(source), key) for source, key in links}
    return [
        one for one in found if not named.isdisjoint((source, key) for source, key in one.keys.get("instruments", ()))
    ]


def position_provenance(user: User, *, account: UUID, instrument: UUID) -> Provenance:
    """Which report of a holding is believed, and why."""
    return _report_provenance(user.pk, account, instrument, "")


def cash_provenance(user: User, *, account: UUID, currency: str) -> Provenance:
    """Which report of a cash balance is believed, and why."""
    return _report_provenance(user.pk, account, None, currency)


def _report_provenance(user_id: UUID, account: UUID, instrument: UUID | None, currency: str) -> Provenance:
    reports = ReportedBalance.objects.filter(user=user_id, account=account, instrument=instrument, currency=currency)
    latest = reports.order_by("-as_of").first()
    about = f"position:{account}:{instrument}" if instrument else f"cash:{account}:{currency}"
    conflicts_found = list(Conflict.objects.filter(user=user_id, key=about))
    decisions = _decisions_about_holding(user_id, account, instrument, currency)
    if latest is None:
        return Provenance(None, "", [], [], conflicts_found, decisions)
    names = dict(Source.objects.filter(user=user_id).values_list("id", "name"))
    claims = [
        {"source": UUID(one["source"]), "source_name": names.get(UUID(one["source"]), ""), "value": one["value"],
         "as_of": one["as_of"], "won": UUID(one["source"]) == latest.source_id, "rule": latest.rule}
        for one in latest.candidates
    ]  # fmt: skip
    raw = _raw_reports(user_id, latest, names)
    return Provenance(latest.source_id, latest.rule, claims, raw, conflicts_found, decisions)


def _raw_reports(user_id: UUID, latest: ReportedBalance, names: dict[UUID, str]) -> list[RawRow]:
    """The rows in force that the latest candidates were read from."""
    days = {UUID(one["source"]): date.fromisoformat(one["as_of"]) for one in latest.candidates}
    in_force = Content.objects.filter(source__in=days).in_force().values("pk")
    stated: list[tuple[UUID, int, int, dict[str, Any]]] = []
    if latest.instrument_id:
        links = InstrumentLink.objects.filter(source__user=user_id, instrument=latest.instrument_id)
        keys = set(links.values_list("source", "key"))
        positions = StagedPosition.objects.filter(
            content__in=in_force, instrument_key__in={key for _, key in keys}, as_of__in=set(days.values())
        ).select_related("content")
        for row in positions.order_by("pk"):
            source = row.content.source_id
            if (source, row.instrument_key) in keys and days[source] == row.as_of:
                told = {
                    "quantity": row.quantity,
                    "cost_basis": row.cost_basis,
                    "currency": row.currency,
                    "as_of": row.as_of,
                }
                stated.append((source, row.content_id, row.line, told | {"account_ref": row.account_ref}))
    else:
        balances = StagedCash.objects.filter(
            content__in=in_force, currency=latest.currency, as_of__in=set(days.values())
        )
        for cash in balances.select_related("content").order_by("pk"):
            if days[cash.content.source_id] == cash.as_of:
                told = {
                    "balance": cash.balance,
                    "currency": cash.currency,
                    "as_of": cash.as_of,
                    "account_ref": cash.account_ref,
                }
                stated.append((cash.content.source_id, cash.content_id, cash.line, told))
    spots = _accounts_of({(source, told["account_ref"]) for source, _, _, told in stated})
    stated = [
        one for one in stated if spots.get((one[0], one[3]["account_ref"]), latest.account_id) == latest.account_id
    ]
    imports = _imports({content for _, content, _, _ in stated})
    return [
        RawRow(
            source,
            names.get(source, ""),
            line,
            {name: value for name, value in told.items() if value not in (None, "")},
            imports[content],
        )
        for source, content, line, told in stated[:MOST_RAW_ROWS]
    ]


def _accounts_of(spots: set[tuple[UUID, str]]) -> dict[tuple[UUID, str], UUID | None]:
    links = AccountLink.objects.filter(source__in={source for source, _ in spots})
    return {
        (source, reference): account
        for source, reference, account in links.values_list("source_id", "reference", "account_id")
    }


def _imports(contents_wanted: set[int]) -> dict[int, list[dict[str, Any]]]:
    """The runs that brought each content, newest first."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    runs = ImportRun.objects.filter(content__in=contents_wanted).order_by("-created_at", "-pk")
    for run in runs.values("id", "filename", "layout", "created_at", "content"):
        found[run.pop("content")].append(run)
    return found

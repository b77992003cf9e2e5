"""Reading truth: accounts, the ledger, what is unexplained, what sources disagree about, and where it came from."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.models import User
from federation.errors import AmbiguousInstrument, UnknownInstrument
from federation.models import (
    AccountLink,
    BrokerAccount,
    Conflict,
    Decision,
    Instrument,
    InstrumentIdentifier,
    LedgerState,
    LedgerVersion,
    Listing,
    ReportedBalance,
    Transaction,
    TransactionKind,
)
from federation.positions import OPENING_BALANCE, STEP
from federation.rows import HoldingKey
from ingestion.adapters.base import InstrumentRef
from ingestion.models import Content


def is_behind(user_id: UUID) -> bool:
    """Whether facts were committed that the ledger does not include."""
    return User.objects.filter(pk=user_id, pk__in=_behind()).exists()


def users_behind() -> list[UUID]:
    return list(_behind().order_by("pk"))


def _behind() -> QuerySet[User, UUID]:
    behind = User.objects.annotate(included=Coalesce(F("ledger_state__facts_version"), 0)).filter(
        fact_number__gt=F("included")
    )
    return behind.values_list("pk", flat=True)


def is_own_account(*, user_id: UUID, account_id: UUID) -> bool:
    return BrokerAccount.objects.filter(user=user_id, pk=account_id).exists()


# --- accounts ----------------------------------------------------------


def accounts(user: User) -> QuerySet[BrokerAccount]:
    """The user's accounts by name, with their institution and whether a source other than the user's hand claims them."""
    claimed = AccountLink.objects.filter(Q(account=OuterRef("pk")) | Q(automatic=OuterRef("pk")))
    return (
        BrokerAccount.objects.visible_to(user)
        .select_related("institution")
        .annotate(is_claimed=Exists(claimed))
        .order_by("name", "pk")
    )


def account_links(user: User) -> QuerySet[AccountLink]:
    return (
        AccountLink.objects.filter(source__user=user)
        .select_related("source", "account")
        .order_by("source", "reference")
    )


def contents_naming(account: BrokerAccount) -> QuerySet[Content]:
    """Contents in force whose rows fall to `account`, by link or because its user chose it for them."""
    links = AccountLink.objects.filter(account=account).values_list("source", "reference")
    named = Q(default_account=account.pk)
    for source, reference in links:
        spoken = Q(coverage__account_ref=reference) | Q(transactions__account_ref=reference)
        spoken |= Q(positions__account_ref=reference) | Q(cash__account_ref=reference)
        named |= Q(source=source) & spoken
    return Content.objects.filter(named, source__user=account.user_id).in_force().distinct()


# --- the ledger ----------------------------------------------------------


def ledger(user: User, *, accounts: Collection[UUID] | None = None, until: date | None = None) -> QuerySet[Transaction]:
    """The user's ledger in the order in which it happened (DESIGN 5.10)."""
    rows = Transaction.objects.visible_to(user).order_by("trade_date", "position", "id")
    if accounts is not None:
        rows = rows.filter(account__in=accounts)
    return rows.filter(trade_date__lte=until) if until else rows


def transactions(user: User) -> QuerySet[Transaction]:
    """The user's ledger, newest first, ready to be shown."""
    rows = Transaction.objects.visible_to(user).select_related("account", "instrument", "listing", "source")
    return rows.order_by("-trade_date", "-position", "-id")


def ledger_state(user_id: UUID) -> LedgerState:
    """How far the user's ledger has come; not stored where nothing was reconciled yet."""
    return LedgerState.objects.filter(user=user_id).first() or LedgerState(user_id=user_id)


def versions(user: User) -> QuerySet[LedgerVersion]:
    return LedgerVersion.objects.filter(user=user).order_by("-number")


# --- reports and disagreements ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unexplained:
    """What the latest report of a holding has beyond what transactions explain: the sum of its adjustments.

    `opening` is the part of `quantity` that stands before the covered history. An account that is tracked by reports alone
    has nothing to explain.
    """

    account: UUID
    key: HoldingKey
    quantity: Decimal
    opening: Decimal
    reported_as_of: date
    reported: Decimal
    source: UUID
    rule: str


def unexplained(user: User, *, accounts: Collection[UUID] | None = None) -> list[Unexplained]:
    """Every reported holding and cash balance, with what no transaction explains (0 where all is)."""
    reports = ReportedBalance.objects.filter(user=user)
    adjusted = Transaction.objects.visible_to(user).filter(kind=TransactionKind.ADJUSTMENT).exclude(note=STEP)
    if accounts is not None:
        reports, adjusted = reports.filter(account__in=accounts), adjusted.filter(account__in=accounts)
    sums: dict[tuple[UUID, HoldingKey], Decimal] = defaultdict(Decimal)
    openings: dict[tuple[UUID, HoldingKey], Decimal] = defaultdict(Decimal)
    for account, instrument, currency, quantity, cash, note in adjusted.values_list(
        "account", "instrument", "cash_currency", "quantity", "cash_amount", "note"
    ):
        holding = (account, HoldingKey(instrument, "" if instrument else currency))
        amount = (quantity if instrument else cash) or Decimal(0)
        sums[holding] += amount
        if note == OPENING_BALANCE:
            openings[holding] += amount
    latest = reports.order_by("account_id", "instrument_id", "currency", "-as_of").distinct("account_id", "instrument_id", "currency")
    result = []
    for report in latest:
        holding = (report.account_id, HoldingKey(report.instrument_id, report.currency))
        result.append(
            Unexplained(
                *holding, sums[holding], openings[holding], report.as_of, report.value, report.source_id, report.rule
            )
        )
    return result


def conflicts(user: User) -> QuerySet[Conflict]:
    """What sources disagree about, the costliest first; what cannot be priced comes before what is known to be small."""
    rows = Conflict.objects.visible_to(user).select_related("account", "instrument")
    return rows.order_by(F("effect_base").desc(nulls_first=True), "key")


def open_conflicts(user: User) -> QuerySet[Conflict]:
    return conflicts(user).filter(status=Conflict.Status.OPEN)


def decisions(user: User) -> QuerySet[Decision]:
    return Decision.objects.visible_to(user).select_related("revocation").order_by("-number", "-id")


# --- instruments ----------------------------------------------------------


def instruments(user: User) -> QuerySet[Instrument]:
    """Instruments the user may name: their own and the catalog's."""
    return Instrument.objects.filter(Q(user=user) | Q(user=None)).order_by("symbol", "pk")


def resolve_instrument(user: User, named: UUID | InstrumentRef) -> tuple[Instrument, Listing | None]:
    """The instrument and listing that an id or a name means to `user`: identifiers first, then a ticker that fits one.

    Raises UnknownInstrument, AmbiguousInstrument.
    """
    if isinstance(named, UUID):
        instrument = instruments(user).filter(pk=named).first()
        if instrument is None:
            raise UnknownInstrument("Give the id of an instrument that you hold, or its symbol, kind and currency.")
        return instrument, listing_for(instrument, "", "")
    found = _by_identifier(user, named) or _by_ticker(user, named)
    if not found:
        raise UnknownInstrument(f"Nothing is known by the name {named.symbol or named.isin or named.name!r}.")
    if len(found) > 1:
        raise AmbiguousInstrument(
            "Name it by its ISIN or its exchange, or give its id.", ids=[str(one.pk) for one in found]
        )
    return found[0], listing_for(found[0], named.exchange, named.currency)


def _by_identifier(user: User, named: InstrumentRef) -> list[Instrument]:
    for scheme in ("isin", "figi", "conid", "cusip"):
        if value := getattr(named, scheme):
            found = instruments(user).filter(identifiers__scheme=scheme, identifiers__value=value).distinct()
            if rows := _own_first(found):
                return rows
    return []


def _by_ticker(user: User, named: InstrumentRef) -> list[Instrument]:
    if not named.symbol:
        return []
    found = instruments(user).filter(symbol__iexact=named.symbol)
    if named.isin:  # another ISIN is another instrument, whatever its ticker
        found = found.exclude(identifiers__scheme="isin")
    if named.kind:
        family = ["equity", "etf", "fund"] if named.kind in ("equity", "etf", "fund") else [named.kind]
        found = found.filter(kind__in=family)
    if named.exchange:
        found = found.filter(Q(listings__exchange__iexact=named.exchange) | Q(listings__exchange="") | Q(listings=None))
    if named.currency and named.kind != "crypto":
        found = found.filter(Q(listings__currency=named.currency) | Q(listings=None))
    return _own_first(found.distinct())


def _own_first(found: QuerySet[Instrument]) -> list[Instrument]:
    """The user's own where there are any, else the catalog's."""
    rows = list(found[:10])
    return [one for one in rows if one.user_id is not None] or rows


def listing_for(instrument: Instrument, exchange: str, currency: str) -> Listing | None:
    """The listing asked for; else the only one of that currency, or the only one at all."""
    listings = list(instrument.listings.order_by("pk"))
    if currency:
        listings = [one for one in listings if currency in (one.currency, one.quote_unit)]
    if exchange:
        listings = [one for one in listings if one.exchange.upper() == exchange.upper()] or listings
    return listings[0] if listings and (len(listings) == 1 or currency or exchange) else None


def reference_to(instrument: Instrument, listing: Listing | None = None) -> InstrumentRef:
    """How a row typed by hand names `instrument`, so that it means the same one when the ledger is computed."""
    known = dict(
        InstrumentIdentifier.objects.filter(instrument=instrument)
        .exclude(scheme=InstrumentIdentifier.Scheme.TICKER)
        .order_by("-pk")
        .values_list("scheme", "value")
    )
    return InstrumentRef(
        symbol=instrument.symbol,
        name=instrument.name,
        kind=instrument.kind,
        isin=known.get("isin", ""),
        figi=known.get("figi", ""),
        cusip=known.get("cusip", ""),
        conid=known.get("conid", ""),
        exchange=listing.exchange if listing else "",
        currency=listing.currency if listing else "",
        multiplier=instrument.multiplier,
    )


# --- provenance ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RawRow:
    """A staged row as its source stated it, and the runs that brought it. `values` holds what was stated, nulls left out."""

    source: UUID
    source_name: str
    line: int
    values: dict[str, Any]
    imports: list[dict[str, Any]]  # {id, filename, layout, created_at}, newest first


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why a figure is what it is: every claim, the winner, the rule that set it before the others, and the raw rows."""

    winner: UUID | None
    rule: str
    claims: list[dict[str, Any]]
    raw_rows: list[RawRow]
    conflicts: list[Conflict]


MOST_RAW_ROWS = 200
STATED = (
    "kind", "trade_date", "traded_at", "settled_on", "quantity", "price", "currency", "fee", "fee_currency", "tax",
    "cash_amount", "cash_currency", "fx_rate", "ratio", "external_id", "group", "note", "account_ref",
)  # fmt: skip


def transaction_provenance(row: Transaction) -> Provenance:
    """Where a ledger row came from. An adjustment has no claims: the reports on its day are what it follows from."""
    if row.kind == TransactionKind.ADJUSTMENT:
        return _report_provenance(row.user_id, row.account_id, row.instrument_id, row.cash_currency if not row.instrument_id else "")
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
        conflicts=list(Conflict.objects.filter(user=row.user_id, key__startswith=f"transaction:{row.pk}:").order_by("key")),
    )  # fmt: skip


def position_provenance(user: User, *, account: UUID, instrument: UUID) -> Provenance:
    """Which report of a holding is believed, and why."""
    return _report_provenance(user.pk, account, instrument, "")


def _report_provenance(user_id: UUID, account: UUID, instrument: UUID | None, currency: str) -> Provenance:
    reports = ReportedBalance.objects.filter(user=user_id, account=account, instrument=instrument, currency=currency)
    latest = reports.order_by("-as_of").first()
    about = f"position:{account}:{instrument}" if instrument else f"cash:{account}:{currency}"
    conflicts_found = list(Conflict.objects.filter(user=user_id, key=about))
    if latest is None:
        return Provenance(None, "", [], [], conflicts_found)
    names = dict(Source.objects.filter(user=user_id).values_list("id", "name"))
    claims = [
        {"source": UUID(one["source"]), "source_name": names.get(UUID(one["source"]), ""), "value": one["value"],
         "as_of": one["as_of"], "won": UUID(one["source"]) == latest.source_id, "rule": latest.rule}
        for one in latest.candidates
    ]  # fmt: skip
    return Provenance(latest.source_id, latest.rule, claims, _raw_reports(user_id, latest, names), conflicts_found)


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
                told = {"quantity": row.quantity, "cost_basis": row.cost_basis, "currency": row.currency, "as_of": row.as_of}
                stated.append((source, row.content_id, row.line, told | {"account_ref": row.account_ref}))
    else:
        balances = StagedCash.objects.filter(content__in=in_force, currency=latest.currency, as_of__in=set(days.values()))
        for cash in balances.select_related("content").order_by("pk"):
            if days[cash.content.source_id] == cash.as_of:
                told = {"balance": cash.balance, "currency": cash.currency, "as_of": cash.as_of, "account_ref": cash.account_ref}
                stated.append((cash.content.source_id, cash.content_id, cash.line, told))
    spots = _accounts_of({(source, told["account_ref"]) for source, _, _, told in stated})
    stated = [one for one in stated if spots.get((one[0], one[3]["account_ref"]), latest.account_id) == latest.account_id]
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
    return {(source, reference): account for source, reference, account in links.values_list("source_id", "reference", "account_id")}


def _imports(contents_wanted: set[int]) -> dict[int, list[dict[str, Any]]]:
    """The runs that brought each content, newest first."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    runs = ImportRun.objects.filter(content__in=contents_wanted).order_by("-created_at", "-pk")
    for run in runs.values("id", "filename", "layout", "created_at", "content"):
        found[run.pop("content")].append(run)
    return found

"""Reading truth: accounts, the ledger, what is unexplained, what sources disagree about, and where it came
from.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.models import User
from federation.errors import AmbiguousInstrument, UnknownInstrument
from federation.models import (
    AccountLink,
    BrokerAccount,
    Conflict,
    CorporateAction,
    Decision,
    Instrument,
    InstrumentIdentifier,
    LedgerState,
    LedgerVersion,
    Listing,
    ReportedBalance,
    Transaction,
    TransactionKind,
    TransferLink,
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
    """The user's accounts by name, with their institution and whether a source other than the user's hand
    claims them.
    """
    claimed = AccountLink.objects.filter(Q(account=OuterRef("pk")) | Q(automatic=OuterRef("pk")))
    rows: QuerySet[BrokerAccount] = BrokerAccount.objects.visible_to(user).select_related("institution")
    return rows.annotate(is_claimed=Exists(claimed)).order_by("name", "pk")


def wholes(user: User) -> dict[UUID, UUID]:
    """Accounts that are parts of others by decision -> the account that all that is said of them counts for."""
    parts = BrokerAccount.objects.visible_to(user).filter(merged_into__isnull=False)
    return dict(parts.values_list("pk", "merged_into"))


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

    `opening` is the part of `quantity` that stands before the covered history. An account that is tracked by
    reports alone has nothing to explain.
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
    latest = reports.order_by("account_id", "instrument_id", "currency", "-as_of").distinct(
        "account_id", "instrument_id", "currency"
    )
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
    """What sources disagree about, the costliest first; what cannot be priced comes before what is known to
    be small.
    """
    rows = Conflict.objects.visible_to(user).select_related("account", "instrument")
    return rows.order_by(F("effect_base").desc(nulls_first=True), "key")


def open_conflicts(user: User) -> QuerySet[Conflict]:
    return conflicts(user).filter(status=Conflict.Status.OPEN)


def open_conflict_keys(user_id: UUID) -> list[str]:
    return list(Conflict.objects.filter(user=user_id, status=Conflict.Status.OPEN).values_list("key", flat=True))


def corporate_actions(user: User) -> QuerySet[CorporateAction]:
    """Actions in force that count for the user: their own and the shared ones."""
    rows = CorporateAction.objects.filter(Q(user=user) | Q(user=None), withdrawal=None)
    return rows.select_related("instrument", "new_instrument").order_by("-ex_date", "-id")


def transfer_links(user: User) -> QuerySet[TransferLink]:
    """What is one transfer, newest first."""
    rows: QuerySet[TransferLink] = TransferLink.objects.visible_to(user).select_related("instrument")
    return rows.order_by(Coalesce("left_on", "arrived_on").desc(), "-id")


def decisions(user: User) -> QuerySet[Decision]:
    return Decision.objects.visible_to(user).select_related("revocation").order_by("-number", "-id")


@dataclass(frozen=True, slots=True)
class WithdrawnRow:
    """A staged row that no ledger row takes up because a newer declared edition of its source lacks it."""

    staged: int
    account: UUID | None
    source: UUID
    source_name: str
    kind: str
    trade_date: date
    instrument_key: str
    quantity: Decimal | None
    cash_amount: Decimal | None
    currency: str
    line: int
    content: int


WITHDRAWN = """
SELECT t.id, COALESCE(l.account_id, p.merged_into_id, c.default_account), s.id, s.name, t.kind, t.trade_date, t.instrument_key,
       t.quantity, t.cash_amount, t.currency, t.line, c.id
FROM ingestion_content c
JOIN ingestion_source s ON s.id = c.source_id AND s.user_id = %(user)s AND s.enabled
JOIN ingestion_stagedtransaction t ON t.content_id = c.id
LEFT JOIN federation_accountlink l ON l.source_id = s.id AND l.reference = t.account_ref
LEFT JOIN federation_brokeraccount p ON p.id = c.default_account
LEFT JOIN federation_claim k ON k.staged_id = t.id
WHERE k.id IS NULL AND (l.id IS NULL OR l.account_id IS NOT NULL)
  AND (SELECT MAX(number) FROM ingestion_arrival WHERE content_id = c.id)
      > COALESCE((SELECT MAX(number) FROM ingestion_withdrawal WHERE content_id = c.id), -1)
  AND EXISTS (
    SELECT 1 FROM ingestion_coverage v JOIN ingestion_content o ON o.id = v.content_id AND o.source_id = c.source_id
    WHERE v.content_id <> c.id AND v.section = 'transactions' AND v.completeness = 'declared'
      AND v.account_ref = t.account_ref AND COALESCE(t.reported_on, t.trade_date) BETWEEN v.start AND v."end"
      AND (SELECT MAX(number) FROM ingestion_arrival WHERE content_id = o.id)
          > COALESCE((SELECT MAX(number) FROM ingestion_withdrawal WHERE content_id = o.id), -1)
  )
  AND NOT EXISTS (SELECT 1 FROM federation_conflict f WHERE f.user_id = %(user)s AND f.kind = 'only_in_one_source'
                  AND f.key = 'row:' || s.id || ':' || t.identity)
  AND NOT EXISTS (SELECT 1 FROM federation_conflict f JOIN ingestion_coverage v ON f.key = 'coverage:' || v.id
                  WHERE f.user_id = %(user)s AND f.kind = 'mass_withdrawal' AND v.content_id = c.id)
ORDER BY t.trade_date DESC, t.id DESC LIMIT %(most)s
"""
MOST_WITHDRAWN_SHOWN = 500


def withdrawn_rows(user: User) -> list[WithdrawnRow]:
    """Rows of statements in force that a newer whole edition of the same days no longer has, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(WITHDRAWN, {"user": user.pk, "most": MOST_WITHDRAWN_SHOWN})
        return [WithdrawnRow(*row) for row in cursor.fetchall()]


# --- instruments ----------------------------------------------------------


def instruments(user: User) -> QuerySet[Instrument]:
    """Instruments the user may name: their own and the catalog's."""
    return Instrument.objects.filter(Q(user=user) | Q(user=None)).order_by("symbol", "pk")


def own_instruments(user: User) -> QuerySet[Instrument]:
    """The user's private instruments, with the ways sources name them and what they were called."""
    rows = Instrument.objects.filter(user=user).prefetch_related("links__source", "attribute_facts")
    return rows.order_by("symbol", "pk")


def resolve_instrument(user: User, named: UUID | InstrumentRef) -> tuple[Instrument, Listing | None]:
    """The instrument and listing that an id or a name means to `user`: identifiers first, then a ticker that
    fits one.

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

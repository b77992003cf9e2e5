"""Where a holding, a cash balance or a ledger row comes from, as the drawer shows it: claims, rule, raw rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from federation import provenance
from federation import selectors as truth
from federation.models import BrokerAccount, Instrument, ReportedBalance, Transaction, TransactionKind
from federation.positions import OPENING_BALANCE, STEP
from federation.reasons import ANOTHER, ROW_WORDS, claim_reason, reason, row_words, with_article
from federation.rows import HoldingKey
from portfolio.models import CashBalance, Position
from stackmotive.common.display import day_text, money_text, price_text, quantity_text

MOST_ROWS = 10
VALUE_LABELS = {
    "kind": "What happened", "trade_date": "Day", "traded_at": "Time", "settled_on": "Settled", "quantity": "Quantity",
    "price": "Price", "currency": "Currency", "fee": "Fee", "fee_currency": "Currency of the fee", "tax": "Tax",
    "cash_amount": "Amount", "cash_currency": "Currency of the amount", "fx_rate": "Exchange rate",
    "ratio": "Split ratio", "external_id": "Reference", "group": "Group", "note": "Note",
    "account_ref": "Account in the file", "balance": "Balance", "cost_basis": "Cost", "as_of": "Day",
}  # fmt: skip
PUBLIC = {"kind", "trade_date", "traded_at", "settled_on", "price", "currency", "fee_currency", "cash_currency",
          "fx_rate", "ratio", "external_id", "group", "note", "account_ref", "as_of"}  # fmt: skip
ADJUSTMENT_WORDS = {OPENING_BALANCE: "opening balance", STEP: "change between two reports"}


@dataclass(frozen=True, slots=True)
class ClaimShown:
    """What one source says; value "" where its rows below say it. is_public: no amount."""

    source_name: str
    value: str
    as_of: date | None
    won: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ValueShown:
    label: str
    text: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class RawShown:
    """A row as its source stated it. run None = typed by hand."""

    source_name: str
    line: int
    filename: str
    run: UUID | None
    values: tuple[ValueShown, ...]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    id: UUID
    what: str
    day: date
    quantity: Decimal | None
    amount: Decimal | None
    currency: str
    source_name: str


@dataclass(frozen=True, slots=True)
class AccountPart:
    """A holding in one account. gap: reported less explained; opening: the part of it before the covered history."""

    account_name: str
    quantity: Decimal | None
    value: Decimal | None
    reported: Decimal | None
    reported_as_of: date | None
    reporter: str
    gap: Decimal
    opening: Decimal
    missing: Decimal
    claims: tuple[ClaimShown, ...]
    reason: str
    raw_rows: tuple[RawShown, ...]
    rows: tuple[LedgerLine, ...]
    row_count: int
    has_conflict: bool


@dataclass(frozen=True, slots=True)
class HoldingProvenance:
    """currency: of cash, "" for an instrument, whose parts count units."""

    name: str
    symbol: str
    kind: str
    mark: str
    currency: str
    parts: tuple[AccountPart, ...]


@dataclass(frozen=True, slots=True)
class RowProvenance:
    """A ledger row. holding: the instrument that it belongs to."""

    what: str
    account_name: str
    account: UUID
    holding: UUID | None
    holding_name: str
    cash_currency: str
    values: tuple[ValueShown, ...]
    claims: tuple[ClaimShown, ...]
    reason: str
    raw_rows: tuple[RawShown, ...]
    has_conflict: bool


# --- holdings and cash ----------------------------------------------------------


def holding_provenance(*, user: User, instrument_id: UUID, account: UUID | None = None) -> HoldingProvenance | None:
    """None for an instrument that the user never held in the account (any account)."""
    ledger = Transaction.objects.visible_to(user).filter(instrument=instrument_id)
    reports = ReportedBalance.objects.filter(user=user, instrument=instrument_id)
    held = Position.objects.visible_to(user).filter(instrument=instrument_id)
    accounts = accounts_of(user, (ledger, reports, held), account)
    instrument = Instrument.objects.filter(pk=instrument_id).first()
    if not accounts or instrument is None:
        return None
    positions = {row.account_id: row for row in held}
    parts = []
    for one in accounts:
        position = positions.get(one.pk)
        found = provenance.position_provenance(user, account=one.pk, instrument=instrument_id)
        rows = ledger.filter(account=one)
        parts.append(
            part(user, one, HoldingKey(instrument_id, ""), found, rows,
                 quantity=position.quantity if position else None,
                 value=position.market_value_base if position else None,
                 missing=position.missing_quantity if position else Decimal(0))
        )  # fmt: skip
    return HoldingProvenance(
        name=instrument.name or instrument.symbol,
        symbol=instrument.symbol,
        kind=instrument.kind,
        mark=instrument.symbol[:4].upper(),
        currency="",
        parts=tuple(sorted(parts, key=lambda one: (one.quantity is None, -(one.value or 0), one.account_name))),
    )


def cash_provenance(*, user: User, currency: str, account: UUID | None = None) -> HoldingProvenance | None:
    """None where the user never had cash of that currency."""
    ledger = Transaction.objects.visible_to(user).filter(cash_currency=currency)
    reports = ReportedBalance.objects.filter(user=user, instrument=None, currency=currency)
    balances = CashBalance.objects.filter(user=user, currency=currency)
    amounts = dict(balances.values_list("account", "amount"))
    accounts = accounts_of(user, (ledger, reports, balances), account)
    if not accounts:
        return None
    parts = [
        part(
            user, one, HoldingKey(None, currency),
            provenance.cash_provenance(user, account=one.pk, currency=currency), ledger.filter(account=one),
            quantity=amounts.get(one.pk), value=None, missing=Decimal(0),
        )
        for one in accounts
    ]  # fmt: skip
    return HoldingProvenance(f"{currency} cash", currency, "cash", currency, currency, tuple(parts))


def accounts_of(user: User, where: Iterable[QuerySet[Any]], account: UUID | None) -> list[BrokerAccount]:
    """The accounts that any of the rows speak of, by name."""
    named = {pk for rows in where for pk in rows.order_by().values_list("account", flat=True).distinct()}
    found = BrokerAccount.objects.visible_to(user).filter(pk__in=named if account is None else named & {account})
    return list(found.order_by("name", "pk"))


def part(
    user: User,
    account: BrokerAccount,
    key: HoldingKey,
    found: provenance.Provenance,
    rows: QuerySet[Transaction],
    *,
    quantity: Decimal | None,
    value: Decimal | None,
    missing: Decimal,
) -> AccountPart:
    report = next((one for one in truth.unexplained(user, accounts=[account.pk]) if one.key == key), None)
    winner = next((one["source_name"] for one in found.claims if one["won"]), "")
    loser = next((one["source_name"] for one in found.claims if not one["won"]), ANOTHER)
    newest = rows.select_related("source").order_by("-trade_date", "-position", "-id")
    return AccountPart(
        account_name=account.name,
        quantity=quantity,
        value=value,
        reported=report.reported if report else None,
        reported_as_of=report.reported_as_of if report else None,
        reporter=winner,
        gap=report.quantity if report else Decimal(0),
        opening=report.opening if report else Decimal(0),
        missing=missing,
        claims=tuple(
            ClaimShown(
                one["source_name"], in_units(one["value"], key), date.fromisoformat(one["as_of"]), one["won"], ""
            )
            for one in found.claims
        ),
        reason=reason(found.rule, winner=winner, loser=loser) if found.claims else "",
        raw_rows=tuple(raw_shown(row) for row in found.raw_rows),
        rows=tuple(ledger_line(row) for row in newest[:MOST_ROWS]),
        row_count=rows.count(),
        has_conflict=bool(found.conflicts),
    )


def in_units(text: str, key: HoldingKey) -> str:
    value = Decimal(text)
    return quantity_text(value) if key.instrument else money_text(value, key.currency)


def ledger_line(row: Transaction) -> LedgerLine:
    return LedgerLine(
        id=row.pk,
        what=booked_as(row).capitalize(),
        day=row.trade_date,
        quantity=row.quantity,
        amount=row.cash_amount,
        currency=row.cash_currency or row.currency,
        source_name=row.source.name if row.source else "",
    )


def booked_as(row: Transaction) -> str:
    if row.kind == TransactionKind.ADJUSTMENT:
        return ADJUSTMENT_WORDS.get(row.note, "unexplained difference")
    return ROW_WORDS.get(row.kind) or row.kind.replace("_", " ")


# --- ledger rows ----------------------------------------------------------


def row_provenance(*, user: User, transaction_id: UUID) -> RowProvenance | None:
    """None for another user's row."""
    row = truth.transactions(user).filter(pk=transaction_id).first()
    if row is None:
        return None
    found = provenance.transaction_provenance(row)
    is_adjustment = row.kind == TransactionKind.ADJUSTMENT
    winner = next((one["source_name"] for one in found.claims if one["won"]), "")
    loser = next((one["source_name"] for one in found.claims if not one["won"]), ANOTHER)
    words = booked_as(row) if is_adjustment else row_words(row.kind, row.trade_date).partition(" on ")[0]
    instrument = row.instrument
    name = (instrument.name or instrument.symbol) if instrument else ""
    about = f" of {name}" if name else ""
    what = with_article(words)
    key = HoldingKey(row.instrument_id, row.cash_currency)
    return RowProvenance(
        what=f"{what[0].upper()}{what[1:]}{about} on {day_text(row.trade_date)}",
        account_name=row.account.name,
        account=row.account_id,
        holding=row.instrument_id,
        holding_name=name,
        cash_currency=row.cash_currency if not instrument else "",
        values=booked_values(row),
        claims=tuple(claim_shown(one, winner, key) for one in found.claims),
        reason=told_reason(row, found.rule, winner=winner, loser=loser, claims=len(found.claims)),
        raw_rows=tuple(raw_shown(one) for one in found.raw_rows),
        has_conflict=bool(found.conflicts),
    )


def told_reason(row: Transaction, rule: str, *, winner: str, loser: str, claims: int) -> str:
    if row.kind == TransactionKind.ADJUSTMENT:
        return (
            "No source stated this row. It is the difference between what was reported and what the transactions "
            "explain, and counts as neither gain nor income."
        )
    return reason(rule, winner=winner, loser=loser) if claims else ""


def claim_shown(claim: Mapping[str, Any], winner: str, key: HoldingKey) -> ClaimShown:
    value = in_units(claim["value"], key) if claim.get("value") else ""
    as_of = date.fromisoformat(claim["as_of"]) if claim.get("as_of") else None
    why = "Its values are booked." if claim["won"] else claim_reason(claim["rule"], winner=winner)
    return ClaimShown(claim["source_name"], value, as_of, claim["won"], "" if value else why)


def booked_values(row: Transaction) -> tuple[ValueShown, ...]:
    cash = row.cash_currency or row.currency
    shown = (
        ("Quantity", None if row.quantity is None else quantity_text(row.quantity, signed=True), False),
        ("Price", None if row.price is None else price_text(row.price, row.currency), True),
        ("Fee", money_text(row.fee, row.fee_currency or row.currency) if row.fee else None, False),
        ("Tax", money_text(row.tax, row.currency) if row.tax else None, False),
        ("Amount", None if row.cash_amount is None else money_text(row.cash_amount, cash, signed=True), False),
        ("Exchange rate", None if row.fx_rate is None else quantity_text(row.fx_rate), True),
        ("Split ratio", None if row.ratio is None else quantity_text(row.ratio), True),
        ("Note", row.note or None, True),
    )
    return tuple(ValueShown(label, text, is_public) for label, text, is_public in shown if text is not None)


# --- raw rows ----------------------------------------------------------


def raw_shown(row: provenance.RawRow) -> RawShown:
    newest = row.imports[0] if row.imports else None
    return RawShown(
        source_name=row.source_name,
        line=row.line,
        filename=(newest["filename"] or "File without a name") if newest else "",
        run=newest["id"] if newest else None,
        values=tuple(
            ValueShown(VALUE_LABELS.get(name, name), stated(value), name in PUBLIC)
            for name, value in row.values.items()
        ),
    )


def stated(value: Any) -> str:
    """A value as its source stated it, without trailing zeros."""
    if isinstance(value, Decimal):
        return quantity_text(value)
    if isinstance(value, datetime):
        return f"{day_text(value)}, {value:%H:%M:%S} UTC"
    if isinstance(value, date):
        return day_text(value)
    return str(value).replace("_", " ")

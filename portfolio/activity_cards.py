"""What happened, as its pages show it: ledger rows, transfers between own accounts, and corporate actions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from federation import selectors as truth
from federation.models import BrokerAccount, CorporateAction, Transaction, TransactionKind, TransferLink
from federation.reasons import ROW_WORDS
from federation.services.corporate_actions import Preview
from portfolio.provenance_cards import booked_as
from stackmotive.common.display import money_text, price_text, quantity_text

PAGE_ROWS = 50
MOST = 100
MOST_ALONE = 25
LATEST_PAGE = 2000
KIND_CHOICES = tuple(
    (str(kind), (ROW_WORDS.get(kind) or kind.replace("_", " ")).capitalize()) for kind in TransactionKind
)
RULE_WORDS = {
    TransferLink.Rule.DECISION: "because you said so",
    TransferLink.Rule.GROUP: "one source states both sides",
    TransferLink.Rule.HASH: "both carry one transaction's hash",
    TransferLink.Rule.RULE: "amount and days fit",
    TransferLink.Rule.INCOME: "you called it income",
    TransferLink.Rule.PAYMENT: "you called it a payment",
}
ACTION_WORDS = {
    CorporateAction.Kind.SPLIT: "Split",
    CorporateAction.Kind.SPINOFF: "Spin-off",
    CorporateAction.Kind.MERGER: "Merger",
    CorporateAction.Kind.SYMBOL_CHANGE: "Change of symbol",
    CorporateAction.Kind.RETURN_OF_CAPITAL: "Return of capital",
    CorporateAction.Kind.STOCK_DIVIDEND: "Dividend in shares",
    CorporateAction.Kind.RIGHTS: "Rights issue",
    CorporateAction.Kind.EXERCISE: "Exercise of an option",
    CorporateAction.Kind.EXPIRY: "Expiry of an option",
}


@dataclass(frozen=True, slots=True)
class RowLine:
    """A ledger row. name "" = cash; is_computed: no source stated it."""

    id: UUID
    day: date
    what: str
    name: str
    symbol: str
    kind: str
    mark: str
    account_name: str
    quantity: Decimal | None
    price: Decimal | None
    currency: str
    amount: Decimal | None
    amount_currency: str
    source_name: str
    is_computed: bool


@dataclass(frozen=True, slots=True)
class RowTable:
    rows: tuple[RowLine, ...]
    page: int
    has_more: bool

    @property
    def earlier(self) -> int:
        return self.page - 1

    @property
    def later(self) -> int:
        return self.page + 1


@dataclass(frozen=True, slots=True)
class TransferLine:
    """What left and what arrived; "" for a side that lies outside."""

    id: UUID
    what: str
    amount: str
    left: str
    left_on: date | None
    left_row: str
    arrived: str
    arrived_on: date | None
    arrived_row: str
    fee: str
    rule: str
    can_unlink: bool


@dataclass(frozen=True, slots=True)
class AloneLine:
    """A transfer whose other side no source states. is_in: it arrived."""

    row: RowLine
    is_in: bool


@dataclass(frozen=True, slots=True)
class ActionLine:
    id: UUID
    what: str
    name: str
    mark: str
    kind: str
    day: date
    terms: tuple[str, ...]
    is_own: bool
    note: str


# --- ledger rows ----------------------------------------------------------


def row_table(user: User, *, account: UUID | None, kind: str, search: str, page: int) -> RowTable:
    """The newest first. search: part of a symbol or a name."""
    rows = truth.transactions(user)
    if account is not None:
        rows = rows.filter(account=account)
    if kind in TransactionKind.values:
        rows = rows.filter(kind=kind)
    if search:
        named = Q(instrument__symbol__icontains=search) | Q(instrument__name__icontains=search)
        rows = rows.filter(named | Q(note__icontains=search))
    start = (page - 1) * PAGE_ROWS
    found = list(rows[start : start + PAGE_ROWS + 1])
    return RowTable(tuple(row_line(row) for row in found[:PAGE_ROWS]), page, len(found) > PAGE_ROWS)


def row_line(row: Transaction) -> RowLine:
    instrument = row.instrument
    currency = row.cash_currency or row.currency
    return RowLine(
        id=row.pk,
        day=row.trade_date,
        what=booked_as(row).capitalize(),
        name=(instrument.name or instrument.symbol) if instrument else "",
        symbol=instrument.symbol if instrument else currency,
        kind=instrument.kind if instrument else "cash",
        mark=instrument.symbol[:4].upper() if instrument else currency,
        account_name=row.account.name,
        quantity=row.quantity,
        price=row.price,
        currency=row.currency,
        amount=row.cash_amount,
        amount_currency=currency,
        source_name=row.source.name if row.source else "",
        is_computed=row.source_id is None,
    )


# --- transfers ----------------------------------------------------------


def transfer_lines(user: User) -> list[TransferLine]:
    """The newest MOST."""
    links = list(truth.transfer_links(user)[:MOST])
    wanted = {UUID(leg) for link in links for leg in (*link.out_legs, *link.in_legs)}
    rows = {row.pk: row for row in truth.transactions(user).filter(pk__in=wanted)}
    return [transfer_line(link, rows) for link in links]


def transfer_line(link: TransferLink, rows: Mapping[UUID, Transaction]) -> TransferLine:
    moved = link.quantity_out if link.quantity_out is not None else link.quantity_in
    instrument = link.instrument
    return TransferLine(
        id=link.pk,
        what=(instrument.name or instrument.symbol) if instrument else f"{link.currency} cash",
        amount=in_units(moved, link),
        left=names_of(link.out_legs, rows),
        left_on=link.left_on,
        left_row=link.out_legs[0] if link.out_legs else "",
        arrived=names_of(link.in_legs, rows),
        arrived_on=link.arrived_on,
        arrived_row=link.in_legs[0] if link.in_legs else "",
        fee=in_units(link.fee, link) if link.fee else "",
        rule=RULE_WORDS.get(TransferLink.Rule(link.rule), ""),
        can_unlink=bool(link.out_legs and link.in_legs),
    )


def in_units(value: Decimal | None, link: TransferLink) -> str:
    if value is None:
        return ""
    return f"{quantity_text(value)} {link.instrument.symbol}" if link.instrument else money_text(value, link.currency)


def names_of(legs: Sequence[str], rows: Mapping[UUID, Transaction]) -> str:
    found = (rows.get(UUID(leg)) for leg in legs)
    return " and ".join(dict.fromkeys(row.account.name for row in found if row is not None))


def transfers_alone(user: User) -> list[AloneLine]:
    """Instruments that moved in or out, and no link says from where or whereto; the newest MOST_ALONE."""
    linked = {UUID(leg) for link in truth.transfer_links(user) for leg in (*link.out_legs, *link.in_legs)}
    kinds = (TransactionKind.TRANSFER_IN, TransactionKind.TRANSFER_OUT)
    rows: Iterable[Transaction] = truth.transactions(user).filter(kind__in=kinds).exclude(pk__in=linked)[:MOST_ALONE]
    return [AloneLine(row_line(row), row.kind == TransactionKind.TRANSFER_IN) for row in rows]


# --- corporate actions ----------------------------------------------------------


def action_lines(user: User) -> list[ActionLine]:
    """Actions in force of what the user holds or held, and the user's own; the newest MOST."""
    held = truth.ledger(user).order_by().values("instrument")
    rows = truth.corporate_actions(user).filter(Q(user=user) | Q(instrument__in=held))
    return [action_line(row, user) for row in rows[:MOST]]


def action_line(row: CorporateAction, user: User) -> ActionLine:
    return ActionLine(
        id=row.pk,
        what=ACTION_WORDS[CorporateAction.Kind(row.kind)],
        name=row.instrument.name or row.instrument.symbol,
        mark=row.instrument.symbol[:4].upper(),
        kind=row.instrument.kind,
        day=row.ex_date,
        terms=tuple(terms_of(row)),
        is_own=row.user_id == user.pk,
        note=row.note,
    )


@dataclass(frozen=True, slots=True)
class MovedLine:
    sign: str
    what: str
    day: date
    account_name: str
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class ActionPreview:
    """lines: the first MOST_ALONE rows that would come or go. told: accounts whose source states it."""

    lines: tuple[MovedLine, ...]
    told: int


def action_preview(user: User, found: Preview) -> ActionPreview:
    names = dict(BrokerAccount.objects.visible_to(user).values_list("pk", "name"))
    moved = [("+", row) for row in found.added] + [("\N{MINUS SIGN}", row) for row in found.removed]
    lines = (
        MovedLine(
            sign,
            (ROW_WORDS.get(row.kind) or row.kind.replace("_", " ")).capitalize(),
            row.trade_date,
            names.get(row.account, ""),
            row.quantity,
        )
        for sign, row in moved[:MOST_ALONE]
    )
    return ActionPreview(tuple(lines), len(found.claimed))


def terms_of(row: CorporateAction) -> Iterable[str]:
    new = row.new_instrument
    if row.ratio is not None:
        yield f"{quantity_text(row.ratio)} {f'of {new.symbol} ' if new else ''}for 1"
    elif new is not None:
        yield f"becomes {new.symbol}"
    if row.cash_per_unit is not None:
        yield f"{price_text(row.cash_per_unit, row.currency)} for each"
    if row.allocation is not None:
        yield f"{quantity_text(row.allocation * 100)} % of the cost goes over"
    if row.cash_in_lieu is not None:
        yield f"fractions sold at {price_text(row.cash_in_lieu, row.currency)}"

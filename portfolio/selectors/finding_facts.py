"""What findings are concluded from, read with a fixed number of queries however much there is."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Abs, Coalesce

from accounts.models import User
from federation.authority import FRESH_FILE, FRESH_PULLED
from federation.models import AccountLink, Conflict, Instrument, InstrumentKind, ReportedBalance, Transaction
from federation.positions import UNEXPLAINED
from federation.selectors import wholes
from ingestion.models import Content, Coverage, Source, SourceKind
from ingestion.selectors import coverage_grid
from portfolio.findings import (
    CASH_TOLERANCE,
    ByHand,
    Gap,
    Held,
    LastWord,
    Named,
    OpenConflict,
    Overdrawn,
    Spoken,
    Trade,
)
from portfolio.fx import RateTable
from portfolio.models import CashBalance, HoldingStep, Position
from portfolio.selectors.rates import rate_table

ZERO = Decimal(0)
Balance = tuple[UUID, UUID | None, str]  # account, and the instrument or the currency of cash


def held(user: User) -> list[Held]:
    rows = Position.objects.visible_to(user).order_by("account__name", "instrument__symbol", "pk")
    return [
        Held(
            pk, account, account_name, instrument, symbol, quantity, missing,
            None if value is None or not quantity else value / quantity, cost, reason,
        )
        for pk, account, account_name, instrument, symbol, quantity, missing, value, cost, reason in rows.values_list(
            "pk", "account_id", "account__name", "instrument_id", "instrument__symbol", "quantity", "missing_quantity",
            "market_value_base", "cost_basis_base", "reason",
        )
    ]  # fmt: skip


def gaps(user: User, *, today: dt.date, positions: list[Held]) -> list[Gap]:
    """Of every holding and cash balance that has an adjustment for what no transaction explains."""
    adjusted = Transaction.objects.visible_to(user).filter(kind="adjustment", note=UNEXPLAINED, trade_date__lte=today)
    changes: dict[Balance, list[tuple[dt.date, Decimal]]] = defaultdict(list)
    names: dict[Balance, tuple[str, str]] = {}
    for account, account_name, instrument, symbol, currency, quantity, cash, day in adjusted.order_by(
        "trade_date", "position", "pk"
    ).values_list(
        "account_id", "account__name", "instrument_id", "instrument__symbol", "cash_currency", "quantity",
        "cash_amount", "trade_date",
    ):  # fmt: skip
        place = (account, instrument, "" if instrument else currency)
        changes[place].append((day, (quantity if instrument else cash) or ZERO))
        names[place] = (account_name, symbol or currency)
    if not changes:
        return []
    reports: dict[Balance, list[dt.date]] = defaultdict(list)
    told = ReportedBalance.objects.filter(user=user, as_of__lte=today).order_by("as_of")
    for account, instrument, currency, as_of in told.values_list("account_id", "instrument_id", "currency", "as_of"):
        reports[account, instrument, currency].append(as_of)
    values = {(one.account, one.instrument): one.unit_value for one in positions}
    rates = rates_to_base(user, {currency for _, _, currency in changes if currency})
    return [
        Gap(
            account, names[place][0], instrument, names[place][1], tuple(moved), tuple(reports[place]),
            values.get((account, instrument)) if instrument else rate_on(rates, user, currency, today),
        )
        for place, moved in changes.items()
        for account, instrument, currency in (place,)
    ]  # fmt: skip


def rates_to_base(user: User, currencies: set[str]) -> RateTable | None:
    """None where nothing has to be converted."""
    if currencies <= {user.base_currency}:
        return None
    return rate_table(user_id=user.pk, currencies=currencies | {user.base_currency})


def rate_on(table: RateTable | None, user: User, currency: str, day: dt.date) -> Decimal | None:
    if currency == user.base_currency:
        return Decimal(1)
    found = table.rate(currency, user.base_currency, day) if table else None
    return found.value if found else None


def overdrawn(user: User) -> list[Overdrawn]:
    below = CashBalance.objects.visible_to(user).filter(amount__lt=0).order_by("account__name", "currency", "pk")
    found = list(below.values_list("account_id", "account__name", "currency", "amount", "amount_base"))
    if not found:
        return []
    steps: dict[tuple[UUID, str], list[tuple[dt.date, Decimal]]] = defaultdict(list)
    stored = HoldingStep.objects.visible_to(user).filter(instrument=None, account__in={row[0] for row in found})
    for account, currency, day, amount in stored.order_by("day").values_list(
        "account_id", "currency", "day", "quantity"
    ):
        steps[account, currency].append((day, amount))
    return [
        Overdrawn(account, name, currency, amount, amount_base, tuple(steps[account, currency]))
        for account, name, currency, amount, amount_base in found
    ]


def statements(user: User, *, today: dt.date) -> tuple[list[Spoken], list[LastWord]]:
    """Months that statements of believed sources speak of, and the newest day of each source."""
    believed = {
        source.pk: source
        for source in Source.objects.visible_to(user).filter(enabled=True, retired_at=None).only(
            "name", "pulled_at", "schedule"
        )
    }  # fmt: skip
    linked = {
        (source, reference): account
        for source, reference, account in AccountLink.objects.filter(source__in=believed).values_list(
            "source_id", "reference", "account_id"
        )
    }
    parts = wholes(user)
    spoken: list[Spoken] = []
    newest: dict[UUID, dt.date] = {}
    for line in coverage_grid(user.pk, until=today):
        if line.source_id not in believed:
            continue
        account = linked.get((line.source_id, line.account_ref))
        if line.account is not None:
            account = parts.get(line.account, line.account)
        months = [(month.month, month.files > 0) for month in line.months]
        spoken.append(Spoken(line.source_id, line.source_name, line.account_ref, account, line.end, months))
        newest[line.source_id] = max(line.end, newest.get(line.source_id, line.end))
    words = [
        LastWord(pk, believed[pk].name, day, FRESH_PULLED if believed[pk].pulled_at else FRESH_FILE)
        for pk, day in newest.items()
    ]
    return spoken, words


def unresolved(user: User) -> list[Named]:
    used = Exists(Transaction.objects.filter(user=user, instrument=OuterRef("pk"))) | Exists(
        ReportedBalance.objects.filter(user=user, instrument=OuterRef("pk"))
    )
    rows = Instrument.objects.filter(used, user=user, needs_review=True).order_by("symbol", "pk")
    return [Named(*row) for row in rows.values_list("pk", "symbol", "name")]


def open_conflicts(user: User) -> list[OpenConflict]:
    rows = Conflict.objects.visible_to(user).filter(status=Conflict.Status.OPEN).order_by("key")
    return [
        OpenConflict(pk, kind, key, account, effect, repr(candidates))
        for pk, kind, key, account, effect, candidates in rows.values_list(
            "pk", "kind", "key", "account_id", "effect_base", "candidates"
        )
    ]


def doubtful_trades(user: User, *, today: dt.date) -> list[Trade]:
    """Trades whose cash is not quantity x price, with or without the fee: those that a tax explains are among them."""
    gross = Abs(F("quantity") * F("price") * F("instrument__multiplier"))
    rows = (
        Transaction.objects.visible_to(user)
        .filter(
            Q(cash_currency="") | Q(cash_currency=F("currency")), Q(fee_currency="") | Q(fee_currency=F("currency")),
            kind__in=("buy", "sell"), quantity__isnull=False, price__isnull=False, cash_amount__isnull=False,
            trade_date__lte=today,
        )
        .annotate(gross=gross, off=Abs(F("cash_amount")) - gross, cost=Coalesce(F("fee"), ZERO))
        .exclude(off__range=(-CASH_TOLERANCE, CASH_TOLERANCE))
        .exclude(off__range=(F("cost") - CASH_TOLERANCE, F("cost") + CASH_TOLERANCE))
        .exclude(off__range=(-F("cost") - CASH_TOLERANCE, -F("cost") + CASH_TOLERANCE))
        .order_by("trade_date", "pk")
    )  # fmt: skip
    found = list(
        rows.values_list(
            "pk", "account_id", "account__name", "instrument_id", "instrument__symbol", "instrument__kind",
            "trade_date", "quantity", "price", "instrument__multiplier", "fee", "tax", "cash_amount", "currency",
        )
    )  # fmt: skip
    table = rates_to_base(user, {row[13] for row in found})
    return [
        Trade(
            pk, account, account_name, instrument, symbol, kind == InstrumentKind.BOND, day, quantity, price,
            multiplier, fee or ZERO, tax or ZERO, cash, currency, rate_on(table, user, currency, day),
        )
        for pk, account, account_name, instrument, symbol, kind, day, quantity, price, multiplier, fee, tax, cash,
        currency in found
    ]  # fmt: skip


def by_hand(user: User) -> list[ByHand]:
    """Rows that only the user's hand speaks of, on days that a believed source declares whole for their account."""
    rows = list(
        Transaction.objects.visible_to(user)
        .filter(is_manual=True)
        .order_by("trade_date", "position", "pk")
        .values_list(
            "pk", "account_id", "account__name", "instrument_id", "kind", "trade_date", "cash_amount", "cash_currency"
        )
    )
    if not rows:
        return []
    windows = _declared_windows(user, {row[1] for row in rows})
    table = rates_to_base(user, {row[7] for row in rows if row[7]})
    found = []
    for pk, account, account_name, instrument, kind, day, cash, currency in rows:
        owner = next((source for start, end, source in windows[account] if start <= day <= end), None)
        if owner is None:
            continue
        rate = rate_on(table, user, currency, day) if currency else None
        effect = None if cash is None or rate is None else abs(cash * rate)
        found.append(ByHand(pk, account, account_name, instrument, kind, day, owner.pk, owner.name, effect))
    return found


def _declared_windows(user: User, accounts: set[UUID]) -> dict[UUID, list[tuple[dt.date, dt.date, Source]]]:
    """Days that contents in force declare whole, by account, the highest authority first."""
    sources = {
        one.pk: one
        for one in Source.objects.visible_to(user).filter(enabled=True).exclude(kind=SourceKind.MANUAL)
    }  # fmt: skip
    linked: dict[tuple[UUID, str], UUID | None] = {
        (source, reference): account
        for source, reference, account in AccountLink.objects.filter(source__in=sources).values_list(
            "source_id", "reference", "account_id"
        )
    }
    declared = Coverage.objects.filter(
        content__in=Content.objects.filter(source__in=sources).in_force().values("pk"),
        section=Coverage.Section.TRANSACTIONS,
        completeness=Coverage.Completeness.DECLARED,
    ).order_by("content__source__priority", "content__source", "start", "pk")
    parts = wholes(user)
    windows: dict[UUID, list[tuple[dt.date, dt.date, Source]]] = defaultdict(list)
    values: Any = declared.values_list("content__source", "account_ref", "content__default_account", "start", "end")
    for source, reference, default, start, end in values:
        account = parts.get(default, default) if default and not reference else linked.get((source, reference))
        if account in accounts:
            windows[account].append((start, end, sources[source]))
    return windows

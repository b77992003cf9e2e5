"""What the findings about statements are concluded from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from federation.left_out import LeftOut, rows_left_out
from federation.models import BrokerAccount, Decision, Instrument, InstrumentLink, Transaction
from federation.positions import OPENING_BALANCE, STEP
from portfolio.fx import RateTable
from portfolio.selectors.finding_facts import rate_on, rates_to_base
from portfolio.statement_findings import NotBooked, UnfitLots


def not_booked(user: User) -> list[NotBooked]:
    """Rows that whole statements of their own source lack, with what they would move in base currency."""
    rows = rows_left_out(user)
    if not rows:
        return []
    table = rates_to_base(user, {currency for row in rows for currency in (row.currency, row.cash_currency)})
    multipliers = dict(
        Instrument.objects.filter(pk__in={row.instrument for row in rows}).values_list("pk", "multiplier")
    )
    return [
        NotBooked(
            row.source, row.source_name, row.identity, row.account, row.account_name, row.instrument, row.kind, row.day,
            row.line, _effect(user, row, table, multipliers),
        )
        for row in rows
    ]  # fmt: skip


def _effect(user: User, row: LeftOut, table: RateTable | None, multipliers: dict[UUID, Decimal]) -> Decimal | None:
    amount, currency = row.cash_amount, row.cash_currency
    if amount is None and row.quantity is not None and row.price is not None:
        multiplier = multipliers.get(row.instrument, Decimal(1)) if row.instrument else Decimal(1)
        amount, currency = row.quantity * row.price * multiplier, row.currency
    rate = rate_on(table, user, currency, row.day) if amount is not None else None
    return None if amount is None or rate is None else abs(amount * rate)


def unfit_lots(user: User) -> list[UnfitLots]:
    """The newest lots that the user gave of each holding, where the ledger's opening balance is not made of them."""
    decisions = list(
        Decision.objects.visible_to(user).filter(kind=Decision.Kind.OPENING_LOTS, revocation=None).order_by("number")
    )
    if not decisions:
        return []
    accounts = BrokerAccount.objects.visible_to(user).in_bulk()
    newest: dict[tuple[UUID, UUID], Decision] = {}
    for decision in decisions:
        named = accounts.get(UUID(decision.keys["account"]))
        if named is not None:
            account = named.merged_into_id or named.pk
            for instrument in _meant(user, decision.keys["instruments"]):
                newest[account, instrument] = decision
    openings = {
        (row.account_id, row.instrument_id): row
        for row in Transaction.objects.visible_to(user)
        .filter(
            kind="adjustment", note__in=(OPENING_BALANCE, STEP),
            account__in={account for account, _ in newest}, instrument__in={instrument for _, instrument in newest},
        )
        .order_by("-trade_date", "-position")
    }  # fmt: skip
    symbols = dict(Instrument.objects.filter(pk__in={one for _, one in newest}).values_list("pk", "symbol"))
    found = []
    for (account, instrument), decision in newest.items():
        opening = openings.get((account, instrument))
        if opening is not None and opening.lots:
            continue
        total = sum((Decimal(lot["quantity"]) for lot in decision.value["lots"]), Decimal(0))
        found.append(
            UnfitLots(
                decision.pk, account, accounts[account].name, instrument, symbols.get(instrument, ""), total,
                opening.quantity if opening else None, opening.trade_date if opening else None,
            )
        )  # fmt: skip
    return found


def _meant(user: User, namings: Any) -> set[UUID]:
    wanted = {(source, key) for source, key in namings}
    links = InstrumentLink.objects.filter(source__user=user, key__in={key for _, key in wanted})
    return {
        instrument
        for source, key, instrument in links.values_list("source_id", "key", "instrument_id")
        if (str(source), key) in wanted
    }

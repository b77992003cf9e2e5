"""What a change would do to the figures: ledger and figures follow it in a transaction that is rolled back (DESIGN 7)."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Sum

from accounts.models import User
from federation import services as federation
from federation.errors import PreviewBusy
from federation.models import BrokerAccount
from federation.services import Change
from portfolio import selectors
from portfolio.models import CashBalance, RealizedGain
from portfolio.services.changes import HEADLINES
from portfolio.services.refresh import refresh_once

ZERO = Decimal(0)
MOST_HOLDINGS = 200
OF_ACCOUNTS = ("market_value", "cash", "unrealized_gain", "realized_gain")
OF_HOLDINGS = ("quantity", "market_value", "cost_basis", "unrealized_gain", "realized_gain")
Amounts = Mapping[str, Decimal | None]
Spot = tuple[UUID, UUID]  # account, instrument
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Moved:
    """A figure now and as it would be. None is unknown; change is None where either is."""

    before: Decimal | None
    after: Decimal | None

    @property
    def change(self) -> Decimal | None:
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class MovedAccount:
    account: UUID
    account_name: str
    figures: dict[str, Moved]  # OF_ACCOUNTS


@dataclass(frozen=True, slots=True)
class MovedHolding:
    account: UUID
    account_name: str
    instrument: UUID
    symbol: str
    figures: dict[str, Moved]  # OF_HOLDINGS


@dataclass(frozen=True, slots=True)
class MoneyPreview:
    """Figures of as_of in base currency. Accounts and holdings are those that would move, the largest move first;
    holdings are the first MOST_HOLDINGS of holding_count.
    """

    currency: str
    as_of: dt.date
    row_count: int
    figures: dict[str, Moved]  # HEADLINES
    accounts: list[MovedAccount]
    holdings: list[MovedHolding]
    holding_count: int


@dataclass(slots=True)
class _Read:
    """The figures as they stand at some point of the trial."""

    headlines: dict[str, Any]
    accounts: dict[UUID, Amounts]
    holdings: dict[Spot, Amounts]
    names: dict[UUID, str]
    symbols: dict[UUID, str] = field(default_factory=dict)


def preview_in_money(change: Change) -> MoneyPreview:
    """What `change` would do to the figures. Raises PreviewBusy, PreviewTooLong, and what making it raises."""
    user = change.user
    with federation.trial(user):
        before = _brought_up(user)
        done = federation.try_out(change)
        after = _brought_up(user)
    names, symbols = before.names | after.names, before.symbols | after.symbols
    holdings = [
        MovedHolding(account, names[account], instrument, symbols[instrument], figures)
        for (account, instrument), figures in _moved(before.holdings, after.holdings, OF_HOLDINGS)
    ]
    return MoneyPreview(
        currency=after.headlines["currency"],
        as_of=after.headlines["as_of"],
        row_count=done.differences[0].size if done.differences else 0,
        figures={name: Moved(before.headlines[name], after.headlines[name]) for name in HEADLINES},
        accounts=[
            MovedAccount(account, names[account], figures)
            for account, figures in _moved(before.accounts, after.accounts, OF_ACCOUNTS)
        ],
        holdings=holdings[:MOST_HOLDINGS],
        holding_count=len(holdings),
    )


def _brought_up(user: User) -> _Read:
    """The figures of the ledger as it stands in this transaction. Raises PreviewBusy."""
    refresh_once(user_id=user.pk)
    found = selectors.summary(user=user)
    if found.is_stale:
        raise PreviewBusy("Your figures are being brought up to date. Try again in a moment.")
    return _read(user, found.as_dict())


def _read(user: User, headlines: dict[str, Any]) -> _Read:
    held = selectors.positions(user=user)
    realized: dict[Spot, Decimal] = {
        (row["account"], row["instrument"]): row["total"] or ZERO
        for row in RealizedGain.objects.visible_to(user)
        .values("account", "instrument")
        .annotate(total=Sum("gain_base"))
    }
    holdings: dict[Spot, Amounts] = {
        (row.account, row.instrument): {
            "quantity": row.quantity,
            "market_value": row.market_value_base,
            "cost_basis": row.cost_basis_base,
            "unrealized_gain": row.unrealized_gain_base,
            "realized_gain": realized.get((row.account, row.instrument), ZERO),
        }
        for row in held
        if row.account is not None
    }
    nothing = dict.fromkeys(OF_HOLDINGS, ZERO)
    for spot, total in realized.items():
        holdings.setdefault(spot, nothing | {"realized_gain": total})
    cash: dict[UUID, list[Decimal | None]] = defaultdict(list)
    for account, amount in CashBalance.objects.visible_to(user).values_list("account", "amount_base"):
        cash[account].append(amount)
    names = dict(BrokerAccount.objects.visible_to(user).values_list("pk", "name"))
    accounts: dict[UUID, Amounts] = {}
    for account in names:
        of_account = [amounts for spot, amounts in holdings.items() if spot[0] == account]
        accounts[account] = {
            "market_value": _total(amounts["market_value"] for amounts in of_account),
            "cash": _total(cash[account]),
            "unrealized_gain": _total(amounts["unrealized_gain"] for amounts in of_account),
            "realized_gain": _total(amounts["realized_gain"] for amounts in of_account),
        }
    symbols = {row.instrument: row.symbol for row in held}
    lost = {instrument for _, instrument in holdings} - symbols.keys()
    symbols |= dict(
        RealizedGain.objects.visible_to(user)
        .filter(instrument__in=lost)
        .values_list("instrument", "instrument__symbol")
    )
    return _Read(headlines, accounts, holdings, names, symbols)


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; null where there is something and nothing of it is known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known, ZERO) if known or not every else None


def _moved(
    before: Mapping[Key, Amounts], after: Mapping[Key, Amounts], names: Sequence[str]
) -> list[tuple[Key, dict[str, Moved]]]:
    """What differs, the largest move of value first. What is on one side only was, or would be, nothing."""
    nothing: Amounts = dict.fromkeys(names, ZERO)
    found = []
    for key in before.keys() | after.keys():
        was, is_now = before.get(key, nothing), after.get(key, nothing)
        if was != is_now:
            found.append((key, {name: Moved(was[name], is_now[name]) for name in names}))
    return sorted(found, key=lambda one: (-_size(one[1]), str(one[0])))


def _size(figures: Mapping[str, Moved]) -> Decimal:
    return sum((abs(moved.change or ZERO) for name, moved in figures.items() if name != "quantity"), ZERO)

"""What every figure is asked for: whose, which account, which day, which currency, and how current it is."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from federation.models import Conflict, LedgerState
from portfolio.fx import RateTable
from portfolio.models import FigureState
from portfolio.selectors.rates import rate_table
from portfolio.valuation_day import valuation_day


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a user's figures have come. is_stale: the ledger, prices or the day moved on and a refresh is due."""

    valued_on: dt.date
    ledger_version: int
    is_stale: bool
    open_conflicts: int


def standing(*, user: User) -> Standing:
    state = LedgerState.objects.filter(pk=user.pk).first()
    done = FigureState.objects.filter(pk=user.pk).first()
    today = valuation_day(user)
    valued_on = done.valued_on if done and done.valued_on else today
    is_behind = state is not None and (
        state.dirty_from is not None
        or state.valued_version < state.ledger_version
        or valued_on != today
        or (done is not None and done.base_currency not in ("", user.base_currency))
    )
    conflicts = Conflict.objects.filter(user=user, status=Conflict.Status.OPEN).count()
    return Standing(valued_on, state.valued_version if state else 0, is_behind, conflicts)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Turns base currency into the currency that was asked for."""

    base: str
    currency: str
    table: RateTable | None  # None where they are the same

    def at(self, day: dt.date) -> Decimal | None:
        """Units of the asked currency for one of base on `day`; None where no rate is known."""
        if self.table is None:
            return Decimal(1)
        found = self.table.rate(self.base, self.currency, day)
        return None if found is None else found.value

    def convert(self, amount: Decimal | None, day: dt.date) -> Decimal | None:
        if amount is None or self.table is None:
            return amount
        rate = self.at(day)
        return None if rate is None else amount * rate


def exchange(*, user: User, currency: str | None) -> Exchange:
    base = figures_currency(user)
    if not currency or currency == base:
        return Exchange(base, base, None)
    return Exchange(base, currency, rate_table(user_id=user.pk, currencies={base, currency}))


def figures_currency(user: User) -> str:
    """The currency that the stored figures are in: the one the user had when they were computed."""
    stored = FigureState.objects.filter(pk=user.pk).exclude(base_currency="").values_list("base_currency", flat=True)
    return stored.first() or user.base_currency


def account_filter(account: UUID | None) -> dict[str, UUID]:
    return {} if account is None else {"account_id": account}

"""What an explanation looks at: whose figures, of which account, day and currency, with the rates behind them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from accounts.models import User
from federation.models import BrokerAccount
from portfolio.explain.tree import Node, Ref, given, times
from portfolio.fx import RateTable
from portfolio.ledger_rows import Flows, LedgerRow, account_flows
from portfolio.models import FigureState
from portfolio.selectors.rates import rate_table
from portfolio.selectors.scope import Exchange, Standing
from portfolio.services.reading import read_ledger
from portfolio.services.touched import find_touched


@dataclass
class Sight:
    """account None: all of them. is_today: the stored figures are of the day asked about."""

    user: User
    now: Standing
    rate: Exchange
    account: UUID | None
    day: dt.date
    asked: dict[str, object] = field(default_factory=dict)  # the words of the question that sub-questions repeat

    @property
    def is_today(self) -> bool:
        return self.day >= self.now.valued_on

    @cached_property
    def accounts(self) -> dict[UUID, BrokerAccount]:
        return {one.pk: one for one in BrokerAccount.objects.filter(user=self.user)}

    @cached_property
    def rows(self) -> list[LedgerRow]:
        """The ledger up to the day, in its order."""
        done = FigureState.objects.filter(pk=self.user.pk).first() or FigureState(pk=self.user.pk)
        touched = find_touched(user=self.user, today=self.day, done=done, everything=True)
        return read_ledger(user=self.user, accounts=self.accounts, until=self.day, touched=touched)[0]

    @cached_property
    def table(self) -> RateTable:
        currencies = {self.rate.base, self.rate.currency, self.user.base_currency}
        currencies |= {one.currency for one in self.rows} | {one.cash_currency for one in self.rows}
        currencies |= {one.fee_currency for one in self.rows}
        return rate_table(user_id=self.user.pk, currencies=currencies - {""})

    def rate_on(self, base: str, quote: str, day: dt.date) -> Decimal | None:
        found = self.table.rate(base, quote, day)
        return None if found is None else found.value

    def flows_of(self, row: LedgerRow) -> Flows:
        """What one row alone moves."""
        return account_flows([row], base=self.rate.base, rate_on=self.rate_on)

    def rate_node(self, base: str, quote: str, day: dt.date) -> Node:
        """Units of `quote` for one of `base` on a day; through the currencies of its path."""
        return rate_node(self.table_of({base, quote}), base, quote, day)

    def table_of(self, currencies: Iterable[str]) -> RateTable:
        return rate_table(user_id=self.user.pk, currencies=set(currencies))

    def exchanged(self, node: Node, day: dt.date, *, places: int | None = None) -> Node:
        """A node in base currency as it is in the currency asked for; itself where that is the same."""
        if self.rate.table is None:
            return node
        rate = rate_node(self.rate.table, self.rate.base, self.rate.currency, day)
        return times(
            f"{node.label} in {self.rate.currency}", self.rate.currency, [node, rate], places=places, reason="no_rate"
        )

    def question(self, name: str, **about: object) -> dict[str, object]:
        """What asks for another figure of the same sight."""
        return {"figure": name, **self.asked, **about}


def rate_node(table: RateTable, base: str, quote: str, day: dt.date) -> Node:
    found = table.rate(base, quote, day)
    label = f"{base} in {quote}"
    if found is None:
        return given(label, None, "ratio", reason="no_rate")
    if base == quote:
        return given(label, Decimal(1), "ratio", on=day)
    legs = []
    for first, second in zip(found.path, found.path[1:], strict=False):
        leg = table.rate(first, second, day)
        if leg is None or len(found.path) == 2:
            break
        ref = Ref("rate", detail={"base": first, "quote": second, "date": leg.as_of.isoformat()})
        legs.append(given(f"{first} in {second}", leg.value, "ratio", ref=ref, on=leg.as_of))
    whole = times(label, "ratio", legs, on=found.as_of) if legs else None
    if whole is not None and whole.value == found.value:
        return whole
    ref = Ref("rate", detail={"base": base, "quote": quote, "date": found.as_of.isoformat()})
    return given(label, found.value, "ratio", ref=ref, on=found.as_of)

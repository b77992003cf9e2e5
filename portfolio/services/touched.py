"""Which holdings and accounts have other inputs than when their figures were last computed.

Each holding and account keeps a digest of everything its figures rest on: ledger rows, prices, reports, pairings. What
all rest on (the day, the currency, rates, account settings) is one stamp: when it changes, all is computed again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max

from accounts.models import User
from federation.models import AccountSetting, BrokerAccount, Transaction, TransferLink
from federation.selectors import unexplained
from portfolio.ledger_rows import BORDER
from portfolio.lot_events import Terms
from portfolio.models import BrokerRate, FigureState, FxRate, ValueSeries
from portfolio.selectors.actions import action_terms, tied_instruments
from portfolio.selectors.prices import uses_trade_prices
from portfolio.selectors.rates import shared_rates_number
from stackmotive.common.currencies import ISO_4217

RULES = 3  # grows when the same inputs give other figures

LEDGER = """
SELECT instrument_id, account_id, GROUPING(instrument_id) = 0, count(*), sum(hashtextextended(t::text, 0))
FROM federation_transaction t WHERE user_id = %(user)s AND trade_date <= %(until)s
GROUP BY GROUPING SETS ((instrument_id), (account_id))
"""
QUOTES = """
SELECT i.id, i.kind, i.multiplier,
  string_agg(concat_ws(':', l.id, l.currency, l.quote_unit, s.id, s.number), ',' ORDER BY l.id, s.id)
FROM federation_instrument i
LEFT JOIN federation_listing l ON l.instrument_id = i.id
LEFT JOIN portfolio_priceseries s ON s.listing_id = l.id AND (s.user_id IS NULL OR s.user_id = %(user)s)
WHERE i.id = ANY(%(instruments)s)
GROUP BY i.id
"""

Tied = tuple[UUID, UUID, UUID | None, str]  # a row, its account and instrument, and what it is tied to


@dataclass(frozen=True, slots=True)
class Touched:
    """What a refresh computes. is_all: everything the user has. paired: legs whose transfer has its other leg too.

    Accounts come with all their rows; instruments with their rows in all accounts. inputs: to be kept once written.
    """

    is_all: bool
    accounts: frozenset[UUID]
    instruments: frozenset[UUID]
    paired: Mapping[UUID, str]  # leg -> what its transfer's legs have in common
    beyond: Mapping[UUID, str] = field(default_factory=dict)  # leg without a partner -> income or payment
    until: Mapping[UUID, dt.date] = field(default_factory=dict)  # leg of a linked transfer -> day of its last leg
    inputs: dict[str, Any] = field(default_factory=dict)

    def has(self, *, account: UUID, instrument: UUID | None) -> bool:
        """Whether a line is computed: a holding by its instrument, cash by its account."""
        return self.is_all or (account in self.accounts if instrument is None else instrument in self.instruments)


def find_touched(*, user: User, today: dt.date, done: FigureState, everything: bool = False) -> Touched:
    """Compare the inputs of now with those that the stored figures were computed from."""
    paired = _paired(user.pk, today)
    beyond, terms = _beyond(user.pk), action_terms(user=user)
    until = _until(user.pk, today)
    dated = [(pk, account, instrument, f"{tie} {until.get(pk)}") for pk, account, instrument, tie in paired]
    instruments, accounts = _digests(user, today, [*dated, *beyond], terms)
    stamp = _stamp(user, today)
    known = done.inputs
    inputs = {
        "stamp": stamp,
        "instruments": {str(pk): digest for pk, digest in instruments.items()},
        "accounts": {str(pk): digest for pk, digest in accounts.items()},
        "unvalued": known.get("unvalued", []),
    }
    legs = {pk: link for pk, _account, _instrument, link in paired}
    meanings = {pk: meaning for pk, _account, _instrument, meaning in beyond}
    if everything or known.get("stamp") != stamp or _pays_fees_in_coins(user.pk):
        return Touched(True, frozenset(accounts), frozenset(instruments), legs, meanings, until, inputs)
    tied = tied_instruments(user.pk, terms)
    changed = _with_tied(_changed(known["instruments"], inputs["instruments"]), tied)
    touched = _changed(known["accounts"], inputs["accounts"])
    rows = Transaction.objects.filter(user=user, trade_date__lte=today)
    stored = ValueSeries.objects.filter(user=user)
    touched |= set(rows.filter(instrument__in=changed).values_list("account_id", flat=True))
    touched |= set(stored.filter(instrument__in=changed).values_list("account_id", flat=True))
    # Flows in kind and holdings without a value enter their account's days beyond what is stored of them.
    in_kind = rows.filter(account__in=touched, instrument__isnull=False, kind__in=[*BORDER, "reward"])
    changed |= {pk for pk in in_kind.values_list("instrument_id", flat=True) if pk}
    unvalued = stored.filter(account__in=touched, instrument__in=known.get("unvalued", []))
    changed |= {pk for pk in unvalued.values_list("instrument_id", flat=True) if pk}
    changed = _with_tied(changed, tied)
    return Touched(False, frozenset(touched), frozenset(changed), legs, meanings, until, inputs)


def _changed(known: dict[str, str], found: dict[str, str]) -> set[UUID]:
    return {UUID(key) for key in known.keys() | found.keys() if known.get(key) != found.get(key)}


def _with_tied(instruments: set[UUID], tied: Mapping[UUID, set[UUID]]) -> set[UUID]:
    """With the instruments that share lots with them by a corporate action."""
    return instruments.union(*(tied.get(one, ()) for one in instruments))


def _stamp(user: User, today: dt.date) -> str:
    accounts = BrokerAccount.objects.filter(user=user).order_by("pk")
    settings = AccountSetting.objects.filter(account__user=user).aggregate(rows=Count("pk"), newest=Max("pk"))
    rates = [
        sorted(model.objects.filter(user=user).aggregate(rows=Count("pk"), newest=Max("pk")).items())
        for model in (FxRate, BrokerRate)
    ]
    return _digest(
        [
            RULES, today, user.base_currency, uses_trade_prices(user_id=user.pk), shared_rates_number(),
            *rates, sorted(settings.items()),
            *accounts.values_list("pk", "tracking", "cash_mode", "allows_short", "cost_basis_method"),
        ]
    )  # fmt: skip


def _digests(
    user: User, today: dt.date, paired: Iterable[Tied], terms: Iterable[Terms]
) -> tuple[dict[UUID, str], dict[UUID, str]]:
    parts: dict[tuple[str, UUID], list[object]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(LEDGER, {"user": user.pk, "until": today})
        for instrument, account, is_instrument, *sums in cursor.fetchall():
            if is_instrument and instrument is not None:
                parts["instrument", instrument].append(sums)
            elif not is_instrument:
                parts["account", account].append(sums)
        held = [pk for kind, pk in parts if kind == "instrument"]
        cursor.execute(QUOTES, {"user": user.pk, "instruments": held})
        for instrument, *quotes in cursor.fetchall():
            parts["instrument", instrument].append(quotes)
    for leg, account, leg_of, tie in sorted(paired, key=lambda one: (one[0], one[3])):
        parts["account", account].append((leg, tie))
        if leg_of is not None:
            parts["instrument", leg_of].append((leg, tie))
    for one in terms:
        for named in filter(None, (one.instrument, one.new_instrument)):
            if ("instrument", UUID(named)) in parts:
                parts["instrument", UUID(named)].append(one)
    for report in sorted(unexplained(user), key=lambda one: (one.account, str(one.key))):
        told = (report.account, report.key.currency, report.quantity.normalize(), report.reported_as_of)
        place = ("instrument", report.key.instrument) if report.key.instrument else ("account", report.account)
        if place in parts:
            parts[place].append(told)
    digests = {place: _digest(values) for place, values in parts.items()}
    return (
        {pk: digest for (kind, pk), digest in digests.items() if kind == "instrument"},
        {pk: digest for (kind, pk), digest in digests.items() if kind == "account"},
    )


def _digest(values: Iterable[object]) -> str:
    return hashlib.sha256(repr([str(value) for value in values]).encode()).hexdigest()[:24]


def _paired(user_id: UUID, until: dt.date) -> list[Tied]:
    """Transfer legs whose other leg is in the ledger: as linked, or of one group and one instrument or currency."""
    tied: dict[UUID, str] = {}
    linked = TransferLink.objects.filter(user=user_id, left_on__lte=until, arrived_on__lte=until)
    for link, outs, ins in linked.values_list("pk", "out_legs", "in_legs"):
        tied |= {UUID(leg): str(link) for leg in (*outs, *ins)}
    legs = Transaction.objects.filter(
        user=user_id, trade_date__lte=until, kind__in=("transfer_in", "transfer_out"), group__isnull=False
    )
    by_event: dict[tuple[UUID | None, object], dict[str, list[UUID]]] = defaultdict(lambda: defaultdict(list))
    for pk, instrument, currency, cash_currency, kind, group in legs.values_list(
        "pk", "instrument_id", "currency", "cash_currency", "kind", "group"
    ):
        by_event[group, instrument or cash_currency or currency][kind].append(pk)
    for (group, _unit), sides in by_event.items():
        if len(sides) == 2:
            tied = {leg: str(group) for side in sides.values() for leg in side} | tied
    return _tied(user_id, tied)


def _until(user_id: UUID, day: dt.date) -> dict[UUID, dt.date]:
    """Legs of linked transfers that took days, all of them in the ledger -> the day of the last one."""
    linked = TransferLink.objects.filter(user=user_id, left_on__lte=day, arrived_on__lte=day)
    legs_of = [[UUID(leg) for leg in (*outs, *ins)] for outs, ins in linked.values_list("out_legs", "in_legs")]
    days = dict(
        Transaction.objects.filter(user=user_id, pk__in=[leg for legs in legs_of for leg in legs]).values_list(
            "pk", "trade_date"
        )
    )
    found: dict[UUID, dt.date] = {}
    for legs in legs_of:
        known = [days[leg] for leg in legs if leg in days]
        if len(set(known)) > 1:
            found |= dict.fromkeys(legs, max(known))
    return found


def _beyond(user_id: UUID) -> list[Tied]:
    """Transfer legs whose far side the user named: income or payment."""
    named = TransferLink.objects.filter(user=user_id, rule__in=("income", "payment"))
    return _tied(
        user_id,
        {
            UUID(leg): rule
            for rule, outs, ins in named.values_list("rule", "out_legs", "in_legs")
            for leg in (*outs, *ins)
        },
    )


def _tied(user_id: UUID, ties: Mapping[UUID, str]) -> list[Tied]:
    rows = Transaction.objects.filter(user=user_id, pk__in=ties).order_by("pk") if ties else Transaction.objects.none()
    return [
        (pk, account, instrument, ties[pk])
        for pk, account, instrument in rows.values_list("pk", "account_id", "instrument_id")
    ]


def _pays_fees_in_coins(user_id: UUID) -> bool:
    """A fee in units of another holding ties that holding's lots to rows of others."""
    paid_in = Transaction.objects.filter(user=user_id, fee__gt=0).exclude(fee_currency="")
    return any(code not in ISO_4217 for code in paid_in.order_by().values_list("fee_currency", flat=True).distinct())

"""Which holdings and accounts have other inputs than when their figures were last computed, and since when.

A digest is kept of everything that figures rest on: ledger rows of each holding, prices, reports, pairings. What all rest
on (the day, the currency, rates, account settings) is one stamp: when it changes, all is computed again. Where versions
of the ledger tell which holdings they changed, its rows are not read to find that out.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max

from accounts.models import User
from federation.models import AccountSetting, BrokerAccount, LedgerVersion, Transaction, TransferLink
from federation.selectors import unexplained
from portfolio.lot_events import Terms
from portfolio.models import BrokerRate, FigureState, FxRate
from portfolio.selectors.actions import action_terms, tied_instruments
from portfolio.selectors.prices import uses_trade_prices
from portfolio.selectors.rates import shared_rates_number
from stackmotive.common.currencies import ISO_4217

RULES = 4  # grows when the same inputs give other figures

LEDGER = """
SELECT account_id, instrument_id, count(*), sum(hashtextextended(t::text, 0))
FROM federation_transaction t WHERE user_id = %(user)s AND trade_date <= %(until)s AND {which}
GROUP BY account_id, instrument_id
"""
QUOTES = """
SELECT i.id, hashtextextended(concat_ws(' ', i.kind, i.multiplier,
  string_agg(concat_ws(':', l.id, l.currency, l.quote_unit, s.id, s.number), ',' ORDER BY l.id, s.id)), 0)
FROM federation_instrument i
LEFT JOIN federation_listing l ON l.instrument_id = i.id
LEFT JOIN portfolio_priceseries s ON s.listing_id = l.id AND (s.user_id IS NULL OR s.user_id = %(user)s)
WHERE i.id = ANY(%(instruments)s)
GROUP BY i.id
"""
EVER = dt.date.min
NOBODY = UUID(int=0)  # the account of what ties an instrument in all accounts

Tied = tuple[UUID, UUID, UUID | None, str]  # a row, its account and instrument, and what it is tied to


@dataclass(frozen=True, slots=True)
class Touched:
    """What a refresh computes. is_all: everything the user has. paired: legs whose transfer has its other leg too.

    since: account -> the first of its days to be computed; EVER for all of them. Accounts come with all their rows of
    those days; instruments with their rows in all accounts. inputs: to be kept once written.
    """

    is_all: bool
    since: Mapping[UUID, dt.date]
    instruments: frozenset[UUID]
    paired: Mapping[UUID, str]  # leg -> what its transfer's legs have in common
    beyond: Mapping[UUID, str] = field(default_factory=dict)  # leg without a partner -> income or payment
    until: Mapping[UUID, dt.date] = field(default_factory=dict)  # leg of a linked transfer -> day of its last leg
    tied: Mapping[UUID, set[UUID]] = field(default_factory=dict)  # instruments that share lots by corporate actions
    inputs: dict[str, Any] = field(default_factory=dict)

    def has(self, *, account: UUID, instrument: UUID | None) -> bool:
        """Whether a line is computed: a holding by its instrument, cash by its account."""
        return self.is_all or (account in self.since if instrument is None else instrument in self.instruments)


def find_touched(
    *,
    user: User,
    today: dt.date,
    done: FigureState,
    everything: bool = False,
    versions: tuple[int, int] = (0, 0),
) -> Touched:
    """Compare the inputs of now with those that the stored figures were computed from.

    versions: of the ledger, the one that those figures include and the one of now.
    """
    paired, beyond, terms = _paired(user.pk, today), _beyond(user.pk), action_terms(user=user)
    until = _until(user.pk, today)
    dated = [(pk, account, instrument, f"{tie} {until.get(pk)}") for pk, account, instrument, tie in paired]
    legs = {pk: link for pk, _account, _instrument, link in paired}
    meanings = {pk: meaning for pk, _account, _instrument, meaning in beyond}
    known = done.inputs
    inputs: dict[str, Any] = {
        "stamp": _stamp(user, today),
        "ties": _ties([*dated, *beyond], terms),
        "reports": _reports(user),
        "unvalued": known.get("unvalued", []),
    }
    is_known = not everything and known.get("stamp") == inputs["stamp"]
    told = _told(user, versions, today) if is_known and known["ties"] == inputs["ties"] else None
    if told is not None:
        since, instruments = told
        inputs["ledger"] = _ledger_now(user, today, known["ledger"], since, instruments)
    else:
        inputs["ledger"] = _ledger(user, today, "TRUE")
    inputs["quotes"] = _quotes(user, inputs["ledger"])
    coins = known.get("coins", False) if told is not None else _pays_fees_in_coins(user.pk)
    inputs["coins"] = coins
    if not is_known or coins:
        everyone = dict.fromkeys(BrokerAccount.objects.filter(user=user).values_list("pk", flat=True), EVER)
        return Touched(True, everyone, frozenset(), legs, meanings, until, {}, inputs)
    if told is None:
        since, instruments = _changed_rows(known, inputs)
    instruments |= {UUID(key) for key in _changed(known["quotes"], inputs["quotes"])}
    for key in _changed(known["reports"], inputs["reports"]):
        account, instrument = _place(key)
        if instrument is not None:
            instruments.add(instrument)
        else:
            since[account] = min(today, since.get(account, today))
    return Touched(
        False, since, frozenset(instruments), legs, meanings, until, tied_instruments(user.pk, terms), inputs
    )


def _told(user: User, versions: tuple[int, int], today: dt.date) -> tuple[dict[UUID, dt.date], set[UUID]] | None:
    """Accounts with their first day, and instruments, as the versions in between name them; None where one does not."""
    before, now = versions
    told = list(
        LedgerVersion.objects.filter(user=user, number__gt=before, number__lte=now).values_list("touched", flat=True)
    )
    if not before or len(told) != now - before or any(places is None for places in told):
        return None
    since: dict[UUID, dt.date] = {}
    instruments: set[UUID] = set()
    for account, instrument, codes, day in (place for places in told for place in places or ()):
        if any(code not in ISO_4217 for code in codes):
            return None  # a fee in units ties it to rows of others
        first = dt.date.fromisoformat(day)
        if first <= today:
            since[UUID(account)] = min(first, since.get(UUID(account), first))
            if instrument:
                instruments.add(UUID(instrument))
    return since, instruments


def _changed_rows(known: dict[str, Any], inputs: dict[str, Any]) -> tuple[dict[UUID, dt.date], set[UUID]]:
    """The same by digests, which tell no day."""
    since: dict[UUID, dt.date] = {}
    instruments: set[UUID] = set()
    for key in _changed(known["ledger"], inputs["ledger"]) | _changed(known["ties"], inputs["ties"]):
        account, instrument = _place(key)
        since[account] = EVER
        if instrument is not None:
            instruments.add(instrument)
    return since, instruments


def _place(key: str) -> tuple[UUID, UUID | None]:
    """Account and instrument of `account:instrument`, or of `account:` and a currency."""
    account, _, name = key.partition(":")
    return UUID(account), UUID(name) if len(name) > 3 else None


def _changed(known: Mapping[str, object], found: Mapping[str, object]) -> set[str]:
    return {key for key in known.keys() | found.keys() if known.get(key) != found.get(key)}


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


def _ledger(user: User, today: dt.date, which: str, **values: list[UUID]) -> dict[str, str]:
    """Of each holding, and of each account's rows without one, how many rows it has and a digest of them."""
    with connection.cursor() as cursor:
        cursor.execute(LEDGER.format(which=which), {"user": user.pk, "until": today, **values})
        return {f"{account}:{instrument or ''}": f"{count}:{total}" for account, instrument, count, total in cursor}


def _ledger_now(
    user: User,
    today: dt.date,
    known: Mapping[str, str],
    since: Mapping[UUID, dt.date],
    instruments: Collection[UUID],
) -> dict[str, str]:
    """The digests that are known, with those of what changed anew."""
    which = "(instrument_id = ANY(%(instruments)s) OR account_id = ANY(%(accounts)s) AND instrument_id IS NULL)"
    found = _ledger(user, today, which, instruments=list(instruments), accounts=list(since))
    names = {str(one) for one in instruments}
    accounts = {f"{account}:" for account in since}
    return {
        key: digest for key, digest in known.items() if key not in accounts and key.partition(":")[2] not in names
    } | found


def _quotes(user: User, ledger: Iterable[str]) -> dict[str, int]:
    """Of each instrument in the ledger, a digest of how it is quoted."""
    held = {name for name in (key.partition(":")[2] for key in ledger) if name}
    with connection.cursor() as cursor:
        cursor.execute(QUOTES, {"user": user.pk, "instruments": [UUID(name) for name in held]})
        return {str(instrument): digest for instrument, digest in cursor}


def _ties(legs: Iterable[Tied], terms: Iterable[Terms]) -> dict[str, str]:
    """Of each holding, a digest of what ties its rows to others."""
    parts: dict[str, list[object]] = defaultdict(list)
    for leg, account, instrument, tie in sorted(legs, key=lambda one: (one[0], one[3])):
        parts[f"{account}:{instrument or ''}"].append((leg, tie))
    for one in terms:
        for named in filter(None, (one.instrument, one.new_instrument)):
            parts[f"{NOBODY}:{named}"].append(one)
    return {key: _digest(values) for key, values in parts.items()}


def _reports(user: User) -> dict[str, str]:
    """Of each holding and balance that reports speak of, a digest of what no transaction explains."""
    return {
        f"{report.account}:{report.key.instrument or report.key.currency}": _digest(
            [report.quantity.normalize(), report.reported_as_of]
        )
        for report in unexplained(user)
    }


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

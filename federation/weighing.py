"""What conflicts are worth, from the ledger as it stands: a pure function of the tables (DESIGN 5.8).

Effects follow the last marks of all of a user's accounts and rates of their facts; whether a conflict that a rule
settled is small follows what its account is worth. Both may move without the conflict, so all are weighed again.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from uuid import UUID, uuid5

from federation import ledger
from federation.effects import SMALL_AMOUNT, Mark, Trade, Valuer, is_small, small_amount
from federation.facts import Resolved, rows_of
from federation.ledger import CONFLICT_COLUMNS, Difference, Row, Scope
from federation.models import Conflict
from federation.rows import DERIVED, Disagreement
from federation.truth import Facts
from stackmotive.common.money import to_recorded

HELD = """
SELECT account_id, instrument_id, SUM(quantity) FROM federation_transaction
WHERE account_id = ANY(%(accounts)s) AND instrument_id IS NOT NULL AND quantity IS NOT NULL GROUP BY 1, 2
"""
BALANCES = """
SELECT DISTINCT ON (account_id, currency) account_id, currency, value FROM federation_reportedbalance
WHERE account_id = ANY(%(accounts)s) AND instrument_id IS NULL ORDER BY account_id, currency, as_of DESC
"""
LAST_TRADES = """
SELECT t.* FROM unnest(%(instruments)s::uuid[]) AS i(id)
CROSS JOIN unnest(%(accounts)s::uuid[]) AS a(id)
CROSS JOIN LATERAL (
  SELECT instrument_id, trade_date, position, id, price, currency FROM federation_transaction
  WHERE account_id = a.id AND instrument_id = i.id AND kind IN ('buy', 'sell') AND price IS NOT NULL
  ORDER BY trade_date DESC, position DESC LIMIT 1
) t
"""
MARKS = """
SELECT DISTINCT ON (c.source_id, p.instrument_key) c.source_id, p.instrument_key, p.day, p.close, p.currency
FROM ingestion_stagedprice p JOIN ingestion_content c ON c.id = p.content_id
WHERE p.content_id = ANY(%(contents)s) AND p.instrument_key = ANY(%(keys)s)
ORDER BY c.source_id, p.instrument_key, p.day DESC, p.id DESC
"""
RATES = """
SELECT DISTINCT ON (base, quote) base, quote, rate FROM ingestion_stagedrate
WHERE content_id = ANY(%(contents)s) AND (base = %(currency)s OR quote = %(currency)s)
ORDER BY base, quote, day DESC, id DESC
"""
PRICED = """
SELECT DISTINCT c.source_id, p.instrument_key FROM ingestion_stagedprice p
JOIN ingestion_content c ON c.id = p.content_id WHERE p.content_id = ANY(%(contents)s)
"""
RATED = "SELECT EXISTS (SELECT 1 FROM ingestion_stagedrate WHERE content_id = ANY(%(contents)s))"
WEIGHED_ACCOUNTS = """
SELECT a.id FROM federation_brokeraccount a
CROSS JOIN LATERAL (SELECT 1 FROM federation_conflict f WHERE f.account_id = a.id ORDER BY f.status LIMIT 1) x
WHERE a.user_id = %(user)s
"""  # ordered as an index is: without, an account of no conflicts costs a look at every row of the table
SETTLED_KINDS = ("field", "quantity", "cash")
COLUMNS = ", ".join(f'f."{name}"' for name in CONFLICT_COLUMNS)
WEIGHABLE = f"SELECT {COLUMNS} FROM federation_conflict f WHERE f.account_id = ANY(%(accounts)s)"  # noqa: S608
MARKED = f"""
{WEIGHABLE} AND NOT (f.kind = 'field') AND f.difference_currency = '' AND f.instrument_id = ANY(%(instruments)s)
"""
OF_ACCOUNT = f"SELECT {COLUMNS} FROM federation_conflict f WHERE f.account_id = %(account)s"  # noqa: S608
CROSSING = f"""
{OF_ACCOUNT} AND f.status = 'open' AND f.effect_base <= %(small)s AND f.kind = ANY(%(kinds)s)
UNION ALL {OF_ACCOUNT} AND f.status = 'settled' AND f.effect_base > %(small)s
"""
ACCOUNT, KEY, KIND, INSTRUMENT, STATUS, APART, CURRENCY, EFFECT = (
    CONFLICT_COLUMNS.index(name)
    for name in (
        "account_id", "key", "kind", "instrument_id", "status", "difference", "difference_currency", "effect_base",
    )
)  # fmt: skip
TRADE_CELLS = ("account_id", "instrument_id", "kind", "quantity", "trade_date", "position", "id", "price", "currency")
BALANCE_CELLS = ("account_id", "instrument_id", "currency", "as_of", "value")
_of_transaction = itemgetter(*map(ledger.TRANSACTION_COLUMNS.index, TRADE_CELLS))
_of_balance = itemgetter(*map(ledger.BALANCE_COLUMNS.index, BALANCE_CELLS))
ROW_INSTRUMENT = ledger.TRANSACTION_COLUMNS.index("instrument_id")


@dataclass(frozen=True, slots=True)
class Weights:
    """valuer: with the marks that were asked for. small: account -> the effect up to which a settled conflict is."""

    valuer: Valuer
    small: Mapping[UUID, Decimal]


def weights_of_ledger(
    resolved: Resolved,
    multipliers: Mapping[UUID, Decimal],
    *,
    accounts: Collection[UUID],
    instruments: Collection[UUID],
) -> Weights:
    """As the tables say. accounts: whose worth is asked. instruments: others that are to be valued."""
    held: dict[UUID, dict[UUID, Decimal]] = {account: {} for account in accounts}
    cash: dict[UUID, dict[str, Decimal]] = {account: {} for account in accounts}
    for account, instrument, units in rows_of(HELD, accounts=list(accounts)):
        held[account][instrument] = units
    for account, currency, amount in rows_of(BALANCES, accounts=list(accounts)):
        cash[account][currency] = amount
    wanted = {instrument for one in held.values() for instrument, units in one.items() if units} | set(instruments)
    valuer = Valuer(resolved.user.base_currency, multipliers)
    trades = rows_of(LAST_TRADES, accounts=list(resolved.known_accounts), instruments=list(wanted))
    valuer.learn_trades(Trade(*trade) for trade in trades)
    _learn_stated(valuer, resolved, wanted)
    return _weights(valuer, held, cash)


def weights_of_draft(
    resolved: Resolved, multipliers: Mapping[UUID, Decimal], *, transactions: Iterable[Row], balances: Iterable[Row]
) -> Weights:
    """The same from rows that are all of the user's and not stored."""
    valuer = Valuer(resolved.user.base_currency, multipliers)
    held: dict[UUID, dict[UUID, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    cash: dict[UUID, dict[str, Decimal]] = defaultdict(dict)
    trades = []
    for row in transactions:
        account, instrument, kind, quantity, *where = _of_transaction(row)
        holdings = held[account]
        if instrument is not None and quantity is not None:
            holdings[instrument] += quantity
        trade = Trade(instrument, *where)
        if instrument is not None and kind in ("buy", "sell") and trade.price is not None:
            trades.append(trade)
    for account, instrument, currency, _, amount in sorted(map(_of_balance, balances), key=lambda told: told[3]):
        if instrument is None:
            cash[account][currency] = amount
    valuer.learn_trades(trades)
    _learn_stated(valuer, resolved, multipliers)
    return _weights(valuer, held, cash)


def _weights(
    valuer: Valuer, held: Mapping[UUID, Mapping[UUID, Decimal]], cash: Mapping[UUID, Mapping[str, Decimal]]
) -> Weights:
    accounts = held.keys() | cash.keys()
    worth = {account: valuer.worth(held.get(account, {}), cash.get(account, {})) for account in accounts}
    return Weights(valuer, {account: small_amount(value) for account, value in worth.items()})


def _learn_stated(valuer: Valuer, resolved: Resolved, instruments: Collection[UUID]) -> None:
    """Marks and rates that the sources themselves used; a mark as new as a trade comes before it."""
    contents, plan = list(resolved.contents), resolved.instruments
    keys = {naming[1] for naming in plan.namings if any(meant[0] in instruments for meant in plan.meanings(naming))}
    for source, key, day, close, currency in rows_of(MARKS, contents=contents, keys=list(keys)):
        if (meaning := plan.meaning((source, key), day)) is not None:
            valuer.learn(meaning[0], Mark(day, close, currency))
    rates = rows_of(RATES, contents=contents, currency=valuer.base)
    valuer.rates = {(base, quote): rate for base, quote, rate in rates}


def conflict_rows(facts: Facts, disagreements: Iterable[Disagreement], weights: Weights) -> list[Row]:
    return [_conflict_row(facts, one, weights) for one in disagreements]


def _conflict_row(facts: Facts, one: Disagreement, weights: Weights) -> Row:
    effect = weights.valuer.effect(one.difference, one.instrument, one.currency)
    status = Conflict.Status.OPEN
    if one.decided or facts.rulings.dismissed.get(one.key) == evidence_of(one.candidates):
        status = Conflict.Status.RESOLVED
    elif one.settled and is_small(effect, weights.small.get(one.account, SMALL_AMOUNT)):
        status = Conflict.Status.SETTLED
    difference = None if one.difference is None else to_recorded(one.difference)
    return (
        uuid5(DERIVED, f"conflict:{facts.user}:{one.key}"), facts.user, one.kind, one.key, one.account, one.instrument,
        one.candidates, one.winner, one.rule, status.value, difference, one.currency, effect,
    )  # fmt: skip


def evidence_of(candidates: Sequence[dict[str, str]]) -> str:
    """A digest of what a conflict compares: a dismissal holds while it is the same."""
    told = sorted((one["source"], one["value"], one.get("as_of", "")) for one in candidates)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def weigh(
    resolved: Resolved,
    facts: Facts,
    disagreements: Sequence[Disagreement],
    *,
    scope: Scope,
    moved: Difference,
    contents: Collection[int],
) -> Difference:
    """What has to be written so that conflicts in `scope` are `disagreements`, and all others weigh what they do by
    now. Call when rows and balances are written.

    moved: what that changed in the ledger. contents: that arrived or were withdrawn since it was.
    """
    accounts = {account for (account,) in rows_of(WEIGHED_ACCOUNTS, user=facts.user)}
    accounts |= {one.account for one in disagreements}
    if not accounts:
        return Difference({}, {}, {}, {})
    beyond = accounts - set(scope.accounts)
    others = _marked(resolved, facts, beyond, moved, contents) if beyond else []
    instruments = {one.instrument for one in disagreements if one.instrument is not None and not one.currency}
    instruments |= {row[INSTRUMENT] for row in others if row[INSTRUMENT] is not None and not row[CURRENCY]}
    weights = weights_of_ledger(resolved, facts.multipliers, accounts=accounts, instruments=instruments)
    found = ledger.compare(ledger.CONFLICTS, conflict_rows(facts, disagreements, weights), scope)
    if not beyond:
        return found
    weighed = {row[0]: (row, _weighed(row, weights, is_valued=True)) for row in others}
    for account in beyond:  # one by one: the bound is a number that the planner can look up
        crossing = rows_of(CROSSING, account=account, small=weights.small[account], kinds=list(SETTLED_KINDS))
        for row in ledger.rows_with_json(ledger.CONFLICTS, crossing):
            weighed.setdefault(row[0], (row, _weighed(row, weights, is_valued=False)))
    for key, (old, new) in weighed.items():
        if old != new and old[KEY] not in scope.conflicts:
            found.changed[key], found.old[key] = new, old
    return found


def _marked(
    resolved: Resolved, facts: Facts, accounts: Collection[UUID], moved: Difference, contents: Collection[int]
) -> list[Row]:
    """Stored conflicts whose effect may be another: of units whose mark moved, all where a rate may have."""
    instruments = {row[ROW_INSTRUMENT] for row in moved.all_rows()} - {None}
    for source, key in rows_of(PRICED, contents=list(contents)):
        instruments |= {meant[0] for meant in resolved.instruments.meanings((source, key))}
    if rows_of(RATED, contents=list(contents))[0][0]:
        found = rows_of(WEIGHABLE, accounts=list(accounts))
    elif instruments:
        found = rows_of(MARKED, accounts=list(accounts), instruments=list(instruments))
    else:
        return []
    return ledger.rows_with_json(ledger.CONFLICTS, found)


def _weighed(row: Row, weights: Weights, *, is_valued: bool) -> Row:
    """A stored conflict as it weighs now. is_valued: the effect is to be told anew and not only compared."""
    cells = list(row)
    if is_valued:
        cells[EFFECT] = weights.valuer.effect(row[APART], row[INSTRUMENT], row[CURRENCY])
    if row[STATUS] != Conflict.Status.RESOLVED and row[KIND] in SETTLED_KINDS:
        small = is_small(cells[EFFECT], weights.small[row[ACCOUNT]])
        cells[STATUS] = (Conflict.Status.SETTLED if small else Conflict.Status.OPEN).value
    return tuple(cells)

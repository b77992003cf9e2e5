"""Judging a case of several sources: what StackMotive answers, by the names of the case, against what is expected.

Every case is lived through several times, because the truth is a function of the facts alone: with the ledger brought
up to date after each step, with that done as late as possible, with the facts in another order in memory, from empty
tables, and, where the case says that its arrivals can come in any order, in another order.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.facts import market_number
from accounts.models import User
from federation.facts import load, resolve
from federation.models import (
    AccountLink,
    BrokerAccount,
    Claim,
    Conflict,
    Instrument,
    LedgerVersion,
    ReportedBalance,
    Transaction,
    TransferLink,
)
from federation.services import differences_from_facts, rebuild
from federation.services.versions import Moment
from federation.truth import AccountFacts, Facts, Truth, compute
from ingestion.models import ImportRun
from portfolio.models import CashBalance, Finding, Lot
from portfolio.selectors import positions
from portfolio.selectors.scope import exchange
from portfolio.selectors.summary import cash_rows
from portfolio.services.past import figures_then
from portfolio.services.refresh import refresh
from portfolio.valuation_day import valuation_day
from stackmotive.common.money import plain
from stackmotive.reconcile_case_files import DEFAULT_TODAY, ReconcileCase
from stackmotive.reconcile_case_steps import Names, Player, Unplayable

Item = Mapping[str, Any]
Shown = dict[str, Any]
ORDERS = 2  # other orders that are tried, each from its own seed
ROW_FIELDS = (
    "kind", "trade_date", "traded_at", "settled_on", "quantity", "price", "currency", "fee", "fee_currency", "tax",
    "cash_amount", "cash_currency", "fx_rate", "ratio", "group", "note", "is_manual", "position",
)  # fmt: skip
POSITION_FIELDS = (
    "quantity", "currency", "unexplained_quantity", "reported_as_of", "missing_quantity", "cost_basis", "average_cost",
    "reason",
)  # fmt: skip
KNOWN_LATER = frozenset({"ledger", "positions", "cash", "lots", "reports", "conflicts", "transfers"})
NEEDS_FIGURES = frozenset(
    {"positions", "cash", "lots", "arrivals", "findings"}
)  # imports end when the figures include them
TOLD = (
    "trade_date", "position", "kind", "account", "instrument", "quantity", "cash_amount", "key", "status", "winner",
    "rule", "candidates", "as_of", "value", "balance", "currency", "name", "names", "needs_review", "source",
    "reference", "state", "acquired_on",
)  # fmt: skip


def judge(case: ReconcileCase) -> list[str]:
    """A sentence for each thing that is not as expected; none where the case passes."""
    kept = settings.AS_OF
    settings.AS_OF = dt.date.fromisoformat(case.body.get("today", DEFAULT_TODAY))
    try:
        first = _rolled_back(lambda: _in_order(case))
        wrong = list(first.wrong)
        if not first.seen:
            return wrong
        late = _rolled_back(lambda: _late(case))
        wrong += late.wrong or _differences("reconciled as late as possible", first.seen, late.seen)
        if case.body.get("any_order"):
            for seed in range(ORDERS):
                other = _rolled_back(lambda seed=seed: _late(shuffled(case, seed)))  # type: ignore[misc]
                wrong += other.wrong or _differences(f"arrivals in order {seed + 1}", first.seen, other.seen)
        return list(dict.fromkeys(wrong))
    finally:
        settings.AS_OF = kept


@dataclass(slots=True)
class Lived:
    """One life of a case. `seen`: what it came to, by names; empty where it did not come to its end."""

    wrong: list[str] = field(default_factory=list)
    seen: Shown = field(default_factory=dict)


def _rolled_back(live: Callable[[], Lived]) -> Lived:
    with transaction.atomic():
        try:
            return live()
        except Unplayable as problem:
            return Lived([str(problem)])
        finally:
            transaction.set_rollback(True)


def _in_order(case: ReconcileCase) -> Lived:
    """Up to date after every step; each expected point is asked when its step is the newest thing known."""
    player, lived = Player(case), Lived()
    hashes: dict[str, str] = {}
    moments: dict[str, Moment] = {}
    for number in range(len(case.steps)):
        player.play(number)
        has_changed = player.catch_up()
        name = case.step_name(number)
        hashes[name] = content_hash(player)
        moments[name] = _moment(player)
        is_last = number == len(case.steps) - 1
        for point in case.body["expected"]:
            if point.get("after", case.step_name(len(case.steps) - 1)) == name:
                where = f"after {name}" + (f", as of {point['as_of']}" if "as_of" in point else "")
                found = Seen(player).against(point)
                if "changed" in point and point["changed"] != has_changed:
                    found.append(f"the step made {'a' if has_changed else 'no'} new version of the ledger")
                if "same_ledger_as" in point and hashes[point["same_ledger_as"]] != hashes[name]:
                    found.append(f"the ledger is not the one after {point['same_ledger_as']}")
                lived.wrong += [f"{where}: {one}" for one in found]
        if is_last:
            lived.wrong += _stray_failures(case, player)
    lived.seen = Seen(player).everything()
    for point in case.body["expected"]:
        name = point.get("after", "")
        if name in moments and name != case.step_name(len(case.steps) - 1):
            lived.wrong += _asked_later(player, point, moments[name])
    lived.wrong += _same_facts_same_truth(player, lived.seen)
    return lived


def _moment(player: Player) -> Moment:
    """What is known now, to be asked for later; "today" stays the day of the case."""
    version = LedgerVersion.objects.filter(user=player.user).order_by("-number").first()
    fact_number = User.objects.values_list("fact_number", flat=True).get(pk=player.user.pk)
    noon = dt.datetime.combine(valuation_day(player.user), dt.time(12), tzinfo=dt.UTC)
    return Moment(player.user.pk, noon, fact_number, market_number(), version.number if version else 0)


def _asked_later(player: Player, point: Item, moment: Moment) -> list[str]:
    """The same question at the end, with known_at: the same answer."""
    asked = {name: value for name, value in point.items() if name in KNOWN_LATER or name == "as_of"}
    if not asked.keys() & KNOWN_LATER:
        return []
    with figures_then(moment) as user:
        found = Seen(player, then=user).against(asked)
    return [f"known at {point['after']}, asked at the end: {one}" for one in found]


def _late(case: ReconcileCase) -> Lived:
    """The ledger is made only where a step is about what it shows, and at the end."""
    player = Player(case)
    for number in range(len(case.steps)):
        player.play(number)
    player.catch_up()
    return Lived(seen=Seen(player).everything())


def shuffled(case: ReconcileCase, seed: int) -> ReconcileCase:
    """The same steps under the same names in another order."""
    steps = [step | {"as": case.step_name(number)} for number, step in enumerate(case.steps)]
    random.Random(f"{case.id}:{seed}").shuffle(steps)  # noqa: S311  # an order, not a secret
    return replace(case, body=case.body | {"steps": steps})


def _stray_failures(case: ReconcileCase, player: Player) -> list[str]:
    """Files that could not be taken although no expectation says so."""
    told = {name for point in case.body["expected"] for name in point.get("arrivals", {})}
    failed = ImportRun.objects.filter(pk__in=player.runs.values(), status__in=("failed", "needs_mapping"))
    names = {run: name for name, run in player.runs.items()}
    return [
        f"{names[run.pk]}: {run.status}: {run.error or run.questions}" for run in failed if names[run.pk] not in told
    ]


def _same_facts_same_truth(player: Player, seen: Shown) -> list[str]:
    """Facts listed in another order, and tables filled from nothing, give the same rows with the same ids."""
    wrong = differences_from_facts(player.user.pk)
    facts = load(resolve(player.user.pk))
    told = _told(compute(facts))
    for seed in range(ORDERS):
        if _told(compute(in_other_order(facts, random.Random(seed)))) != told:  # noqa: S311
            wrong.append(f"the same facts in another order (seed {seed}) make another ledger")
    ids = set(Transaction.objects.filter(user=player.user).values_list("pk", flat=True))
    before = content_hash(player)
    rebuild(player.user.pk)
    if ids != set(Transaction.objects.filter(user=player.user).values_list("pk", flat=True)):
        wrong.append("a rebuild gives other ids")
    if content_hash(player) != before:
        wrong.append("a rebuild gives another ledger")
    return wrong + _differences("rebuilt", seen, Seen(player).everything())


def in_other_order(facts: Facts, random_: random.Random) -> Facts:
    """The same facts, every list of them shuffled."""

    def mixed(values: Iterable[Any]) -> tuple[Any, ...]:
        listed = list(values)
        random_.shuffle(listed)
        return tuple(listed)

    accounts = [
        AccountFacts(
            about.account,
            mixed(
                replace(
                    one,
                    transactions=mixed(one.transactions),
                    positions=mixed(one.positions),
                    cash=mixed(one.cash),
                    rows=mixed(one.rows),
                    position_reports=mixed(one.position_reports),
                    cash_reports=mixed(one.cash_reports),
                )
                for one in about.stated
            ),
        )
        for about in facts.accounts
    ]
    return replace(facts, accounts=list(mixed(accounts)))


def _told(truth: Truth) -> tuple[Any, ...]:
    return (
        sorted(truth.rows, key=lambda row: row.id),
        sorted(truth.claims),
        truth.balances,
        sorted(truth.disagreements, key=lambda one: one.key),
    )


def content_hash(player: Player) -> str:
    version = LedgerVersion.objects.filter(user=player.user).order_by("-number").first()
    return version.content_hash if version else ""


def _differences(how: str, first: Shown, second: Shown) -> list[str]:
    return [
        f"{how}, {section} differ: {_only(first[section], second[section])}"
        for section in first
        if first[section] != second[section]
    ]


def _only(first: Sequence[Any], second: Sequence[Any]) -> str:
    gone = [one for one in first if one not in second]
    new = [one for one in second if one not in first]
    return f"{gone[:2]} became {new[:2]}" if gone or new else "their order"


# --- reading what is there, by names ---------------------------------------------------------------


class Seen:
    """What a user of the product sees now, in the words of the case."""

    def __init__(self, player: Player, *, then: User | None = None) -> None:
        """then: the user of an earlier moment, whose figures stand already."""
        self.player, self.user, self.is_past = player, then or player.user, then is not None
        self.names = Names(player)

    def everything(self) -> Shown:
        """All there is, each thing under all of its names, comparable between two lives of a case.

        What ids decide is left out: the order of rows that nothing else orders, and the mark that follows from it.
        """
        return {
            "ledger": sorted(_flat(row | {"id_of": "", "position": ""}) for row in self.ledger()),
            "reports": sorted(map(_flat, self.reports())),
            "conflicts": sorted(_flat(row | {"effect_base": ""}) for row in self.conflicts()),
        }

    def against(self, point: Item) -> list[str]:
        """A sentence for each difference between `point` and what is there."""
        as_of = dt.date.fromisoformat(point["as_of"]) if "as_of" in point else None
        if point.keys() & NEEDS_FIGURES and not self.is_past:
            refresh(user_id=self.user.pk)
        sections: dict[str, Callable[[], list[Shown]]] = {
            "ledger": lambda: [row for row in self.ledger() if as_of is None or row["trade_date"] <= as_of],
            "positions": lambda: self.positions(as_of),
            "cash": lambda: self.cash(as_of),
            "lots": self.lots,
            "reports": lambda: [row for row in self.reports() if as_of is None or row["as_of"] <= as_of],
            "conflicts": self.conflicts,
            "accounts": self.accounts,
            "links": self.links,
            "instruments": self.instruments,
            "transfers": self.transfers,
            "findings": lambda: self.findings({one["kind"] for one in point["findings"]}),
        }
        wrong: list[str] = []
        for section, read in sections.items():
            if section in point:
                compare = _ledger if section == "ledger" else _list
                wrong += [f"{section}: {one}" for one in compare(point[section], read())]
        for name, wanted in point.get("arrivals", {}).items():
            wrong += [f"{name}: {one}" for one in _unlike(wanted, self.arrival(name))]
        return wrong

    def ledger(self) -> list[Shown]:
        """In the ledger's own order."""
        rows = Transaction.objects.filter(user=self.user).select_related("listing").order_by("trade_date", "position")
        claims: dict[UUID, list[set[str]]] = {}
        for claim in Claim.objects.filter(transaction__user=self.user).select_related("staged"):
            claims.setdefault(claim.transaction_id, []).append(self.names.rows[claim.source_id, claim.staged.identity])
        return [
            {
                "account": self.names.accounts[row.account_id],
                **{name: getattr(row, name) for name in ROW_FIELDS},
                "instrument": self.names.instruments[row.instrument_id] if row.instrument_id else None,
                "exchange": row.listing.exchange if row.listing else None,
                "source": self.names.sources[row.source_id] if row.source_id else None,
                "id_of": self.names.uids.get(row.pk, set()),
                "claims": claims.get(row.pk, []),
            }
            for row in rows
        ]

    def positions(self, as_of: dt.date | None) -> list[Shown]:
        return [
            {
                "account": self.names.accounts[row.account],
                "instrument": self.names.instruments[row.instrument],
                **{name: getattr(row, name) for name in POSITION_FIELDS},
            }
            for row in positions(user=self.user, as_of=as_of)
            if row.quantity or row.unexplained_quantity or row.missing_quantity
        ]

    def cash(self, as_of: dt.date | None) -> list[Shown]:
        today: dt.date = valuation_day(self.user)
        day = as_of or today
        is_today = day >= today
        rows = cash_rows(
            user=self.user, account=None, day=day, rate=exchange(user=self.user, currency=None), is_today=is_today
        )
        stored = {(one.account_id, one.currency): one for one in CashBalance.objects.filter(user=self.user)}
        shown = []
        for row in rows:
            known = stored.get((row.account, row.currency)) if is_today else None
            if row.amount or known:
                shown.append(
                    {
                        "account": self.names.accounts[row.account],
                        "currency": row.currency,
                        "balance": row.amount,
                        "unexplained": known.unexplained_amount if known else None,
                        "reported_as_of": known.reported_as_of if known else None,
                    }
                )
        return shown

    def lots(self) -> list[Shown]:
        return [
            {
                "account": self.names.accounts[lot.account_id],
                "instrument": self.names.instruments[lot.instrument_id],
                **{name: getattr(lot, name) for name in ("acquired_on", "held_from", "quantity", "cost")},
            }
            for lot in Lot.objects.filter(user=self.user).order_by("acquired_on", "quantity")
        ]

    def reports(self) -> list[Shown]:
        return [
            {
                "account": self.names.accounts[row.account_id],
                "instrument": self.names.instruments[row.instrument_id] if row.instrument_id else None,
                "currency": row.currency,
                "as_of": row.as_of,
                "value": row.value,
                "source": self.names.sources[row.source_id],
                "rule": row.rule,
                "candidates": self._candidates(row.candidates),
            }
            for row in ReportedBalance.objects.filter(user=self.user).order_by("as_of")
        ]

    def conflicts(self) -> list[Shown]:
        return [
            {
                "key": self.names.of_conflict(row),
                **{name: getattr(row, name) for name in ("kind", "status", "rule", "difference", "effect_base")},
                "winner": self.names.sources[row.winner] if row.winner else None,
                "candidates": self._candidates(row.candidates),
            }
            for row in Conflict.objects.filter(user=self.user)
        ]

    def _candidates(self, candidates: Iterable[Item]) -> dict[str, str]:
        return {self.names.sources[UUID(one["source"])]: one["value"] for one in candidates}

    def transfers(self) -> list[Shown]:
        """Each side as the rows of the case that its legs follow from."""
        claimed: dict[str, set[str]] = {}
        for claim in Claim.objects.filter(transaction__user=self.user).select_related("staged"):
            names = self.names.rows[claim.source_id, claim.staged.identity]
            claimed.setdefault(str(claim.transaction_id), set()).update(names)
        return [
            {
                "out": [claimed.get(str(leg), set()) for leg in link.out_legs],
                "in": [claimed.get(str(leg), set()) for leg in link.in_legs],
                "by": link.rule,
            }
            for link in TransferLink.objects.filter(user=self.user)
        ]

    def findings(self, kinds: set[str]) -> list[Shown]:
        """Those of `kinds`, each with the rows of the case that it names."""
        return [
            {
                "kind": one.kind,
                "account": self.names.accounts[one.account_id] if one.account_id else None,
                "instrument": self.names.instruments[one.instrument_id] if one.instrument_id else None,
                "day": one.day,
                "row": {name for row in one.rows for name in self._named_row(row)},
            }
            for one in Finding.objects.filter(user=self.user, kind__in=kinds)
        ]

    def _named_row(self, row: dict[str, str]) -> set[str]:
        """What a row that a finding names is called: of the ledger, or of a source where it is not booked."""
        if row["type"] == "transaction":
            return self.names.uids.get(UUID(row["id"]), set())
        if row["type"] == "row":
            source, _, identity = row["id"].partition(":")
            return self.names.rows.get((UUID(source), identity), set())
        return set()

    def accounts(self) -> list[Shown]:
        return [
            {
                "name": self.names.accounts[one.pk],
                "institution": one.institution.name if one.institution else "",
                **{name: getattr(one, name) for name in ("tracking", "cash_mode", "currency", "reference", "kind")},
            }
            for one in BrokerAccount.objects.filter(user=self.user).select_related("institution")
        ]

    def links(self) -> list[Shown]:
        return [
            {
                "source": self.names.sources[link.source_id],
                "reference": link.reference,
                "account": self.names.accounts[link.account_id] if link.account_id else None,
                "state": link.state,
            }
            for link in AccountLink.objects.filter(source__user=self.user)
        ]

    def instruments(self) -> list[Shown]:
        used = [one for one in self.names.instruments if one is not None]
        return [
            {
                "names": [{name} for name in sorted(self.names.instruments[one.pk]) if "/" not in name],
                **{name: getattr(one, name) for name in ("needs_review", "symbol", "kind")},
            }
            for one in Instrument.objects.filter(pk__in=used)
        ]

    def arrival(self, name: str) -> Shown:
        run = self.player.run(name)
        counts = ("status", "rows", "staged", "unchanged", "rejected", "ignored")
        return {one: getattr(run, one) for one in counts} | {"error": run.error["code"] if run.error else None}


# --- comparing -----------------------------------------------------------------------------------


def _ledger(wanted: Sequence[Item], found: Sequence[Shown]) -> list[str]:
    """As many rows, each expected one once; inside an account's day they are told apart by what they say."""
    if len(wanted) != len(found):
        return [f"{len(wanted)} rows are expected, there are {len(found)}: {_brief(found)}"]
    return _paired(wanted, found, by=("account", "trade_date")) or _groups(wanted, found)


def _groups(wanted: Sequence[Item], found: Sequence[Shown]) -> list[str]:
    """Rows that share a label are of one group, others are not."""
    labels = [row["group"] for row in wanted if row.get("group")]
    groups = [str(row["group"]) for row in found if row["group"]]
    stated = sorted(labels.count(one) for one in set(labels))
    known = sorted(groups.count(one) for one in set(groups))
    return [f"groups of {stated} rows are expected, there are {known}"] if labels and stated != known else []


def _list(wanted: Sequence[Item], found: Sequence[Shown]) -> list[str]:
    """Every expected thing once, and nothing else."""
    return _paired(wanted, found, by=("key", "name", "names", "account", "instrument", "reference"))


def _paired(wanted: Sequence[Item], found: Sequence[Shown], *, by: tuple[str, ...]) -> list[str]:
    """A sentence for each of `wanted` that none of `found` is like, and for what is left. by: what names a thing."""
    left = list(found)
    open_: list[tuple[int, Item]] = []
    for number, one in enumerate(wanted, start=1):
        equal = next((other for other in left if not _unlike(one, other)), None)
        if equal is None:
            open_.append((number, one))
        else:
            left.remove(equal)
    wrong = []
    for number, one in open_:
        named = {name: one[name] for name in by if name in one}
        same = [other for other in left if not _unlike(named, other)]
        if same:
            nearest = min(same, key=lambda other: len(_unlike(one, other)))
            left.remove(nearest)
            wrong.append(f"number {number}: {'; '.join(_unlike(one, nearest))}")
        else:
            wrong.append(f"number {number} is missing: {dict(one)}")
    return wrong + ([f"not expected: {_brief(left)}"] if left else [])


def _unlike(wanted: Item, found: Item) -> list[str]:
    """A sentence for each field of `wanted` that is something else in `found`."""
    return [
        f"{name} is {_shown(found[name])}, expected {_shown(value)}"
        for name, value in wanted.items()
        if not _equal(name, value, found[name])
    ]


def _equal(name: str, wanted: Any, found: Any) -> bool:
    if name == "group":
        return (wanted is None) == (found is None)
    if name == "claims" and isinstance(wanted, int):
        return len(found) == wanted
    if wanted is None or found is None:
        return wanted is None and found is None
    if isinstance(found, set):
        return wanted in found
    if isinstance(found, Decimal):
        return Decimal(wanted) == found
    if isinstance(found, dt.datetime):
        return dt.datetime.fromisoformat(wanted) == found
    if isinstance(found, dt.date):
        return bool(wanted == found.isoformat())
    if isinstance(found, list):
        return len(wanted) == len(found) and _pairs_up(list(wanted), list(found))
    if isinstance(found, dict):
        return wanted.keys() == found.keys() and all(_same_text(value, found[key]) for key, value in wanted.items())
    return bool(wanted == found)


def _pairs_up(wanted: list[Any], found: list[set[str]]) -> bool:
    """Whether each name can stand for another one of `found`."""
    if not wanted:
        return True
    first, *rest = wanted
    return any(
        first in names and _pairs_up(rest, found[:place] + found[place + 1 :]) for place, names in enumerate(found)
    )


def _same_text(wanted: str, found: str) -> bool:
    return wanted == found or (bool(wanted) and bool(found) and Decimal(wanted) == Decimal(found))


def _brief(rows: Iterable[Shown]) -> str:
    return "; ".join(
        ", ".join(f"{name} {_shown(row[name])}" for name in TOLD if row.get(name) not in (None, "", [])) for row in rows
    )


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, set):
        return "=".join(sorted(value)) or "nothing"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


def _flat(row: Item) -> str:
    """A row as one comparable text; ids are named and groups only told to be there."""
    return ", ".join(
        f"{name} {'yes' if name == 'group' and value else _sorted(value)}" for name, value in sorted(row.items())
    )


def _sorted(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(sorted(map(_shown, value))) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {one}" for name, one in sorted(value.items())) + "}"
    return _shown(value)

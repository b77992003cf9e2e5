"""Loading a user's facts in force and resolving what they name, in a constant number of queries."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.models import User
from federation.accounts import AccountPlan, AccountRulings, Spot, Usage, plan_accounts
from federation.corporate_actions import Action
from federation.coverage import window
from federation.instruments import InstrumentPlan, Meaning, plan_instruments
from federation.known_instruments import known_instruments
from federation.models import AccountLink, BrokerAccount, CorporateAction, Decision, InstrumentLink
from federation.namings import Days, InstrumentRuling, Named, Naming
from federation.opening_lots import OpeningLots
from federation.rows import AccountInfo, ContentInfo, HoldingKey, Report, SourceInfo, StagedRow, Stated, Window
from federation.set_values import SetValue
from federation.truth import AccountFacts, Facts, Rulings

CONTENTS = """
SELECT c.id, c.source_id, c.layout, c.institution, c.references_issued,
       COALESCE(a.generated_at, c.generated_at), c.default_account,
       c.cash_mode, c.time_order = 'descending', c.base_currencies::text, a.number, a.arrived_at,
       r.trigger IN ('pull', 'scheduled')
FROM ingestion_content c
JOIN ingestion_source s ON s.id = c.source_id AND s.user_id = %(user)s AND s.enabled
JOIN LATERAL (
  SELECT number, arrived_at, run_id, generated_at FROM ingestion_arrival
  WHERE content_id = c.id ORDER BY number DESC LIMIT 1
) a ON TRUE
LEFT JOIN ingestion_importrun r ON r.id = a.run_id
WHERE a.number > COALESCE((SELECT MAX(number) FROM ingestion_withdrawal WHERE content_id = c.id), -1)
ORDER BY c.id
"""
USAGES = """
SELECT content_id, account_ref, section, instrument_key, currency, rows, first_day, last_day
FROM ingestion_contentusage WHERE content_id = ANY(%(contents)s)
"""
NAMES = """
SELECT DISTINCT ON (c.source_id, i.key) c.source_id, i.key, i.id, i.symbol, i.name, i.kind, i.isin, i.figi, i.cusip,
       i.conid, i.exchange, i.currency, i.multiplier
FROM ingestion_stagedinstrument i JOIN ingestion_content c ON c.id = i.content_id
WHERE i.content_id = ANY(%(contents)s) ORDER BY c.source_id, i.key, i.id
"""
COVERAGE = """
SELECT id, content_id, account_ref, section, start, "end", completeness FROM ingestion_coverage
WHERE content_id = ANY(%(contents)s) ORDER BY id
"""
STAGED = """
SELECT t.id, t.content_id, t.uid, t.identity, t.has_own_id, t.line, t.account_ref, t.instrument_key, t.kind,
       t.trade_date, t.traded_at, t.local_time, t.settled_on, t.reported_on, t.quantity, t.price, t.currency, t.fee,
       t.fee_currency, t.tax, t.cash_amount, t.cash_currency, t.fx_rate, t.ratio, t.external_id, t."group", t.leg,
       t.note
FROM ingestion_stagedtransaction t
"""
TRANSACTIONS = f"{STAGED} WHERE t.content_id = ANY(%(contents)s) ORDER BY t.id"
POSITIONS = """
SELECT content_id, account_ref, line, instrument_key, currency, quantity, cost_basis, as_of
FROM ingestion_stagedposition WHERE content_id = ANY(%(contents)s) ORDER BY id
"""
CASH = """
SELECT content_id, account_ref, line, '', currency, balance, NULL, as_of FROM ingestion_stagedcash
WHERE content_id = ANY(%(contents)s) ORDER BY id
"""
REFERENCES = """
SELECT DISTINCT content_id, account_ref FROM ingestion_contentusage WHERE content_id = ANY(%(contents)s)
"""
COUNTED = """
SELECT COALESCE(SUM(rows), 0) FROM ingestion_contentusage
WHERE content_id = ANY(%(contents)s) AND section = 'transactions'
"""


def rows_of(sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@dataclass(slots=True)
class Resolved:
    """The names of a user's facts in force, and what they mean."""

    user: User
    number: int
    sources: dict[UUID, SourceInfo]
    contents: dict[int, ContentInfo]
    accounts: AccountPlan
    known_accounts: dict[UUID, BrokerAccount]
    instruments: InstrumentPlan
    names: dict[Naming, Named]
    decisions: list[Decision]
    used: dict[UUID, set[int]] = field(default_factory=lambda: defaultdict(set))  # account -> contents that name it
    is_moved: bool = field(default=False)  # a link, listing or instrument changed: every account may be touched

    def spot(self, content: int, reference: str) -> Spot:
        about = self.contents[content]
        default = about.default_account if not reference and about.default_account in self.known_accounts else None
        return (about.source, default, reference)

    def meaning(self, naming: Naming, day: date) -> Meaning:
        """What a naming in force means on a day."""
        meant = self.instruments.meaning(naming, day)
        assert meant is not None  # noqa: S101  # every staged row's key is a naming of its content
        return meant

    def staged_row(self, cells: tuple[Any, ...]) -> StagedRow:
        """A row of STAGED of a content in force, with what its instrument means on its day."""
        row = StagedRow(*cells)
        row.source = self.contents[row.content].source
        if row.instrument_key:
            naming = (row.source, row.instrument_key)
            row.instrument, row.listing = self.instruments.namings.get(naming, (None, None))
            if naming in self.instruments.later:
                row.instrument, row.listing = self.meaning(naming, row.trade_date)
        return row

    def account_of(self, content: int, reference: str) -> UUID | None:
        return self.accounts.spots.get(self.spot(content, reference))


def resolve(user_id: UUID) -> Resolved:
    """Read the names and plan what they mean. Writes nothing.

    The number is read first: a fact that commits meanwhile makes the number at the end another one.
    """
    user = User.objects.get(pk=user_id)
    contents = {content.id: content for content in map(content_info, rows_of(CONTENTS, user=user_id))}
    pulled = {content.source for content in contents.values() if content.pulled}
    sources = {
        source: SourceInfo(source, kind, priority, name, pulled=source in pulled)
        for source, kind, priority, name in user.sources.filter(enabled=True).values_list(
            "id", "kind", "priority", "name"
        )
    }
    wanted = list(contents)
    usages = [Usage(*row) for row in rows_of(USAGES, contents=wanted)]
    decisions = list(Decision.objects.filter(user=user, revocation=None).order_by("number"))
    known = {one.pk: one for one in BrokerAccount.objects.filter(user=user).select_related("institution")}
    accounts = plan_accounts(
        user_id=user_id,
        base_currency=user.base_currency,
        sources=sources,
        contents=contents,
        usages=usages,
        accounts=known,
        links={(link.source_id, link.reference): link for link in AccountLink.objects.filter(source__user=user)},
        rulings=_account_rulings(decisions),
    )
    known_accounts = known | {one.pk: one for one in accounts.new_accounts}
    resolved = Resolved(user, user.fact_number, sources, contents, accounts, known, InstrumentPlan(), {}, decisions)
    for usage in usages:
        if (account := resolved.account_of(usage.content, usage.reference)) is not None:
            resolved.used[account].add(usage.content)
    names = _names(resolved, usages)
    resolved.names = {one.naming: one for one in names}
    resolved.instruments = plan_instruments(
        names,
        user_id=user_id,
        sources=sources,
        known=known_instruments(user_id, names),
        rulings=[
            InstrumentRuling(one.kind == Decision.Kind.MERGE_INSTRUMENTS, frozenset(_namings(one)))
            for one in decisions
            if one.kind in OF_INSTRUMENTS
        ],
    )
    resolved.known_accounts = known_accounts
    instruments = resolved.instruments
    resolved.is_moved = accounts.is_moved or instruments.is_moved
    return resolved


def content_info(row: tuple[Any, ...]) -> ContentInfo:
    values = list(row)
    values[9] = json.loads(values[9])
    values[12] = bool(values[12])
    return ContentInfo(*values)


def _names(resolved: Resolved, usages: Iterable[Usage]) -> list[Named]:
    """Every naming in force, with the accounts and days that use it and the currency most of its rows are in."""
    used: dict[Naming, set[UUID]] = defaultdict(set)
    days: dict[Naming, Days] = {}
    priced: dict[Naming, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for usage in usages:
        if usage.instrument_key:
            naming = (resolved.contents[usage.content].source, usage.instrument_key)
            account = resolved.account_of(usage.content, usage.reference)
            if account is not None:
                used[naming].add(account)
            if usage.currency:
                priced[naming][usage.currency] += usage.rows
            if usage.first_day is not None and usage.last_day is not None:
                first, last = days.get(naming, (usage.first_day, usage.last_day))
                days[naming] = (min(first, usage.first_day), max(last, usage.last_day))
    names = []
    for row in rows_of(NAMES, contents=list(resolved.contents)):
        naming = (row[0], row[1])
        counts = priced[naming]
        currency = min(counts, key=lambda one: (-counts[one], one)) if counts else ""
        known = replace(Named(*row), accounts=frozenset(used[naming]), row_currency=currency, days=days.get(naming))
        names.append(known)
    return names


def load(resolved: Resolved, accounts: Collection[UUID] | None = None) -> Facts:
    """The facts of `accounts` (null = all of the user's), resolved."""
    spots = {
        spot: account
        for spot, account in resolved.accounts.spots.items()
        if account is not None and (accounts is None or account in accounts)
    }
    wanted = sorted({content for account in set(spots.values()) for content in resolved.used[account]})
    stated: dict[Spot, _Collected] = {spot: _Collected() for spot in spots}
    for spot, section, stretch in _windows(resolved, wanted):
        if (into := stated.get(spot)) is not None:
            into.windows[section].extend(stretch)
    for cells in rows_of(TRANSACTIONS, contents=wanted):
        if (into := stated.get(resolved.spot(cells[1], cells[6]))) is not None:
            into.rows.append(resolved.staged_row(cells))
    for sql, name in ((POSITIONS, "positions"), (CASH, "cash")):
        for content, reference, line, key, currency, value, cost, as_of in rows_of(sql, contents=wanted):
            if (into := stated.get(resolved.spot(content, reference))) is not None:
                source = resolved.contents[content].source
                instrument = resolved.meaning((source, key), as_of)[0] if key else None
                into.reports[name].append(Report(content, source, line, instrument, currency, value, cost, as_of))
    asked = resolved.known_accounts.keys() if accounts is None else set(accounts) & resolved.known_accounts.keys()
    by_account: dict[UUID, list[Stated]] = {account: [] for account in asked}
    for spot, account in spots.items():
        by_account[account].append(stated[spot].stated(spot[0]))
    return Facts(
        user=resolved.user.pk,
        number=resolved.number,
        sources=resolved.sources,
        contents=resolved.contents,
        accounts=[
            AccountFacts(account_info(resolved.known_accounts[account]), tuple(by_account[account]))
            for account in sorted(by_account)
        ],
        multipliers=resolved.instruments.multipliers,
        rulings=_rulings(resolved),
        actions=_actions(resolved),
    )


def windows_of(resolved: Resolved, account: UUID) -> dict[Spot, dict[str, list[Window]]]:
    """What each source says under each reference to hold of an account: spot -> section -> windows."""
    found: dict[Spot, dict[str, list[Window]]] = {}
    for spot, section, stretch in _windows(resolved, sorted(resolved.used[account])):
        if resolved.accounts.spots.get(spot) == account:
            found.setdefault(spot, defaultdict(list))[section].extend(stretch)
    return found


def _windows(resolved: Resolved, contents: Collection[int]) -> Iterator[tuple[Spot, str, list[Window]]]:
    for number, content, reference, section, start, end, completeness in rows_of(COVERAGE, contents=list(contents)):
        stretch = window(resolved.contents[content], start, end, completeness, number)
        yield resolved.spot(content, reference), section, stretch


def _actions(resolved: Resolved) -> tuple[Action, ...]:
    """Corporate actions in force, of instruments as they are resolved now: a joined one's go with it."""
    stated = list(CorporateAction.objects.filter(Q(user=resolved.user) | Q(user=None), withdrawal=None))
    if not stated:
        return ()
    named = {one for action in stated for one in (action.instrument_id, action.new_instrument_id) if one is not None}
    joined: dict[UUID, UUID] = {}
    links = InstrumentLink.objects.filter(source__user=resolved.user, own__in=named).order_by("-pk")
    for source, key, own in links.values_list("source_id", "key", "own_id"):
        if own is not None and (naming := resolved.instruments.namings.get((source, key))) is not None:
            joined[own] = naming[0]
    actions = (
        Action(
            one.pk, one.kind, joined.get(one.instrument_id, one.instrument_id),
            joined.get(one.new_instrument_id, one.new_instrument_id) if one.new_instrument_id else None, one.ex_date,
            one.ratio, one.cash_per_unit, one.currency, one.cash_in_lieu, one.note,
        )
        for one in stated
    )  # fmt: skip
    return tuple(sorted(actions, key=lambda one: (one.ex_date, one.id)))


class _Collected:
    """What one source says under one reference, being gathered."""

    def __init__(self) -> None:
        self.windows: dict[str, list[Window]] = defaultdict(list)
        self.rows: list[StagedRow] = []
        self.reports: dict[str, list[Report]] = defaultdict(list)

    def stated(self, source: UUID) -> Stated:
        return Stated(
            source=source,
            transactions=tuple(self.windows["transactions"]),
            positions=tuple(self.windows["positions"]),
            cash=tuple(self.windows["cash"]),
            rows=tuple(self.rows),
            position_reports=tuple(self.reports["positions"]),
            cash_reports=tuple(self.reports["cash"]),
        )


def account_info(account: BrokerAccount) -> AccountInfo:
    return AccountInfo(account.pk, account.currency, account.tracking, account.cash_mode)


def rows_to_read(resolved: Resolved, accounts: Collection[UUID] | None) -> int:
    """How many staged rows computing `accounts` (null = all) takes: every row of each content that names one."""
    named = resolved.used.keys() if accounts is None else accounts
    contents = {content for account in named for content in resolved.used.get(account, ())}
    return int(rows_of(COUNTED, contents=list(contents))[0][0])


OF_INSTRUMENTS = (Decision.Kind.MERGE_INSTRUMENTS, Decision.Kind.SPLIT_INSTRUMENT)


# --- decisions as the rules ask for them ----------------------------------------------------------


def _account_rulings(decisions: Iterable[Decision]) -> AccountRulings:
    rulings = AccountRulings()
    for decision in decisions:
        if decision.kind == Decision.Kind.MERGE_ACCOUNTS:
            account = UUID(decision.keys["account"])
            rulings.merged.pop(account, None)  # the later word about an account counts
            rulings.merged[account] = UUID(decision.value["account"])
        if "reference" not in decision.keys:
            continue
        source, reference = decision.keys["reference"]
        if decision.kind == Decision.Kind.LINK_ACCOUNT:
            rulings.linked[(UUID(source), reference)] = UUID(decision.value["account"])
            rulings.ignored.discard((UUID(source), reference))
        elif decision.kind == Decision.Kind.IGNORE:
            rulings.ignored.add((UUID(source), reference))
    return rulings


def _rulings(resolved: Resolved) -> Rulings:
    """Later decisions on the same key take the place of earlier ones."""
    rulings, whole = Rulings(), resolved.accounts.whole
    for decision in resolved.decisions:
        rows = [(UUID(source), identity) for source, identity in decision.keys.get("rows", ())]
        if decision.kind == Decision.Kind.IGNORE and "evidence" in decision.value:
            rulings.dismissed[decision.keys.get("key", "")] = decision.value["evidence"]
        elif decision.kind == Decision.Kind.IGNORE:
            rulings.ignored.update(rows)
        elif decision.kind == Decision.Kind.BOOK:
            rulings.booked.update(rows)
        elif decision.kind == Decision.Kind.ACCEPT:
            rulings.accepted.add(decision.keys["coverage"])
        elif decision.kind in (Decision.Kind.SAME, Decision.Kind.DIFFERENT):
            is_same = decision.kind == Decision.Kind.SAME
            said, unsaid = (rulings.same, rulings.different) if is_same else (rulings.different, rulings.same)
            for row in rows:
                others = set(rows) - {row}
                said.setdefault(row, set()).update(others)
                unsaid.get(row, set()).difference_update(others)
        elif decision.kind == Decision.Kind.SET_VALUE:
            word = SetValue(decision.number, decision.value["field"], decision.value["value"])
            for row in rows:
                rulings.values[row].append(word)
        elif decision.kind == Decision.Kind.OPENING_LOTS:
            lots = OpeningLots.from_json(decision.value)
            for key in _holdings(decision, resolved):
                rulings.opening_lots[(whole(UUID(decision.keys["account"])), key)] = lots
        elif decision.kind == Decision.Kind.CHOOSE:
            source = UUID(decision.value["source"])
            rulings.chosen_rows.update(dict.fromkeys(rows, source))
            if "account" in decision.keys:
                until = decision.value.get("until")
                choice = (source, date.fromisoformat(until) if until else None)
                for key in _holdings(decision, resolved):
                    rulings.chosen_holdings[(whole(UUID(decision.keys["account"])), key)] = choice
    return rulings


def _holdings(decision: Decision, resolved: Resolved) -> set[HoldingKey]:
    if "currency" in decision.keys:
        return {HoldingKey(None, decision.keys["currency"])}
    plan = resolved.instruments
    named = [naming for naming in _namings(decision) if naming in plan.namings]
    meant = [plan.namings[naming] for naming in named]
    meant += [then for naming in named for _, then in plan.later.get(naming, ())]
    return {HoldingKey(instrument, "") for instrument, _ in meant}


def _namings(decision: Decision) -> list[Naming]:
    return [(UUID(source), key) for source, key in decision.keys.get("instruments", ())]

"""A case of several sources as a user of StackMotive: its steps through ingestion's and federation's services."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from accounts.models import Tier, User
from federation.errors import UnfitDecision
from federation.facts import resolve
from federation.models import AccountLink, BrokerAccount, Claim, Conflict, CorporateAction, Decision, Instrument
from federation.services import (
    create_account,
    decide,
    delete_account,
    reconcile,
    resolve_conflict,
    revoke,
    update_account,
)
from federation.services.corporate_actions import Terms, state_action, withdraw_action
from federation.services.instruments import ensure_instrument
from ingestion.adapters.base import (
    CashRow,
    CoverageRow,
    Head,
    InstrumentRef,
    ParseOptions,
    PositionRow,
    PriceRow,
    Problem,
    Progress,
    RateRow,
    Section,
    Statement,
    TransactionRow,
)
from ingestion.identity import instrument_key
from ingestion.models import Coverage, ImportRun, JobStatus, Source, StagedTransaction
from ingestion.options import ImportOptions
from ingestion.reading import Recognized
from ingestion.services import open_import, run_import
from ingestion.services.manual import stage_manual_position, stage_manual_transaction, withdraw_manual
from ingestion.services.runs import LEASE, store
from ingestion.services.sources import create_source, default_source, retire_source, update_source
from ingestion.services.undo import undo_import
from portfolio.services.manual import uid_of
from stackmotive.common.problems import Problem as Refusal
from stackmotive.reconcile_case_files import ReconcileCase

Item = Mapping[str, Any]
TRANSFER_WORDS = {"pair_transfer": "pair", "unpair_transfer": "apart", "far_side": "payment"}
RowKey = tuple[UUID, str]
"""(source, identity): what a staged transaction is called for good"""


class Unplayable(Exception):
    """A step could not be done, or was not refused as the case says; the message says which and why."""


@dataclass(frozen=True, slots=True)
class GivenRows:
    """The adapter of a statement that a case writes out: its rows need no reading."""

    source_kind: str
    layout: str = "case"
    label: str = "Rows of a case"
    default_on_error: str = "skip"

    def score(self, head: Head) -> float:
        return 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        raise NotImplementedError


@dataclass(slots=True)
class Player:
    """One user who lives through a case. Use inside a transaction that is rolled back."""

    case: ReconcileCase
    user: User = field(init=False)
    sources: dict[str, Source] = field(default_factory=dict)
    accounts: dict[str, UUID] = field(default_factory=dict)
    runs: dict[str, UUID] = field(default_factory=dict)  # arrival -> import run
    rows: dict[str, tuple[str, int]] = field(default_factory=dict)  # a row's `as` -> (arrival, line)
    by_hand: dict[str, UUID] = field(default_factory=dict)  # a row's `as` -> uid
    decisions: dict[str, Decision] = field(default_factory=dict)
    actions: dict[str, CorporateAction] = field(default_factory=dict)
    is_behind: bool = False

    def __post_init__(self) -> None:
        base = self.case.body.get("base_currency", "USD")
        self.user = User.objects.create_user(
            f"case-{uuid4().hex}@cases.example", None, tier=Tier.SOVEREIGN, base_currency=base
        )
        for one in self.case.body.get("accounts", ()):
            values = {name: value for name, value in one.items() if name != "name"}
            values.setdefault("currency", base)
            self.accounts[one["name"]] = create_account(user=self.user, **values | {"name": one["name"]}).pk
        for one in self.case.body.get("sources", ()):
            self.sources[one["name"]] = self._source(one)
        if "manual" not in self.sources:
            self.sources["manual"] = default_source(user=self.user, kind="manual", layout="")

    def _source(self, one: Item) -> Source:
        settings = {name: one[name] for name in ("priority", "enabled") if name in one}
        if one["kind"] == "manual" or "layout" in one:
            source = default_source(user=self.user, kind=one["kind"], layout=one.get("layout", ""), name=one["name"])
            return update_source(source=source, values=settings)
        return create_source(user=self.user, kind=one["kind"], name=one["name"], **settings)

    # --- steps

    def play(self, number: int) -> None:
        """Do the step at `number`, from 0. Raises Unplayable."""
        step, name = self.case.steps[number], self.case.step_name(number)
        act: Callable[[Item, str], None] = getattr(self, f"_{step['do']}")
        wanted = step.get("refused")
        try:
            with recorded_at(step.get("at")):
                act(step, name)
        except Refusal as refusal:
            if refusal.code != wanted:
                raise Unplayable(f"{name}: refused as {refusal.code}: {refusal.detail}") from refusal
            return
        if wanted:
            raise Unplayable(f"{name}: it was done, and should have been refused as {wanted}")
        self.is_behind = True

    def catch_up(self) -> bool:
        """Bring the ledger up to the facts; whether it has a new version."""
        self.is_behind = False
        return reconcile(self.user.pk) is not None

    def _arrive(self, step: Item, name: str) -> None:
        if "csv" in step:
            content = ("\n".join(step["csv"]) + "\n").encode()
            source = self.sources[step["source"]] if "source" in step else None
            run = open_import(
                user=self.user,
                content=content,
                filename=step.get("filename", f"{name}.csv"),
                source=source,
                options=self._options(step),
                trigger=step.get("trigger", "upload"),
            )
            run_import(run_id=run.pk)
        else:
            run = self._given(step, name)
        self.runs[name] = run.pk

    def _options(self, step: Item) -> ImportOptions:
        said = dict(step.get("options", {}))
        if "default_account" in step:
            said["account"] = str(self.accounts[step["default_account"]])
        return ImportOptions.from_json(said)

    def _given(self, step: Item, name: str) -> ImportRun:
        """Rows that need no reading, stored by the same service as a file that was read."""
        source, given = self.sources[step["source"]], step["statement"]
        mark = hashlib.sha256(uuid4().bytes).hexdigest()
        run = ImportRun.objects.create(
            user=self.user, source=source, trigger=step.get("trigger", "upload"), status=JobStatus.RUNNING,
            stage=ImportRun.Stage.PARSING, filename=name, raw_digest=mark, raw_size=0, request_digest=mark,
            lease_until=timezone.now() + LEASE,
        )  # fmt: skip
        adapter = GivenRows(source.kind, layout=given.get("layout", "case"))
        options = self._options(step)
        store(run, Recognized(adapter, options, (), "", Head("", b"", ())), self._statement(given, name))  # type: ignore[arg-type]
        return run

    def _undo(self, step: Item, name: str) -> None:
        undo_import(run=self.run(step["arrival"]))

    def _enter(self, step: Item, name: str) -> None:
        self.by_hand[name] = self._by_hand(step, uid=None)

    def _edit(self, step: Item, name: str) -> None:
        self._by_hand(step, uid=self._own_uid(step["row"]))

    def _delete(self, step: Item, name: str) -> None:
        withdraw_manual(user=self.user, uid=self._own_uid(step["row"]))

    def _by_hand(self, step: Item, *, uid: UUID | None) -> UUID:
        account = self.account(step["account"])
        if "transaction" in step:
            transaction = self._transaction(step["transaction"], 1)
            staged = stage_manual_transaction(user=self.user, row=transaction, account_id=account, uid=uid)
        else:
            position = self._position(step["position"], 1)
            staged = stage_manual_position(user=self.user, row=position, account_id=account, uid=uid)
        return staged.uid

    def _own_uid(self, row: str) -> UUID:
        """Of a row that may be changed by hand; of any other one, the product's own refusal."""
        self._settle()
        if row in self.by_hand and not StagedTransaction.objects.filter(uid=self.by_hand[row]).exists():
            return self.by_hand[row]  # a position: no other source's row can join it
        source, identity = self.row_key(row)
        claim = Claim.objects.filter(source=source, staged__identity=identity).select_related("transaction").first()
        if claim is None:
            if row in self.by_hand:
                return self.by_hand[row]
            raise Unplayable(f"{row}: no row of the ledger comes from it")
        uid_of(claim.transaction)
        return self.by_hand.get(row) or uid_of(claim.transaction)

    def _decide(self, step: Item, name: str) -> None:
        keys: dict[str, Any] = {}
        if "conflict" in step:
            self._settle()
            keys["key"] = self.conflict(step["conflict"]).key
        if "rows" in step:
            keys["rows"] = [[str(source), identity] for source, identity in map(self.row_key, step["rows"])]
        if "reference" in step:
            source, reference = step["reference"]
            keys["reference"] = [str(self.source(source).pk), reference]
        if "account" in step:
            keys["account"] = str(self.account(step["account"]))
        if "currency" in step:
            keys["currency"] = step["currency"]
        if named := [*step.get("instruments", ()), *([step["instrument"]] if "instrument" in step else ())]:
            keys["instruments"] = [naming for one in named for naming in self._namings(one)]
        value: dict[str, Any] = {one: step[one] for one in ("until", "field", "value", "lots") if one in step}
        if "source" in step:
            value["source"] = str(self.source(step["source"]).pk)
        if "to_account" in step:
            value["account"] = str(self.account(step["to_account"]))
        kind = step["kind"]
        if kind in TRANSFER_WORDS:
            kind, value["as"] = "pair_transfer", step.get("meaning", TRANSFER_WORDS[kind])
        self.decisions[name] = decide(user=self.user, kind=kind, keys=keys, value=value)

    def _namings(self, name: str) -> list[list[str]]:
        key = instrument_key(self.instrument(name))
        return [[str(source.pk), key] for source in self.sources.values()]

    def _resolve(self, step: Item, name: str) -> None:
        self._settle()
        named: dict[str, Any] = {}
        if "source" in step:
            named["source"] = self.source(step["source"]).pk
        if "row" in step:
            named["match"] = self.row_key(step["row"])
        if "remember" in step:
            named["remember"] = step["remember"]
        try:
            self.decisions[name] = resolve_conflict(
                conflict=self.conflict(step["conflict"]), action=step["action"], **named
            )
        except TypeError as exc:  # an answer that this version does not know yet
            raise UnfitDecision(str(exc)) from exc

    def _revoke(self, step: Item, name: str) -> None:
        revoke(decision=self.decisions[step["decision"]])

    def _set_source(self, step: Item, name: str) -> None:
        values = {one: step[one] for one in ("priority", "enabled") if one in step}
        self.sources[step["source"]] = update_source(source=self.source(step["source"]), values=values)

    def _set_account(self, step: Item, name: str) -> None:
        account = BrokerAccount.objects.get(pk=self.account(step["account"]))
        settings = ("currency", "tracking", "cash_mode", "allows_short", "cost_basis_method")
        update_account(account=account, **{one: step[one] for one in settings if one in step})

    def _state_action(self, step: Item, name: str) -> None:
        numbers = ("ratio", "cash_per_unit", "allocation", "cash_in_lieu")
        said: dict[str, Any] = {one: Decimal(step[one]) for one in numbers if one in step}
        if "new_instrument" in step:
            said["new_instrument"] = self._known_instrument(step["new_instrument"])
        terms = Terms(
            kind=step["kind"],
            instrument=self._known_instrument(step["instrument"]),
            ex_date=_day(step["ex_date"]),
            currency=step.get("currency", ""),
            **said,
        )
        self.actions[name] = state_action(user=self.user, terms=terms)

    def _withdraw_action(self, step: Item, name: str) -> None:
        withdraw_action(action=self.actions[step["action"]])

    def _known_instrument(self, name: str) -> Instrument:
        self._settle()
        named = dict(self.instrument_fields(name))
        named.setdefault("currency", self.user.base_currency)
        return ensure_instrument(user=self.user, named=InstrumentRef(**named))[0]

    def _retire(self, step: Item, name: str) -> None:
        retire_source(source=self.source(step["source"]), keep=step.get("keep", True))
        self.source(step["source"]).refresh_from_db()

    def _delete_account(self, step: Item, name: str) -> None:
        self._settle()
        delete_account(account=BrokerAccount.objects.get(pk=self.account(step["account"])))

    def _settle(self) -> None:
        """What is said next is about the ledger as it would be shown."""
        if self.is_behind:
            self.catch_up()

    # --- what names mean

    def source(self, name: str) -> Source:
        return self.sources[name]

    def run(self, arrival: str) -> ImportRun:
        if arrival not in self.runs:
            raise Unplayable(f"nothing arrived as {arrival!r}")
        run: ImportRun = ImportRun.objects.select_related("content").get(pk=self.runs[arrival])
        return run

    def account(self, name: str) -> UUID:
        """By its name in the case, or as `source/reference`."""
        if name in self.accounts:
            return self.accounts[name]
        source, _, reference = name.partition("/")
        if source in self.sources:
            self._settle()
            link = AccountLink.objects.filter(source=self.sources[source], reference=reference).first()
            if link is not None and link.account_id is not None:
                return link.account_id
        raise Unplayable(f"no account is named {name!r}")

    def instrument(self, name: str) -> InstrumentRef:
        return InstrumentRef(**self.instrument_fields(name))

    def instrument_fields(self, name: str) -> dict[str, Any]:
        given: dict[str, Any] = {"symbol": name} | self.case.body.get("instruments", {})[name]
        if "multiplier" in given:
            given["multiplier"] = Decimal(given["multiplier"])
        return given

    def row_key(self, name: str) -> RowKey:
        """A row by its `as`, or as `arrival:line`, or a row by hand by its step's name."""
        if name in self.by_hand:
            staged = StagedTransaction.objects.filter(uid=self.by_hand[name]).order_by("-pk").first()
        else:
            arrival, line = self.rows.get(name) or _arrival_line(name)
            content = self.run(arrival).content
            staged = StagedTransaction.objects.filter(content=content, line=line).order_by("pk").first()
        if staged is None:
            raise Unplayable(f"no row is named {name!r}")
        return staged.content.source_id, staged.identity

    def conflict(self, key: str) -> Conflict:
        names = Names(self)
        found = [one for one in Conflict.objects.filter(user=self.user) if key in names.of_conflict(one)]
        if len(found) != 1:
            known = sorted(min(names.of_conflict(one)) for one in Conflict.objects.filter(user=self.user))
            raise Unplayable(f"there is no conflict {key}; there are {', '.join(known) or 'none'}")
        only: Conflict = found[0]
        return only

    # --- rows in the trade's words

    def _statement(self, given: Item, arrival: str) -> Statement:
        statement = Statement(
            layout=given.get("layout", "case"),
            institution=given.get("institution", ""),
            references_issued=given.get("references_issued", False),
            generated_at=_moment(given.get("generated_at")),
            base_currencies=dict(given.get("base_currencies", {})),
            cash_mode=given.get("cash_mode", "external"),
            time_order=given.get("time_order", "ascending"),
        )
        for line, row in enumerate(given.get("transactions", ()), start=1):
            statement.transactions.append(self._transaction(row, line))
            if "as" in row:
                self.rows[row["as"]] = (arrival, line)
        first = len(statement.transactions) + 1
        for line, row in enumerate(given.get("positions", ()), start=first):
            statement.positions.append(self._position(row, line))
        first += len(statement.positions)
        for line, row in enumerate(given.get("cash", ()), start=first):
            statement.cash.append(
                CashRow(line, row.get("account", ""), row["currency"], Decimal(row["balance"]), _day(row["as_of"]))
            )
        for row in given.get("prices", ()):
            statement.prices.append(
                PriceRow(
                    self.instrument(row["instrument"]), _day(row["day"]), Decimal(row["close"]), self._currency(row)
                )
            )
        statement.rates = [
            RateRow(row["base"], row["quote"], _day(row["day"]), Decimal(row["rate"])) for row in given.get("rates", ())
        ]
        rejected = range(first + len(statement.cash), first + len(statement.cash) + given.get("rejected", 0))
        statement.problems = [Problem(line, "unreadable", "The case says that it cannot be read.") for line in rejected]
        if "coverage" in given:
            statement.coverage = [_coverage(one) for one in given["coverage"]]
        else:
            statement.coverage = list(_implied_coverage(statement))
        return statement

    def _transaction(self, row: Item, line: int) -> TransactionRow:
        numbers = ("quantity", "price", "fee", "tax", "cash_amount", "fx_rate", "ratio")
        texts = ("local_time", "fee_currency", "cash_currency", "external_id", "group", "note")
        days = ("settled_on", "reported_on")
        said: dict[str, Any] = {name: Decimal(row[name]) for name in numbers if name in row}
        said |= {name: row[name] for name in texts if name in row}
        said |= {name: _day(row[name]) for name in days if name in row}
        return TransactionRow(
            line=line,
            account=row.get("account", ""),
            kind=row["kind"],
            trade_date=_day(row["trade_date"]),
            currency=self._currency(row),
            instrument=self.instrument(row["instrument"]) if "instrument" in row else None,
            traded_at=_moment(row.get("traded_at")),
            leg=row.get("leg", 0),
            **said,
        )

    def _position(self, row: Item, line: int) -> PositionRow:
        return PositionRow(
            line=line,
            account=row.get("account", ""),
            instrument=self.instrument(row["instrument"]),
            quantity=Decimal(row["quantity"]),
            as_of=_day(row["as_of"]),
            currency=self._currency(row),
            **{name: Decimal(row[name]) for name in ("cost_basis", "price") if name in row},
        )

    def _currency(self, row: Item) -> str:
        """As stated, else the instrument's, else the user's."""
        stated: str = row.get("currency", "")
        listed = self.case.body.get("instruments", {}).get(row.get("instrument", ""), {}).get("currency", "")
        return stated or listed or self.user.base_currency


def _coverage(one: Item) -> CoverageRow:
    start = one.get("from", one.get("as_of"))
    end = one.get("to", one.get("as_of"))
    if start is None or end is None:
        raise Unplayable(f"coverage of {one['section']} states from and to, or as_of")
    return CoverageRow(one.get("account", ""), one["section"], _day(start), _day(end), one["completeness"])


def _implied_coverage(statement: Statement) -> Iterator[CoverageRow]:
    """First to last row of each reference, inferred; each day of positions or cash whole."""
    days: dict[str, list[dt.date]] = {}
    for row in statement.transactions:
        days.setdefault(row.account, []).append(row.trade_date)
    for account, known in days.items():
        yield CoverageRow(account, "transactions", min(known), max(known), "inferred")
    reports: set[tuple[str, Section, dt.date]] = {(row.account, "positions", row.as_of) for row in statement.positions}
    reports |= {(row.account, "cash", row.as_of) for row in statement.cash}
    for account, section, on in sorted(reports):
        yield CoverageRow(account, section, on, on, "declared")


def _arrival_line(name: str) -> tuple[str, int]:
    arrival, _, line = name.rpartition(":")
    if not arrival or not line.isdecimal():
        raise Unplayable(f"no row is named {name!r}")
    return arrival, int(line)


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text).astimezone(dt.UTC)


class Names:
    """What ids are called in a case. A thing may go by several names; each stands for it."""

    def __init__(self, player: Player) -> None:
        user = player.user
        self.sources = {source.pk: name for name, source in player.sources.items()}
        for pk, given in Source.objects.filter(user=user).exclude(pk__in=self.sources).values_list("pk", "name"):
            self.sources[pk] = given
        self.accounts: dict[UUID | None, set[str]] = defaultdict(set)
        for name, account in player.accounts.items():
            self.accounts[account].add(name)
        in_force = resolve(user.pk)
        for (source, default, reference), meant in in_force.accounts.spots.items():
            if default is None:
                self.accounts[meant].add(f"{self.sources[source]}/{reference}")
        self.instruments: dict[UUID | None, set[str]] = defaultdict(set)
        declared = {instrument_key(player.instrument(name)): name for name in player.case.body.get("instruments", {})}
        meanings = [*in_force.instruments.namings.items()]
        meanings += [(naming, meant) for naming, later in in_force.instruments.later.items() for _, meant in later]
        for (source, key), (instrument, _) in meanings:
            named = in_force.names[source, key]
            name = declared.get(key) or named.symbol or named.isin or named.name
            self.instruments[instrument] |= {name, f"{self.sources[source]}/{name}"}
        self.rows: dict[RowKey, set[str]] = defaultdict(set)
        self.uids: dict[UUID, set[str]] = defaultdict(set)
        self.contents: dict[int, set[str]] = defaultdict(set)
        places = {place: name for name, place in player.rows.items()}
        hands = {uid: name for name, uid in player.by_hand.items()}
        arrivals = dict(ImportRun.objects.filter(user=user).values_list("pk", "content"))
        for arrival, run in player.runs.items():
            if (content := arrivals[run]) is not None:
                self.contents[content].add(arrival)
        for staged in StagedTransaction.objects.filter(content__source__user=user).select_related("content"):
            names = {f"{arrival}:{staged.line}" for arrival in self.contents.get(staged.content_id, ())}
            names |= {places[place] for one in names if (place := _arrival_line(one)) in places}
            if staged.uid in hands:
                names.add(hands[staged.uid])
            self.rows[staged.content.source_id, staged.identity] |= names
            self.uids[staged.uid] |= names

    def of_conflict(self, conflict: Conflict) -> set[str]:
        """Every way to write its key."""
        about, _, rest = conflict.key.partition(":")
        first, _, second = rest.partition(":")
        if about in ("position", "cash"):
            seconds = self.instruments[UUID(second)] if about == "position" else {second}
            return {f"{about}:{one}:{other}" for one in self.accounts[UUID(first)] for other in seconds}
        if about in ("transaction", "transfer"):
            claims = Claim.objects.filter(transaction=UUID(first)).select_related("staged")
            rows = {name for claim in claims for name in self.rows[claim.source_id, claim.staged.identity]}
            return {f"{about}:{name}:{second}" if second else f"{about}:{name}" for name in rows}
        if about in ("row", "match"):
            return {f"{about}:{name}" for name in self.rows[UUID(first), second]}
        if about == "coverage" and first.isdecimal():
            content = Coverage.objects.filter(pk=int(first)).values_list("content", flat=True).first()
            return {f"{about}:{name}" for name in self.contents.get(content or 0, ())}
        return {conflict.key}


@contextmanager
def recorded_at(text: str | None) -> Iterator[None]:
    """Let what is recorded inside be recorded at this instant; at the real one where none is given."""
    if text is None:
        yield
        return
    moment = dt.datetime.fromisoformat(text)

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(moment.timestamp(), tz)

    plain = timezone.datetime  # type: ignore[attr-defined]
    timezone.datetime = Clock  # type: ignore[attr-defined]  # defaults of columns hold timezone.now itself
    try:
        yield
    finally:
        timezone.datetime = plain  # type: ignore[attr-defined]

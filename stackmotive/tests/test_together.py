"""Everything at one moment: parallel clients over HTTP, real workers, real transactions (DESIGN 1, promise 3; 5.12)."""

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import settings as profile
from rest_framework.test import APIClient

from accounts.models import FactVersion, User
from federation.models import Conflict, LedgerVersion, ReportedBalance, Transaction
from federation.services import create_account, decide, differences_from_facts, rebuild
from ingestion.models import ImportRun, JobStatus, Source, SyncRun
from ingestion.tests.brokers import Broker, broker, source_at, statement
from ingestion.tests.factories import csv
from portfolio.models import CashBalance, DailyValue, Lot, Position
from portfolio.services.refresh import refresh
from stackmotive.tests.workers import Workers, at_once, wide_pool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wide_pool")]
__all__ = ["broker", "wide_pool"]
Api = Callable[..., APIClient]
Act = Callable[[], Any]
ROUNDS = max(2, profile().max_examples // 50)
TRADES = "account,trade_date,kind,symbol,quantity,price,currency,external_id"
HOLDINGS = "account,symbol,quantity,currency,as_of"
LIVE = (JobStatus.QUEUED, JobStatus.RUNNING)


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 3, 15)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    with Workers(monkeypatch, 4) as started:
        yield started


def trades(*rows: str) -> bytes:
    return csv(*(f"A1,2024-{row}" for row in rows), header=TRADES)


def holdings(**held: str) -> bytes:
    return csv(*(f"A1,{symbol},{quantity},USD,2024-02-29" for symbol, quantity in held.items()), header=HOLDINGS)


NORTH = [
    statement(trades("01-10,buy,ACME,10,100,USD,N1", "01-20,buy,BOLT,4,50,USD,N2")),
    statement(holdings(ACME="11", BOLT="4", COG="3")),
]
SOUTH = [
    statement(trades("01-10,buy,ACME,10,101,USD,S1", "01-20,buy,BOLT,4,50,USD,S2", "02-05,sell,BOLT,-1,60,USD,S3"))
]


class Household:
    """A user whose two brokers speak of one account and differ; and what clients do to it."""

    def __init__(self, user: User, client: APIClient, broker: Broker) -> None:
        self.user, self.client = user, client
        self.account = create_account(user=user, name="Main", currency="USD", cash_mode="tracked")
        self.north = source_at(broker, user, "North", *NORTH, priority=30)
        self.south = source_at(broker, user, "South", *SOUTH, priority=40)
        for source in (self.north, self.south):
            keys = {"reference": [str(source.pk), "A1"]}
            decide(user=user, kind="link_account", keys=keys, value={"account": str(self.account.pk)})
        bought: dict[str, Any] = {
            "account": str(self.account.pk),
            "kind": "buy",
            "trade_date": "2024-02-12",
            "currency": "USD",
        }
        bought |= {"instrument": {"symbol": "DYN", "kind": "equity", "currency": "USD"}, "quantity": "2", "price": "7"}
        self.typed = self._ok(client.post("/api/portfolio/transactions/", bought), 201)["id"]

    def _ok(self, answer: Any, *statuses: int) -> Any:
        assert answer.status_code in statuses, answer.content
        return answer.json()

    def sync(self) -> None:
        self._ok(self.client.post("/api/ingestion/sync-runs/", {}), 202, 409)

    def upload(self, source: Source | None = None) -> None:
        """A later word of the first broker, or of another source, on the same day, as a file."""
        file = SimpleUploadedFile("later.csv", holdings(ACME="12", BOLT="4"))
        body = {"file": file, "source": str((source or self.north).pk)}
        self._ok(self.client.post("/api/ingestion/imports/", body, format="multipart"), 202)

    def edit(self) -> None:
        """The row typed by hand becomes the sale that the second broker states."""
        said: dict[str, Any] = {"kind": "sell", "trade_date": "2024-02-05", "quantity": "-1", "price": "61"}
        said |= {"instrument": {"symbol": "BOLT", "kind": "equity", "currency": "USD"}}
        self._ok(self.client.patch(f"/api/portfolio/transactions/{self.typed}/", said), 200, 202)

    def believe(self) -> None:
        self._ok(self.client.patch(f"/api/ingestion/sources/{self.south.pk}/", {"priority": 10}), 200)

    def acts(self) -> dict[str, Act]:
        return {
            "sync": self.sync, "sync again": self.sync, "upload": self.upload, "edit": self.edit,
            "believe": self.believe,
        }  # fmt: skip

    def outcome(self) -> dict[str, Any]:
        """Ledger, reports, conflicts and holdings, by names in place of ids."""
        names = {str(pk): name for pk, name in Source.objects.filter(user=self.user).values_list("pk", "name")}
        rows = Transaction.objects.filter(user=self.user).values_list(
            "account__name", "instrument__symbol", "kind", "trade_date", "quantity", "price", "currency",
            "cash_amount", "source", "is_manual",
        )  # fmt: skip
        balances = ReportedBalance.objects.filter(user=self.user).values_list(
            "account__name", "instrument__symbol", "as_of", "value", "source", "rule", "candidates"
        )
        conflicts = Conflict.objects.filter(user=self.user).values_list(
            "kind", "account__name", "instrument__symbol", "status", "winner", "rule", "difference", "candidates"
        )
        held = Position.objects.filter(user=self.user).values_list(
            "account__name", "instrument__symbol", "quantity", "cost_basis", "market_value", "unexplained_quantity"
        )
        cash = CashBalance.objects.filter(user=self.user).values_list("account__name", "currency", "amount")
        return {
            name: sorted(repr(_named(row, names)) for row in found)
            for name, found in (
                ("ledger", rows), ("balances", balances), ("conflicts", conflicts), ("held", held), ("cash", cash),
            )
        }  # fmt: skip

    def order_of_facts(self) -> list[str]:
        """The acts by the number that their last facts took."""
        runs = ImportRun.objects.filter(user=self.user, fact_number__isnull=False)
        numbers = dict.fromkeys(self.acts(), 0)
        for trigger, number in runs.values_list("trigger", "fact_number"):
            acts = ("upload",) if trigger == "upload" else ("sync", "sync again")
            for act in acts:
                numbers[act] = max(numbers[act], number)
        for cause, act in (("source", "believe"), ("manual", "edit")):
            found = FactVersion.objects.filter(user=self.user, cause=cause).order_by("-number").first()
            assert found is not None
            numbers[act] = found.number
        return sorted(numbers, key=lambda act: numbers[act])


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_named(one, names) for one in value]
    if isinstance(value, dict):
        return {key: _named(one, names) for key, one in value.items()}
    return names.get(str(value), value) if isinstance(value, (str, UUID)) else value


def assert_whole(user: User) -> None:
    """Nothing is under way, nothing is behind, and everything is what the facts alone make."""
    assert not ImportRun.objects.filter(user=user, status__in=LIVE).exists()
    assert not SyncRun.objects.filter(user=user, status__in=LIVE).exists()
    assert differences_from_facts(user.pk) == []
    numbers = list(FactVersion.objects.filter(user=user).order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert not refresh(user_id=user.pk)
    kept = stored(user)
    refresh(user_id=user.pk, everything=True)
    assert stored(user) == kept
    content = LedgerVersion.objects.filter(user=user).latest("number").content_hash
    rebuild(user.pk)
    assert LedgerVersion.objects.filter(user=user).latest("number").content_hash == content
    refresh(user_id=user.pk, everything=True)
    assert stored(user) == kept


def stored(user: User) -> list[list[tuple[Any, ...]]]:
    """Ledger and figures with their ids."""
    found: list[list[tuple[Any, ...]]] = [
        sorted(Transaction.objects.filter(user=user).values_list(), key=str),
        sorted(Conflict.objects.filter(user=user).values_list(), key=str),
    ]
    for model in (Lot, Position, CashBalance, DailyValue):
        names = [field.attname for field in model._meta.concrete_fields if field.attname != "id"]
        found.append(sorted(model.objects.filter(user=user).values_list(*names), key=str))
    return found


class Serial:
    """What the acts end as, one after the other in some order, each to its end; tried once per order."""

    def __init__(self, begin: Callable[[], Household], workers: Workers) -> None:
        self._begin, self._workers = begin, workers
        self.known: dict[tuple[str, ...], dict[str, Any]] = {}

    def outcome(self, order: Sequence[str]) -> dict[str, Any]:
        alike = tuple("sync" if name == "sync again" else name for name in order)
        if alike not in self.known:
            household = self._begin()
            acts = household.acts()
            for name in order:
                acts[name]()
                self._workers.finish()
            self.known[alike] = household.outcome()
        return self.known[alike]

    def order_of(self, found: dict[str, Any], guess: Sequence[str]) -> Sequence[str] | None:
        """An order that ends as `found`; None where no order does."""
        return next((order for order in (guess, *permutations(guess)) if self.outcome(order) == found), None)


def test_what_is_started_at_one_moment_ends_as_some_serial_order(
    make_user: Any, api: Api, broker: Broker, workers: Workers
) -> None:
    def begin() -> Household:
        user = make_user()
        household = Household(user, api(user), broker)
        workers.finish()
        return household

    serial = Serial(begin, workers)
    seen = set()
    for seed in range(ROUNDS):
        chance = random.Random(seed)  # the same rounds each time
        household = begin()
        acts = list(household.acts().values())
        chance.shuffle(acts)
        at_once(acts)
        workers.finish(sweeps=2)
        found = household.outcome()
        order = serial.order_of(found, household.order_of_facts())
        assert order is not None, f"round {seed} ended as no serial order does: {found}"
        assert_whole(household.user)
        seen.add(tuple(order))
    first, last = (
        ("upload", "sync", "sync again", "edit", "believe"),
        ("sync", "sync again", "edit", "upload", "believe"),
    )
    assert serial.outcome(first) != serial.outcome(last)  # the order matters, so the test can fail

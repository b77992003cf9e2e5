"""Refreshed step by step equals computed anew: random edits over the API, every table compared after each."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from federation.models import LedgerVersion
from federation.services import reconcile
from portfolio import services
from portfolio.models import (
    CashBalance,
    DailyValue,
    FigureState,
    HoldingStep,
    Lot,
    Position,
    RealizedGain,
    ValueSeries,
)
from portfolio.services.reading import read_ledger
from portfolio.tests.factories import make_rate, snapshot
from portfolio.tests.test_event_views import (  # noqa: F401  # the fixtures of the same API
    BASE,
    _fixed_day,
    account,
    client,
    made,
)

pytestmark = pytest.mark.django_db
TABLES = (Position, CashBalance, Lot, RealizedGain, HoldingStep, DailyValue, ValueSeries, FigureState)
SHARES = ({"symbol": "ACME", "kind": "equity", "currency": "USD"}, {"symbol": "FERN", "kind": "equity", "currency": "EUR"},
          {"symbol": "SOLO", "kind": "fund", "currency": "USD"})  # fmt: skip


class Editor:
    """Does one random thing that a user could."""

    def __init__(self, client: APIClient, seed: int) -> None:  # noqa: F811
        self.client, self.draw = client, random.Random(seed)  # reproducible on purpose
        self.accounts = [account(client, name) for name in ("A", "B")]
        self.rows: list[str] = []
        self.instruments: dict[str, tuple[str, str]] = {}

    def step(self) -> str:
        todo = self.draw.choice(
            ["trade"] * 5 + ["cash"] * 2 + ["edit", "delete", "price", "price", "transfer", "reward"]
        )
        getattr(self, todo)()
        return todo

    def day(self) -> str:
        return f"2024-01-{self.draw.randint(2, 31):02}"

    def add(self, where: str, kind: str, day: str, **fields: Any) -> dict[str, Any]:
        body = {"account": where, "kind": kind, "trade_date": day} | fields
        body.setdefault("currency", "USD")
        row = made(self.client.post(f"{BASE}transactions/", body, format="json"))
        self.rows.append(row["id"])
        return row

    def trade(self) -> None:
        share = self.draw.choice(SHARES)
        row = self.add(
            self.draw.choice(self.accounts), self.draw.choice(["buy", "buy", "sell", "dividend"]), self.day(),
            instrument=share, currency=share["currency"], price=str(self.draw.randint(5, 20)),
            fee=self.draw.choice(["0", "1.25"]), quantity=str(self.draw.randint(1, 40)),
            **({"cash_amount": str(self.draw.randint(1, 9))} if self.draw.random() < 0.2 else {}),
        ) if self.draw.random() < 0.9 else self.add(
            self.accounts[0], "interest", self.day(), cash_amount="0.37", currency=share["currency"]
        )  # fmt: skip
        if row["instrument"]:
            self.instruments[share["symbol"]] = (str(row["instrument"]), share["currency"])

    def cash(self) -> None:
        kind, amount = self.draw.choice([("deposit", "1000"), ("withdrawal", "300"), ("fee", "4")])
        self.add(
            self.draw.choice(self.accounts), kind, self.day(), cash_amount=amount,
            currency=self.draw.choice(["USD", "EUR"]),
        )  # fmt: skip

    def edit(self) -> None:
        if self.rows:
            path = f"{BASE}transactions/{self.draw.choice(self.rows)}/"
            answer = self.client.patch(path, {"trade_date": self.day()}, format="json")
            if answer.status_code == 200:
                self.rows = [*self.rows, answer.json()["id"]]

    def delete(self) -> None:
        if self.rows:
            self.client.delete(f"{BASE}transactions/{self.rows.pop(self.draw.randrange(len(self.rows)))}/")

    def price(self) -> None:
        if self.instruments:
            instrument, currency = self.draw.choice(sorted(self.instruments.values()))
            told = {
                "instrument": instrument,
                "date": self.day(),
                "close": str(self.draw.randint(5, 20)),
                "currency": currency,
            }
            made(self.client.post(f"{BASE}prices/", [told], format="json"))

    def transfer(self) -> None:
        if self.instruments:
            instrument, currency = self.draw.choice(sorted(self.instruments.values()))
            units, day = str(self.draw.randint(1, 9)), self.draw.randint(2, 28)
            one, other = self.draw.sample(self.accounts, 2)
            stated: dict[str, Any] = {"instrument": instrument, "quantity": units, "currency": currency}
            self.add(one, "transfer_out", f"2024-01-{day:02}", **stated)
            self.add(other, "transfer_in", f"2024-01-{day + self.draw.randint(0, 3):02}", **stated)

    def reward(self) -> None:
        if self.instruments:
            instrument, currency = self.draw.choice(sorted(self.instruments.values()))
            self.add(self.accounts[1], "reward", self.day(), instrument=instrument, quantity="2", currency=currency)


@pytest.mark.parametrize("seed", range(4))
def test_any_edits_refreshed_one_by_one_equal_a_rebuild(owner: User, client: APIClient, seed: int) -> None:  # noqa: F811
    for number in (2, 9, 17, 26):
        make_rate("EUR", "USD", f"2024-01-{number:02}", f"1.{number:02}")
    editor = Editor(client, seed)
    if seed % 2:
        services.set_trade_prices(user_id=owner.pk, enabled=False)
    done = []
    for _ in range(14):
        done.append(editor.step())
        reconcile(owner.pk)
        services.refresh(user_id=owner.pk)
        stepwise = snapshot(*TABLES, user_id=owner.pk)
        services.refresh(user_id=owner.pk, everything=True)
        anew = snapshot(*TABLES, user_id=owner.pk)
        for table, one, other in zip(TABLES, stepwise, anew, strict=True):
            assert one == other, (table.__name__, done)


def test_a_trade_reads_its_instrument_and_the_days_since_and_writes_what_they_move(
    owner: User,
    client: APIClient,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = account(client, "A")
    editor = Editor(client, 1)
    for symbol, day in (("ACME", "03"), ("FERN", "04"), ("SOLO", "05")):
        share = next(one for one in SHARES if one["symbol"] == symbol) | {"currency": "USD"}
        editor.add(first, "buy", f"2024-01-{day}", instrument=share, quantity="10", price="10")
    services.refresh(user_id=owner.pk)
    untouched = {
        model: set(model.objects.filter(user=owner).values_list("pk", flat=True)) for model in (ValueSeries, DailyValue)
    }
    read: list[int] = []

    def counted(**asked: Any) -> Any:
        rows, listings = read_ledger(**asked)
        read.append(len(rows))
        return rows, listings

    monkeypatch.setattr("portfolio.services.figures.read_ledger", counted)
    editor.add(first, "buy", "2024-01-31", instrument=SHARES[0], quantity="1", price="12")
    assert LedgerVersion.objects.filter(user=owner).latest("number").touched == [
        [first, str(Position.objects.get(instrument__symbol="ACME").instrument_id), ["USD"], "2024-01-31"]
    ]
    services.refresh(user_id=owner.pk)
    assert read == [2, 0]
    assert Position.objects.get(instrument__symbol="ACME").quantity == Decimal(11)
    left = set(ValueSeries.objects.filter(user=owner).values_list("pk", flat=True)) & untouched[ValueSeries]
    assert len(left) == len(untouched[ValueSeries]) - 2  # the holding and the cash that paid for it
    same_days = set(DailyValue.objects.filter(user=owner).values_list("pk", flat=True)) & untouched[DailyValue]
    changed = DailyValue.objects.filter(user=owner).exclude(pk__in=same_days)
    assert set(changed.values_list("date", flat=True)) <= {dt.date(2024, 1, 31)}
    services.refresh(user_id=owner.pk)
    assert len(read) == 2

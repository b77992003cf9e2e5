"""A user whose portfolio is told of in an order that has little to do with what happened: every kind of fact, at random."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from django.db.models import Model, QuerySet
from rest_framework.test import APIClient

from accounts.facts import next_market_number
from accounts.models import User
from accounts.services import change_settings
from federation import services as federation
from federation.models import (
    AccountLink,
    BrokerAccount,
    Conflict,
    CorporateAction,
    Decision,
    Instrument,
    Listing,
    Transaction,
    TransferLink,
)
from federation.services.corporate_actions import Terms
from federation.services.linking import KINDS
from federation.tests.factories import (
    ACME,
    BITCOIN,
    GLOBEX,
    balance,
    cash_event,
    covers,
    position,
    split,
    stage,
    trade,
    withdraw,
)
from ingestion.adapters.base import InstrumentRef
from ingestion.models import Content, Source
from ingestion.services import create_source, update_source
from portfolio import services
from portfolio.models import FxRate
from stackmotive.common.problems import Conflict as Conflicting
from stackmotive.common.problems import Invalid, NotFound

BASE = "/api/portfolio/"
BARE = InstrumentRef(symbol="ACME")  # may or may not be the one with an ISIN
NAMED = (ACME, GLOBEX, BITCOIN, BARE)
REFERENCES = ("A1", "A1", "B2")
ASKED_DAILY = (
    f"{BASE}summary/", f"{BASE}summary/?currency=EUR", f"{BASE}positions/", f"{BASE}positions/?group_by=instrument",
    f"{BASE}transactions/?page_size=500", f"{BASE}lots/", f"{BASE}performance/", f"{BASE}allocation/?by=account",
    f"{BASE}allocation/?by=sector", f"{BASE}realized-gains/", f"{BASE}cash-balances/",
)  # fmt: skip


def signed_in(user: User) -> APIClient:
    """A client that stays logged in however far the clock travels."""
    client = APIClient()
    client.default_format = "json"
    client.force_authenticate(user)
    return client


def book(client: APIClient, account: str, /, **fields: Any) -> dict[str, Any]:
    answer = client.post(
        f"{BASE}transactions/",
        {
            "account": account, "kind": "buy", "instrument": {"symbol": "ACME", "kind": "equity", "currency": "USD"},
            "trade_date": "2024-03-01", "quantity": "10", "price": "50", "currency": "USD",
        }
        | fields,
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def new_account(client: APIClient, **fields: Any) -> str:
    answer = client.post(f"{BASE}accounts/", {"name": "Main", "currency": "USD", "cash_mode": "tracked"} | fields)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


class Learner:
    """`learn` does one thing that changes what is known. What does not fit what is known then is refused, and that is
    one of the things that may happen.
    """

    def __init__(self, user: User, random: Random) -> None:
        self.user, self.random, self.client = user, random, signed_in(user)
        self.accounts = [new_account(self.client), new_account(self.client, name="Second")]
        self.sources = [create_source(user=user, kind=kind, name=kind) for kind in ("csv", "ibkr_flex")]
        self.typed: list[str] = []
        self.acts: list[Callable[[dt.date], None]] = [
            self.book, self.book, self.edit, self.delete, self.receive, self.receive, self.receive, self.restate,
            self.take_back, self.bring_back, self.quote, self.quote_for_all, self.exchange, self.exchange_for_all,
            self.believe, self.set_account, self.set_user, self.resolve, self.resolve, self.revoke, self.describe,
            self.merge, self.part, self.state, self.withdraw_action, self.move, self.pair, self.unlink, self.name_side,
            self.link_account, self.hold, self.value_trades, self.drop_account,
        ]  # fmt: skip

    def learn(self, today: dt.date) -> str:
        """One act; its name."""
        act = self.random.choice(self.acts)
        try:
            act(today)
        except (Conflicting, Invalid, NotFound):
            return f"{act.__name__}, refused"
        return act.__name__

    def past_day(self, today: dt.date) -> str:
        return (today - dt.timedelta(days=self.random.randint(0, 50))).strftime("%m-%d")

    def units(self) -> str:
        return self.random.choice(("1", "2", "5", "-1", "0.5"))

    def one_of(self, rows: QuerySet[Any]) -> Any:
        """A row, or none where there is none."""
        found = list(rows.order_by("pk"))
        return self.random.choice(found) if found else None

    def answered(self, answer: Any, *codes: int) -> None:
        assert answer.status_code in codes, answer.content

    # --- rows by hand

    def book(self, today: dt.date) -> None:
        day, price = f"2024-{self.past_day(today)}", str(self.random.randint(40, 60))
        row = book(self.client, self.random.choice(self.accounts), trade_date=day, price=price)
        self.typed.append(row["id"])

    def edit(self, today: dt.date) -> None:
        if self.typed:
            address = f"{BASE}transactions/{self.random.choice(self.typed)}/"
            self.answered(self.client.patch(address, {"quantity": str(self.random.randint(1, 9))}), 200, 404, 409)

    def delete(self, today: dt.date) -> None:
        if self.typed:
            address = f"{BASE}transactions/{self.typed.pop(self.random.randrange(len(self.typed)))}/"
            self.answered(self.client.delete(address), 204, 404, 409)

    def hold(self, today: dt.date) -> None:
        """A holding by word, of a day."""
        body = {
            "account": self.accounts[1], "currency": "USD", "quantity": str(self.random.randint(1, 9)),
            "instrument": {"symbol": "GOLD", "kind": "commodity", "currency": "USD"},
            "as_of": f"2024-{self.past_day(today)}",
        }  # fmt: skip
        self.answered(self.client.post(f"{BASE}manual-positions/", body), 201)

    # --- files

    def receive(self, today: dt.date) -> None:
        """Some rows, perhaps a whole window, a report, cash, a transfer."""
        days = sorted(self.past_day(today) for _ in range(3))
        account = self.random.choice(REFERENCES)
        rows = [trade(day, self.units(), "50", of=self.random.choice(NAMED), account=account) for day in days]
        rows.append(cash_event(days[0], self.random.choice(("deposit", "dividend")), "100", account=account))
        if self.random.random() < 0.2:
            rows.append(split(days[1], "2", account=account))
        coverage = []
        if self.random.random() < 0.5:
            coverage = [covers("transactions", days[0], days[-1], account=account)]
        reports, cash = [], []
        if self.random.random() < 0.4:
            reports = [position(days[-1], "7", of=self.random.choice(NAMED), account=account)]
            coverage.append(covers("positions", days[-1], account=account))
        if self.random.random() < 0.3:
            cash = [balance(days[-1], "250", account=account)]
            coverage.append(covers("cash", days[-1], account=account))
        stage(self.random.choice(self.sources), rows=rows, positions=reports, cash=cash, coverage=coverage)

    def restate(self, today: dt.date) -> None:
        """The same window, told anew."""
        day, later = sorted((self.past_day(today), self.past_day(today)))
        stage(
            self.random.choice(self.sources),
            rows=[trade(day, "3", str(self.random.randint(45, 55)))],
            coverage=[covers("transactions", day, later)],
        )

    def move(self, today: dt.date) -> None:
        """Money or units from one account to another, or only one side of it."""
        day, amount = self.past_day(today), str(self.random.choice((10, 20, 20)))
        source = self.random.choice(self.sources)
        if self.random.random() < 0.5:
            rows = [cash_event(day, "withdrawal", f"-{amount}"), cash_event(day, "deposit", amount, account="B2")]
        else:
            fields: dict[str, Any] = {"of": BITCOIN, "cash_amount": None}
            rows = [
                trade(day, "-1", "0", kind="transfer_out", **fields),
                trade(day, "1", "0", account="B2", kind="transfer_in", **fields),
            ]
        stage(source, rows=rows if self.random.random() < 0.7 else rows[:1])

    def take_back(self, today: dt.date) -> None:
        if (content := self.one_of(Content.objects.filter(source__in=self.sources))) is not None:
            withdraw(content)

    def bring_back(self, today: dt.date) -> None:
        """A source whose facts were disbelieved is believed again."""
        for source in Source.objects.filter(pk__in=[one.pk for one in self.sources], enabled=False):
            update_source(source=source, values={"enabled": True})

    def believe(self, today: dt.date) -> None:
        source = Source.objects.get(pk=self.random.choice(self.sources).pk)
        values = {"priority": self.random.randint(1, 99), "enabled": self.random.random() < 0.8}
        update_source(source=source, values=values)

    # --- prices and rates

    def _listing(self) -> Listing | None:
        listing: Listing | None = self.one_of(Listing.objects.filter(instrument__user=self.user))
        return listing

    def quote(self, today: dt.date) -> None:
        if (listing := self._listing()) is not None:
            row = {"instrument": str(listing.instrument_id), "date": f"2024-{self.past_day(today)}", "currency": "USD"}
            prices = [row | {"close": str(self.random.randint(30, 80))}]
            self.answered(self.client.post(f"{BASE}prices/", prices), 201, 400, 422)

    def quote_for_all(self, today: dt.date) -> None:
        if (listing := self._listing()) is not None:
            day = dt.date.fromisoformat(f"2024-{self.past_day(today)}")
            rows = [(listing.pk, day, Decimal(self.random.randint(30, 80)))]
            services.load_shared_prices(rows=rows, provider="test", basis="traded")

    def exchange(self, today: dt.date) -> None:
        row = {"base": "EUR", "quote": "USD", "date": f"2024-{self.past_day(today)}"}
        self.answered(self.client.post(f"{BASE}fx-rates/", [row | {"rate": f"1.{self.random.randint(10, 40)}"}]), 201)

    def exchange_for_all(self, today: dt.date) -> None:
        day = dt.date.fromisoformat(f"2024-{self.past_day(today)}")
        number = next_market_number(cause="ecb_rates")
        rate = Decimal(f"1.{self.random.randint(10, 40)}")
        FxRate.objects.create(base="EUR", quote="USD", date=day, rate=rate, provider="ecb", number=number)

    def value_trades(self, today: dt.date) -> None:
        services.set_trade_prices(user_id=self.user.pk, enabled=self.random.random() < 0.5)

    # --- settings

    def set_account(self, today: dt.date) -> None:
        account = self.one_of(BrokerAccount.objects.filter(user=self.user))
        values = self.random.choice(
            [{"name": f"Account {today}"}, {"cash_mode": self.random.choice(("tracked", "external"))},
             {"cost_basis_method": self.random.choice(("lifo", "average", "fifo"))}, {"allows_short": True},
             {"tracking": self.random.choice(("positions", "transactions"))}, {"institution": f"Bank {today.day}"}]
        )  # fmt: skip
        self.answered(self.client.patch(f"{BASE}accounts/{account.pk}/", values), 200)

    def drop_account(self, today: dt.date) -> None:
        """One that nothing in force speaks of; a source may name it again."""
        account = self.one_of(BrokerAccount.objects.filter(user=self.user).exclude(pk__in=self.accounts))
        if account is not None:
            self.answered(self.client.delete(f"{BASE}accounts/{account.pk}/"), 204, 409)

    def set_user(self, today: dt.date) -> None:
        values = self.random.choice(
            [{"base_currency": self.random.choice(("USD", "EUR"))},
             {"timezone_name": self.random.choice(("UTC", "Pacific/Auckland", "America/Los_Angeles"))}]
        )  # fmt: skip
        self.user = change_settings(user=self.user, **values)
        self.client = signed_in(self.user)

    # --- what the user says

    def resolve(self, today: dt.date) -> None:
        conflict = self.one_of(Conflict.objects.filter(user=self.user))
        if conflict is None:
            return
        action = self.random.choice(("book", "ignore", "choose", "match", "accept"))
        sources = [one["source"] for one in conflict.candidates if one.get("source")]
        rows = [one["row"] for one in conflict.candidates if one.get("row")]
        federation.resolve_conflict(
            conflict=conflict,
            action=action,
            source=self.random.choice(sources) if sources else None,
            match=self.random.choice(rows) if rows else None,
        )

    def revoke(self, today: dt.date) -> None:
        if (decision := self.one_of(Decision.objects.filter(user=self.user))) is not None:
            federation.revoke(decision=decision)

    def link_account(self, today: dt.date) -> None:
        if (link := self.one_of(AccountLink.objects.filter(source__user=self.user))) is None:
            return
        keys = {"reference": [str(link.source_id), link.reference]}
        if self.random.random() < 0.3:
            federation.decide(user=self.user, kind="ignore", keys=keys)
        else:
            value = {"account": self.random.choice(self.accounts)}
            federation.decide(user=self.user, kind="link_account", keys=keys, value=value)

    # --- instruments and what happens to them

    def _instrument(self) -> Instrument | None:
        instrument: Instrument | None = self.one_of(Instrument.objects.filter(user=self.user))
        return instrument

    def describe(self, today: dt.date) -> None:
        if (instrument := self._instrument()) is not None:
            values = self.random.choice(
                [{"sector": self.random.choice(("Energy", "Health"))}, {"symbol": f"S{self.random.randint(1, 99)}"},
                 {"country": self.random.choice(("US", "DE"))}, {"name": f"Name of {today}"}]
            )  # fmt: skip
            federation.describe_instrument(instrument=instrument, **values)

    def merge(self, today: dt.date) -> None:
        first, second = self._instrument(), self._instrument()
        if first is not None and second is not None:
            federation.merge_instruments(instrument=first, into=second)

    def part(self, today: dt.date) -> None:
        if (instrument := self._instrument()) is not None:
            namings = [[str(link.source_id), link.key] for link in instrument.links.order_by("pk")]
            federation.split_instrument(instrument=instrument, namings=namings[:1])

    def state(self, today: dt.date) -> None:
        instrument, other = self._instrument(), self._instrument()
        if instrument is None or other is None:
            return
        day = dt.date.fromisoformat(f"2024-{self.past_day(today)}")
        terms = self.random.choice(
            [Terms("split", instrument, day, ratio=Decimal(3)),
             Terms("spinoff", instrument, day, ratio=Decimal("0.5"), new_instrument=other),
             Terms("return_of_capital", instrument, day, cash_per_unit=Decimal("0.25"), currency="USD"),
             Terms("merger", instrument, day, ratio=Decimal("0.7"), new_instrument=other)]
        )  # fmt: skip
        federation.state_action(user=self.user, terms=terms)

    def withdraw_action(self, today: dt.date) -> None:
        if (action := self.one_of(CorporateAction.objects.filter(user=self.user))) is not None:
            federation.withdraw_action(action=action)

    # --- transfers

    def _legs(self) -> QuerySet[Any]:
        return Transaction.objects.filter(user=self.user, kind__in=KINDS)

    def pair(self, today: dt.date) -> None:
        rows: list[Model] = [row for row in (self.one_of(self._legs()), self.one_of(self._legs())) if row is not None]
        federation.pair_by_hand(user=self.user, rows=rows)  # type: ignore[arg-type]  # rows of the ledger

    def unlink(self, today: dt.date) -> None:
        if (link := self.one_of(TransferLink.objects.filter(user=self.user))) is not None:
            legs = Transaction.objects.filter(pk__in=[*link.out_legs, *link.in_legs])
            federation.unlink(user=self.user, rows=list(legs))

    def name_side(self, today: dt.date) -> None:
        if (row := self.one_of(self._legs())) is not None:
            federation.name_far_side(user=self.user, row=row, meaning=self.random.choice(("income", "payment")))

    def answers(self) -> dict[str, Any]:
        return {path: self.client.get(path).json() for path in ASKED_DAILY}

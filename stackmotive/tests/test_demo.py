"""The demo from a small made-up price table: its files, and what becomes of them through the real path."""

import datetime as dt
import gzip
import hashlib
import io
import stat
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from federation.models import BrokerAccount, Conflict, LedgerVersion, Transaction
from ingestion.models import Arrival, ImportRun, Source, StagedTransaction
from portfolio.models import CashBalance, DailyValue, FxRate, Position, Price
from stackmotive.demo import prices
from stackmotive.demo.catalog import KNOWN, load_catalog
from stackmotive.demo.files import ACCOUNT, flex_statements, history, kept_list
from stackmotive.demo.loading import EMAIL, load_demo
from stackmotive.demo.prices import PricesUnavailable, PriceTable
from stackmotive.demo.story import LAST_DAY, Trade, after, order_history, savings_plan
from stackmotive.management.commands import load_demo as command

D = Decimal
PASSWORD = "a long enough password"
RATES = {"EUR": D("1.25"), "GBP": D("1.5")}


def rate_on(currency: str, day: dt.date) -> Decimal:
    return RATES[currency]


@pytest.fixture
def table() -> PriceTable:
    """Four days a month; closes grow a little every month, each symbol from its own level."""
    months = [dt.date(2016 + number // 12, number % 12 + 1, 1) for number in range(84)]
    days = sorted({*(first.replace(day=day) for first in months for day in (4, 8, 12, 22)), LAST_DAY})
    closes = {
        symbol: {
            day: D(20 + 7 * place) + D("0.35") * (12 * (day.year - 2016) + day.month) + D(day.day) / 10 for day in days
        }
        for place, symbol in enumerate(KNOWN)
    }
    return PriceTable(tuple(days), closes)


@pytest.fixture
def market(db: None, table: PriceTable, settings: Any) -> PriceTable:
    settings.AS_OF = LAST_DAY
    for quote, rate in (("USD", RATES["EUR"]), ("GBP", RATES["EUR"] / RATES["GBP"])):
        FxRate.objects.create(base="EUR", quote=quote, date=dt.date(2015, 12, 31), rate=rate, provider="ecb", number=1)
    load_catalog(table)
    return table


def load(table: PriceTable) -> User:
    return load_demo(table=table, rate_on=rate_on, password=PASSWORD)


def test_the_same_prices_give_the_same_files(table: PriceTable) -> None:
    def files() -> list[bytes]:
        savings, orders = savings_plan(table, rate_on), order_history(table, rate_on)
        exports = history(orders, start=dt.date(2019, 1, 1), end=LAST_DAY)
        return [flex_statements(savings, table, rate_on), kept_list(savings), exports]

    assert files() == files()


def test_every_trade_is_at_the_close_of_its_day_and_cash_never_runs_out(table: PriceTable) -> None:
    for events in (savings_plan(table, rate_on), order_history(table, rate_on)):
        trades = [event for event in events if isinstance(event, Trade)]
        assert all(trade.price == table.close(trade.symbol, trade.day) for trade in trades)
        assert any(trade.quantity < 0 for trade in trades)
        for day in sorted({event.day for event in events}):
            assert min(after(events, day).cash.values()) >= 0
            assert (
                min(sum((units for units, _ in lots), D(0)) for lots in after(events, day).lots.values() or [[]]) >= 0
            )


def test_the_users_accounts_come_from_files_and_reconcile_but_for_what_is_shown(market: PriceTable) -> None:
    user = load(market)

    runs = dict(ImportRun.objects.filter(user=user).values_list("filename", "status"))
    assert runs == {
        "ibkr-flex-2016-2022.xml": "done",
        "trading212-2019-2021.csv": "done",
        "trading212-2021-2022.csv": "done",
        "my-trades-2020.csv": "partial",
    }
    overlap = ImportRun.objects.get(filename="trading212-2021-2022.csv")
    assert overlap.unchanged > 0
    assert overlap.unchanged + overlap.staged == overlap.rows

    rejected = ImportRun.objects.get(filename="my-trades-2020.csv").left_out.get(verdict="rejected")
    assert "“a dozen” is not a number" in rejected.detail

    conflict = Conflict.objects.get(user=user)
    assert (conflict.status, conflict.rule, conflict.kind) == ("settled", "priority", "field")
    assert conflict.winner == Source.objects.get(user=user, kind="ibkr_flex").pk

    unexplained = Position.objects.filter(user=user).exclude(unexplained_quantity=0)
    assert [(one.instrument.symbol, one.unexplained_quantity) for one in unexplained] == [("KO", D(3))]
    computed = Transaction.objects.filter(user=user, source=None, cash_amount__isnull=False)
    assert not computed.exists()

    cash = {one.currency: one for one in CashBalance.objects.filter(user=user)}
    assert set(cash) == {"EUR", "USD", "GBP"}
    assert all(one.unexplained_amount == 0 for one in cash.values())
    accounts = dict(BrokerAccount.objects.filter(user=user).values_list("name", "currency"))
    assert accounts == {"Interactive Brokers U7000042": "USD", "Trading 212": "GBP", "Gold in a drawer": "EUR"}
    assert BrokerAccount.objects.get(reference=ACCOUNT).institution is not None


def test_the_figures_are_those_of_the_story(market: PriceTable) -> None:
    user = load(market)
    savings, orders = savings_plan(market, rate_on), order_history(market, rate_on)
    held, ordered = after(savings, LAST_DAY), after(orders, LAST_DAY)
    found = {
        (one.account.name, one.instrument.symbol): one.quantity
        for one in Position.objects.filter(user=user).select_related("account", "instrument").exclude(quantity=0)
    }
    expected = {("Interactive Brokers U7000042", symbol): held.quantity(symbol) for symbol in held.symbols()}
    expected["Interactive Brokers U7000042", "KO"] += 3
    expected |= {("Trading 212", symbol): ordered.quantity(symbol) for symbol in ordered.symbols()}
    expected["Gold in a drawer", "GOLD-1OZ"] = D(6)
    assert found == expected
    assert 12 <= len({symbol for _, symbol in found}) <= 18
    balances = {one.currency: one.amount for one in CashBalance.objects.filter(user=user)}
    assert balances == {**held.cash, "GBP": ordered.cash["GBP"]}
    gold = Position.objects.get(user=user, instrument__symbol="GOLD-1OZ")
    assert (gold.price, gold.market_value_base) == (D(1695), D(6 * 1695) * RATES["EUR"])
    assert not Position.objects.filter(user=user, market_value_base=None).exists()


def test_the_command_loads_once_and_prints_the_same_login_again(
    market: PriceTable, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(command, "price_table", lambda folder: market)
    monkeypatch.setattr(command, "load_ecb_rates", lambda: 0)
    monkeypatch.setattr(command, "ecb_dollars", lambda: rate_on)

    def run() -> str:
        out = io.StringIO()
        call_command("load_demo", stdout=out)
        return out.getvalue()

    def counts() -> list[int]:
        models = (Arrival, StagedTransaction, Transaction, LedgerVersion, Price, DailyValue, Position, User)
        return [model.objects.count() for model in models]

    first = run()
    before = counts()
    assert run() == first
    assert counts() == before
    password = (tmp_path / "demo-password").read_text().strip()
    assert first == f"Log in as {EMAIL}, password {password}\n"
    assert stat.S_IMODE((tmp_path / "demo-password").stat().st_mode) == 0o600
    user = User.objects.get(email=EMAIL)
    assert user.check_password(password)
    assert (user.is_staff, user.base_currency, user.effective_tier.label) == (True, "USD", "sovereign")


def test_prices_that_cannot_be_fetched_stop_the_command_with_a_sentence(
    db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path

    def refused(argv: list[str], **named: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", "ERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", refused)
    with pytest.raises(CommandError, match=r"could not be fetched: ERROR: No matching distribution\. Connect"):
        call_command("load_demo")
    assert not User.objects.exists()
    assert not (tmp_path / "demo-password").exists()


def test_a_table_is_read_from_its_first_day_on_the_days_that_all_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "a.csv.gz": "Date,X,Y\n2013-12-31,1,2\n2014-01-02,1.5,2.5\n2014-01-03,1.6,2.6\n",
        "b.csv.gz": "Date,Z\n2014-01-02,9\n2014-01-06,8\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in texts}
    monkeypatch.setattr(prices, "TABLES", digests)

    table = prices.price_table(tmp_path)

    assert table.days == (dt.date(2014, 1, 2),)
    assert {symbol: table.close(symbol, table.days[0]) for symbol in table.closes} == {
        "X": D("1.5"),
        "Y": D("2.5"),
        "Z": D(9),
    }
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"Date,X\n2014-01-02,1\n"))
    with pytest.raises(PricesUnavailable, match="remove it and start again"):
        prices.price_table(tmp_path)

"""The demo's user: everything they have came in by the same services as any user's files."""

import datetime as dt
from decimal import Decimal

from django.db import transaction

from accounts.models import Tier, User
from accounts.services import create_user
from federation.models import BrokerAccount, LedgerState, Listing
from federation.services import create_account, reconcile
from ingestion.adapters.base import InstrumentRef, PositionRow
from ingestion.models import ImportRun, JobStatus
from ingestion.options import ImportOptions
from ingestion.services import open_import, run_import, stage_manual_position
from portfolio.services import OwnPrice, record_prices, refresh
from stackmotive.demo.files import ACCOUNT, flex_statements, history, kept_list
from stackmotive.demo.prices import PriceTable
from stackmotive.demo.story import RateOn, order_history, savings_plan

EMAIL = "demo@stackmotive.example"
GOLD = InstrumentRef(symbol="GOLD-1OZ", name="Gold coins, one ounce", kind="commodity", currency="EUR")
COINS, COINS_COST, COINS_SINCE = Decimal(6), Decimal(6930), dt.date(2018, 3, 1)
VALUED_AT = (  # what the owner wrote down for one coin, in euros
    ("2018-03-01", "1155"), ("2018-12-31", "1120"), ("2019-12-31", "1355"), ("2020-06-30", "1580"),
    ("2020-12-31", "1550"), ("2021-06-30", "1490"), ("2021-12-31", "1610"), ("2022-06-30", "1730"),
    ("2022-12-23", "1695"),
)  # fmt: skip
OVERLAP = (  # two exports of one history: half a year is in both
    ("trading212-2019-2021.csv", dt.date(2019, 1, 1), dt.date(2021, 6, 30)),
    ("trading212-2021-2022.csv", dt.date(2021, 1, 1), dt.date(2022, 12, 28)),
)


class DemoIncomplete(Exception):
    """A file of the demo did not go in, which is a defect; the message says which."""


def is_loaded() -> bool:
    return User.objects.filter(email=EMAIL).exists()


@transaction.atomic
def load_demo(*, table: PriceTable, rate_on: RateOn, password: str) -> User:
    """Make the demo's user with all of their files, ledger and figures: all of it or nothing.

    The catalog, its closes and the rates of exchange are loaded before. Raises DemoIncomplete.
    """
    user = create_user(email=EMAIL, password=password, tier=Tier.SOVEREIGN, is_staff=True)
    savings, orders = savings_plan(table, rate_on), order_history(table, rate_on)
    bring_in(user, "ibkr-flex-2016-2022.xml", flex_statements(savings, table, rate_on))
    for filename, start, end in OVERLAP:
        bring_in(user, filename, history(orders, start=start, end=end))
    reconcile(user.pk)
    broker = BrokerAccount.objects.get(user=user, reference=ACCOUNT)
    bring_in(user, "my-trades-2020.csv", kept_list(savings), ImportOptions(account=broker.pk, on_error="skip"))
    put_in_drawer(user)
    reconcile(user.pk)
    value_drawer(user)
    refresh(user_id=user.pk)
    check(user)
    return user


def bring_in(user: User, filename: str, content: bytes, options: ImportOptions | None = None) -> None:
    """Import one file in this process. Raises DemoIncomplete."""
    run = open_import(user=user, content=content, filename=filename, options=options, trigger=ImportRun.Trigger.COMMAND)
    run_import(run_id=run.pk)
    run = ImportRun.objects.defer("raw").get(pk=run.pk)
    if run.status != JobStatus.RUNNING:  # staged; it ends when ledger and figures include it
        raise DemoIncomplete(f"{filename} is {run.status}: {run.error or run.questions}")


def put_in_drawer(user: User) -> None:
    """The one thing that no broker knows: coins, counted by hand."""
    drawer = create_account(
        user=user, name="Gold in a drawer", currency=GOLD.currency, kind=BrokerAccount.Kind.WALLET,
        tracking=BrokerAccount.Tracking.POSITIONS,
    )  # fmt: skip
    row = PositionRow(
        line=1,
        account="",
        instrument=GOLD,
        quantity=COINS,
        as_of=COINS_SINCE,
        currency=GOLD.currency,
        cost_basis=COINS_COST,
    )
    stage_manual_position(user=user, row=row, account_id=drawer.pk)


def value_drawer(user: User) -> None:
    listing = Listing.objects.get(instrument__user=user, instrument__symbol=GOLD.symbol)
    prices = [OwnPrice(listing.pk, dt.date.fromisoformat(day), Decimal(price)) for day, price in VALUED_AT]
    record_prices(user_id=user.pk, prices=prices)


def check(user: User) -> None:
    """Raises DemoIncomplete where ledger and figures do not include every file."""
    state = LedgerState.objects.get(user=user)
    waiting = ImportRun.objects.filter(user=user).exclude(status__in=(JobStatus.DONE, JobStatus.PARTIAL))
    if state.valued_version < state.ledger_version or waiting.exists():
        names = ", ".join(waiting.values_list("filename", flat=True))
        raise DemoIncomplete(f"The figures do not include every file yet: {names or 'valuation is behind'}.")

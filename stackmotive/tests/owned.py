"""Rows to try every operation with an id in its path on: one maker per path.

A new resource adds its line: the path as the OpenAPI document writes it up to its id -> a function that makes a row of
`owner` and answers its path parameters. The longest path that begins an operation's counts.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from accounts.models import User

Maker = Callable[["User"], Mapping[str, str]]


def login_session(owner: "User") -> Mapping[str, str]:
    from accounts.services import open_session

    return {"id": str(open_session(user=owner, address="", device="Firefox").pk)}


def import_run(owner: "User") -> Mapping[str, str]:
    from ingestion.tests.factories import buys, finished

    return {"id": str(finished(owner, buys(1)).pk)}


def source(owner: "User") -> Mapping[str, str]:
    from ingestion.services import create_source

    return {"id": str(create_source(user=owner, kind="csv", name="Bank").pk)}


def import_profile(owner: "User") -> Mapping[str, str]:
    from ingestion.services.profiles import create_profile

    return {"id": str(create_profile(user=owner, name="Bank", header_digest=uuid4().hex, options={}).pk)}


def sync_run(owner: "User") -> Mapping[str, str]:
    from ingestion.models import SyncRun
    from ingestion.services import create_source, open_sync

    create_source(user=owner, kind="csv", name="Bank")
    return {"id": str(open_sync(user=owner, trigger=SyncRun.Trigger.API).pk)}


def notification(owner: "User") -> Mapping[str, str]:
    from notifications.services import notify

    return {"id": str(notify(user_id=owner.pk, kind="test", title="News").pk)}


def broker_account(owner: "User") -> Mapping[str, str]:
    from federation.services import create_account

    return {"id": str(create_account(user=owner, name="Drawer", currency="USD").pk)}


def instrument(owner: "User") -> Mapping[str, str]:
    from federation.services import ensure_instrument
    from ingestion.adapters.base import InstrumentRef

    return {"id": str(ensure_instrument(user=owner, named=InstrumentRef(symbol="GOLD", currency="USD"))[0].pk)}


def booked(owner: "User") -> None:
    """A ledger of the owner with one purchase, and a holding that two sources report differently."""
    from federation.services import create_account, reconcile
    from federation.tests.factories import make_source, position, stage, trade
    from portfolio.services.refresh import refresh

    account = create_account(user=owner, name="Broker", currency="USD").pk
    flex, file = make_source(owner, "ibkr_flex"), make_source(owner, "csv")
    stage(flex, rows=[trade("01-02", "10", "5", account="")], default_account=account)
    stage(flex, positions=[position("01-31", "10", account="")], default_account=account)
    stage(file, positions=[position("01-31", "12", account="")], default_account=account)
    reconcile(owner.pk)
    refresh(user_id=owner.pk)


def conflict(owner: "User") -> Mapping[str, str]:
    from federation.models import Conflict

    booked(owner)
    return {"id": str(Conflict.objects.visible_to(owner).filter(account__isnull=False).first().pk)}


def decision(owner: "User") -> Mapping[str, str]:
    from federation.models import Conflict
    from federation.services import decide

    identity = conflict(owner)["id"]
    key, source = Conflict.objects.values_list("key", "candidates__0__source").get(pk=identity)
    return {"id": str(decide(user=owner, kind="choose", keys={"key": key}, value={"source": source}).pk)}


def own_instrument(owner: "User") -> Mapping[str, str]:
    from federation.models import Instrument

    account_link(owner)
    return {"id": str(Instrument.objects.filter(user=owner).latest("pk").pk)}


def account_link(owner: "User") -> Mapping[str, str]:
    from federation.models import AccountLink
    from federation.services import reconcile
    from federation.tests.factories import make_source, stage, trade

    stage(make_source(owner), rows=[trade("01-02", "10", "5")])
    reconcile(owner.pk)
    return {"id": str(AccountLink.objects.filter(source__user=owner).latest("pk").pk)}


def ledger_version(owner: "User") -> Mapping[str, str]:
    from federation.models import LedgerVersion

    booked(owner)
    newest = LedgerVersion.objects.filter(user=owner).latest("number")
    return {"number": str(newest.number)}


def position(owner: "User") -> Mapping[str, str]:
    from portfolio.models import Position

    booked(owner)
    return {"id": str(Position.objects.visible_to(owner).first().pk)}


def transaction(owner: "User") -> Mapping[str, str]:
    from federation.models import Transaction

    booked(owner)
    return {"id": str(Transaction.objects.visible_to(owner).filter(kind="buy").first().pk)}


def manual_position(owner: "User") -> Mapping[str, str]:
    from datetime import date
    from decimal import Decimal

    from federation.services import create_account
    from ingestion.adapters.base import InstrumentRef
    from portfolio.services.manual import book_position

    account = create_account(user=owner, name="Drawer", currency="USD")
    gold = InstrumentRef(symbol="GOLD", kind="commodity", currency="USD")
    uid = book_position(
        user=owner, account=account, instrument=gold, quantity=Decimal(2), currency="USD", as_of=date(2024, 1, 2)
    )
    return {"id": str(uid)}


def corporate_action(owner: "User") -> Mapping[str, str]:
    from datetime import date

    from federation.services import state_action
    from federation.services.corporate_actions import Terms
    from portfolio.tests.factories import make_instrument

    listing = make_instrument(owner, f"S{uuid4().hex[:8]}")
    terms = Terms(kind="expiry", instrument=listing.instrument, ex_date=date(2024, 1, 10))
    return {"id": str(state_action(user=owner, terms=terms).pk)}


def transfer(owner: "User") -> Mapping[str, str]:
    from federation.models import TransferLink
    from federation.services import reconcile
    from federation.tests.factories import cash_event, make_source, stage

    number = uuid4().hex[:8]
    amount = str(100 + int(number, 16) % 100_000_000)  # equal ones would be ambiguous
    out = cash_event("01-10", "withdrawal", f"-{amount}", account=f"A{number}")
    stage(make_source(owner), rows=[out, cash_event("01-11", "deposit", amount, account=f"B{number}")])
    reconcile(owner.pk)
    return {"id": str(TransferLink.objects.filter(user=owner).latest("arrived_on").pk)}


def priced_instrument(owner: "User") -> Mapping[str, str]:
    import datetime as dt
    from decimal import Decimal

    from federation.models import Instrument, Listing
    from portfolio.services import OwnPrice, record_prices

    about = Instrument.objects.create(user=owner, symbol="PRICED")
    listing = Listing.objects.create(instrument=about, currency="USD")
    record_prices(user_id=owner.pk, prices=[OwnPrice(listing.pk, dt.date(2024, 1, 2), Decimal(5))])
    return {"id": str(about.pk)}


def instrument_note(owner: "User") -> Mapping[str, str]:
    from federation.models import Instrument
    from portfolio.models import InstrumentNote

    about = Instrument.objects.create(user=owner, symbol="NOTED")
    note = InstrumentNote.objects.create(user=owner, instrument=about, text="Why I bought it")
    return {"instrument": str(about.pk), "id": str(note.pk)}


def noted_instrument(owner: "User") -> Mapping[str, str]:
    return {"instrument": instrument_note(owner)["instrument"]}


def known_answer(owner: "User") -> Mapping[str, str]:
    from portfolio.models import KnownAnswer

    return {"id": str(KnownAnswer.objects.create(user=owner, digest=uuid4().hex, path="/", moments=[]).pk)}


def finding(owner: "User") -> Mapping[str, str]:
    from federation.services import create_account, reconcile
    from federation.tests.factories import make_source, stage, trade
    from portfolio.models import Finding
    from portfolio.services.refresh import refresh

    account = create_account(user=owner, name="Broker", currency="USD").pk
    stage(make_source(owner), rows=[trade("01-02", "-1", "5", account="")], default_account=account)
    reconcile(owner.pk)
    refresh(user_id=owner.pk)
    return {"id": str(Finding.objects.visible_to(owner).get(account=account, kind="missing_quantity").pk)}


OWNED: dict[str, Maker] = {
    "/api/federation/account-links/{id}/": account_link,
    "/api/federation/conflicts/{id}/": conflict,
    "/api/federation/decisions/{id}/": decision,
    "/api/federation/instruments/{id}/": own_instrument,
    "/api/federation/versions/{number}/": ledger_version,
    "/api/notifications/{id}/": notification,
    "/api/portfolio/accounts/{id}/": broker_account,
    "/api/portfolio/corporate-actions/{id}/": corporate_action,
    "/api/portfolio/findings/{id}/": finding,
    "/api/portfolio/instruments/{id}/": instrument,
    "/api/portfolio/instruments/{id}/price/": priced_instrument,
    "/api/portfolio/instruments/{instrument}/notes/": noted_instrument,
    "/api/portfolio/instruments/{instrument}/notes/{id}/": instrument_note,
    "/api/portfolio/known-answers/{id}/": known_answer,
    "/api/portfolio/manual-positions/{id}/": manual_position,
    "/api/portfolio/positions/{id}/": position,
    "/api/portfolio/transactions/{id}/": transaction,
    "/api/portfolio/transfers/{id}/": transfer,
    "/api/ingestion/imports/{id}/": import_run,
    "/api/ingestion/profiles/{id}/": import_profile,
    "/api/ingestion/sources/{id}/": source,
    "/api/ingestion/sync-runs/{id}/": sync_run,
    "/api/me/sessions/{id}/": login_session,
}

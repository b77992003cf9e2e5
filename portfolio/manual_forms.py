"""Forms for what is typed by hand: the same cells, rules and services as a file and the API."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from accounts.models import User
from federation import selectors as federation
from federation import services as federation_services
from federation.errors import AmbiguousInstrument, UnknownInstrument
from federation.models import BrokerAccount
from ingestion.adapters.base import InstrumentRef
from ingestion.adapters.kinds import KIND_RULES
from ingestion.adapters.rows import RowProblem, parse_currency
from portfolio.observations import reference_from
from portfolio.services import manual
from stackmotive.common.money import fits_recorded, parse_number
from stackmotive.common.problems import BadRequest, FieldError

KINDS = {
    "buy": "Purchase",
    "sell": "Sale",
    "dividend": "Dividend",
    "interest": "Interest",
    "deposit": "Deposit",
    "withdrawal": "Withdrawal",
    "fee": "Fee",
    "tax": "Tax",
    "transfer_in": "Transfer in",
    "transfer_out": "Transfer out",
    "reward": "Reward, such as staking",
}
INSTRUMENT_KINDS = {
    "equity": "Share",
    "etf": "ETF",
    "fund": "Fund",
    "bond": "Bond",
    "crypto": "Coin",
    "commodity": "Commodity, such as gold",
    "property": "Property",
    "other": "Something else",
}
NEW_ACCOUNT = "new"
TEXTS = (
    "account", "account_name", "kind", "trade_date", "symbol", "name", "instrument_kind", "quantity", "price", "fee",
    "cash_amount", "currency", "note", "as_of", "cost_basis",
)  # fmt: skip
LONGEST = 200
UNITS = ("quantity", "price")  # of kinds that move units; the others state an amount: the page shows the same
FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2200, 12, 31)


@dataclass(frozen=True, slots=True)
class Typed:
    """What became of a form. is_doubled: an equal row was there already; is_waiting: a worker books it."""

    account: BrokerAccount
    is_doubled: bool = False
    is_waiting: bool = False


def form_of(posted: Mapping[str, str]) -> dict[str, str]:
    """The form's texts. Raises BadRequest for what no cell can hold."""
    form = {name: posted.get(name, "").strip() for name in TEXTS}
    for name, text in form.items():
        if "\0" in text:
            raise wrong(name, "Write it without the NUL character.")
        if len(text) > LONGEST:
            raise wrong(name, f"Write at most {LONGEST} characters.")
    return form


def wrong(field: str, detail: str) -> BadRequest:
    return BadRequest(detail, errors=[FieldError(f"#/{field}", detail)])


def add_transaction(*, user: User, form: Mapping[str, str]) -> Typed:
    """Book one row. The account is made only once the row is known to be good. Raises BadRequest."""
    rule = KIND_RULES.get(form["kind"])
    if rule is None or form["kind"] not in KINDS:
        raise wrong("kind", "Choose what happened.")
    asked = {"kind", "trade_date", "currency", "note"} | ({"cash_amount"} if rule.units == "none" else set(UNITS))
    if rule.units != "none":
        asked.add("fee")
    account = chosen_account(user, form)
    has_instrument = rule.units != "none" or rule.needs_instrument
    named = instrument_of(user, form) if has_instrument else None
    stated = {name: form[name] for name in asked if form[name]}
    row = manual.transaction_row(fields=stated, instrument=named)
    account = account or new_account(user, form)
    done = manual.book_transaction(user=user, account=account, row=row)
    return Typed(account, is_doubled=done.possible_duplicate_of is not None, is_waiting=done.id is None)


def add_position(*, user: User, form: Mapping[str, str]) -> Typed:
    """Report what is held by the user's own word. Raises BadRequest."""
    account = chosen_account(user, form)
    quantity = number_of(form, "quantity", "Write how many are held.")
    if quantity is None:
        raise wrong("quantity", "Write how many are held.")
    cost, as_of = number_of(form, "cost_basis", "Write what all of it cost."), day_of(form["as_of"])
    if cost is not None and cost < 0:
        raise wrong("cost_basis", "Write what all of it cost, not below 0.")
    named = instrument_of(user, form)
    currency = currency_of(form)
    account = account or new_account(user, form)
    manual.book_position(
        user=user,
        account=account,
        instrument=named,
        quantity=quantity,
        as_of=as_of,
        currency=currency,
        cost_basis=cost,
    )
    return Typed(account)


def chosen_account(user: User, form: Mapping[str, str]) -> BrokerAccount | None:
    """None where a new one is asked for. Raises BadRequest."""
    asked = form["account"]
    if asked == NEW_ACCOUNT:
        if not form["account_name"]:
            raise wrong("account_name", "Give the new account a name.")
        if len(form["account_name"]) > 100:
            raise wrong("account_name", "Write at most 100 characters.")
        currency_of(form)
        return None
    try:
        found: BrokerAccount | None = BrokerAccount.objects.visible_to(user).filter(pk=UUID(asked)).first()
    except ValueError:
        found = None
    if found is None:
        raise wrong("account", "Choose one of your accounts.")
    return found


def new_account(user: User, form: Mapping[str, str]) -> BrokerAccount:
    return federation_services.create_account(user=user, name=form["account_name"], currency=currency_of(form))


def instrument_of(user: User, form: Mapping[str, str]) -> InstrumentRef:
    """The user's own instrument of that symbol where there is one, else as typed. Raises BadRequest."""
    symbol, currency = form["symbol"], currency_of(form)
    if not symbol:
        raise wrong("symbol", "Name it by its symbol.")
    try:
        found, _ = federation.resolve_instrument(user, InstrumentRef(symbol=symbol))
    except (UnknownInstrument, AmbiguousInstrument):  # what is typed beside it tells it apart, or makes a new one
        stated = {"symbol": symbol, "name": form["name"], "kind": form["instrument_kind"]}
        try:
            return reference_from(stated, currency=currency)
        except RowProblem as problem:
            raise wrong({"kind": "instrument_kind"}.get(problem.field, problem.field), problem.detail) from problem
    return manual.named_instrument(user=user, instrument=found, currency=currency)


def currency_of(form: Mapping[str, str]) -> str:
    """Raises BadRequest."""
    try:
        return parse_currency(form["currency"])
    except RowProblem as problem:
        raise wrong("currency", problem.detail) from problem


def number_of(form: Mapping[str, str], field: str, detail: str) -> Decimal | None:
    """None for an empty field. Raises BadRequest for what is no number that can be stored."""
    if not form[field]:
        return None
    try:
        value = parse_number(form[field])
    except ValueError as exc:
        raise wrong(field, f"{detail} A plain number, such as 1200.5.") from exc
    if not fits_recorded(value):
        raise wrong(field, "It has more digits than can be stored: at most 20 before the point and 18 after it.")
    return value


def day_of(text: str) -> dt.date:
    """Raises BadRequest."""
    try:
        day = dt.date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise wrong("as_of", "Choose a day.")
    return day

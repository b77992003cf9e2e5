"""What a decision says, checked and as it is kept: nothing goes in that the rules could not read back (DESIGN 5.8)."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from accounts.models import User
from federation import selectors, set_values
from federation.errors import UnfitDecision
from federation.models import BrokerAccount, Decision, InstrumentLink, Transaction
from federation.positions import OPENING_BALANCE, STEP
from federation.services.decision_keys import own_account, own_source
from federation.services.reconciliation import reconcile
from ingestion.models import SourceKind, StagedTransaction
from stackmotive.common.display import day_text, quantity_text
from stackmotive.common.money import fits_recorded, parse_number, plain

Said = Mapping[str, Any]
MOST_LOTS: Final = 500
TRANSFER_WORDS: Final = ("pair", "apart", "income", "payment")
EVIDENCE_LENGTH: Final = 64


def checked_value(user: User, kind: str, keys: Said, value: Said) -> dict[str, Any]:
    """`value` as it is kept. keys: as `checked_keys` gives them. Raises UnfitDecision where the kind is not about them."""
    if not _fits(kind, keys, value):
        raise UnfitDecision(f"A decision of kind {kind[:20]!r} is not about this.")
    check = CHECKS.get(kind)
    kept = check(user, keys, value) if check else {}
    if unknown := sorted(value.keys() - kept.keys()):
        raise UnfitDecision(f"A decision of kind {kind!r} says nothing of {unknown[0][:40]!r}.")
    return kept


def _fits(kind: str, keys: Said, value: Said) -> bool:
    sources = {source for source, _ in keys.get("rows", ())}
    match kind:
        case Decision.Kind.CHOOSE:
            return ("account" in keys and ("instruments" in keys or "currency" in keys)) or "rows" in keys
        case Decision.Kind.IGNORE:
            return "rows" in keys or "reference" in keys or "evidence" in value
        case Decision.Kind.BOOK | Decision.Kind.SET_VALUE | Decision.Kind.PAIR_TRANSFER:
            return "rows" in keys
        case Decision.Kind.SAME | Decision.Kind.DIFFERENT:
            return len(sources) > 1
        case Decision.Kind.ACCEPT:
            return "coverage" in keys
        case Decision.Kind.LINK_ACCOUNT:
            return "reference" in keys
        case Decision.Kind.MERGE_INSTRUMENTS:
            return len(keys.get("instruments", ())) > 1 and "account" not in keys
        case Decision.Kind.SPLIT_INSTRUMENT:
            return "instruments" in keys and "account" not in keys
        case Decision.Kind.OPENING_LOTS:
            return "account" in keys and "instruments" in keys
        case Decision.Kind.MERGE_ACCOUNTS:
            return "account" in keys and "instruments" not in keys and "currency" not in keys
    return False


def _choose(user: User, keys: Said, value: Said) -> dict[str, Any]:
    kept = {"source": str(own_source(user, value.get("source")).pk)}
    if "until" in value:
        kept["until"] = _day(value["until"], "until").isoformat()
    return kept


def _ignore(user: User, keys: Said, value: Said) -> dict[str, Any]:
    evidence = value.get("evidence")
    if evidence is None:
        return {}
    if not isinstance(evidence, str) or len(evidence) != EVIDENCE_LENGTH:
        raise UnfitDecision("The evidence is what the conflict compared: resolve the conflict instead.")
    return {"evidence": evidence}


def _link(user: User, keys: Said, value: Said) -> dict[str, Any]:
    return {"account": str(own_account(user, value.get("account")).pk)}


def _merge(user: User, keys: Said, value: Said) -> dict[str, Any]:
    into = own_account(user, value.get("account"))
    known: BrokerAccount | None = into
    for _ in range(BrokerAccount.objects.visible_to(user).count() + 1):
        if known is None:
            break
        if str(known.pk) == keys["account"]:
            raise UnfitDecision("An account cannot become a part of itself. Part the other one first.")
        known = known.merged_into
    return {"account": str(into.pk)}


def _transfer(user: User, keys: Said, value: Said) -> dict[str, Any]:
    if value.get("as") not in TRANSFER_WORDS:
        raise UnfitDecision(f"Say what the rows are: {', '.join(TRANSFER_WORDS)}.")
    return {"as": value["as"]}


def _set_value(user: User, keys: Said, value: Said) -> dict[str, Any]:
    field = value.get("field", _field_of(keys.get("key", "")))
    if not isinstance(field, str) or "value" not in value:
        raise UnfitDecision("Say which field of the row, and its value.")
    sources = {UUID(source) for source, _ in keys["rows"]}
    staged = StagedTransaction.objects.filter(
        content__source__in=sources, identity__in={identity for _, identity in keys["rows"]}
    )
    spoken = staged.exclude(content__source__kind=SourceKind.MANUAL).order_by("-pk").first()
    if spoken is None:
        raise UnfitDecision("You typed this row yourself: change it instead.")
    stated = getattr(spoken, field, None) if field in set_values.NUMBERS else None
    try:
        kept = set_values.canonical(field, value["value"], kind=spoken.kind, stated=stated)
    except ValueError as exc:
        raise UnfitDecision(str(exc)) from exc
    return {"field": field, "value": kept}


def _field_of(key: str) -> str | None:
    """`transaction:<id>:<field>` names the field too."""
    return key.rpartition(":")[2] if key.startswith("transaction:") and key.count(":") == 2 else None


def _opening_lots(user: User, keys: Said, value: Said) -> dict[str, Any]:
    given = value.get("lots")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_LOTS:
        raise UnfitDecision(f"Give 1 to {MOST_LOTS} lots, each with acquired_on, quantity and cost.")
    if selectors.is_behind(user.pk):
        reconcile(user.pk)
    opening = opening_balance(user, keys)
    if opening is None or not opening.quantity:
        raise UnfitDecision("Nothing of this holding stands before its known history: there is no opening balance.")
    if opening.quantity < 0:
        raise UnfitDecision("What stands before the known history is a short position, which has no lots to give.")
    currency = value.get("currency", opening.currency)
    if currency != opening.currency:
        raise UnfitDecision(f"Give the costs in {opening.currency}, the currency of the opening balance.")
    lots = [_lot(one, opening) for one in given]
    total = sum((Decimal(one["quantity"] or 0) for one in lots), Decimal(0))
    if total != opening.quantity:
        raise UnfitDecision(
            f"The lots add up to {quantity_text(total)}; the opening balance of {day_text(opening.trade_date)} is "
            f"{quantity_text(opening.quantity)}. Give quantities in units of that day.",
            expected=plain(opening.quantity),
        )
    return {"lots": lots, "currency": currency}


def opening_balance(user: User, keys: Said) -> Transaction | None:
    """The ledger's opening balance of the holding that a decision is about."""
    sources = {UUID(source) for source, _ in keys["instruments"]}
    links = InstrumentLink.objects.filter(
        source__user=user, source__in=sources, key__in={key for _, key in keys["instruments"]}
    )
    rows = Transaction.objects.visible_to(user).filter(
        account=keys["account"], instrument__in=links.values("instrument"), kind="adjustment"
    )
    first: Transaction | None = rows.order_by("trade_date", "position").first()
    return first if first is not None and first.note in (OPENING_BALANCE, STEP) else None


def _lot(given: Any, opening: Transaction) -> dict[str, str | None]:
    if not isinstance(given, dict) or given.keys() - {"acquired_on", "quantity", "cost"}:
        raise UnfitDecision("A lot has acquired_on, quantity and cost, and nothing else.")
    day = _day(given.get("acquired_on"), "acquired_on")
    if day > opening.trade_date:
        raise UnfitDecision(f"A lot of the opening balance is acquired by {opening.trade_date.isoformat()}.")
    quantity = _number(given.get("quantity"), "quantity")
    if quantity <= 0:
        raise UnfitDecision("The quantity of a lot is above 0.")
    cost = None if given.get("cost") is None else _number(given["cost"], "cost")
    if cost is not None and cost < 0:
        raise UnfitDecision("The cost of a lot is what was paid for all of it, at least 0; null where it is unknown.")
    return {
        "acquired_on": day.isoformat(),
        "quantity": plain(quantity),
        "cost": None if cost is None else plain(cost),
    }


def _number(text: Any, name: str) -> Decimal:
    try:
        number = parse_number(text) if isinstance(text, str) else None
    except ValueError:
        number = None
    if number is None or not fits_recorded(number):
        raise UnfitDecision(f"Give {name} as a decimal number in text, such as 12.50.")
    return number


def _day(text: Any, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as exc:
        raise UnfitDecision(f"Give {name} as YYYY-MM-DD.") from exc


CHECKS: Final[dict[str, Callable[[User, Said, Said], dict[str, Any]]]] = {
    Decision.Kind.CHOOSE: _choose,
    Decision.Kind.IGNORE: _ignore,
    Decision.Kind.LINK_ACCOUNT: _link,
    Decision.Kind.MERGE_ACCOUNTS: _merge,
    Decision.Kind.PAIR_TRANSFER: _transfer,
    Decision.Kind.SET_VALUE: _set_value,
    Decision.Kind.OPENING_LOTS: _opening_lots,
}

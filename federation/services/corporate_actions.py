"""Corporate actions stated by hand: recorded, previewed and taken back as facts (DESIGN 5.10)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import User
from federation.corporate_actions import ACTIONS, Action, is_claimed
from federation.errors import ActionStated, AlreadyRevoked, UnfitAction
from federation.facts import load, resolve
from federation.models import CorporateAction, CorporateActionWithdrawal, Instrument
from federation.rows import LedgerRow
from federation.services.reconciliation import reconcile
from federation.truth import compute

CAUSE = "corporate_action"
LARGEST = Decimal(1_000_000)
Kind = CorporateAction.Kind
NEEDS: Mapping[str, tuple[str, ...]] = {
    Kind.SPLIT: ("ratio",),
    Kind.STOCK_DIVIDEND: ("ratio",),
    Kind.SPINOFF: ("ratio", "new_instrument"),
    Kind.RIGHTS: ("ratio", "new_instrument"),
    Kind.EXERCISE: ("ratio", "new_instrument"),
    Kind.SYMBOL_CHANGE: ("new_instrument",),
    Kind.RETURN_OF_CAPITAL: ("cash_per_unit",),
    Kind.MERGER: (),
    Kind.EXPIRY: (),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a user states. ratio: new units for one old, below 0 for a put that is exercised; see CorporateAction."""

    kind: str
    instrument: Instrument
    ex_date: date
    ratio: Decimal | None = None
    new_instrument: Instrument | None = None
    cash_per_unit: Decimal | None = None
    currency: str = ""
    allocation: Decimal | None = None
    cash_in_lieu: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What stating an action would do: rows that come, rows that go or change, and accounts whose source tells it."""

    added: list[LedgerRow]
    removed: list[LedgerRow]
    claimed: list[UUID]


def state_action(*, user: User, terms: Terms) -> CorporateAction:
    """Record an action; every account that held the instrument follows. Raises UnfitAction, ActionStated."""
    check_terms(terms)
    with transaction.atomic():
        number = next_fact_number(user_id=user.pk, cause=CAUSE)  # holds the counter: no equal one comes between
        _refuse_second(user, terms)
        action = CorporateAction.objects.create(user=user, number=number, **_values(terms))
    reconcile(user.pk, cause=CAUSE)
    return action


def withdraw_action(*, action: CorporateAction) -> None:
    """Take an action back: the ledger is as if it had not been. Raises AlreadyRevoked."""
    if action.user_id is None:
        raise AlreadyRevoked("Only an action of your own can be taken back.")
    with transaction.atomic():
        number = next_fact_number(user_id=action.user_id, cause=CAUSE)
        _, is_new = CorporateActionWithdrawal.objects.get_or_create(action=action, defaults={"number": number})
        if not is_new:
            raise AlreadyRevoked("It does not count any more.")
    reconcile(action.user_id, cause=CAUSE)


def preview_action(*, user: User, terms: Terms) -> Preview:
    """What `state_action` would do to the ledger. Writes nothing."""
    check_terms(terms)
    _refuse_second(user, terms)
    facts = load(resolve(user.pk))
    new = terms.new_instrument
    action = Action(
        ACTIONS, terms.kind, terms.instrument.pk, new.pk if new else None, terms.ex_date, terms.ratio,
        terms.cash_per_unit, terms.currency, terms.cash_in_lieu, terms.note,
    )  # fmt: skip
    before = {row.id: row for row in compute(facts).rows}
    actions = sorted((*facts.actions, action), key=lambda one: (one.ex_date, one.id))
    after = {row.id: row for row in compute(replace(facts, actions=tuple(actions))).rows}
    claimed = {row.account for row in before.values() if is_claimed(action, [row])}
    return Preview(
        added=[row for row_id, row in after.items() if before.get(row_id) != row],
        removed=[row for row_id, row in before.items() if after.get(row_id) != row],
        claimed=sorted(claimed),
    )


def check_terms(terms: Terms) -> None:
    """Raises UnfitAction where a term is missing or makes no sense."""
    if terms.kind not in NEEDS:
        raise UnfitAction("Choose one of the kinds of corporate action.")
    missing = [name for name in NEEDS[terms.kind] if getattr(terms, name) is None]
    if terms.kind == Kind.MERGER and terms.cash_per_unit is None and (terms.new_instrument is None or not terms.ratio):
        missing = ["ratio and new_instrument, or cash_per_unit"]
    if missing:
        raise UnfitAction(f"State {', '.join(missing)}.")
    numbers = {name: getattr(terms, name) for name in ("ratio", "cash_per_unit", "cash_in_lieu")}
    for name, number in numbers.items():
        size = abs(number) if number is not None and (name, terms.kind) == ("ratio", Kind.EXERCISE) else number
        if size is not None and not 1 / LARGEST <= size <= LARGEST:
            raise UnfitAction(f"{name} lies between 0.000001 and 1000000.")
    if terms.allocation is not None and not 0 <= terms.allocation <= 1:
        raise UnfitAction("allocation is a share of the cost, from 0 to 1.")
    if terms.new_instrument == terms.instrument:
        raise UnfitAction("The new instrument is another one.")
    if (terms.cash_per_unit is not None or terms.cash_in_lieu is not None) and not terms.currency:
        raise UnfitAction("State the currency of the cash.")


def _values(terms: Terms) -> dict[str, Any]:
    names = (
        "kind", "instrument", "ex_date", "ratio", "new_instrument", "cash_per_unit", "currency", "allocation",
        "cash_in_lieu", "note",
    )  # fmt: skip
    return {name: getattr(terms, name) for name in names}


def _refuse_second(user: User, terms: Terms) -> None:
    same = CorporateAction.objects.filter(
        user=user, instrument=terms.instrument, kind=terms.kind, ex_date=terms.ex_date, withdrawal=None
    )
    if (known := same.first()) is not None:
        raise ActionStated("Take the one stated before back first.", id=str(known.pk))

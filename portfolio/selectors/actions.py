"""Corporate actions that a user states, as the lot pass reads them, and which instruments they and ledger rows tie."""

from collections import defaultdict
from uuid import UUID

from accounts.models import User
from federation.models import Transaction
from federation.selectors import corporate_actions
from portfolio.lot_events import Terms
from portfolio.lot_matching import EVENTS


def action_terms(*, user: User) -> list[Terms]:
    """Those in force, in a fixed order."""
    return [
        Terms(
            id=str(one.pk),
            kind=one.kind,
            instrument=str(one.instrument_id),
            new_instrument=str(one.new_instrument_id) if one.new_instrument_id else None,
            ex_date=one.ex_date,
            ratio=one.ratio,
            allocation=one.allocation,
        )
        for one in corporate_actions(user).order_by("ex_date", "pk")
    ]


def tied_instruments(user_id: UUID, terms: list[Terms]) -> dict[UUID, set[UUID]]:
    """Instrument -> those whose cost it may give or take, over any number of events; itself left out where alone."""
    grouped: dict[object, set[UUID]] = defaultdict(set)
    legs = Transaction.objects.filter(user=user_id, kind__in=EVENTS, group__isnull=False, instrument__isnull=False)
    events = list(legs.order_by().values_list("group", flat=True).distinct())
    rows = (
        Transaction.objects.filter(user=user_id, group__in=events, instrument__isnull=False) if events else legs.none()
    )
    for group, instrument in rows.order_by().values_list("group", "instrument_id").distinct():
        if instrument is not None:
            grouped[group].add(instrument)
    for one in terms:
        if one.new_instrument is not None:
            grouped[one.id] |= {UUID(one.instrument), UUID(one.new_instrument)}
    tied: dict[UUID, set[UUID]] = {}
    for members in grouped.values():
        whole = set(members).union(*(tied.get(member, ()) for member in members))
        for member in whole:
            tied[member] = whole
    return tied

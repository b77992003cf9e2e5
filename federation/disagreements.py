"""What sources disagree about, as conflicts to be (DESIGN 5.2, 5.7, 5.8): plain values, no effect in money yet."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

from federation.authority import DECISION, agree, agree_in_units
from federation.coverage import Held
from federation.matching import Ambiguity
from federation.rows import Balance, Disagreement, Event, LedgerRow, SourceInfo, StagedRow
from stackmotive.common.money import plain, to_recorded

COMPARED = ("price", "fee", "tax", "cash_amount")


def held_edition(account: UUID, source: UUID, held: Held) -> Disagreement:
    """An edition that waits for its user because it would withdraw too much."""
    as_of = held.window.end.isoformat()
    return Disagreement(
        kind="mass_withdrawal",
        key=f"coverage:{held.window.coverage}",
        account=account,
        instrument=None,
        candidates=[
            {"source": str(source), "value": str(held.before), "as_of": as_of},
            {"source": str(source), "value": str(held.before - held.gone), "as_of": as_of},
        ],
        winner=source,
        rule="edition_before",
        settled=False,
        decided=False,
        difference=Decimal(held.gone),
    )


def differing_fields(
    row: LedgerRow, winner: StagedRow, others: Sequence[StagedRow], rule: str, multiplier: Decimal
) -> Iterator[Disagreement]:
    """The fields in which other claims on `row` differ from the winner's beyond the coarser precision.

    multiplier: of the row's instrument; a price differs by what it does to the whole row.
    """
    for name in COMPARED:
        value = getattr(winner, name)
        if value is None:
            continue
        rivals = [other for other in others if getattr(other, name) is not None]
        if all(agree(value, getattr(other, name)) for other in rivals):
            continue
        difference = max(abs(getattr(other, name) - value) for other in rivals)
        if name == "price":
            difference *= abs(winner.quantity or Decimal(1)) * multiplier
        yield Disagreement(
            kind="field",
            key=f"transaction:{row.id}:{name}",
            account=row.account,
            instrument=row.instrument,
            candidates=[
                {"source": str(one.source), "value": plain(getattr(one, name)), "as_of": one.trade_date.isoformat()}
                for one in [winner, *rivals]
            ],
            winner=winner.source,
            rule=rule,
            settled=True,
            decided=rule == DECISION,
            difference=to_recorded(difference),
            currency=winner.currency,
        )


def only_in_one_source(account: UUID, event: Event, owner: SourceInfo) -> Iterator[Disagreement]:
    """The legs of an event that is not booked: `owner` declares its day whole and lacks it."""
    for leg in event.legs:
        row = leg.row
        value = row.quantity if row.quantity is not None else row.cash_amount
        yield Disagreement(
            kind="only_in_one_source",
            key=f"row:{event.source}:{row.identity}",
            account=account,
            instrument=row.instrument,
            candidates=[
                {
                    "source": str(event.source),
                    "value": plain(value or Decimal(0)),
                    "as_of": row.trade_date.isoformat(),
                    "row": row.identity,
                },
                {"source": str(owner.id), "value": "", "as_of": event.day.isoformat()},
            ],
            winner=owner.id,
            rule="owned_day",
            settled=False,
            decided=False,
            difference=value,
            currency="" if row.quantity is not None else (row.cash_currency or row.currency),
        )


def ambiguous(account: UUID, ambiguity: Ambiguity, *, is_booked: bool) -> Disagreement:
    """An event with equally good partners. is_booked: the user decided that it is one of its own."""
    row = ambiguity.event.legs[0].row
    told = [row, *(partner.legs[0].row for partner in ambiguity.partners)]
    return Disagreement(
        kind="ambiguous",
        key=f"match:{row.source}:{row.identity}",
        account=account,
        instrument=row.instrument,
        candidates=[
            {
                "source": str(one.source),
                "value": plain(one.quantity or one.cash_amount or Decimal(0)),
                "as_of": one.trade_date.isoformat(),
                "row": one.identity,
            }
            for one in told
        ],
        winner=row.source if is_booked else None,
        rule=DECISION if is_booked else "",
        settled=False,
        decided=is_booked,
        difference=row.quantity if row.quantity is not None else row.cash_amount,
        currency="" if row.quantity is not None else (row.cash_currency or row.currency),
    )


def differing_reports(account: UUID, latest: Balance) -> Disagreement | None:
    """What sources report of one holding, rolled forward to one day; null where they agree."""
    key = latest.key
    compare = agree_in_units if key.instrument else agree
    if all(compare(latest.value, one.value) for one in latest.candidates):
        return None
    return Disagreement(
        kind="quantity" if key.instrument else "cash",
        key=f"position:{account}:{key.instrument}" if key.instrument else f"cash:{account}:{key.currency}",
        account=account,
        instrument=key.instrument,
        candidates=[
            {"source": str(one.source), "value": plain(one.value), "as_of": one.as_of.isoformat()}
            for one in latest.candidates
        ],
        winner=latest.source,
        rule=latest.rule,
        settled=True,
        decided=latest.rule == DECISION,
        difference=max(abs(one.value - latest.value) for one in latest.candidates),
        currency=key.currency,
    )

"""Holdings that a user stated by hand, each with its last report."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import F

from accounts.models import User
from federation.models import BrokerAccount, InstrumentLink
from federation.selectors import wholes
from ingestion.models import StagedPosition
from ingestion.selectors import manual_contents


@dataclass(frozen=True, slots=True)
class ManualPosition:
    """id: kept by all reports. quantity and cost of the last one above zero; closed_on where the last report says 0."""

    id: UUID
    account: UUID
    account_name: str
    instrument: UUID | None
    symbol: str
    name: str
    kind: str
    quantity: Decimal
    cost_basis: Decimal | None
    currency: str
    as_of: dt.date
    closed_on: dt.date | None
    reports: int
    staged_id: int


def manual_positions(*, user: User) -> list[ManualPosition]:
    """All of the user's, newest first."""
    contents = manual_contents(user_id=user.pk).filter(positions__isnull=False)
    rows = StagedPosition.objects.filter(content__in=contents.values("pk")).select_related("content")
    by_uid: dict[UUID, list[StagedPosition]] = {}
    for row in rows.order_by("as_of", "pk"):
        by_uid.setdefault(UUID(row.content.digest.split(":")[1]), []).append(row)
    accounts = dict(BrokerAccount.objects.visible_to(user).values_list("pk", "name"))
    parts = wholes(user)
    named = InstrumentLink.objects.filter(source__user=user, source__kind="manual").select_related("instrument")
    links: dict[str, list[InstrumentLink]] = {}
    for one in named.order_by(F("valid_from").desc(nulls_last=True)):
        links.setdefault(one.key, []).append(one)
    found = []
    for uid, reports in by_uid.items():
        last = reports[-1]
        shown = next((row for row in reversed(reports) if row.quantity), last)
        stated = last.content.default_account
        account = parts.get(stated, stated) if stated else None
        meanings = links.get(last.instrument_key, ())
        link = next((one for one in meanings if one.valid_from is None or one.valid_from <= last.as_of), None)
        if account is None or account not in accounts:
            continue
        found.append(
            ManualPosition(
                id=uid,
                account=account,
                account_name=accounts[account],
                instrument=link.instrument_id if link else None,
                symbol=link.instrument.symbol if link else "",
                name=link.instrument.name if link else "",
                kind=link.instrument.kind if link else "",
                quantity=shown.quantity,
                cost_basis=shown.cost_basis,
                currency=shown.currency,
                as_of=shown.as_of,
                closed_on=last.as_of if not last.quantity and shown is not last else None,
                reports=len(reports),
                staged_id=shown.pk,
            )
        )
    return sorted(found, key=lambda row: row.id, reverse=True)


def manual_position(*, user: User, id: UUID) -> ManualPosition | None:
    return next((row for row in manual_positions(user=user) if row.id == id), None)

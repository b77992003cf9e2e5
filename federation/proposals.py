"""Proposals that a reference means an account that is known, with the evidence (DESIGN 5.4). The user says yes or no."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.utils.text import slugify

from federation.accounts import NEW_ACCOUNT, normalized
from federation.models import AccountLink, BrokerAccount, Decision
from stackmotive.common.money import plain

ROWS_COMPARED: Final = 500
FEWEST_ALIKE: Final = 2
MOST_EXAMPLES: Final = 3
SHORTEST_NUMBER: Final = 5
"""Letters and digits of a reference that is a number and no label such as "Depot 1"."""

# An account is older than a reference where no later link made it, and no link of the same source means it.
OLDER = """
NOT EXISTS (SELECT 1 FROM federation_accountlink s WHERE s.account_id = o.account_id
            AND (s.source_id = l.source_id OR s.id > l.id))
"""
ALIKE_ROWS = f"""
SELECT l.id, o.account_id, MAX(t.compared), COUNT(DISTINCT t.id),
  (ARRAY_AGG(DISTINCT jsonb_build_object('day', t.trade_date, 'kind', t.kind, 'symbol', COALESCE(i.symbol, ''),
             'value', trim_scale(COALESCE(t.quantity, t.cash_amount))::text)))[:{MOST_EXAMPLES}]
FROM federation_accountlink l
JOIN LATERAL (
  SELECT x.*, COUNT(*) OVER () AS compared FROM (
    SELECT id, user_id, instrument_id, kind, trade_date, quantity, price, cash_amount FROM federation_transaction
    WHERE account_id = l.account_id AND kind <> 'adjustment' ORDER BY trade_date DESC, id LIMIT %(most)s
  ) x
) t ON TRUE
JOIN federation_transaction o ON o.user_id = t.user_id AND o.trade_date = t.trade_date AND o.kind = t.kind
  AND o.account_id <> l.account_id AND o.instrument_id IS NOT DISTINCT FROM t.instrument_id
  AND o.quantity IS NOT DISTINCT FROM t.quantity AND (o.price = t.price OR o.cash_amount = t.cash_amount)
LEFT JOIN federation_instrument i ON i.id = t.instrument_id
WHERE l.id = ANY(%(links)s) AND {OLDER}
GROUP BY l.id, o.account_id
"""  # noqa: S608  # of constants alone
ALIKE_POSITIONS = f"""
WITH reported AS (
  SELECT l.id, l.account_id, l.source_id, b.instrument_id, b.value, b.as_of, COUNT(*) OVER (PARTITION BY l.id) AS compared
  FROM federation_accountlink l JOIN federation_reportedbalance b ON b.account_id = l.account_id
  WHERE l.id = ANY(%(links)s) AND b.instrument_id IS NOT NULL AND b.value <> 0 AND b.as_of = (
    SELECT MAX(as_of) FROM federation_reportedbalance WHERE account_id = l.account_id AND instrument_id IS NOT NULL)
), alike AS (
  SELECT l.id, l.source_id, o.account_id, l.instrument_id, l.value, l.as_of, l.compared
  FROM reported l JOIN federation_transaction o ON o.account_id = ANY(%(accounts)s) AND o.account_id <> l.account_id
    AND o.instrument_id = l.instrument_id AND o.trade_date <= l.as_of
  GROUP BY l.id, l.source_id, o.account_id, l.instrument_id, l.value, l.as_of, l.compared
  HAVING SUM(o.quantity) = l.value
)
SELECT l.id, o.account_id, MAX(o.compared), COUNT(*),
  (ARRAY_AGG(jsonb_build_object('day', o.as_of, 'kind', 'position', 'symbol', i.symbol,
             'value', trim_scale(o.value)::text) ORDER BY i.symbol, i.id))[:{MOST_EXAMPLES}]
FROM alike o JOIN federation_accountlink l ON l.id = o.id JOIN federation_instrument i ON i.id = o.instrument_id
WHERE {OLDER}
GROUP BY l.id, o.account_id
"""  # noqa: S608


@dataclass(slots=True)
class Evidence:
    """Why a reference may mean `account`. basis: rows, positions or reference; matching of compared are alike."""

    account: UUID
    basis: str
    matching: int = 0
    compared: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    @property
    def is_enough(self) -> bool:
        if self.basis == "reference":
            return True
        return self.matching >= FEWEST_ALIKE and self.matching * 2 >= self.compared

    def told(self) -> dict[str, Any]:
        """As a link keeps it."""
        share = Decimal(self.matching) / self.compared if self.compared else Decimal(0)
        return {
            "account": str(self.account),
            "basis": self.basis,
            "matching": str(self.matching),
            "compared": str(self.compared),
            "share": plain(share.quantize(Decimal("0.01"))),
            "examples": self.examples,
        }


def propose_accounts(user_id: UUID, accounts: Collection[UUID]) -> None:
    """Propose that references of `accounts` mean an older account: half of their newest rows or of their newest
    positions are its too, or it has the same number.

    Only where nobody decided and no rule but "a new account" linked them. Call when the ledger is written.
    """
    links = list(
        AccountLink.objects.filter(
            source__user=user_id,
            account__in=accounts,
            account=F("automatic"),
            evidence__rule=NEW_ACCOUNT,
            state__in=[AccountLink.State.LINKED, AccountLink.State.PROPOSED],
        ).order_by("pk")
    )
    known = {
        one.pk: one
        for one in BrokerAccount.objects.filter(user=user_id, merged_into=None)
        .select_related("institution")
        .order_by("pk")
    }
    if not links or len(known) < 2:
        return
    decided = {
        tuple(keys["reference"])
        for keys in Decision.objects.filter(
            user=user_id, kind=Decision.Kind.LINK_ACCOUNT, revocation=None, keys__has_key="reference"
        ).values_list("keys", flat=True)
    }
    undecided = [link for link in links if (str(link.source_id), link.reference) not in decided]
    found = _by_number(undecided, known)
    for basis, statement in (("positions", ALIKE_POSITIONS), ("rows", ALIKE_ROWS)):
        found |= _alike(basis, statement, undecided, known)
    changed = []
    for link in links:
        evidence = {"rule": NEW_ACCOUNT} | (found[link.pk].told() if link.pk in found else {})
        state = AccountLink.State.PROPOSED if link.pk in found else AccountLink.State.LINKED
        if (link.state, link.evidence) != (state, evidence):
            link.state, link.evidence = state, evidence
            changed.append(link)
    if changed:
        AccountLink.objects.bulk_update(changed, ["state", "evidence"])


def _alike(
    basis: str, statement: str, links: Collection[AccountLink], known: dict[UUID, BrokerAccount]
) -> dict[int, Evidence]:
    """The best evidence for each link, where it is enough."""
    best: dict[int, Evidence] = {}
    if not links:
        return best
    with connection.cursor() as cursor:
        cursor.execute(
            statement, {"links": [link.pk for link in links], "accounts": list(known), "most": ROWS_COMPARED}
        )
        rows = sorted(cursor.fetchall(), key=lambda row: (row[0], -row[3], row[1]))
    for link, account, compared, matching, examples in rows:
        evidence = Evidence(account, basis, matching, compared, _listed(examples))
        if account in known and evidence.is_enough:
            best.setdefault(link, evidence)
    return best


def _listed(examples: Any) -> list[dict[str, str]]:
    return [json.loads(one) if isinstance(one, str) else one for one in examples]


def _by_number(links: Iterable[AccountLink], known: dict[UUID, BrokerAccount]) -> dict[int, Evidence]:
    """The oldest account with the same number, at the same institution or where one of the two names none."""
    found: dict[int, Evidence] = {}
    for link in links:
        number, own = normalized(link.reference), known.get(link.account_id) if link.account_id else None
        if own is None or len(number) < SHORTEST_NUMBER or not any(one.isdigit() for one in number):
            continue
        for account in known.values():
            if account.pk < own.pk and normalized(account.reference) == number and _may_be_one(own, account):
                found.setdefault(link.pk, Evidence(account.pk, "reference"))
    return found


def _may_be_one(own: BrokerAccount, other: BrokerAccount) -> bool:
    names = {slugify(one.institution.name) for one in (own, other) if one.institution}
    return len(names) < 2

"""Generated histories through tables, ledger and lots: what is stored keeps what the rules promise (DESIGN 5.12)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.facts import next_fact_number
from accounts.models import User
from federation.models import BrokerAccount, Claim, Conflict, LedgerVersion, Transaction
from federation.services import (
    create_account,
    differences_from_facts,
    rebuild,
    reconcile,
    resolve_conflict,
    revoke,
)
from federation.tests.factories import make_source, make_user
from federation.tests.histories import History, Said, histories, statements
from ingestion import identity, staging
from ingestion.models import Content, Source, Withdrawal
from ingestion.services.sources import update_source
from portfolio.models import Lot
from portfolio.services.refresh import refresh

pytestmark = pytest.mark.django_db
FEW = settings(max_examples=max(10, settings().max_examples // 4))  # tables cost a hundred times what memory does


class Life:
    """A user who lives through a history in the database."""

    def __init__(self, history: History) -> None:
        self.user: User = make_user()
        self.account: BrokerAccount = create_account(
            user=self.user, name="Main", currency="USD", cash_mode=history.cash_mode, tracking=history.tracking
        )
        self.sources: list[Source] = [make_source(self.user, kind) for kind in history.kinds]

    def arrive(self, said: Said) -> Content:
        batch = identity.prepare(said.statement, default_account=self.account.pk)
        with transaction.atomic():
            return staging.stage(
                source=self.sources[said.source],
                statement=said.statement,
                batch=batch,
                default_account=self.account.pk,
            ).content

    def undo(self, content: Content) -> None:
        with transaction.atomic():
            Withdrawal.objects.create(content=content, number=next_fact_number(user_id=self.user.pk, cause="undo"))

    def believe(self, place: int, *, enabled: bool) -> None:
        self.sources[place] = update_source(source=self.sources[place], values={"enabled": enabled})

    def catch_up(self) -> None:
        """Bring the ledger up to date, incrementally; it must be what all the facts make."""
        reconcile(self.user.pk)
        assert differences_from_facts(self.user.pk) == []

    def seen(self) -> tuple[Any, ...]:
        """Hash, ids, claims and conflicts."""
        version = LedgerVersion.objects.filter(user=self.user).order_by("-number").first()
        return (
            version.content_hash if version else "0" * 64,
            set(Transaction.objects.filter(user=self.user).values_list("pk", flat=True)),
            set(Claim.objects.filter(transaction__user=self.user).values_list("staged", "transaction", "won", "rule")),
            set(Conflict.objects.filter(user=self.user).values_list("pk", "status", "winner", "difference")),
        )

    def lots(self) -> set[tuple[UUID, Any, Any, Any]]:
        refresh(user_id=self.user.pk, everything=True)
        return set(Lot.objects.filter(user=self.user).values_list("pk", "acquired_on", "quantity", "cost"))


def rolled_back(live: Callable[[], None]) -> None:
    with transaction.atomic():
        try:
            live()
        finally:
            transaction.set_rollback(True)


@FEW
@given(histories())
def test_step_by_step_equals_all_at_once_and_a_rebuild_keeps_ids_and_lots(history: History) -> None:
    def live() -> None:
        life = Life(history)
        for said in history.said:
            life.arrive(said)
            life.catch_up()
        seen, lots = life.seen(), life.lots()
        rebuild(life.user.pk)
        assert life.seen() == seen
        assert life.lots() == lots

    rolled_back(live)


@FEW
@given(histories(), st.integers(0, 2), st.builds(Said, st.just(0), statements()))
def test_what_is_taken_back_leaves_the_ledger_as_it_was(history: History, place: int, other: Said) -> None:
    """Switch a source off and on, import and undo, decide and revoke: the same hash, ids, claims, conflicts, lots."""

    def live() -> None:
        life = Life(history)
        for said in history.said:
            life.arrive(said)
        life.catch_up()
        seen, lots = life.seen(), life.lots()
        of = place % len(life.sources)
        life.believe(of, enabled=False)
        life.catch_up()
        life.believe(of, enabled=True)
        life.catch_up()
        assert life.seen() == seen
        if not life.sources[0].contents.filter(digest=_digest(life, other)).exists():
            content = life.arrive(other)
            life.catch_up()
            life.undo(content)
            life.catch_up()
            assert life.seen() == seen
        for conflict in Conflict.objects.filter(user=life.user).order_by("kind", "key")[:2]:
            decision = resolve_conflict(conflict=conflict, **_answer(conflict))
            assert differences_from_facts(life.user.pk) == []
            revoke(decision=decision)
            assert life.seen() == seen
        assert life.lots() == lots

    rolled_back(live)


def _digest(life: Life, said: Said) -> str:
    return identity.prepare(said.statement, default_account=life.account.pk).digest


def _answer(conflict: Conflict) -> dict[str, Any]:
    """Something a user could say to it: the other source, else that the row counts, else that it does not."""
    if conflict.kind == "only_in_one_source":
        return {"action": "book"}
    others = [one["source"] for one in conflict.candidates if one["source"] != str(conflict.winner)]
    if conflict.kind == "ambiguous" or not others:
        return {"action": "ignore"}
    return {"action": "choose", "source": UUID(others[0])}

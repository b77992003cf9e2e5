import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import FactVersion, Tier, User
from ingestion import services
from ingestion.errors import NotAnswerable
from ingestion.models import (
    Arrival,
    Content,
    Coverage,
    ImportProfile,
    ImportRow,
    ImportRun,
    JobStatus,
    Source,
    StagedCash,
    StagedInstrument,
    StagedPosition,
    StagedTransaction,
)
from ingestion.options import ImportOptions
from ingestion.services import runs
from ingestion.signals import batch_staged
from ingestion.tests.factories import HEADER, buys, csv, finished, imported
from notifications.models import Notification

pytestmark = pytest.mark.django_db

TWO = csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-03,sell,ACME,4,6,USD")
ONE_BAD = csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-13-03,buy,ACME,4,6,USD", "A1,2024-01-04,buy,ACME,1,6,USD")
MAPPED = csv(
    "05.01.2024;Kauf;ACME;10;1.234,50;EUR", "25.01.2024;Kauf;ACME;1;2,5;EUR", header="Datum;Vorgang;Wert;Anz;Kurs;Whg"
)
MAPPING = {
    "Datum": "trade_date", "Vorgang": "kind", "Wert": "symbol", "Anz": "quantity", "Kurs": "price", "Whg": "currency",
}  # fmt: skip


def nothing_staged() -> bool:
    tables: tuple[Any, ...] = (
        Content, Arrival, Coverage, StagedTransaction, StagedPosition, StagedCash, StagedInstrument, FactVersion,
    )  # fmt: skip
    return not any(table.objects.exists() for table in tables)


def test_file_becomes_facts_that_wait_for_the_ledger(owner: User) -> None:
    run = imported(owner, TWO)
    assert (run.status, run.stage, run.layout) == ("running", "reconciling", "generic_transactions")
    assert (run.rows, run.staged, run.unchanged, run.rejected, run.ignored) == (2, 2, 0, 0, 0)
    assert run.lease_until is None
    assert run.source is not None
    assert (run.source.name, run.source.kind, run.source.layout, run.source.is_default) == (
        "Generic CSV files",
        "csv",
        "generic",
        True,
    )
    stated = StagedTransaction.objects.order_by("line")
    assert list(stated.values_list("line", "account_ref", "kind", "quantity", "price", "currency")) == [
        (2, "A1", "buy", Decimal(10), Decimal(5), "USD"),
        (3, "A1", "sell", Decimal(-4), Decimal(6), "USD"),
    ]
    content = Content.objects.get()
    assert run.content == content
    assert Arrival.objects.get().number == run.fact_number == owner_number(owner)


def owner_number(user: User) -> int:
    return User.objects.get(pk=user.pk).fact_number


def test_ledger_is_told_after_commit(owner: User, django_capture_on_commit_callbacks: Any) -> None:
    told: list[Any] = []

    def receiver(sender: Any, user_id: Any, **rest: Any) -> None:
        told.append(user_id)

    batch_staged.connect(receiver, weak=False)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            imported(owner, TWO)
    finally:
        batch_staged.disconnect(receiver)
    assert set(told) == {owner.pk}


def test_finish_ends_runs_whose_facts_are_included(owner: User) -> None:
    run = imported(owner, TWO)
    assert run.fact_number is not None
    assert services.finish_runs(user_id=owner.pk, fact_number=run.fact_number - 1, ledger_version=3) == 0
    services.advance_runs(user_id=owner.pk, stage="valuing")
    run.refresh_from_db()
    assert run.stage == "valuing"
    assert services.finish_runs(user_id=owner.pk, fact_number=run.fact_number, ledger_version=4) == 1
    run.refresh_from_db()
    assert (run.status, run.stage, run.ledger_version) == ("done", "", 4)
    news = Notification.objects.get(user=owner)
    assert (news.kind, news.object_id, news.severity) == ("import.finished", str(run.pk), "success")


def test_held_content_ends_its_run_partial(owner: User) -> None:
    run = imported(owner, TWO)
    services.finish_runs(user_id=owner.pk, fact_number=10**6, ledger_version=1, held_contents=[run.content_id or 0])
    run.refresh_from_db()
    assert run.status == "partial"


def test_second_delivery_changes_nothing(owner: User) -> None:
    run = imported(owner, TWO)
    before = (owner_number(owner), StagedTransaction.objects.count(), Arrival.objects.count())
    services.run_import(run_id=run.pk)
    assert (owner_number(owner), StagedTransaction.objects.count(), Arrival.objects.count()) == before


def test_same_content_again_is_unchanged_and_arrives_again(owner: User) -> None:
    first = finished(owner, TWO)
    again = imported(owner, TWO)
    assert (again.status, again.unchanged, again.staged, again.rows) == ("unchanged", 2, 0, 2)
    assert again.content_id == first.content_id
    assert StagedTransaction.objects.count() == 2
    assert Arrival.objects.count() == 2


def test_same_content_is_not_unchanged_where_a_newer_file_speaks_of_its_days(owner: User) -> None:
    finished(owner, TWO)
    finished(owner, csv("A1,2024-01-02,buy,ACME,99,5,USD"))
    again = imported(owner, TWO)
    assert (again.status, again.stage, again.unchanged) == ("running", "reconciling", 2)


def test_overlapping_files_share_identities_and_uids(owner: User) -> None:
    finished(owner, csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-02,buy,ACME,10,5,USD"))
    second = imported(
        owner,
        csv("A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-02,buy,ACME,10,5,USD", "A1,2024-01-05,buy,ACME,1,5,USD"),
    )
    assert (second.staged, second.unchanged) == (1, 2)
    assert StagedTransaction.objects.count() == 5
    assert StagedTransaction.objects.values("identity").distinct().count() == 3
    assert StagedTransaction.objects.values("uid").distinct().count() == 3


def test_other_users_rows_share_nothing(owner: User, stranger: User) -> None:
    imported(owner, TWO)
    run = imported(stranger, TWO)
    assert (run.staged, run.unchanged) == (2, 0)
    assert StagedTransaction.objects.values("uid").distinct().count() == 4


def test_refused_file_stores_nothing_and_lists_every_row(owner: User) -> None:
    run = imported(owner, ONE_BAD)
    assert run.status == "failed"
    assert (run.rows, run.staged, run.rejected, run.ignored) == (3, 0, 1, 2)
    assert run.error == {
        "code": "rows_rejected", "line": 3,
        "detail": "1 of 3 rows cannot be taken, so nothing was stored. Correct them, or import with on_error=skip.",
    }  # fmt: skip
    left = list(ImportRow.objects.filter(run=run).order_by("line").values_list("line", "verdict", "code"))
    assert [(line, verdict) for line, verdict, _ in left] == [(2, "ignored"), (3, "rejected"), (4, "ignored")]
    assert left[0][2] == left[2][2] == "file_refused"
    assert nothing_staged()
    assert Notification.objects.get(user=owner).severity == "error"


def test_skip_stores_the_good_rows_and_ends_partial(owner: User) -> None:
    run = finished(owner, ONE_BAD, on_error="skip")
    assert (run.status, run.rows, run.staged, run.rejected, run.ignored) == ("partial", 3, 2, 1, 0)
    assert StagedTransaction.objects.count() == 2
    assert Coverage.objects.get().completeness == "broken"


def test_failed_run_blocks_nothing(owner: User) -> None:
    imported(owner, ONE_BAD)
    assert finished(owner, ONE_BAD, on_error="skip").status == "partial"


def test_file_of_bad_rows_only_fails_also_with_skip(owner: User) -> None:
    run = imported(owner, csv("A1,2024-13-03,buy,ACME,4,6,USD"), on_error="skip")
    assert (run.status, run.rejected) == ("failed", 1)
    assert nothing_staged()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"  \n", "empty"),
        (HEADER.encode() + b"\n", "no_rows"),
        (b"PK\x03\x04" + b"x" * 100, "not_text"),
        (b"\x1f\x8b\x08" + b"x" * 100, "not_text"),
        (TWO + b"A1,2024-01-02,buy,AC\x00ME,10,5,USD\n", "nul"),
        (bytes(range(1, 256)) * 4, None),
        (HEADER.encode() + b'\nA1,2024-01-02,buy,"ACME,10,5,USD\n', "bad_csv"),
        (b"<?xml version='1.0'?><a/>", None),
    ],
)
def test_hostile_file_fails_with_a_reason_and_stores_nothing(owner: User, content: bytes, code: str | None) -> None:
    run = imported(owner, content)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["detail"]
    if code:
        assert run.error["code"] == code
    assert nothing_staged()


def test_too_many_rows_are_refused(owner: User, settings: Any) -> None:
    settings.CSV_MAX_ROWS = 5
    run = imported(owner, buys(6))
    assert run.error is not None
    assert (run.status, run.error["code"], run.error["line"]) == ("failed", "too_many_rows", 7)


def test_unknown_columns_are_asked_and_the_answer_is_kept(owner: User) -> None:
    run = imported(owner, MAPPED)
    assert run.status == "needs_mapping"
    assert run.questions is not None
    assert [question["code"] for question in run.questions["questions"]] == ["columns"]
    assert run.questions["columns"] == ["Datum", "Vorgang", "Wert", "Anz", "Kurs", "Whg"]
    assert nothing_staged()
    services.answer_import(run=run, answers={"mapping": MAPPING})
    services.run_import(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.stage, run.staged) == ("running", "reconciling", 2)
    assert run.source is not None
    assert (run.source.layout.partition(":")[0], run.source.name) == ("mapped", "CSV files (Datum, Vorgang, Wert, Anz)")
    assert ImportProfile.objects.get(user=owner).options == {"mapping": MAPPING}
    services.finish_runs(user_id=owner.pk, fact_number=10**6, ledger_version=1)
    assert imported(owner, MAPPED).status == "unchanged"


def test_profile_of_another_user_is_not_used(owner: User, stranger: User) -> None:
    assert imported(owner, MAPPED, mapping=MAPPING).staged == 2
    assert imported(stranger, MAPPED).status == "needs_mapping"


def test_answering_a_run_that_asks_nothing_is_refused(owner: User) -> None:
    run = imported(owner, TWO)
    with pytest.raises(NotAnswerable):
        services.answer_import(run=run, answers={})


def test_source_of_another_layout_is_refused(owner: User) -> None:
    flex = services.create_source(user=owner, kind="ibkr_flex", name="IBKR")
    run = imported(owner, TWO, source=flex)
    assert run.error is not None
    assert (run.status, run.error["code"]) == ("failed", "wrong_source")


def test_own_source_takes_files_of_one_layout(owner: User) -> None:
    mine = services.create_source(user=owner, kind="csv", name="My bank")
    assert finished(owner, TWO, source=mine).source == mine
    run = imported(owner, MAPPED, source=mine, mapping=MAPPING)
    assert run.status == "running"
    assert not Source.objects.filter(user=owner, is_default=True).exists()


def test_dry_run_counts_and_stores_nothing(owner: User) -> None:
    run = imported(owner, TWO, dry_run=True)
    assert (run.status, run.staged, run.content_id) == ("done", 2, None)
    assert nothing_staged()
    assert not Source.objects.exists()
    finished(owner, TWO)
    assert imported(owner, TWO, dry_run=True).unchanged == 2


def test_run_without_a_live_worker_is_taken_up_again(owner: User) -> None:
    run = services.open_import(user=owner, content=TWO, filename="x.csv")
    assert runs.claim(run_id=run.pk) is not None
    assert runs.claim(run_id=run.pk) is None
    ImportRun.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    services.run_import(run_id=run.pk)
    run.refresh_from_db()
    assert (run.stage, run.staged, run.deliveries) == ("reconciling", 2, 2)


def test_worker_that_lost_its_lease_stores_nothing(owner: User) -> None:
    run = services.open_import(user=owner, content=TWO, filename="x.csv")
    slow = runs.claim(run_id=run.pk)
    assert slow is not None
    ImportRun.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    services.run_import(run_id=run.pk)
    before = owner_number(owner)
    with pytest.raises(runs.LeaseLost):
        runs.read_and_stage(slow)
    assert owner_number(owner) == before
    assert Arrival.objects.count() == 1


def test_run_is_given_up_after_three_deliveries(owner: User) -> None:
    run = services.open_import(user=owner, content=TWO, filename="x.csv")
    for _ in range(3):
        assert runs.claim(run_id=run.pk) is not None
        ImportRun.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert runs.claim(run_id=run.pk) is None
    run.refresh_from_db()
    assert run.error is not None
    assert (run.status, run.error["code"]) == ("failed", "gave_up")
    services.retry_import(run=run)
    services.run_import(run_id=run.pk)
    run.refresh_from_db()
    assert run.staged == 2


def test_jobs_over_quota_wait(make_user: Any) -> None:
    user = make_user(tier=Tier.OBSERVER)
    first = services.open_import(user=user, content=TWO, filename="a.csv")
    second = services.open_import(user=user, content=buys(3), filename="b.csv")
    assert runs.claim(run_id=first.pk) is not None
    assert runs.claim(run_id=second.pk) is None
    second.refresh_from_db()
    assert second.status == JobStatus.QUEUED


def test_purged_bytes_fail_with_a_reason(owner: User) -> None:
    run = services.open_import(user=owner, content=TWO, filename="x.csv")
    ImportRun.objects.update(raw=None)
    services.run_import(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.error["code"] if run.error else "") == ("failed", "not_answerable")


def test_raw_bytes_are_sealed_and_bound_to_their_run(owner: User) -> None:
    run = services.open_import(user=owner, content=TWO, filename="../../etc/pass\x07wd.csv", options=ImportOptions())
    assert run.raw is not None
    assert b"ACME" not in bytes(run.raw)
    assert run.filename == "passwd.csv"
    other = services.open_import(user=owner, content=buys(1), filename="y.csv")
    ImportRun.objects.filter(pk=other.pk).update(raw=bytes(run.raw))
    services.run_import(run_id=other.pk)
    other.refresh_from_db()
    assert (other.status, other.error["code"] if other.error else "") == ("failed", "unsealed")

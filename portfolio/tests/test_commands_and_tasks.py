"""Staff's edges and the worker's."""

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from federation.models import LedgerState
from federation.signals import ledger_changed
from portfolio import services, tasks
from portfolio.ecb import read_rates
from portfolio.models import FigureState, FxRate, Position, Price
from portfolio.services.rates import bundled_rates
from portfolio.tests.factories import Ledger, day, make_account, make_instrument, make_user

pytestmark = pytest.mark.django_db
D = Decimal
HISTORY = "Date,USD,JPY,HRK,\n2024-01-03,1.1,150.5,N/A,\n2024-01-02,1.09,150,7.5,\n"


@pytest.fixture(autouse=True)
def _fixed_day(settings: Any) -> None:
    settings.AS_OF = dt.date(2024, 1, 10)


def told(*command: Any) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue().strip()


def history(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return path


def test_rates_are_loaded_once_and_a_newer_file_adds_to_them(tmp_path: Path) -> None:
    first = history(tmp_path / "a.zip", HISTORY)
    assert told("load_rates", first) == "5 rates recorded."
    assert told("load_rates", first) == "The rates are up to date."
    newer = history(tmp_path / "b.zip", HISTORY.replace("\n2024-01-03", "\n2024-01-04,1.2,151,N/A,\n2024-01-03", 1))
    assert told("load_rates", newer) == "2 rates recorded."
    assert set(FxRate.objects.values_list("provider", "base")) == {("ecb", "EUR")}
    assert not FxRate.objects.filter(user__isnull=False).exists()
    assert FxRate.objects.get(quote="HRK").rate == D("7.5")


def test_rates_from_something_else_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "rates.zip"
    wrong.write_text("no archive")
    with pytest.raises(CommandError):
        call_command("load_rates", wrong)
    assert not FxRate.objects.exists()


def test_the_bundled_history_reaches_back_to_1999() -> None:
    newest = next(iter(sorted(read_rates(bundled_rates()), reverse=True)))
    assert newest[0] >= day("2026-10-30")


def test_shared_prices_come_from_a_file_for_catalog_instruments_only(tmp_path: Path) -> None:
    listing = make_instrument(None, "ACME")
    make_instrument(make_user(), "OWN")
    file = tmp_path / "prices.csv"
    file.write_text("symbol,date,close,currency\nACME,2024-01-09,12.5,USD\n")
    assert told("load_prices", file) == "1 of 1 closes were new."
    assert told("load_prices", file) == "0 of 1 closes were new."
    price = Price.objects.get()
    assert (price.listing_id, price.close, price.provider, price.user_id) == (listing.pk, D("12.5"), "file", None)
    file.write_text("symbol,date,close,currency\nOWN,2024-01-09,12.5,USD\n")
    with pytest.raises(CommandError, match="no listing of OWN"):
        call_command("load_prices", file)
    assert Price.objects.count() == 1


def test_revalue_computes_again_and_says_how_many() -> None:
    user = make_user()
    listing = make_instrument(user)
    Ledger(make_account(user)).row("buy", "2024-01-03", listing, quantity="1", price="5")
    assert told("revalue", "--user", user.email) == "Figures of 1 users are up to date."
    Position.objects.update(quantity=7)
    assert told("revalue") == "Figures of 1 users are up to date."
    assert Position.objects.get().quantity == D(1)
    with pytest.raises(CommandError):
        call_command("revalue", user="nobody@example.org")


def test_news_of_the_ledger_refreshes_in_the_worker(settings: Any) -> None:
    settings.CELERY_TASK_ALWAYS_EAGER = True
    tasks.refresh_user.app.conf.task_always_eager = True
    user = make_user()
    Ledger(make_account(user)).row("deposit", "2024-01-02", cash_amount="5")
    try:
        ledger_changed.send(None, user_id=user.pk)
    finally:
        tasks.refresh_user.app.conf.task_always_eager = False
    assert LedgerState.objects.get().dirty_from is None


def test_the_sweep_finds_what_is_behind_and_a_new_day(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user, idle = make_user(), make_user("idle@example.org")
    for person in (user, idle):
        Ledger(make_account(person)).row("deposit", "2024-01-02", cash_amount="5")
        services.refresh(user_id=person.pk)
    woken: list[str] = []
    monkeypatch.setattr(tasks.refresh_user, "delay", woken.append)
    tasks.sweep_figures()
    assert woken == []
    Ledger(make_account(user, name="Second")).row("deposit", "2024-01-03", cash_amount="5")
    tasks.sweep_figures()
    assert woken == [str(user.pk)]
    services.refresh(user_id=user.pk)
    settings.AS_OF = dt.date(2024, 1, 11)
    woken.clear()
    tasks.sweep_figures()
    assert sorted(woken) == sorted([str(user.pk), str(idle.pk)])
    services.refresh(user_id=idle.pk)
    assert FigureState.objects.get(pk=idle.pk).valued_on == day("2024-01-11")


def test_staff_look_at_prices_and_positions(staff: Any, browser: Callable[..., Any]) -> None:
    user = make_user("holder@example.org")
    listing = make_instrument(user, "ACME")
    Ledger(make_account(user)).row("buy", "2024-01-03", listing, quantity="1", price="5")
    services.record_prices(user_id=user.pk, prices=[services.OwnPrice(listing.pk, day("2024-01-09"), D(6))])
    services.refresh(user_id=user.pk)
    client = browser(staff)
    for name in ("price", "position", "fxrate", "figurestate"):
        page = client.get(f"/admin/portfolio/{name}/")
        assert page.status_code == 200
        assert name in ("fxrate", "figurestate") or b"ACME" in page.content
        assert client.get(f"/admin/portfolio/{name}/add/").status_code == 403

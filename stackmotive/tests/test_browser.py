"""The product as its user meets it: `manage.py up`, a real browser, a real worker. `make test ARGS="-m browser"`."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
EMAIL, PASSWORD = "owner@example.com", "correct horse battery staple"
LAUNCH = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync")
FILE = """account,trade_date,kind,symbol,quantity,price,fee,currency,cash_amount
Savings,2024-01-02,deposit,,,,,USD,5000
Savings,2024-01-03,buy,ACME,10,100,1,USD,
Savings,2024-01-04,buy,ACME,ten,100,1,USD,
Savings,2024-02-01,sell,ACME,4,120,1,USD,
"""


@dataclass
class Instance:
    url: str
    setup_url: str


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An empty installation of its own, started as an operator starts it."""
    port, data = free_port(), tmp_path_factory.mktemp("instance")
    own = ("DATABASE_URL", "OWNER_DATABASE_URL", "REDIS_URL", "STACKMOTIVE_DATA_DIR", "CELERY_TASK_ALWAYS_EAGER")
    keys = ("DJANGO_SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_ENCRYPTION_KEYS", "STACKMOTIVE_STORES")
    environment = {name: value for name, value in os.environ.items() if name not in own + keys}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port), "--data-dir", str(data)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if found := re.search(r"http\S+/setup/\S+", line):
            yield Instance(url=f"http://127.0.0.1:{port}", setup_url=found[0])
            break
    else:
        pytest.fail(f"it did not start:\n{printed}")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=15) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Install Chromium, then run this again."
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=list(LAUNCH))
        yield launched
        launched.close()


class Watched:
    """A page whose console errors and failed requests count against it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(15_000)

    def hear(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.complaints.append(line.text)


@pytest.fixture(scope="module")
def watched(browser: Browser, instance: Instance) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )
    yield Watched(context.new_page())
    context.close()


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def fits(page: Page) -> None:
    """Nothing is wider than the screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_first_account_is_made_by_the_printed_link(watched: Watched, instance: Instance) -> None:
    page = watched.page
    page.goto(instance.setup_url)
    accessible(page)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Base currency").select_option("USD")
    page.get_by_role("button", name="Create my account").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    accessible(page)
    assert "This link has ended" in page.request.get(instance.setup_url).text()


def test_a_file_is_previewed_imported_and_its_bad_row_shown(
    watched: Watched, instance: Instance, tmp_path: Path
) -> None:
    page = watched.page
    statement = tmp_path / "savings.csv"
    statement.write_text(FILE)
    page.goto(f"{instance.url}/import/")
    page.locator("input[type=file]").set_input_files(statement)
    preview = page.locator("#preview")
    expect(preview).to_contain_text("1 row cannot be taken")
    expect(preview).to_contain_text("ten")
    accessible(page)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("nothing was stored").first).to_be_visible()
    expect(page.get_by_role("button", name="Import the good rows only")).to_be_visible()
    statement.write_text(FILE.replace("ten", "1"))
    page.goto(f"{instance.url}/import/")
    page.locator("input[type=file]").set_input_files(statement)
    expect(preview).to_contain_text("4 new")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("link", name="See the portfolio")).to_be_visible(timeout=20_000)
    accessible(page)
    page.get_by_role("link", name="See the portfolio").click()
    expect(page.get_by_text("ACME").first).to_be_visible()


def test_an_open_page_follows_what_changes_elsewhere(watched: Watched, browser: Browser, instance: Instance) -> None:
    page = watched.page
    page.goto(f"{instance.url}/holdings/")
    expect(page.get_by_text("ACME").first).to_be_visible()
    page.wait_for_timeout(8_000)  # an idle socket outlives the store client's read time-out
    api = browser.new_context(base_url=instance.url).request
    tokens = api.post("/api/auth/token/", data={"email": EMAIL, "password": PASSWORD}).json()
    answer = api.post(
        "/api/portfolio/transactions/",
        headers={"Authorization": f"Bearer {tokens['access']}"},
        data={
            "account": api.get(
                "/api/portfolio/accounts/", headers={"Authorization": f"Bearer {tokens['access']}"}
            ).json()["results"][0]["id"],
            "kind": "buy",
            "trade_date": "2024-03-01",
            "instrument": {"symbol": "NEWCO", "kind": "equity", "currency": "USD"},
            "quantity": "3",
            "price": "10",
            "currency": "USD",
        },
    )
    assert answer.status == 201, answer.text()
    begun = time.monotonic()
    expect(page.get_by_text("NEWCO").first).to_be_visible(timeout=10_000)
    assert time.monotonic() - begun < 10


def test_second_source_of_an_account_shows_what_differed_who_won_and_why(
    watched: Watched, instance: Instance, tmp_path: Path
) -> None:
    """As a new user meets it: all of it stands on the page of the import, without a manual."""
    page = watched.page
    own_list = tmp_path / "own-list.csv"
    own_list.write_text(
        FILE.replace("ten", "1").replace("Savings", "Notebook").replace("sell,ACME,4,120", "sell,ACME,4,120.3")
    )
    page.goto(f"{instance.url}/import/")
    page.locator("input[type=file]").set_input_files(own_list)
    expect(page.locator("#preview")).to_contain_text("If somebody else made it, say so above")
    page.get_by_label("Who made the file").select_option("new")
    page.get_by_label("What to call them").fill("My own list")
    page.keyboard.press("Tab")
    expect(page.locator("#preview")).to_contain_text("It goes to “My own list”.")
    accessible(page)
    page.get_by_role("button", name="Import", exact=True).click()

    expect(page.get_by_role("heading", name="The same account?")).to_be_visible(timeout=20_000)
    expect(page.locator("#found")).to_contain_text("of “Notebook” are in “Savings” too.")
    accessible(page)
    page.get_by_role("button", name="They are the same account").click()
    expect(page.get_by_label("What would change")).to_contain_text("Notebook")
    page.get_by_role("button", name="Apply").click()
    conflict = page.locator("form.conflict", has_text="Price of the sale on 1 Feb 2024")
    expect(conflict).to_contain_text("$120.00", timeout=20_000)
    expect(conflict).to_contain_text("$120.30")
    expect(conflict.locator("li.won")).to_contain_text("Believed")
    winner, loser = (conflict.locator(f"li{css} .clip").inner_text() for css in (".won", ":not(.won)"))
    expect(conflict.locator(".why")).to_contain_text(f"“{winner}”")
    accessible(page)

    conflict.get_by_role("button", name=f"Believe {loser}").click()
    preview = page.get_by_label("What would change")
    expect(preview).to_contain_text("1 row changes")
    expect(preview.locator(".moves").first).to_contain_text("$120.30")
    expect(preview.locator(".money")).to_contain_text("Realized gain", timeout=20_000)
    expect(preview.locator(".money")).to_contain_text("$1.20")  # four units, each 0.30 dearer
    accessible(page)
    preview.get_by_role("button", name="Apply").click()
    expect(conflict).to_contain_text(f"You decided to believe “{loser}”.")
    expect(page.locator("#toasts")).to_contain_text("Your word counts")

    page.goto(f"{instance.url}/reconciliation/decisions/")
    page.get_by_role("button", name=f"Undo: Believe {loser}").click()
    expect(page.locator("details", has_text="Taken back")).to_be_visible()
    page.goto(f"{instance.url}/reconciliation/")
    expect(conflict.locator("li.won .clip")).to_have_text(winner)
    expect(conflict).to_contain_text("What you said before")


def test_holding_says_where_it_comes_from_in_a_drawer(watched: Watched, instance: Instance) -> None:
    page = watched.page
    page.goto(f"{instance.url}/holdings/")
    page.get_by_role("link", name="ACME").first.click()
    drawer = page.get_by_role("dialog", name="Where it comes from")
    expect(drawer).to_contain_text("sum of the transactions below")
    accessible(page)
    drawer.get_by_role("link", name="Sale").click()
    expect(drawer).to_contain_text("savings.csv")
    expect(drawer).to_contain_text("line 5")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/holdings/",
        "/holdings/add/",
        "/transactions/",
        "/transfers/",
        "/corporate-actions/",
        "/import/",
        "/reconciliation/",
        "/reconciliation/accounts/",
        "/reconciliation/instruments/",
        "/reconciliation/decisions/",
        "/sources/",
        "/sources/add/?kind=csv",
        "/findings/",
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_pass_the_accessibility_rules(
    watched: Watched, instance: Instance, path: str, scheme: str
) -> None:
    page = watched.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(instance.url + path)
    expect(page.locator("h1").first).to_be_visible()
    fits(page)
    accessible(page)
    page.set_viewport_size({"width": 1440, "height": 900})


def test_nothing_complained_in_the_console(watched: Watched) -> None:
    assert watched.complaints == []

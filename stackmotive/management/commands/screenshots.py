"""Takes the README's pictures from a running instance: `manage.py screenshots --email ... --password ...`."""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLE_MS = 900  # the live charts have taken their pictures' place


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    address: str
    theme: Literal["light", "dark"] = "light"
    on_phone: bool = False


SHOTS = (
    Shot("overview", "/?period=all"),
    Shot("overview-dark", "/?period=all", "dark"),
    Shot("holdings", "/holdings/?group=account"),
    Shot("reconciliation", "/reconciliation/"),
    Shot("sources", "/sources/"),
    Shot("import", "/import/"),
    Shot("import-result", "newest rejected import"),
    Shot("overview-phone", "/?period=5y", "light", on_phone=True),
    Shot("holdings-phone", "/holdings/", "dark", on_phone=True),
)


class Command(BaseCommand):
    help = "Take the README's pictures of a running instance with an installed Chromium."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--url", default=settings.PUBLIC_URL, help="where it runs")
        parser.add_argument("--email", required=True)
        parser.add_argument("--password", required=True)
        parser.add_argument("--out", type=Path, default=settings.BASE_DIR / "docs" / "screenshots")

    def handle(self, *, url: str, email: str, password: str, out: Path, **options: Any) -> None:
        try:
            from playwright.sync_api import Error, sync_playwright
        except ImportError as exc:
            raise CommandError("Playwright is not installed: pip install -e '.[dev]'") from exc
        installed = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        out.mkdir(parents=True, exist_ok=True)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=installed, args=FLAGS)
                for shot in SHOTS:
                    self.take(browser, shot, url=url.rstrip("/"), email=email, password=password, out=out)
        except Error as exc:
            raise CommandError(f"The browser failed: {exc.message.splitlines()[0]}") from exc

    def take(self, browser: "Browser", shot: Shot, *, url: str, email: str, password: str, out: Path) -> None:
        page = browser.new_page(
            viewport=PHONE if shot.on_phone else DESKTOP,  # type: ignore[arg-type]
            color_scheme=shot.theme,
            device_scale_factor=2 if shot.on_phone else 1,
            reduced_motion="reduce",
        )
        log_in(page, url=url, email=email, password=password)
        if shot.address.startswith("/"):
            page.goto(url + shot.address)
        else:
            page.goto(f"{url}/import/")
            page.locator("#runs li:has(.pill.warn) a, #runs li a").first.click()
            page.wait_for_selector("#run")
        page.wait_for_timeout(SETTLE_MS)
        target = out / f"{shot.name}.png"
        page.screenshot(path=target)
        page.close()
        self.stdout.write(f"{target.name:<22} {target.stat().st_size // 1024} KB")


def log_in(page: "Page", *, url: str, email: str, password: str) -> None:
    """Raises CommandError where the page says no."""
    page.goto(f"{url}/login/")
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("button[type=submit]")
    if page.locator(".note.bad").count():
        raise CommandError(page.inner_text(".note.bad").strip())

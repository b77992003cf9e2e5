"""`manage.py load_demo`: the demo's user, with imported files at real prices; says how to log in."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portfolio.services import load_ecb_rates
from stackmotive.demo.catalog import load_catalog
from stackmotive.demo.loading import EMAIL, DemoIncomplete, is_loaded, load_demo
from stackmotive.demo.prices import PricesUnavailable, price_table
from stackmotive.demo.rates import ecb_dollars

PASSWORD_FILE = "demo-password"  # noqa: S105  # a file's name


class Command(BaseCommand):
    help = "Load the demo's user once; print the login. The prices are fetched on first use."

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.DATA_DIR) / PASSWORD_FILE
        if not is_loaded():
            try:
                table = price_table(Path(settings.DATA_DIR) / "demo")
                load_ecb_rates()
                load_catalog(table)
                load_demo(table=table, rate_on=ecb_dollars(), password=new_password(path))
            except (PricesUnavailable, DemoIncomplete) as exc:
                raise CommandError(str(exc)) from exc
        password = path.read_text().strip() if path.exists() else "as you set it"
        self.stdout.write(f"Log in as {EMAIL}, password {password}")


def new_password(path: Path) -> str:
    """A random password, kept in `path` for this system user alone, so that later starts can print it again."""
    password = secrets.token_urlsafe(12)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        file.write(f"{password}\n")
    return password

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READERS = {"text", "flag", "whole", "words", "day", "secret"}


def names_read() -> set[str]:
    tree = ast.parse((ROOT / "stackmotive" / "settings.py").read_text())
    return {
        str(call.args[0].value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in READERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def names_documented() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {found[1] for line in lines if (found := re.match(r"#?([A-Z][A-Z0-9_]+)=", line))}


def test_the_example_names_exactly_the_settings_read() -> None:
    assert names_documented() == names_read()


def start_with(**environment: str) -> str:
    """What importing the settings in a fresh process says last, "" where it starts."""
    kept = {name: os.environ[name] for name in ("PATH", "DATABASE_URL", "REDIS_URL")}
    keys = {name: os.environ[name] for name in ("DJANGO_SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_ENCRYPTION_KEYS")}
    done = subprocess.run(
        [sys.executable, "-c", "import stackmotive.settings"],
        cwd=ROOT,
        env={**kept, **keys, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def test_it_starts_with_the_keys_of_the_embedded_set_up() -> None:
    assert start_with() == ""


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"JWT_SIGNING_KEY": ""}, "JWT_SIGNING_KEY is not set"),
        ({"JWT_SIGNING_KEY": "short"}, "JWT_SIGNING_KEY is too weak"),
        ({"DJANGO_SECRET_KEY": "CHANGE_ME" + "abcdefghij" * 6}, "DJANGO_SECRET_KEY is too weak"),
        ({"FIELD_ENCRYPTION_KEYS": ""}, "FIELD_ENCRYPTION_KEYS is not set"),
        ({"PUBLIC_URL": "money.example.org"}, "PUBLIC_URL is 'money.example.org'"),
        ({"DATABASE_URL": "sqlite:///x"}, "DATABASE_URL must start with postgresql://"),
        ({"CSV_MAX_ROWS": "many"}, "CSV_MAX_ROWS is 'many'; say a whole number."),
        ({"AS_OF": "yesterday"}, "AS_OF is 'yesterday'; say a day as YYYY-MM-DD."),
        ({"DJANGO_DEBUG": "maybe"}, "DJANGO_DEBUG is 'maybe'; say true or false."),
    ],
)
def test_an_unsafe_or_unreadable_setting_stops_the_start_with_a_sentence(
    environment: dict[str, str], sentence: str
) -> None:
    assert sentence in start_with(**environment)


def test_an_https_address_makes_cookies_secure_and_deploy_checks_clean() -> None:
    environment = {**os.environ, "PUBLIC_URL": "https://money.example.org"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip().rpartition("\n")[2]) == (0, "")

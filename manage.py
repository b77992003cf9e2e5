#!/usr/bin/env python
"""Every command of StackMotive, with PostgreSQL and Valkey at hand.

Where neither DATABASE_URL nor REDIS_URL is set, the command attaches to the embedded stores of its data
directory (--data-dir, else STACKMOTIVE_DATA_DIR, else .data beside this file), or runs them while it lasts.
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from stackmotive.embedded import DataDirectory, StoreError, stores

WITHOUT_STORES = {
    "help",
    "version",
    "collectstatic",
    "findstatic",
    "spectacular",
    "diffsettings",
    "startapp",
    "up",
    "verify_ci_matrix",
}
"""`up` is here because it runs the stores itself, to stop them last and to notice when one dies."""
AS_OWNER = {"migrate", "flush"}
"""Commands that change tables; all others act with the application role's rights."""
STORE_ADDRESSES = ("DATABASE_URL", "REDIS_URL")


def main() -> int:
    try:
        arguments, data_dir = take_data_dir(sys.argv)
        with ExitStack() as stack:
            prepare(arguments, data_dir=data_dir, stack=stack)
            from django.core.management import execute_from_command_line

            execute_from_command_line(arguments)
    except StoreError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def take_data_dir(argv: list[str]) -> tuple[list[str], Path]:
    """`argv` without --data-dir, and the directory that it or the environment names."""
    rest, chosen = [], os.environ.get("STACKMOTIVE_DATA_DIR")
    words = iter(argv)
    for word in words:
        if word == "--data-dir":
            chosen = next(words, "")
            if not chosen:
                raise StoreError("--data-dir needs a folder after it.")
        elif word.startswith("--data-dir="):
            chosen = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, Path(chosen or Path(__file__).with_name(".data"))


def prepare(arguments: list[str], *, data_dir: Path, stack: ExitStack) -> None:
    """Put what the settings read into the environment; start or join the stores if the command needs them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stackmotive.settings")
    data = DataDirectory.at(data_dir)
    os.environ["STACKMOTIVE_DATA_DIR"] = str(data.path)
    configured = [name for name in STORE_ADDRESSES if is_set(name)]
    if len(configured) == 1:
        raise StoreError(f"{configured[0]} is set alone: set both of {' and '.join(STORE_ADDRESSES)}, or neither.")
    if not configured:
        if needs_stores(arguments):
            stack.enter_context(stores(data.path))
        else:
            data.prepare()
        for name, value in data.environment().items():
            if not is_set(name):
                os.environ[name] = value
        os.environ["STACKMOTIVE_STORES"] = "embedded"
    if AS_OWNER.intersection(arguments[1:2]) and is_set("OWNER_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["OWNER_DATABASE_URL"]


def is_set(name: str) -> bool:
    """Whether the environment gives `name` itself or, for a secret, the file that holds it."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def needs_stores(arguments: list[str]) -> bool:
    command = arguments[1] if len(arguments) > 1 else "help"
    if command.startswith("-") or {"--help", "-h"}.intersection(arguments):
        return False
    return command not in WITHOUT_STORES and (command != "check" or "--database" in arguments)


if __name__ == "__main__":
    sys.exit(main())

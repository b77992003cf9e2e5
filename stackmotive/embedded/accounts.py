"""Whom the servers run as. PostgreSQL refuses to run as root, so root lends them an unprivileged user."""

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from stackmotive.embedded.errors import StoreError


class PopenIds(TypedDict):
    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system user by number."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make this user the owner of `path` itself."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


def popen_ids(account: Account | None) -> PopenIds:
    """Arguments of Popen that make a child run as `account`; None leaves it ours."""
    if account is None:
        return {"user": None, "group": None, "extra_groups": None}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def server_account(folder: Path) -> Account | None:
    """None for an ordinary user, who runs the servers; for root the owner of `folder`, else `nobody`."""
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux"):
        raise StoreError("Root cannot run the embedded database on this system; start StackMotive as an ordinary user.")
    try:
        entry = pwd.getpwnam("nobody")
        if folder.exists() and (owner := folder.stat().st_uid) != 0:
            entry = pwd.getpwuid(owner)  # initdb and the server need a name for their user
    except KeyError as exc:
        raise StoreError(
            "The embedded database cannot run as root and found no other user for itself; "
            "start StackMotive as an ordinary user or set DATABASE_URL."
        ) from exc
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def folder_from_inside(folder: Path, account: Account | None) -> str:
    """`folder` as a server that was started in it names it.

    Lent to another user by root, the server may be unable to walk the folders above it (a checkout in /root).
    Through /proc/self/cwd the kernel leads it to the folder it was started in without asking those.
    """
    return "/proc/self/cwd" if account else str(folder)

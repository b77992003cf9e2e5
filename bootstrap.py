#!/usr/bin/env python3
"""Set StackMotive up in `.venv` beside this file and run one of its jobs there. Needs only Python 3.11.

    python3 bootstrap.py                    set up only
    python3 bootstrap.py demo [--port N]    the product with a demo user, until Ctrl-C
    python3 bootstrap.py test [ARGUMENTS]   the test suite

`make JOB` is the same. Uses uv where it is installed, otherwise venv and pip.
"""

from __future__ import annotations  # so that an older Python reads this far and is refused in a sentence

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
SCHEMA = ROOT / "docs" / "openapi.yaml"
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
RUNTIME, DEV = "runtime", "dev"
JOBS = {
    "setup": DEV,
    "demo": RUNTIME,
    "test": DEV,
    "check": DEV,
    "cases": RUNTIME,
    "samples": RUNTIME,
    "bench": RUNTIME,
    "soak": DEV,
    "screenshots": DEV,
}
"""What each job needs installed."""


def main(argv: list[str]) -> int:
    job, arguments = (argv[0], argv[1:]) if argv else ("setup", [])
    if job in ("-h", "--help") or job not in JOBS:
        print(f"usage: python3 bootstrap.py [{'|'.join(JOBS)}] [arguments]")
        return 0 if job in ("-h", "--help") else 2
    if sys.version_info < (3, 11):  # noqa: UP036
        found = sys.version.split()[0]
        return refuse(f"StackMotive needs Python 3.11 or newer; this is {found}. Use a newer python3.")
    if problem := install(JOBS[job]):
        return refuse(problem)
    os.chdir(ROOT)
    return RUNNERS[job](arguments)


def refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


# --- installing -------------------------------------------------------------------------------------


def install(extra: str) -> str:
    """Bring `.venv` up to `extra` unless its stamp says that it is; the problem in one sentence, or ""."""
    stamp, wanted = VENV / "stackmotive.stamp", fingerprint()
    done = stamp.read_text().split() if stamp.exists() else []
    if DEV in done:
        extra = DEV  # what a developer has stays
    if done == [wanted, extra] or done == [wanted, DEV]:
        return ""
    uv = shutil.which("uv")
    tool = "uv" if uv else "pip, which takes a few minutes the first time"
    print(f"Setting up .venv with {tool}", flush=True)
    problem = install_with_uv(uv, extra) if uv else install_with_pip(extra)
    if not problem:
        stamp.write_text(f"{wanted} {extra}\n")
    return problem


def fingerprint() -> str:
    """Of everything that decides what `.venv` must hold, the checkout's place included."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for name in ("pyproject.toml", "uv.lock"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install_with_uv(uv: str, extra: str) -> str:
    argv = [uv, "sync", "--frozen", "--quiet", "--python", sys.executable]
    if extra == DEV:
        argv += ["--extra", "dev"]
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(VENV)}
    if subprocess.run(argv, cwd=ROOT, env=environment).returncode:
        return "uv could not install the packages: read its message above, then run this again."
    return ""


def install_with_pip(extra: str) -> str:
    if not (succeeds(PYTHON, "-m", "pip", "--version") or succeeds(PYTHON, "-m", "ensurepip")):
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True)
        if made.returncode:
            said = (made.stdout + made.stderr).strip()
            if "ensurepip" in said:
                return "Python's venv module is missing: run `apt-get install python3-venv` first."
            return f"python3 -m venv failed: {said}"
    target = ".[dev]" if extra == DEV else "."
    argv = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        target,
    ]
    if subprocess.run(argv, cwd=ROOT).returncode:
        return "pip could not install the packages: read its message above, then run this again."
    return ""


def succeeds(*argv: str | Path) -> bool:
    try:
        return subprocess.run(argv, capture_output=True).returncode == 0
    except OSError:
        return False


# --- jobs -------------------------------------------------------------------------------------------


def become(*argv: str | Path) -> int:
    """Replace this process, so that signals and the exit code are the command's own."""
    os.execv(argv[0], [str(word) for word in argv])  # noqa: S606


def manage(*arguments: str) -> tuple[str, ...]:
    return (str(PYTHON), "manage.py", *arguments)


def setup(arguments: list[str]) -> int:
    print("Ready: `make demo` starts it, `make test` tests it.")
    return 0


def demo(arguments: list[str]) -> int:
    return become(*manage("up", "--demo", *arguments))


def test(arguments: list[str]) -> int:
    return become(PYTHON, "-m", "pytest", *arguments)


def soak(arguments: list[str]) -> int:
    """The long tests: property tests with many more examples."""
    os.environ["HYPOTHESIS_PROFILE"] = "soak"
    return become(PYTHON, "-m", "pytest", *arguments)


def check(arguments: list[str]) -> int:
    """Every static check; runs all of them and fails if one did."""
    with tempfile.TemporaryDirectory() as folder:
        schema = Path(folder) / "openapi.yaml"
        options = ("--data-dir", str(Path(folder) / "data"))
        results = [
            run("format", BIN / "ruff", "format", "--check", "."),
            run("lint", BIN / "ruff", "check", "."),
            run("types", PYTHON, "-m", "mypy", ".", DJANGO_DEBUG="true"),  # settings without an instance's keys
            run("layers", PYTHON, "-c", LINT_IMPORTS),
            run("migrations", *manage("makemigrations", "--check", "--dry-run", *options)),
            run(
                "OpenAPI",
                *manage("spectacular", "--validate", "--fail-on-warn", "--api-version", "1.0"),
                "--file",
                schema,
                *options,
            ),
            same_schema(schema),
        ]
    return 0 if all(results) else 1


def run(name: str, *argv: str | Path, **environment: str) -> bool:
    print(f"--- {name}", flush=True)
    return subprocess.run(argv, env={**os.environ, **environment}).returncode == 0


def same_schema(fresh: Path) -> bool:
    print(f"--- {SCHEMA.relative_to(ROOT)} is the schema of the code", flush=True)
    if fresh.exists() and SCHEMA.exists() and fresh.read_bytes() == SCHEMA.read_bytes():
        return True
    command = f"manage.py spectacular --api-version 1.0 --file {SCHEMA.relative_to(ROOT)}"
    print(f"They differ: write it anew with `.venv/bin/python {command}` and review the change.")
    return False


def aside(*arguments: str) -> int:
    """Run a management command on a fresh instance, removed afterwards, unless stores are configured."""
    with contextlib.ExitStack() as stack:
        options: tuple[str, ...] = ()
        if not os.environ.get("DATABASE_URL"):
            options = ("--data-dir", str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"))
        migrated = subprocess.run(manage("migrate", "--verbosity", "0", *options))
        return migrated.returncode or subprocess.run(manage(*arguments, *options)).returncode


def cases(arguments: list[str]) -> int:
    return aside("run_cases", *(arguments or [os.environ.get("CASES") or "../shared/cases"]))


def samples(arguments: list[str]) -> int:
    return aside("run_samples", *(arguments or [os.environ.get("SAMPLES") or "../shared/samples"]))


def bench(arguments: list[str]) -> int:
    """It makes an instance of its own."""
    return become(*manage("bench", *arguments))


def screenshots(arguments: list[str]) -> int:
    return become(*manage("screenshots", *arguments))


RUNNERS = {
    "setup": setup,
    "demo": demo,
    "test": test,
    "check": check,
    "cases": cases,
    "samples": samples,
    "bench": bench,
    "soak": soak,
    "screenshots": screenshots,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

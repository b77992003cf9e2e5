"""bootstrap.py: what it installs, when it does not, and what it says on a bare machine."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bootstrap

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with nothing but what the fingerprint reads."""
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "uv.lock").write_text("")
    (tmp_path / ".venv").mkdir()
    for name, place in (("ROOT", tmp_path), ("VENV", tmp_path / ".venv"), ("PYTHON", tmp_path / ".venv/bin/python")):
        monkeypatch.setattr(bootstrap, name, place)
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run; each succeeds."""
    ran: list[list[str]] = []

    def run(argv: list[Any], **options: Any) -> Done:
        ran.append([str(word) for word in argv])
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_it_needs_the_standard_library_only_and_an_old_python_can_read_it() -> None:
    tree = ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_an_old_python_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], commands: list[list[str]]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "version", "3.9.2 (default)")
    assert bootstrap.main(["demo"]) == 1
    assert capsys.readouterr().err == ("StackMotive needs Python 3.11 or newer; this is 3.9.2. Use a newer python3.\n")
    assert commands == []


def test_an_unknown_job_shows_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["launch"]) == 2
    assert "setup|demo|test|check" in capsys.readouterr().out


def test_uv_is_used_where_it_is_installed(
    checkout: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/uv")
    assert bootstrap.install("dev") == ""
    assert commands == [["/usr/bin/uv", "sync", "--frozen", "--quiet", "--python", sys.executable, "--extra", "dev"]]


def test_a_done_install_is_skipped_until_the_packages_change(
    checkout: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/uv")
    assert bootstrap.install("runtime") == ""
    assert bootstrap.install("runtime") == ""
    assert len(commands) == 1
    assert bootstrap.install("dev") == ""
    assert bootstrap.install("runtime") == ""
    assert len(commands) == 2
    (checkout / "uv.lock").write_text("changed")
    assert bootstrap.install("runtime") == ""
    assert len(commands) == 3
    assert commands[2][-1] == "dev", "a developer's tools stay installed"


def test_a_failed_install_is_tried_again(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/uv")
    monkeypatch.setattr(subprocess, "run", lambda argv, **options: subprocess.CompletedProcess(argv, 2))
    assert bootstrap.install("dev").startswith("uv could not install the packages")
    assert not (checkout / ".venv" / "stackmotive.stamp").exists()


def test_without_uv_it_is_venv_and_pip(
    checkout: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "succeeds", lambda *argv: False)
    assert bootstrap.install("dev") == ""
    assert commands[0][1:4] == ["-m", "venv", "--clear"]
    assert commands[1][1:4] == ["-m", "pip", "install"]
    assert commands[1][-2:] == ["--editable", ".[dev]"]


def test_a_missing_venv_module_is_named_with_its_cure(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian = "The virtual environment was not created successfully because ensurepip is not available."
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "succeeds", lambda *argv: False)
    monkeypatch.setattr(
        subprocess, "run", lambda argv, **options: subprocess.CompletedProcess(argv, 1, stdout=debian, stderr="")
    )
    problem = bootstrap.install("runtime")
    assert problem == "Python's venv module is missing: run `apt-get install python3-venv` first."


def test_the_makefile_has_the_same_jobs_and_only_calls_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets
    assert set(targets[1].split()) == set(bootstrap.JOBS) == set(bootstrap.RUNNERS)
    assert [line for line in makefile.splitlines() if line.startswith("\t")] == [
        "\t@exec $(PYTHON) bootstrap.py $@ $(ARGS)"
    ]


def test_cases_run_on_an_instance_of_their_own(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CASES", "/some/cases")
    assert bootstrap.cases([]) == 0
    migrate, run = commands
    assert migrate[1:3] == ["manage.py", "migrate"]
    assert run[1:4] == ["manage.py", "run_cases", "/some/cases"]
    assert run[-2] == "--data-dir"
    assert run[-1] == migrate[-1]
    assert not Path(run[-1]).exists()

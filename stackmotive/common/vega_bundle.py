"""Serves the chart libraries inside the installed vl-convert as the static file `stackmotive/vega.js`.

Nothing of them is committed: the file is written once per installed version into a build folder, and
collectstatic gives it a hashed name like any other.
"""

import builtins
import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, overload

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.utils import matches_patterns
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

NAME = "stackmotive/vega.js"
SNIPPET = "window.vegaEmbed=vegaEmbed;"


def build_folder() -> Path:
    return Path(settings.DATA_DIR) / "build" / f"vega-{version('vl-convert-python')}"


def build_bundle(folder: Path) -> Path:
    """The bundle's path under `folder`, written on first use; whole or absent, also when two processes race."""
    target = folder / NAME
    if target.exists():
        return target
    import vl_convert  # two seconds, once per installed version

    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(f".{os.getpid()}")
    half.write_text(vl_convert.javascript_bundle(SNIPPET), encoding="utf-8")
    half.replace(target)
    return target


class VegaBundleFinder(BaseFinder):
    """Listed in STATICFILES_FINDERS."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    @overload
    def find(self, path: str, find_all: Literal[False] = ...) -> str | None: ...
    @overload
    def find(self, path: str, find_all: Literal[True]) -> builtins.list[str]: ...
    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> str | builtins.list[str] | None:
        if path != NAME:
            return []
        found = str(build_bundle(build_folder()))
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, FileSystemStorage]]:
        if matches_patterns(NAME, list(ignore_patterns or ())):
            return
        build_bundle(build_folder())
        yield NAME, FileSystemStorage(location=build_folder())

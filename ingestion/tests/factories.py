"""Files and runs for tests, through the same services as uploads."""

from typing import Any

from accounts.models import User
from ingestion import services
from ingestion.models import ImportRun, Source
from ingestion.options import ImportOptions

HEADER = "account,trade_date,kind,symbol,quantity,price,currency"


def csv(*rows: str, header: str = HEADER) -> bytes:
    return ("\n".join((header, *rows)) + "\n").encode()


def buys(count: int, *, account: str = "A1", first: int = 1) -> bytes:
    """`count` different purchases."""
    return csv(*(f"{account},2024-01-{n % 28 + 1:02d},buy,S{n % 50},{n},10.5,USD" for n in range(first, first + count)))


def imported(
    user: User, content: bytes, *, source: Source | None = None, filename: str = "file.csv", **said: Any
) -> ImportRun:
    """A file imported up to where the ledger takes over."""
    run = services.open_import(
        user=user, content=content, filename=filename, source=source, options=ImportOptions(**said)
    )
    services.run_import(run_id=run.pk)
    return ImportRun.objects.get(pk=run.pk)


def finished(user: User, content: bytes, **named: Any) -> ImportRun:
    """A file imported and taken up by a ledger."""
    run = imported(user, content, **named)
    services.finish_runs(user_id=user.pk, fact_number=10**9, ledger_version=1)
    run.refresh_from_db()
    return run

"""Facts for tests, staged through ingestion's own services: statements in, no broker file needed."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.facts import next_fact_number
from accounts.models import Tier, User
from ingestion import identity, staging
from ingestion.adapters.base import (
    CashRow,
    CoverageRow,
    InstrumentRef,
    PositionRow,
    RateRow,
    Section,
    Statement,
    TransactionRow,
)
from ingestion.models import DEFAULT_PRIORITIES, Content, Source, SourceKind, Withdrawal
from stackmotive.tests.people import PASSWORD

_numbers = count(1)
ACME = InstrumentRef(symbol="ACME", kind="equity", isin="US0000000010", currency="USD")
GLOBEX = InstrumentRef(symbol="GLBX", kind="equity", isin="US0000000028", currency="USD")
BITCOIN = InstrumentRef(symbol="BTC", kind="crypto")


def make_user(**fields: Any) -> User:
    number = next(_numbers)
    return User.objects.create_user(f"user{number}@example.com", PASSWORD, **{"tier": Tier.OPERATOR} | fields)


def make_source(user: User, kind: str = "csv", *, name: str = "", **fields: Any) -> Source:
    fields.setdefault("priority", DEFAULT_PRIORITIES[SourceKind(kind)])
    return Source.objects.create(user=user, kind=kind, name=name or f"{kind} {next(_numbers)}", **fields)


def day(text: str) -> date:
    return date.fromisoformat(f"2024-{text}")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-{text}").replace(tzinfo=UTC)


def trade(
    when: str, quantity: str, price: str, *, of: InstrumentRef = ACME, account: str = "A1", **fields: Any
) -> TransactionRow:
    """A buy or, with a negative quantity, a sale; cash as the trade alone makes it unless given."""
    units, each = Decimal(quantity), Decimal(price)
    fee = Decimal(fields.pop("fee", "0"))
    values: dict[str, Any] = {
        "line": next(_numbers),
        "account": account,
        "kind": "buy" if units > 0 else "sell",
        "trade_date": day(when),
        "currency": "USD",
        "instrument": of,
        "quantity": units,
        "price": each,
        "fee": fee or None,
        "cash_amount": -units * each - fee,
    }
    return TransactionRow(**values | fields)


def split(when: str, ratio: str, *, of: InstrumentRef = ACME, account: str = "A1", **fields: Any) -> TransactionRow:
    """A split that states its ratio alone."""
    line = fields.pop("line", None) or next(_numbers)
    return TransactionRow(line, account, "split", day(when), "USD", of, ratio=Decimal(ratio), **fields)


def cash_event(when: str, kind: str, amount: str, *, account: str = "A1", **fields: Any) -> TransactionRow:
    values: dict[str, Any] = {
        "line": next(_numbers),
        "account": account,
        "kind": kind,
        "trade_date": day(when),
        "currency": "USD",
        "cash_amount": Decimal(amount),
    }
    return TransactionRow(**values | fields)


def position(
    when: str, quantity: str, *, of: InstrumentRef = ACME, account: str = "A1", cost: str | None = None
) -> PositionRow:
    cost_basis = None if cost is None else Decimal(cost)
    return PositionRow(next(_numbers), account, of, Decimal(quantity), day(when), "USD", cost_basis)


def balance(when: str, amount: str, *, account: str = "A1", currency: str = "USD") -> CashRow:
    return CashRow(next(_numbers), account, currency, Decimal(amount), day(when))


def covers(
    section: Section, start: str, end: str | None = None, *, account: str = "A1", how: str = "declared"
) -> CoverageRow:
    return CoverageRow(account, section, day(start), day(end or start), how)  # type: ignore[arg-type]


def stage(
    source: Source,
    *,
    rows: Iterable[TransactionRow] = (),
    positions: Iterable[PositionRow] = (),
    cash: Iterable[CashRow] = (),
    coverage: Iterable[CoverageRow] = (),
    rates: Iterable[RateRow] = (),
    generated: str | None = None,
    default_account: UUID | None = None,
    **fields: Any,
) -> Content:
    """Let a statement arrive at `source`. Coverage that is not given is inferred from the rows."""
    statement = Statement(
        layout=fields.pop("layout", "test"),
        transactions=list(rows),
        positions=list(positions),
        cash=list(cash),
        coverage=list(coverage),
        rates=list(rates),
        generated_at=moment(generated) if generated else None,
        **fields,
    )
    if not statement.coverage:
        statement.coverage = _inferred(statement)
    batch = identity.prepare(statement, default_account=default_account)
    with transaction.atomic():
        return staging.stage(source=source, statement=statement, batch=batch, default_account=default_account).content


def _inferred(statement: Statement) -> list[CoverageRow]:
    days: dict[tuple[str, Section], list[date]] = {}
    for row in statement.transactions:
        days.setdefault((row.account, "transactions"), []).append(row.trade_date)
    coverage = [
        CoverageRow(account, section, min(all_), max(all_), "inferred") for (account, section), all_ in days.items()
    ]
    reports: set[tuple[str, Section, date]] = {(row.account, "positions", row.as_of) for row in statement.positions}
    reports |= {(row.account, "cash", row.as_of) for row in statement.cash}
    coverage += [CoverageRow(account, section, on, on, "declared") for account, section, on in sorted(reports)]
    return coverage


def withdraw(content: Content) -> None:
    """Undo every arrival of `content` so far."""
    with transaction.atomic():
        number = next_fact_number(user_id=content.source.user_id, cause="undo")
        Withdrawal.objects.create(content=content, number=number)

"""Numbering of knowledge (DESIGN 5.1): every commit that changes facts takes the next number, in the same transaction."""

from uuid import UUID

from django.db import connection, transaction

from accounts.models import FactVersion, User

MARKET_LOCK = 7_301_001  # advisory lock of the one counter of facts that all users share


def next_fact_number(*, user_id: UUID, cause: str) -> int:
    """Take the user's next number. Call inside the transaction that writes the facts; holds the user's counter until commit."""
    assert transaction.get_connection().in_atomic_block  # noqa: S101  # a number outside its transaction would lie
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_user SET fact_number = fact_number + 1 WHERE id = %s RETURNING fact_number", [user_id]
        )
        row = cursor.fetchone()
    if row is None:
        raise User.DoesNotExist
    number = int(row[0])
    FactVersion.objects.create(user_id=user_id, number=number, cause=cause)
    return number


def next_market_number(*, cause: str) -> int:
    """Take the next number of the facts that all users share. Call inside the transaction that writes them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [MARKET_LOCK])
        cursor.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM accounts_factversion WHERE user_id IS NULL")
        row = cursor.fetchone()
    assert row is not None  # noqa: S101  # an aggregate always answers one row
    number = int(row[0])
    FactVersion.objects.create(user_id=None, number=number, cause=cause)
    return number


def market_number() -> int:
    """The newest number of the shared facts; 0 before the first."""
    newest = FactVersion.objects.filter(user=None).order_by("-number").values_list("number", flat=True).first()
    return newest or 0

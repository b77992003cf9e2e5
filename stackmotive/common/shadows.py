"""Tables as they would be under other facts, for the length of one transaction: temporary relations of the same names.

PostgreSQL looks into the temporary schema first, so code that names no schema reads and writes the shadow and knows
nothing of it. No lock of the real tables is held, other connections see nothing, and the rollback removes all of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import connection, models, transaction
from psycopg import sql


@contextmanager
def shadow_transaction() -> Iterator[None]:
    """One transaction over one state of the database, always rolled back."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            transaction.set_rollback(True)


def shadow_view(
    model: type[models.Model], *, where: sql.Composable, replaced: Mapping[str, sql.Composable] | None = None
) -> None:
    """Show only the rows `where`, a condition on t, holds; `replaced`: column -> what it shows. Only read it."""
    names, values = _columns(model, replaced or {})
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP VIEW {} ({}) AS SELECT {} FROM {} t WHERE {}").format(
                sql.Identifier(model._meta.db_table), names, values, real(model), where
            )
        )


def shadow_table(
    model: type[models.Model],
    *,
    where: sql.Composable | None = None,
    replaced: Mapping[str, sql.Composable] | None = None,
    rows: Sequence[sql.Composable] = (),
) -> None:
    """A table to be written, with rows copied into it: those `where` holds, a condition on t, or `rows`.

    rows: tables or queries in parentheses with the table's columns; of two rows that exclude each other the first stays.
    """
    table, names_values = sql.Identifier(model._meta.db_table), _columns(model, replaced or {})
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING ALL) ON COMMIT DROP").format(table, real(model))
        )
        if where is not None:
            rows = [sql.SQL("(SELECT t.* FROM {} t WHERE {})").format(real(model), where)]
        elif not rows:
            return
        for found in rows:
            cursor.execute(
                sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} t ON CONFLICT DO NOTHING").format(
                    table, *names_values, found
                )
            )
        if isinstance(model._meta.pk, models.AutoField):  # ids of its own start again at 1
            cursor.execute(sql.SQL("SELECT COALESCE(MAX(id), 0) + 1 FROM {}").format(table))
            row = cursor.fetchone()
            assert row is not None  # noqa: S101  # an aggregate always answers one row
            cursor.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN id RESTART WITH {}").format(table, sql.Literal(row[0])))
        cursor.execute(sql.SQL("ANALYZE {}").format(table))


def real(model: type[models.Model]) -> sql.Composable:
    """The stored table, whatever shadows it."""
    return sql.Identifier("public", model._meta.db_table)


def _columns(
    model: type[models.Model], replaced: Mapping[str, sql.Composable]
) -> tuple[sql.Composable, sql.Composable]:
    names = [str(field.column) for field in model._meta.concrete_fields]
    values = [replaced.get(name) or sql.SQL("t.{}").format(sql.Identifier(name)) for name in names]
    listed = sql.SQL(", ").join([sql.Identifier(name) for name in names])
    return listed, sql.SQL(", ").join(values)

"""Writing computed rows so that an unchanged run writes none: COPY beside, then change what differs."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models
from psycopg import sql

Scope = tuple[str, Sequence[Any]]  # a condition on the columns of `t`, and its values


def diff_write(
    model: type[models.Model],
    *,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Iterable[Sequence[Any]],
    scope: Scope,
) -> int:
    """Make the rows of `scope` equal to `rows`; how many changed.

    columns: database columns of each row, in order. key: those of them that identify a row, never null.
    """
    rows = list(rows)  # whatever reads the database to make them must be done before COPY holds the connection
    if not _any_stored(model, scope):
        if rows:
            copy_rows(model._meta.db_table, columns, rows)
        return len(rows)
    table = sql.Identifier(model._meta.db_table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    values = [name for name in columns if name not in key]
    temporary = sql.Identifier(f"new_{model._meta.db_table}")
    same_key = sql.SQL(" AND ").join(sql.SQL("t.{0} = n.{0}").format(sql.Identifier(name)) for name in key)
    condition, scope_values = sql.SQL(scope[0]), scope[1]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                temporary, names, table
            )
        )
        copy_rows(f"new_{model._meta.db_table}", columns, rows)
        cursor.execute(sql.SQL("ANALYZE {}").format(temporary))
        cursor.execute(
            sql.SQL("DELETE FROM {} t WHERE {} AND NOT EXISTS (SELECT 1 FROM {} n WHERE {})").format(
                table, condition, temporary, same_key
            ),
            scope_values,
        )
        changed: int = cursor.rowcount
        if values:
            cursor.execute(
                sql.SQL(
                    "UPDATE {table} t SET {updates} FROM {new} n"
                    " WHERE {scope} AND {same} AND ({old}) IS DISTINCT FROM ({fresh})"
                ).format(
                    table=table,
                    updates=sql.SQL(", ").join(sql.SQL("{0} = n.{0}").format(sql.Identifier(name)) for name in values),
                    new=temporary,
                    scope=condition,
                    same=same_key,
                    old=sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in values),
                    fresh=sql.SQL(", ").join(sql.SQL("n.{}").format(sql.Identifier(name)) for name in values),
                ),
                scope_values,
            )
            changed += cursor.rowcount
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} ({names}) SELECT {picked} FROM {new} n"
                " WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {scope} AND {same})"
            ).format(
                table=table,
                names=names,
                picked=sql.SQL(", ").join(sql.SQL("n.{}").format(sql.Identifier(name)) for name in columns),
                new=temporary,
                scope=condition,
                same=same_key,
            ),
            scope_values,
        )
        changed += cursor.rowcount
        cursor.execute(sql.SQL("DROP TABLE {}").format(temporary))
    return changed


def _any_stored(model: type[models.Model], scope: Scope) -> bool:
    statement = sql.SQL("SELECT EXISTS (SELECT 1 FROM {} t WHERE {})").format(
        sql.Identifier(model._meta.db_table), sql.SQL(scope[0])
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, scope[1])
        row = cursor.fetchone()
    return bool(row and row[0])


def copy_rows(
    table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, types: Sequence[str] | None = None
) -> None:
    """Rows into a table by COPY. types: of the columns, for rows of many bytes, which then go in as they are."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    how = sql.SQL("" if types is None else " (FORMAT BINARY)")
    statement = sql.SQL("COPY {} ({}) FROM STDIN{}").format(sql.Identifier(table), names, how)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        if types is not None:
            copy.set_types(types)
        for row in rows:
            copy.write_row(row)

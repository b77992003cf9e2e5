"""Tables of facts: the application adds rows and reads them, and only the owner may change or remove any."""

from django.db.migrations import RunSQL

from stackmotive.embedded.datadir import APP_ROLE


def append_only(*tables: str) -> RunSQL:
    """A migration's last word on `tables`. Does nothing where the application has no role of its own (another
    server's set-up), since one role that is the owner cannot be kept from its own tables.
    """
    return RunSQL(
        _where_the_role_is(f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(tables)} FROM {APP_ROLE}"),
        _where_the_role_is(f"GRANT UPDATE, DELETE ON {', '.join(tables)} TO {APP_ROLE}"),
    )


def _where_the_role_is(statement: str) -> str:
    return f"""
    DO $$ BEGIN
      IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN {statement}; END IF;
    END $$
    """  # names of our own tables and role

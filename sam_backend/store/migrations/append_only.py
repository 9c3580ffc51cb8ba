"""Triggers by which the database itself keeps the rows of a table from being changed or deleted.

Migrations that are released call these functions: what they execute stays as it is. Other triggers
are other functions.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from alembic import op

GUARD = "append_only_guard"


def make_guard() -> None:
    """Make what `refuse_replacing` needs, once for all tables.

    `INSERT OR REPLACE` deletes the row that it replaces without any delete trigger, unless the
    connection has asked for that (SQLite, "PRAGMA recursive_triggers"), and connections of others
    have not. But a trigger's own statements are run under the conflict clause of the statement
    that fired it (SQLite, "CREATE TRIGGER"). So an `INSERT OR IGNORE` of the guard's one row does
    nothing within any other statement, and within `INSERT OR REPLACE` replaces that row, which
    fires the guard's own insert trigger.
    """
    op.create_table(GUARD, sa.Column("id", sa.Integer, primary_key=True))
    if _is_postgresql():
        return  # every dialect has the same tables
    op.execute(f"INSERT INTO {GUARD} VALUES (1)")  # noqa: S608  no value of anybody's
    for change in ("INSERT", "UPDATE", "DELETE"):
        when = "AFTER" if change == "INSERT" else "BEFORE"
        op.execute(
            f"CREATE TRIGGER {GUARD}_{change.lower()} {when} {change} ON {GUARD} "
            "BEGIN SELECT RAISE(ABORT, 'the table is append-only: REPLACE is refused'); END"
        )


def drop_guard() -> None:
    """Drop what `make_guard` has made."""
    op.drop_table(GUARD)


def refuse_changes(table: str) -> None:
    """Refuse UPDATE and DELETE on a table; on PostgreSQL by the function of revision 0005."""
    if _is_postgresql():
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def refuse_replacing(table: str, keys: Iterable[Sequence[str]]) -> None:
    """Refuse `INSERT OR REPLACE` of a row that is there, on SQLite; PostgreSQL has none.

    Args:
        table: Its name.
        keys: Columns of the primary key and of every unique index.
    """
    if _is_postgresql():
        return
    same = " OR ".join(
        "(" + " AND ".join(f"{column} = NEW.{column}" for column in key) + ")" for key in keys
    )
    statement = (
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608  our own names
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN INSERT OR IGNORE INTO {GUARD} VALUES (1); END"
    )
    op.execute(statement)


def allow_replacing(table: str) -> None:
    """Undo `refuse_replacing`."""
    if not _is_postgresql():
        op.execute(f"DROP TRIGGER {table}_no_replace")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"

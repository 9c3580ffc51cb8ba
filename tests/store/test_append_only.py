"""What the database itself refuses on tables whose rows are only ever added."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database

APPEND_ONLY = {
    "lot_records",
    "measurements",
    "objects",
    "revisions",
    "stage_moves",
    "verifications",
    "version_tags",
    "versions",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An SQLite database with a row in each table; a connection of others."""
    database = open_database(Settings(data_dir=tmp_path))
    with database.writing() as connection:
        for table in APPEND_ONLY:
            fill(connection, table)
    database.close()
    return tmp_path / "sam_backend.db"


def fill(connection, table: str) -> None:
    columns = connection.execute(text(f"PRAGMA table_info({table})")).all()
    values = [
        f"{'7' if 'INT' in kind or kind == 'BOOLEAN' else repr('x')}" for _, _, kind, *_ in columns
    ]
    connection.execute(text(f"INSERT INTO {table} VALUES ({', '.join(values)})"))


def test_every_table_with_one_of_the_triggers_has_all(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        asked = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
        found = set(connection.execute(asked).fetchall())
    tables = {table for name, table in found if name.endswith("_no_delete")}
    assert tables >= APPEND_ONLY
    assert {(f"{table}_no_replace", table) for table in tables} <= found


@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
def test_a_stranger_cannot_replace_a_row(file: Path, table: str) -> None:
    """Without `PRAGMA recursive_triggers`, REPLACE fires no delete trigger."""
    with closing(sqlite3.connect(file)) as connection:
        (row,) = connection.execute(f"SELECT * FROM {table}")
        names = [one[1] for one in connection.execute(f"PRAGMA table_info({table})")]
        marks = ", ".join("?" for _ in row)
        for statement in ("INSERT OR REPLACE INTO", "REPLACE INTO"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"{statement} {table} VALUES ({marks})", row)
            if "id" in names:  # by another unique key, under a new number
                rest = [name for name in names if name != "id"]
                values = [value for name, value in zip(names, row, strict=True) if name != "id"]
                some = ", ".join("?" for _ in rest)
                insert = f"{statement} {table} ({', '.join(rest)}) VALUES ({some})"
                if table in {"lot_records", "measurements", "verifications"}:  # have no other
                    connection.execute(insert, values)
                else:
                    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                        connection.execute(insert, values)
        assert connection.execute(f"SELECT * FROM {table}").fetchone() == row
        for statement in (
            "INSERT OR REPLACE INTO append_only_guard VALUES (1)",
            "DELETE FROM append_only_guard",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_what_is_there_already_is_passed_over(database: Database) -> None:
    """As our own writers do, on both databases."""
    with database.writing() as connection:
        insert = text("INSERT INTO objects (digest, body) VALUES ('d', 'b') ON CONFLICT DO NOTHING")
        assert [connection.execute(insert).rowcount for _ in range(2)] == [1, 0]

"""The database opens, is brought up to date, and keeps its password to itself."""

import logging
import os
import sqlite3
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.jobs import Jobs
from sam_backend.store.tables import METADATA
from tests.postgresql_server import PASSWORD, URL_PASSWORD, PostgresqlServer, running_postgresql
from tests.store.workers import enqueue_one


def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_an_older_database_is_brought_up_to_date_and_keeps_its_jobs(
    settings: Settings, database: Database
) -> None:
    Jobs(database).enqueue("retrain", {"n": 1})
    again = open_database(settings)
    assert [job.payload for job in Jobs(again).list()] == [{"n": 1}]
    again.close()


def test_processes_that_open_a_new_database_at_once(settings: Settings) -> None:
    with get_context("spawn").Pool(2) as pool:
        ids = pool.map(enqueue_one, [settings] * 8, chunksize=1)
    assert len(set(ids)) == 1, "one key, one job"
    database = open_database(settings)
    assert len(Jobs(database).list()) == 1
    database.close()


def test_a_newer_database_is_refused(settings: Settings, database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"newer sam_backend .*'9999'"):
        open_database(settings)


def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    jobs = Jobs(database)
    with pytest.raises(KeyError), database.writing() as connection:  # noqa: PT012
        connection.execute(text("INSERT INTO events VALUES ('a', 'X', 1, '2026-01-01 00:00:00')"))
        raise KeyError
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar() == 0
    assert jobs.list() == []


def test_errors_of_a_statement_are_ours_and_hide_the_values(database: Database) -> None:
    with pytest.raises(DatabaseError) as failed, database.writing() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:v)"), {"v": "t0ken"})
    assert "nowhere" in str(failed.value)
    assert "t0ken" not in str(failed.value) + str(failed.value.__cause__)


@pytest.mark.parametrize("name", [b"a %40 b", b"caf\xe9"], ids=["percent", "latin-1"])
def test_sqlite_is_the_default_under_the_data_folder(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)  # Linux's names need not be UTF-8
    database = open_database(Settings(data_dir=folder))
    assert database.address.encode().endswith(b"/sam_backend.db"), "logs and JSON take it"
    database.close()
    with sqlite3.connect(folder / "sam_backend.db") as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    assert {"jobs", "events"} <= tables


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://u:s3cret@host/db", "'mysql' is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("s3cret", "is no address"),
        ("postgresql://u:p@host:s3cret/db", "is no address"),
    ],
)
def test_wrong_addresses(url: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        open_database(Settings(database_url=url))
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to look like one\n" * 99)
    for place, why in [("text", "not a database"), ("text/under/it", "Not a directory")]:
        with pytest.raises(DatabaseError, match=f"sqlite:////.*{place}.*{why}"):
            open_database(Settings(database_url=f"sqlite:///{tmp_path / place}"))


def test_the_password_is_never_shown(
    postgresql: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(database_url=postgresql.new_schema())
    database = open_database(settings)
    shown = [repr(settings), repr(database), repr(database.engine), database.address]
    shown.append(repr(Jobs(database)))
    database.close()
    wrong = [
        postgresql.url("absent"),
        postgresql.url("postgres").replace("sam:", "ann:"),
        postgresql.url("postgres").replace(f":{postgresql.port}", ":1"),
    ]
    for url in wrong:
        with pytest.raises(DatabaseError) as failed:
            open_database(Settings(database_url=url))
        shown += [str(failed.value), repr(failed.value.__cause__)]
    for said in (*shown, caplog.text):
        assert PASSWORD not in said
        assert URL_PASSWORD not in said
    assert database.address == f"postgresql://127.0.0.1:{postgresql.port}/postgres"


def test_a_server_that_goes_and_comes_back() -> None:
    with running_postgresql() as server:
        database = open_database(Settings(database_url=server.new_schema()))
        jobs = Jobs(database)
        jobs.enqueue("retrain", {})
        server.stop()
        attempts: list[Callable[[], object]] = [jobs.list, lambda: jobs.claim("w")]
        for attempt in attempts:
            with pytest.raises(DatabaseError, match=r"postgresql://127.0.0.1:\d+/postgres"):
                attempt()
        server.start()
        assert len(jobs.list()) == 1
        database.close()

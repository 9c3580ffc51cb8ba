"""A database that an earlier version of this package made goes on being used."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import sam_backend.store.migrations
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.events import Events
from sam_backend.store.jobs import Jobs
from sam_backend.store.tables import METADATA

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def alembic(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    folder = Path(sam_backend.store.migrations.__file__).parent
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


@pytest.fixture
def of_r0001(database: Database, settings: Settings) -> Settings:
    """Settings that name a database as the first migration left it, with a job and an event."""
    with database.writing() as connection:
        command.downgrade(alembic(connection), "base")
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
        command.upgrade(alembic(connection), "0001")
        assert set(inspect(connection).get_table_names()) == {"alembic_version", "jobs", "events"}
        connection.execute(
            text(
                "INSERT INTO jobs (kind, project, payload, state, progress, created_at)"
                " VALUES ('retrain', 3, :payload, 'queued', '{}', :at)"
            ),
            {"payload": '{"steps": 7}', "at": "2026-01-02 12:00:00"},
        )
        connection.execute(
            text("INSERT INTO events VALUES ('seen', 'ANNOTATION_CREATED', 3, :at)"),
            {"at": "2026-01-02 12:00:00"},
        )
    return settings


def test_r0001_is_brought_up_to_date_and_loses_nothing(of_r0001: Settings) -> None:
    database = open_database(of_r0001)
    try:
        with database.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []
        [job] = Jobs(database).list()
        assert (job.kind, job.project, job.payload) == ("retrain", 3, {"steps": 7})
        assert not Events(database).record("seen", "ANNOTATION_CREATED", 3, NOON)
        claimed = Jobs(database).claim("worker")
        assert claimed is not None
        assert claimed.id == job.id
    finally:
        database.close()

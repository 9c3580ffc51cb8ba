"""A database that an earlier version of this package made goes on being used."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import sam_backend.store.migrations
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.events import Events
from sam_backend.store.jobs import Jobs
from sam_backend.store.revisions import SAVED, Observation, Revisions, Subject
from sam_backend.store.tables import METADATA
from sam_backend.store.versions import Circumstances, Versions

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FOLDER = Path(sam_backend.store.migrations.__file__).parent
_CONFIG = Config()
_CONFIG.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
EARLIER = [one.revision for one in ScriptDirectory.from_config(_CONFIG).walk_revisions()][:0:-1]
"""Every schema that a database may have, oldest first, without the newest."""

Rows = dict[str, dict[str, Any]]


def alembic(connection: sa.Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def step_back(database: Database, revision: str) -> None:
    """Makes the database what that migration left, empty."""
    with database.writing() as connection:
        command.downgrade(alembic(connection), "base")
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
        command.upgrade(alembic(connection), revision)


VALUES: list[tuple[type[sa.types.TypeEngine[Any]], Callable[[str], Any]]] = [
    (sa.JSON, lambda name: {"of": name}),
    (sa.Boolean, lambda name: True),
    (sa.DateTime, lambda name: NOON.replace(tzinfo=None)),
    (sa.LargeBinary, lambda name: name.encode()),
    (sa.Float, lambda name: 0.5),
    (sa.Integer, lambda name: 7),
    (sa.String, lambda name: name[:16]),
]
"""Something for each kind of column, told by its name."""


def fill(connection: sa.Connection) -> Rows:
    """A row in every table there is, each column with something in it; tables by name."""
    tables = sa.MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if table.name not in {"alembic_version", "append_only_guard"}:
            row = {
                column.name: next(make for kind, make in VALUES if isinstance(column.type, kind))(
                    column.name
                )
                for column in table.columns
            }
            connection.execute(table.insert().values(row))
    return rows(connection, {table.name: [*table.columns.keys()] for table in tables.sorted_tables})


def rows(connection: sa.Connection, columns: dict[str, list[str]]) -> Rows:
    """The one row of each table, only of these columns."""
    found = {}
    for table, names in columns.items():
        if table not in {"alembic_version", "append_only_guard"}:
            asked = sa.select(*map(sa.column, names)).select_from(sa.table(table))
            found[table] = dict(connection.execute(asked).one()._mapping)
    return found


def test_the_schemas_are_all_there_were() -> None:
    assert EARLIER[:5] == ["0001", "0002", "0003", "0004", "0005"][: len(EARLIER)]
    assert len(EARLIER) >= 4


@pytest.mark.parametrize("revision", EARLIER)
def test_every_earlier_schema_is_brought_up_to_date_and_loses_no_row(
    database: Database, settings: Settings, revision: str
) -> None:
    step_back(database, revision)
    with database.writing() as connection:
        before = fill(connection)
    assert {"jobs", "events"} <= before.keys()
    opened = open_database(settings)
    try:
        with opened.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []
            assert rows(connection, {name: list(row) for name, row in before.items()}) == before
        # and the log of revisions works on it
        seen = Observation(Subject.ANNOTATION, 5, SAVED, {"result": []}, 1, "7", NOON)
        assert Revisions(opened, "http://label.example", 3).add([seen], "reading", NOON) == 1
        versions = Versions(opened, "http://label.example", 3)
        version = versions.commit(Circumstances("first", "<View/>"), NOON)
        assert version is not None
        assert version.annotations == 1
    finally:
        opened.close()


@pytest.fixture
def of_r0001(database: Database, settings: Settings) -> Settings:
    """Settings that name a database as the first migration left it, with a job and an event."""
    step_back(database, "0001")
    with database.writing() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        assert tables == {"alembic_version", "jobs", "events"}
        connection.execute(
            sa.text(
                "INSERT INTO jobs (kind, project, payload, state, progress, created_at)"
                " VALUES ('retrain', 3, :payload, 'queued', '{}', :at)"
            ),
            {"payload": '{"steps": 7}', "at": "2026-01-02 12:00:00"},
        )
        connection.execute(
            sa.text("INSERT INTO events VALUES ('seen', 'ANNOTATION_CREATED', 3, :at)"),
            {"at": "2026-01-02 12:00:00"},
        )
    return settings


def test_r0001_is_brought_up_to_date_and_loses_nothing(of_r0001: Settings) -> None:
    database = open_database(of_r0001)
    try:
        [job] = Jobs(database).list()
        assert (job.kind, job.project, job.payload) == ("retrain", 3, {"steps": 7})
        assert not Events(database).record("seen", "ANNOTATION_CREATED", 3, NOON)
        claimed = Jobs(database).claim("worker")
        assert claimed is not None
        assert claimed.id == job.id
    finally:
        database.close()

"""Every test of what is kept runs on SQLite and on PostgreSQL: fixtures for those who say so.

A conftest imports them; the server is one for all.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from tests.postgresql_server import PostgresqlServer


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty database."""
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return Settings(data_dir=tmp_path, database_url=server.new_schema())


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An open one."""
    opened = open_database(settings)
    yield opened
    opened.close()

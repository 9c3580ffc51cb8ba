"""Every test of the database runs on SQLite and on PostgreSQL."""

from tests.databases import database, settings

__all__ = ["database", "settings"]

"""Leases are decided on SQLite and on PostgreSQL."""

from tests.databases import database, settings

__all__ = ["database", "settings"]

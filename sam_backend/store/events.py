"""Which events of Label Studio's webhooks have been seen: they may arrive twice."""

from datetime import datetime

from sqlalchemy import delete

from sam_backend.store.database import Database
from sam_backend.store.tables import EVENTS


class Events:
    """Events received. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where they are kept."""
        self._database = database

    def record(self, key: str, action: str, project: int | None, at: datetime) -> bool:
        """Notes an event.

        Args:
            key: Equal for the same event, such as a digest of it; up to 255 characters.
            action: Label Studio's name for it, such as "ANNOTATION_CREATED".
            project: Its project; None if the event is of none.
            at: When it arrived, with a time zone.

        Returns:
            True the first time, False whenever it comes again.
        """
        with self._database.writing() as connection:
            fields = {"key": key, "action": action, "project": project, "at": at}
            return self._database.insert_new(connection, EVENTS, **fields) is not None

    def prune(self, before: datetime) -> int:
        """Forgets the events that arrived earlier; returns how many."""
        with self._database.writing() as connection:
            return connection.execute(delete(EVENTS).where(EVENTS.c.at < before)).rowcount

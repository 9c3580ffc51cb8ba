"""Lots of bulk runs and what became of them: what was decided says how much is asked next."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import select

from sam_backend.store.database import Database
from sam_backend.store.tables import LOTS


class Lots:
    """Verdicts by run. Safe for any number of threads and processes.

    Args:
        database: Where they are kept.
        now: The clock, with a time zone.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now

    def verdicts(self, without: str) -> list[str]:
        """Verdicts of all runs but this one, in the order in which they were first judged."""
        query = select(LOTS.c.verdict).where(LOTS.c.run != without).order_by(LOTS.c.at, LOTS.c.run)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def judged(self, run: str, verdict: str, severity: str) -> None:
        """Keep a run's verdict; a later one takes the earlier one's place, but not its time."""
        with self._database.writing() as connection:
            made = self._database.insert_new(
                connection, LOTS, run=run, verdict=verdict, severity=severity, at=self._now()
            )
            if made is None:
                connection.execute(
                    LOTS.update()
                    .where(LOTS.c.run == run)
                    .values(verdict=verdict, severity=severity)
                )

"""What was measured of a project, kept for who looks later: nothing is overwritten."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import MEASUREMENTS


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement.

    Attributes:
        kind: What was measured, such as `gold`.
        document: Its figures, as JSON.
        at: When.
    """

    kind: str
    document: Mapping[str, Any]
    at: datetime


class Measurements(ProjectStore):
    """The measurements of one project."""

    table = MEASUREMENTS

    def add(self, kind: str, document: Mapping[str, Any], at: datetime) -> None:
        """Keep a measurement."""
        with self._database.writing() as connection:
            connection.execute(
                MEASUREMENTS.insert().values(**self._place, kind=kind, document=document, at=at)
            )

    def newest(self, kind: str) -> Measurement | None:
        """The last one of a kind; None without one."""
        found = self.history(kind, 1)
        return found[0] if found else None

    def history(self, kind: str, limit: int | None = None) -> list[Measurement]:
        """Measurements of a kind, newest first."""
        return self._found(*self._own(), MEASUREMENTS.c.kind == kind, limit=limit)

    def of_all_projects(self, kind: str) -> list[Measurement]:
        """Measurements of a kind of all projects of this Label Studio, newest first."""
        return self._found(MEASUREMENTS.c.host == self._host, MEASUREMENTS.c.kind == kind)

    def _found(self, *where: ColumnElement[bool], limit: int | None = None) -> list[Measurement]:
        asked = (
            select(MEASUREMENTS.c.kind, MEASUREMENTS.c.document, MEASUREMENTS.c.at)
            .where(*where)
            .order_by(MEASUREMENTS.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Measurement(**row._mapping) for row in connection.execute(asked)]

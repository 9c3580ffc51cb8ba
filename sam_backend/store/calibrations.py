"""Calibrations of model versions: the newest of each counts, and none is lost."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from sam_backend.store.database import Database
from sam_backend.store.tables import CALIBRATIONS


class Calibrations:
    """Documents by model version. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where they are kept."""
        self._database = database

    def put(self, model_version: str, document: Mapping[str, Any], at: datetime) -> None:
        """Keep one; it counts from now on."""
        with self._database.writing() as connection:
            connection.execute(
                CALIBRATIONS.insert().values(model_version=model_version, document=document, at=at)
            )

    def newest(self, model_version: str) -> dict[str, Any] | None:
        """What counts of a model version; None: nothing is known of it."""
        query = (
            select(CALIBRATIONS.c.document)
            .where(CALIBRATIONS.c.model_version == model_version)
            .order_by(CALIBRATIONS.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            found: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
        return found

    def versions(self) -> list[str]:
        """All model versions of which something is known, the latest told first."""
        query = select(CALIBRATIONS.c.model_version).order_by(CALIBRATIONS.c.id.desc())
        with self._database.reading() as connection:
            return list(dict.fromkeys(connection.execute(query).scalars()))

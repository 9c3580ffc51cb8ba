"""What is kept of one project: of all rows of a table, those of its Label Studio and number."""

from typing import ClassVar

from sqlalchemy import ColumnElement, Table

from sam_backend.store.database import Database


class ProjectStore:
    """Rows of one project. Safe for any number of threads and processes.

    Args:
        database: Where they are kept.
        host: Address of the project's Label Studio.
        project: Its number.
    """

    table: ClassVar[Table]
    """With the columns `host` and `project`."""

    def __init__(self, database: Database, host: str, project: int) -> None:
        self._database = database
        self._host = host
        self._project = project

    @property
    def _place(self) -> dict[str, str | int]:
        """Columns of a new row that say whose it is."""
        return {"host": self._host, "project": self._project}

    def _own(self, table: Table | None = None) -> tuple[ColumnElement[bool], ...]:
        """Conditions of a query; of another table with the same columns where one is given."""
        columns = (self.table if table is None else table).c
        return columns.host == self._host, columns.project == self._project

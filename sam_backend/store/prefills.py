"""The ledger of prefilled tasks: which were sent, with which model, and every mask's end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import and_, select

from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.store.database import Database
from sam_backend.store.mask_records import unpack
from sam_backend.store.tables import PREFILL_VERSIONS, PREFILLS

State = Literal["sending", "done", "failed"]

_TASKS_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class PrefillRow:
    """One task as it was prefilled last.

    Attributes:
        host: Origin of its Label Studio.
        project: Its project.
        task: Its number.
        fingerprint: Fingerprint of what shaped the prediction, but for the model.
        model_version: Version of the model that made the prediction.
        state: sending, until Label Studio has it; done; failed: no prediction could be made.
        counts: Masks by what became of them.
        coverage: Share of the image under accepted and drawn masks.
        score: Score of the prediction.
        reason: Why there is none; None if there is.
        masks: Every mask with its end (`mask_records.pack`); empty where it was not asked for.
        at: When.
    """

    host: str
    project: int
    task: int
    fingerprint: str
    model_version: str
    state: State
    counts: Mapping[str, int]
    coverage: float
    score: float
    reason: str | None
    masks: bytes
    at: datetime


_LIGHT = tuple(column for column in PREFILLS.c if column.name != "masks")


class Prefills:
    """The ledger. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where it is kept."""
        self._database = database

    def put(self, rows: Sequence[PrefillRow]) -> None:
        """Write down some tasks, all or none; what was known of them goes.

        The version that was sent to a project is remembered for good.
        """
        # PostgreSQL locks each row that is written: all writers go in one order, or two of them may
        # wait for each other, and one fails.
        ordered = sorted(rows, key=lambda row: (row.host, row.project, row.task))
        with self._database.writing() as connection:
            for row in ordered:
                values = {field.name: getattr(row, field.name) for field in fields(row)}
                self._database.put(connection, PREFILLS, **values)
            for host, project, version in sorted(
                {(row.host, row.project, row.model_version) for row in rows}
            ):
                self._database.insert_new(
                    connection,
                    PREFILL_VERSIONS,
                    host=host,
                    project=project,
                    model_version=version,
                )

    def states(self, host: str, project: int, tasks: Sequence[int]) -> dict[int, PrefillRow]:
        """What is known of these tasks, by number, without their masks."""
        found: dict[int, PrefillRow] = {}
        with self._database.reading() as connection:
            for start in range(0, len(tasks), _TASKS_A_QUERY):
                query = select(*_LIGHT).where(
                    and_(
                        PREFILLS.c.host == host,
                        PREFILLS.c.project == project,
                        PREFILLS.c.task.in_(tasks[start : start + _TASKS_A_QUERY]),
                    )
                )
                for row in connection.execute(query):
                    found[row.task] = PrefillRow(**row._mapping, masks=b"")
        return found

    def masks(
        self, host: str, project: int, task: int
    ) -> list[tuple[MaskRecord, dict[str, Any]]] | None:
        """Every mask of a task with what became of it, for audits; None: it was not prefilled."""
        query = select(PREFILLS.c.masks).where(
            and_(PREFILLS.c.host == host, PREFILLS.c.project == project, PREFILLS.c.task == task)
        )
        with self._database.reading() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else unpack(body)

    def image_sizes(self, host: str, project: int, task: int) -> dict[str, tuple[int, int]]:
        """(height, width) of a prefilled task's images that have masks, by their tags' names."""
        return {
            str(more["image"]): record.rle.size
            for record, more in self.masks(host, project, task) or ()
        }

    def own_versions(self, host: str, project: int) -> set[str]:
        """Every model version under which predictions were ever sent to a project."""
        query = select(PREFILL_VERSIONS.c.model_version).where(
            and_(PREFILL_VERSIONS.c.host == host, PREFILL_VERSIONS.c.project == project)
        )
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def totals(self, host: str, project: int) -> Counter[str]:
        """Tasks by state, and masks by what became of them, of a whole project."""
        query = select(PREFILLS.c.state, PREFILLS.c.counts).where(
            and_(PREFILLS.c.host == host, PREFILLS.c.project == project)
        )
        totals: Counter[str] = Counter()
        with self._database.reading() as connection:
            for state, counts in connection.execute(query):
                totals[f"tasks {state}"] += 1
                totals.update(counts)
        return totals

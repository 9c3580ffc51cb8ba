"""Every state that annotations, tasks and projects were seen in; rows are only ever added."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from sam_backend.errors import InvalidInputError
from sam_backend.store.database import Database
from sam_backend.store.objects import Objects, canonical, digest_of
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import REVISIONS

SAVED, DELETED = "saved", "deleted"


class Subject(StrEnum):
    """What a revision is of."""

    ANNOTATION = "annotation"
    TASK = "task"
    PROJECT = "project"


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A state that something was seen in.

    Attributes:
        subject: What it is.
        number: Label Studio's.
        change: `SAVED`, `DELETED`, or the name of an event that leaves no state.
        state: As JSON; None where there is none.
        task: Number of its task; None for a project.
        person: User id of who made the change; None if unknown.
        stamp: When it was saved, by Label Studio's clock; None: not told, so when it was seen.
        regions: How many the state has.
        author: User id of whose annotation it is; None if it is none.
        made_at: When that was first submitted, by Label Studio's clock.
        lead_time_s: Seconds that its author spent on it, as Label Studio's page counts them.
        is_skipped: Its author has passed the task over.
        event: Equal for one event told twice; None: the state itself tells.
    """

    subject: Subject
    number: int
    change: str
    state: Mapping[str, Any] | None = field(default=None, repr=False)
    task: int | None = None
    person: str | None = None
    stamp: datetime | None = None
    regions: int = 0
    author: str | None = None
    made_at: datetime | None = None
    lead_time_s: float | None = None
    is_skipped: bool = False
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """One line of the log.

    Attributes:
        id: Its number, higher for later ones.
        subject: What it is of.
        number: Label Studio's number of that.
        task: Of its task; None for a project.
        change: `SAVED`, `DELETED` or an event's name.
        person: User id of who made it; None if unknown.
        stamp: When it was saved, by Label Studio's clock.
        digest: Of its state; None where there is none.
        regions: How many the state has.
        author: User id of whose annotation it is; None if it is none.
        made_at: When that was first submitted, by Label Studio's clock.
        lead_time_s: Seconds that its author spent on it; None: not told.
        is_skipped: Its author has passed the task over.
        source: How we learnt of it: webhook, reading or restore.
        at: When we did.
    """

    id: int
    subject: Subject
    number: int
    task: int | None
    change: str
    person: str | None
    stamp: datetime
    digest: str | None
    regions: int
    author: str | None
    made_at: datetime | None
    lead_time_s: float | None
    is_skipped: bool
    source: str
    at: datetime


class Revisions(ProjectStore):
    """The log of one project."""

    table = REVISIONS

    def __init__(self, database: Database, host: str, project: int) -> None:
        super().__init__(database, host, project)
        self._objects = Objects(database)

    def add(self, sightings: Sequence[Sighting], source: str, at: datetime) -> int:
        """Notes what was seen, all or nothing; returns how many revisions are new.

        What the log knows already is not written again: an annotation in the same state with the
        same stamp, whoever tells of it, and a task or project in the state it was last seen in.
        """
        with self._database.writing() as connection:
            # else two writers of the same states in other orders would wait for each other
            self._database.lock(connection, f"revisions of {self._host} {self._project}")
            bodies = {id(one): canonical(one.state) for one in sightings if one.state is not None}
            digests = {known: digest_of(body) for known, body in bodies.items()}
            self._objects.put(connection, {digests[known]: body for known, body in bodies.items()})
            added = 0
            for one in sightings:
                digest = digests.get(id(one))
                key = self._key(connection, one, digest)
                if key is None:
                    continue
                row = self._database.insert_new(
                    connection,
                    REVISIONS,
                    key=key,
                    **self._place,
                    subject=one.subject.value,
                    number=one.number,
                    task=one.task or self._task_of(connection, one),
                    change=one.change,
                    person=one.person,
                    stamp=one.stamp or at,
                    digest=digest,
                    regions=one.regions,
                    author=one.author,
                    made_at=one.made_at,
                    lead_time_s=one.lead_time_s,
                    is_skipped=one.is_skipped,
                    source=source,
                    at=at,
                )
                added += row is not None
            return added

    def newest(self) -> list[Revision]:
        """The last state of each task and annotation that is still there.

        An annotation's last state is the one with the latest stamp, for webhooks may come late.
        What is deleted stays so, and an annotation goes with its task.
        """
        with self._database.reading() as connection:
            return self.newest_within(connection)

    def newest_within(self, connection: Connection) -> list[Revision]:
        """`newest`, as part of a transaction."""
        is_deleted = case((REVISIONS.c.change == DELETED, 1), else_=0)
        place = func.row_number().over(
            partition_by=(REVISIONS.c.subject, REVISIONS.c.number),
            order_by=(is_deleted.desc(), REVISIONS.c.stamp.desc(), REVISIONS.c.id.desc()),
        )
        ranked = (
            select(REVISIONS, place.label("place"))
            .where(
                *self._own(),
                REVISIONS.c.subject.in_([Subject.ANNOTATION, Subject.TASK]),
            )
            .subquery()
        )
        rows = connection.execute(select(ranked).where(ranked.c.place == 1)).all()
        live = [_revision(row) for row in rows if row.change != DELETED]
        gone = {row.number for row in rows if row.subject == Subject.TASK and row.change == DELETED}
        return [one for one in live if one.subject is Subject.TASK or one.task not in gone]

    def history(
        self,
        task: int | None = None,
        annotation: int | None = None,
        limit: int | None = None,
    ) -> list[Revision]:
        """Revisions, newest first.

        Args:
            task: Only of this task and its annotations.
            annotation: Only of this annotation.
            limit: At most so many.
        """
        asked = select(REVISIONS).where(*self._own())
        if task is not None:
            asked = asked.where(REVISIONS.c.task == task)
        if annotation is not None:
            asked = asked.where(
                REVISIONS.c.subject == Subject.ANNOTATION, REVISIONS.c.number == annotation
            )
        with self._database.reading() as connection:
            rows = connection.execute(asked.order_by(REVISIONS.c.id.desc()).limit(limit)).all()
        return [_revision(row) for row in rows]

    def last_number(self) -> int:
        """Of the project's last revision; 0 without one."""
        asked = select(func.max(REVISIONS.c.id)).where(*self._own())
        with self._database.reading() as connection:
            return connection.execute(asked).scalar() or 0

    def skipped_digests(self) -> set[str]:
        """Of annotations by which their authors have passed tasks over."""
        asked = select(REVISIONS.c.digest).where(
            *self._own(), REVISIONS.c.is_skipped, REVISIONS.c.digest.is_not(None)
        )
        with self._database.reading() as connection:
            return set(connection.execute(asked).scalars())

    def revision(self, number: int) -> Revision:
        """One revision by its number.

        Raises:
            InvalidInputError: The project has none of this number.
        """
        asked = select(REVISIONS).where(*self._own(), REVISIONS.c.id == number)
        with self._database.reading() as connection:
            row = connection.execute(asked).first()
        if row is None:
            raise InvalidInputError(f"project {self._project} has no revision {number}")
        return _revision(row)

    def last_of(self, subject: Subject, number: int, change: str) -> Revision | None:
        """The latest revision of something with this change; None without one."""
        asked = select(REVISIONS).where(
            *self._own(),
            REVISIONS.c.subject == subject,
            REVISIONS.c.number == number,
            REVISIONS.c.change == change,
        )
        with self._database.reading() as connection:
            row = connection.execute(asked.order_by(REVISIONS.c.id.desc()).limit(1)).first()
        return None if row is None else _revision(row)

    def _task_of(self, connection: Connection, one: Sighting) -> int | None:
        """Of an annotation whose end names no task: as the log knows it."""
        if one.subject is not Subject.ANNOTATION:
            return None
        asked = select(REVISIONS.c.task).where(
            *self._own(),
            REVISIONS.c.subject == one.subject,
            REVISIONS.c.number == one.number,
            REVISIONS.c.task.is_not(None),
        )
        found: int | None = connection.execute(asked.limit(1)).scalar()
        return found

    def _key(self, connection: Connection, one: Sighting, digest: str | None) -> str | None:
        """Equal for one revision told twice; None for one that says nothing new."""
        about: list[object] = [self._host, self._project, one.subject.value, one.number]
        if one.event is not None:
            about.append(one.event)
        elif one.change == DELETED:
            about.append(DELETED)  # Label Studio gives no number twice
        elif one.subject is Subject.ANNOTATION:
            about += [None if one.stamp is None else one.stamp.isoformat(), digest]
        else:
            last = connection.execute(
                select(REVISIONS.c.id, REVISIONS.c.digest)
                .where(
                    *self._own(),
                    REVISIONS.c.subject == one.subject,
                    REVISIONS.c.number == one.number,
                    REVISIONS.c.change == one.change,
                )
                .order_by(REVISIONS.c.id.desc())
                .limit(1)
            ).first()
            if last is not None and last.digest == digest:
                return None
            about += [one.change, 0 if last is None else last.id, digest]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        id=row.id,
        subject=Subject(row.subject),
        number=row.number,
        task=row.task,
        change=row.change,
        person=row.person,
        stamp=row.stamp,
        digest=row.digest,
        regions=row.regions,
        author=row.author,
        made_at=row.made_at,
        lead_time_s=row.lead_time_s,
        is_skipped=row.is_skipped,
        source=row.source,
        at=row.at,
    )

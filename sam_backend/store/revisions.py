"""Every state that annotations, tasks and projects were seen in; rows are only ever added.

A webhook's event is a hint: anybody who reaches the backend can send one, and it may come late. So
what an event tells is kept, but counts only once Label Studio's API has told the same: then the
revision gets a verification that confirms it, else one that does not. What was deleted and lives
again is confirmed again.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, Select, case, func, select

from sam_backend.errors import InvalidInputError
from sam_backend.store.database import Database
from sam_backend.store.objects import Objects, canonical, digest_of
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import REVISIONS, VERIFICATIONS

SAVED, DELETED = "saved", "deleted"

WEBHOOK, READING, RESTORE = "webhook", "reading", "restore"
"""How the log learns of a state."""
_MANY = 500


class Subject(StrEnum):
    """What a revision is of."""

    ANNOTATION = "annotation"
    TASK = "task"
    PROJECT = "project"


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
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
        task: Number of its task; None for a project.
        change: `SAVED`, `DELETED` or an event's name.
        person: User id of who made it; None if unknown.
        stamp: When it was saved, by Label Studio's clock.
        digest: Digest of its state; None where there is none.
        regions: How many the state has.
        author: User id of whose annotation it is; None if it is none.
        made_at: When that was first submitted, by Label Studio's clock.
        lead_time_s: Seconds that its author spent on it; None: not told.
        is_skipped: Its author has passed the task over.
        source: How we learnt of it: webhook, reading or restore.
        at: When we did.
        is_confirmed: Label Studio's API has told it, too; false: only an event has, so far.
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
    is_confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the log ends.

    Attributes:
        revision: Number of the last revision; 0 without one.
        verification: Verification of the last verification.
    """

    revision: int
    verification: int


class Revisions(ProjectStore):
    """The log of one project."""

    table = REVISIONS

    def __init__(self, database: Database, host: str, project: int) -> None:
        super().__init__(database, host, project)
        self._objects = Objects(database)

    def add(
        self,
        observations: Sequence[Observation],
        source: str,
        at: datetime,
        asked: Mark | None = None,
    ) -> int:
        """Note what was seen, all or nothing; returns how many revisions are new.

        What the log knows already is not written again: an annotation in the same state with the
        same stamp, whoever tells of it, and a task or project in the state it was last seen in.

        Args:
            observations: What was seen.
            source: `WEBHOOK`: an event has told it, and it does not count yet. All else is
                confirmed by being told.
            at: When.
            asked: The log's end (`mark`) before Label Studio was asked: an answer from before
                something was deleted brings it back no more.
        """
        is_confirmed = source != WEBHOOK
        with self._database.writing() as connection:
            # else two writers of the same states in other orders would wait for each other
            self._database.lock(connection, f"revisions of {self._host} {self._project}")
            bodies = {
                id(one): canonical(one.state) for one in observations if one.state is not None
            }
            digests = {known: digest_of(body) for known, body in bodies.items()}
            self._objects.put(connection, {digests[known]: body for known, body in bodies.items()})
            added = 0
            for one in observations:
                digest = digests.get(id(one))
                number = self._put(connection, one, digest, source, at)
                added += number is not None
                if is_confirmed and one.change in {SAVED, DELETED}:
                    if number is None:
                        number, is_new = self._known(connection, one, digest, source, at)
                        added += is_new
                    self._confirm(connection, one, number, at, asked)
            return added

    def mark(self) -> Mark:
        """The log's end now; take it before Label Studio is asked."""
        with self._database.reading() as connection:
            return Mark(
                connection.execute(select(func.max(REVISIONS.c.id))).scalar() or 0,
                connection.execute(select(func.max(VERIFICATIONS.c.id))).scalar() or 0,
            )

    def pending(self, until: Mark, since: int = 0) -> dict[int, set[Subject]]:
        """Tasks of which events have told something that is not verified, and of what subjects.

        Args:
            until: Only what had been told then.
            since: Number of a revision up to which all is verified, so that it need not be looked
                through again.
        """
        found: dict[int, set[Subject]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(self._unverified(until).where(REVISIONS.c.id > since)):
                found.setdefault(row.task, set()).add(Subject(row.subject))
        return found

    def refute(self, tasks: Collection[int], until: Mark, at: datetime) -> None:
        """Say of what events told that the API, which was asked since, did not.

        Args:
            tasks: Tasks of these, all that is not confirmed by now.
            until: The log's end before the API was asked.
            at: When it was.
        """
        wanted = sorted(tasks)
        with self._database.writing() as connection:
            for start in range(0, len(wanted), _MANY):
                some = wanted[start : start + _MANY]
                asked = self._unverified(until).where(REVISIONS.c.task.in_(some))
                rows = [
                    {"revision": row.id, "is_confirmed": False, "at": at}
                    for row in connection.execute(asked)
                ]
                if rows:
                    connection.execute(VERIFICATIONS.insert(), rows)

    def newest(self, tasks: Collection[int] | None = None) -> list[Revision]:
        """The last confirmed state of each task and annotation that is still there.

        An annotation's last state is the one with the latest stamp, for answers may come late. An
        annotation goes with its task.

        Args:
            tasks: Only of these and their annotations, at most some hundred.
        """
        with self._database.reading() as connection:
            return self.newest_within(connection, tasks)

    def newest_within(
        self, connection: Connection, tasks: Collection[int] | None = None
    ) -> list[Revision]:
        """`newest`, as part of a transaction."""
        last = _last_confirmed()
        which = [*self._own(), REVISIONS.c.subject.in_([Subject.ANNOTATION, Subject.TASK])]
        if tasks is not None:
            # By their numbers: else SQLite goes through the whole log, in the order of the ranking.
            # What has a task is an annotation or a task.
            of_tasks = select(REVISIONS.c.id).where(
                *self._own(), REVISIONS.c.task.in_(sorted(tasks))
            )
            which = [REVISIONS.c.id.in_(of_tasks)]
        asked = select(REVISIONS, last.label("confirmed")).where(*which)
        known = asked.subquery()
        # what was confirmed after it was last found gone
        one = [known.c.subject, known.c.number]
        deleted = case((known.c.change == DELETED, known.c.confirmed), else_=0)
        ended = func.max(deleted).over(partition_by=one).label("ended")
        confirmed = select(known, ended).where(known.c.confirmed.is_not(None)).subquery()
        is_gone = case((confirmed.c.confirmed > confirmed.c.ended, 0), else_=1)
        place = func.row_number().over(
            partition_by=[confirmed.c.subject, confirmed.c.number],
            order_by=(is_gone, confirmed.c.stamp.desc(), confirmed.c.id.desc()),
        )
        ranked = select(confirmed, is_gone.label("is_gone"), place.label("place")).subquery()
        rows = connection.execute(select(ranked).where(ranked.c.place == 1)).all()
        live = [_revision(row, True) for row in rows if not row.is_gone]
        gone = {row.number for row in rows if row.subject == Subject.TASK and row.is_gone}
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
        is_told = REVISIONS.c.source == WEBHOOK
        is_confirmed = ~is_told | _last_confirmed().is_not(None)
        asked = select(REVISIONS, is_confirmed.label("is_confirmed")).where(*self._own())
        if task is not None:
            asked = asked.where(REVISIONS.c.task == task)
        if annotation is not None:
            asked = asked.where(
                REVISIONS.c.subject == Subject.ANNOTATION, REVISIONS.c.number == annotation
            )
        with self._database.reading() as connection:
            rows = connection.execute(asked.order_by(REVISIONS.c.id.desc()).limit(limit)).all()
        return [_revision(row, bool(row.is_confirmed)) for row in rows]

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

    def _put(
        self,
        connection: Connection,
        one: Observation,
        digest: str | None,
        source: str,
        at: datetime,
    ) -> int | None:
        """Insert a revision; None: the log knows it."""
        key = self._key(connection, one, digest)
        if key is None:
            return None
        return self._insert(connection, one, key, digest, source, at)

    def _insert(
        self,
        connection: Connection,
        one: Observation,
        key: str,
        digest: str | None,
        source: str,
        at: datetime,
    ) -> int | None:
        row = self._database.insert_new(
            connection,
            REVISIONS,
            key=key,
            **self._place,
            subject=one.subject.value,
            number=one.number,
            task=self._task_of(connection, one) if one.task is None else one.task,
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
        return None if row is None else int(row.id)

    def _known(
        self,
        connection: Connection,
        one: Observation,
        digest: str | None,
        source: str,
        at: datetime,
    ) -> tuple[int, bool]:
        """Number of the revision that the log has of a state, and whether it was made just now.

        It is made where an event has told the state in somebody else's name, or of another task:
        whose edit it is says the API.
        """
        asked = select(REVISIONS.c.id, REVISIONS.c.person, REVISIONS.c.task).where(
            *self._own(),
            REVISIONS.c.subject == one.subject,
            REVISIONS.c.number == one.number,
            REVISIONS.c.change == one.change,
            REVISIONS.c.digest.is_(None) if digest is None else REVISIONS.c.digest == digest,
        )
        if one.subject is Subject.ANNOTATION and one.change == SAVED and one.stamp is not None:
            asked = asked.where(REVISIONS.c.stamp == one.stamp)
        rows = connection.execute(asked.order_by(REVISIONS.c.id.desc())).all()
        for row in rows:
            if one.change == DELETED or (row.person, row.task) == (one.person, one.task):
                return int(row.id), False
        told = [self._host, self._project, one.subject.value, one.number, "as the API tells it"]
        key = _hash([*told, str(one.stamp), digest, one.person, one.task])
        number = self._insert(connection, one, key, digest, source, at)
        return (int(rows[0].id), False) if number is None else (number, True)

    def _confirm(
        self,
        connection: Connection,
        one: Observation,
        number: int,
        at: datetime,
        asked: Mark | None,
    ) -> None:
        """Note that the API tells a state, unless that is the last thing known."""
        ended, saved = self._last_ends(connection, one)
        if one.change == DELETED:
            is_known = ended > saved
        else:
            is_late = asked is not None and ended > asked.verification
            asked_for = select(_last_confirmed()).where(REVISIONS.c.id == number)
            is_known = is_late or (connection.execute(asked_for).scalar() or 0) > ended
        if not is_known:
            row = {"revision": number, "is_confirmed": True, "at": at}
            connection.execute(VERIFICATIONS.insert().values(row))

    def _last_ends(self, connection: Connection, one: Observation) -> tuple[int, int]:
        """Numbers of the verifications that last said that a thing is gone, and that it is there.

        0: none has.
        """
        last = _last_confirmed()
        is_end = REVISIONS.c.change == DELETED
        row = connection.execute(
            select(
                func.max(case((is_end, last), else_=0)), func.max(case((is_end, 0), else_=last))
            ).where(
                *self._own(),
                REVISIONS.c.subject == one.subject,
                REVISIONS.c.number == one.number,
                REVISIONS.c.change.in_([SAVED, DELETED]),
            )
        ).one()
        return row[0] or 0, row[1] or 0

    def _end_that_was_none(self, connection: Connection, one: Observation) -> int | None:
        """Number of a thing's last end in the log, if it was seen alive since; else None."""
        ended, saved = self._last_ends(connection, one)
        if ended > saved:
            return None
        last = connection.execute(
            select(func.max(REVISIONS.c.id)).where(
                *self._own(),
                REVISIONS.c.subject == one.subject,
                REVISIONS.c.number == one.number,
                REVISIONS.c.change == DELETED,
            )
        ).scalar()
        verified = select(VERIFICATIONS.c.id).where(VERIFICATIONS.c.revision == last).limit(1)
        is_verified = last is not None and connection.execute(verified).first() is not None
        return last if saved and is_verified else None

    def _unverified(self, until: Mark) -> Select[tuple[int, int, str]]:
        """Number, task and subject of what events have told and nobody has verified."""
        return select(REVISIONS.c.id, REVISIONS.c.task, REVISIONS.c.subject).where(
            *self._own(),
            REVISIONS.c.source == WEBHOOK,
            REVISIONS.c.id <= until.revision,
            REVISIONS.c.task.is_not(None),
            ~select(VERIFICATIONS.c.id).where(VERIFICATIONS.c.revision == REVISIONS.c.id).exists(),
        )

    def _task_of(self, connection: Connection, one: Observation) -> int | None:
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

    def _key(self, connection: Connection, one: Observation, digest: str | None) -> str | None:
        """Equal for one revision told twice; None for one that says nothing new."""
        about: list[object] = [self._host, self._project, one.subject.value, one.number]
        if one.event is not None:
            about.append(one.event)
        elif one.change == DELETED:
            about.append(DELETED)  # Label Studio gives no number twice
            again = self._end_that_was_none(connection, one)
            about += [] if again is None else [again]
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
        return _hash(about)


def _last_confirmed() -> ScalarSelect[int]:
    """Number of the last verification that confirms the revision of a query; None without."""
    return (
        select(func.max(VERIFICATIONS.c.id))
        .where(VERIFICATIONS.c.revision == REVISIONS.c.id, VERIFICATIONS.c.is_confirmed)
        .scalar_subquery()
    )


def _hash(about: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _revision(row: Row[Any], is_confirmed: bool = True) -> Revision:
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
        is_confirmed=is_confirmed,
    )

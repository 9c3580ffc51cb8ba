"""Who holds which task until when. A task has a place for each annotation that it wants."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, Row, func, select, update

from sam_backend.store.database import Database
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import LEASES, VIOLATIONS

_AT_ONCE = 500


class Outcome(StrEnum):
    """How a lease ended."""

    DONE = "done"
    """The person has labelled the task, or passed it over."""
    RETURNED = "returned"
    """The person was not there: the task goes to somebody else."""
    MOVED = "moved"
    """Somebody else has time for it sooner."""
    SUPERSEDED = "superseded"
    """The task has all its annotations from others, or is gone."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One task in one person's queue.

    Attributes:
        id: Its number.
        task: Number of the task.
        place: Which of the task's annotations it is to become, from 0.
        person: User id.
        is_gold: The task tests the person.
        priority: 0 to 1, the most urgent is 1.
        reason: Why the task is worth labelling now.
        given_at: Since when.
        until: It is returned then, if the person is not there.
        ended_at: None while it is held.
        outcome: Likewise.
    """

    id: int
    task: int
    place: int
    person: str
    is_gold: bool
    priority: float
    reason: str
    given_at: datetime
    until: datetime
    ended_at: datetime | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Violation:
    """An annotation by somebody who had no lease on its task.

    Attributes:
        annotation: Its number.
        task: Number of its task.
        person: User id of its author.
        kind: `outside`, or `late` for one whose lease had ended otherwise than done.
        made_at: When it was submitted.
        seen_at: When we noticed.
    """

    annotation: int
    task: int
    person: str
    kind: str
    made_at: datetime
    seen_at: datetime


class Leases(ProjectStore):
    """The leases of one project."""

    table = LEASES

    @contextmanager
    def deciding(self) -> Iterator["LeaseBook"]:
        """The one who decides, until the block ends; all that is decided is kept, or nothing.

        Raises:
            DatabaseError: The database cannot be reached or written.
        """
        with self._database.writing() as connection:
            self._database.lock(connection, f"leases of {self._host} {self._project}")
            yield LeaseBook(self._database, connection, self._host, self._project)

    def held(self) -> list[Lease]:
        """Those that have not ended, in the order they were given."""
        with self._database.reading() as connection:
            return LeaseBook(self._database, connection, self._host, self._project).held()

    def history(self, task: int | None = None) -> list[Lease]:
        """All leases, or all of a task, in the order they were given."""
        asked = select(LEASES).where(*self._own())
        if task is not None:
            asked = asked.where(LEASES.c.task == task)
        with self._database.reading() as connection:
            return [_lease(row) for row in connection.execute(asked.order_by(LEASES.c.id))]

    def violations(self) -> list[Violation]:
        """What was labelled without a lease, the newest first."""
        columns = [column for column in VIOLATIONS.c if column.name not in {"host", "project"}]
        asked = select(*columns).where(*self._own(VIOLATIONS))
        with self._database.reading() as connection:
            rows = connection.execute(asked.order_by(VIOLATIONS.c.made_at.desc())).all()
        return [Violation(**row._mapping) for row in rows]


class LeaseBook(ProjectStore):
    """Leases within one transaction, see `Leases.deciding`.

    Attributes:
        connection: Connection of the transaction.
    """

    table = LEASES

    def __init__(self, database: Database, connection: Connection, host: str, project: int) -> None:
        super().__init__(database, host, project)
        self.connection = connection

    def held(self) -> list[Lease]:
        """Those that have not ended, in the order they were given."""
        asked = select(LEASES).where(*self._own(), LEASES.c.ended_at.is_(None))
        return [_lease(row) for row in self.connection.execute(asked.order_by(LEASES.c.id))]

    def ended_of(self, tasks: Collection[int]) -> list[Lease]:
        """Those on these tasks that have ended, in the order they were given."""
        wanted, found = sorted(tasks), list[Lease]()
        for start in range(0, len(wanted), _AT_ONCE):
            asked = select(LEASES).where(
                *self._own(),
                LEASES.c.task.in_(wanted[start : start + _AT_ONCE]),
                LEASES.c.ended_at.is_not(None),
            )
            found += [_lease(row) for row in self.connection.execute(asked.order_by(LEASES.c.id))]
        return found

    def began_at(self) -> datetime | None:
        """When the first lease of the project was given; None before."""
        asked = select(LEASES.c.given_at).where(*self._own()).order_by(LEASES.c.id).limit(1)
        found: datetime | None = self.connection.execute(asked).scalar()
        return found

    def counts(self) -> dict[str, tuple[int, int]]:
        """Tasks that each person holds or has done, and how many of them are gold, by person."""
        asked = (
            select(LEASES.c.person, LEASES.c.is_gold, func.count())
            .where(*self._own(), LEASES.c.outcome.is_(None) | (LEASES.c.outcome == Outcome.DONE))
            .group_by(LEASES.c.person, LEASES.c.is_gold)
        )
        found: dict[str, tuple[int, int]] = {}
        for person, is_gold, count in self.connection.execute(asked):
            tasks, gold = found.get(person, (0, 0))
            found[person] = (tasks + count, gold + count * is_gold)
        return found

    def returned_at(self) -> dict[str, datetime]:
        """When tasks were last taken back from each person, by person."""
        return self._latest(LEASES.c.ended_at, LEASES.c.outcome == Outcome.RETURNED)

    def last_given_at(self) -> dict[str, datetime]:
        """When each person last got a task, by person."""
        return self._latest(LEASES.c.given_at)

    def give(
        self,
        task: int,
        place: int,
        person: str,
        is_gold: bool,
        priority: float,
        reason: str,
        at: datetime,
        until: datetime,
    ) -> Lease:
        """A new lease.

        Raises:
            sqlalchemy.exc.IntegrityError: The place, or the person, has one on this task.
        """
        statement = LEASES.insert().returning(LEASES)
        row = self.connection.execute(
            statement,
            {
                **self._place,
                "task": task,
                "place": place,
                "person": person,
                "is_gold": is_gold,
                "priority": priority,
                "reason": reason,
                "given_at": at,
                "until": until,
            },
        ).one()
        return _lease(row)

    def end(self, leases: Sequence[Lease], outcome: Outcome, at: datetime) -> None:
        """Ends leases that are held."""
        self._update([one.id for one in leases], ended_at=at, outcome=outcome.value)

    def renew(self, leases: Sequence[Lease], until: datetime) -> None:
        """Lets people hold leases for longer."""
        self._update([one.id for one in leases], until=until)

    def rank(self, lease: Lease, priority: float, reason: str) -> None:
        """Gives a lease that is held another place in its queue."""
        self._update([lease.id], priority=priority, reason=reason)

    def known_violations(self) -> set[int]:
        """Annotations that are written down already."""
        asked = select(VIOLATIONS.c.annotation).where(*self._own(VIOLATIONS))
        return set(self.connection.execute(asked).scalars())

    def add_violation(self, violation: Violation) -> None:
        """Writes one down, once."""
        self._database.insert_new(
            self.connection,
            VIOLATIONS,
            **self._place,
            **asdict(violation),
        )

    def _latest(self, column: Column[datetime], *only: Any) -> dict[str, datetime]:
        asked = select(LEASES.c.person, func.max(column)).where(*self._own(), *only)
        rows = self.connection.execute(asked.group_by(LEASES.c.person)).all()
        return {str(person): at for person, at in rows}

    def _update(self, ids: Sequence[int], **values: Any) -> None:
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            self.connection.execute(
                update(LEASES)
                .where(LEASES.c.id.in_(some), LEASES.c.ended_at.is_(None))
                .values(**values)
            )


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        id=row.id,
        task=row.task,
        place=row.place,
        person=row.person,
        is_gold=row.is_gold,
        priority=row.priority,
        reason=row.reason,
        given_at=row.given_at,
        until=row.until,
        ended_at=row.ended_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
    )

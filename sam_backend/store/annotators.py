"""The people of a project who have a queue, and what they can do."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update

from sam_backend.errors import InvalidInputError
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import ANNOTATORS

FOR_GOOD = datetime(9999, 1, 1, tzinfo=UTC)
"""Away until somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """One person with a queue.

    Attributes:
        person: User id.
        skills: Tasks that ask for others are not theirs.
        languages: Likewise.
        away_until: They get nothing before; None: they are here.
        joined_at: When they got a queue, or were said to be back.
        left_at: When it was taken away; None: they have one.
    """

    person: str
    skills: frozenset[str]
    languages: frozenset[str]
    away_until: datetime | None
    joined_at: datetime
    left_at: datetime | None


class Annotators(ProjectStore):
    """The people of one project."""

    table = ANNOTATORS

    def list(self) -> list[Annotator]:
        """Everybody who has, or had, a queue."""
        asked = select(ANNOTATORS).where(*self._own()).order_by(ANNOTATORS.c.person)
        with self._database.reading() as connection:
            return [
                Annotator(
                    row.person,
                    frozenset(row.skills),
                    frozenset(row.languages),
                    row.away_until,
                    row.joined_at,
                    row.left_at,
                )
                for row in connection.execute(asked)
            ]

    def join(
        self, person: str, skills: Collection[str], languages: Collection[str], at: datetime
    ) -> None:
        """Gives a person a queue; one who has one gets these skills and languages."""
        with self._database.writing() as connection:
            self._database.put(
                connection,
                ANNOTATORS,
                **self._place,
                person=person,
                skills=sorted(skills),
                languages=sorted(languages),
                away_until=None,
                joined_at=at,
                left_at=None,
            )

    def leave(self, person: str, at: datetime) -> None:
        """Takes the queue away at the next balancing.

        Raises:
            InvalidInputError: The person has none.
        """
        self._change(person, left_at=at)

    def away(self, person: str, until: datetime) -> None:
        """Says until when a person gets nothing.

        Raises:
            InvalidInputError: The person has no queue.
        """
        self._change(person, away_until=until)

    def back(self, person: str, at: datetime) -> None:
        """Says that a person is here again.

        Raises:
            InvalidInputError: The person has no queue.
        """
        self._change(person, away_until=None, joined_at=at)

    def _change(self, person: str, **values: Any) -> None:
        changed = (
            update(ANNOTATORS)
            .where(*self._own(), ANNOTATORS.c.person == person, ANNOTATORS.c.left_at.is_(None))
            .values(**values)
        )
        with self._database.writing() as connection:
            if not connection.execute(changed).rowcount:
                raise InvalidInputError(f"{person} has no queue in project {self._project}")

"""Which stage a project is in: every move is kept, and the last one counts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from sam_backend.errors import InvalidInputError
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.revisions import Observation, Revisions, Subject
from sam_backend.store.tables import STAGE_MOVES


@dataclass(frozen=True, slots=True)
class StageMove:
    """One move.

    Attributes:
        place: Place of it among the project's moves, from 1 on.
        stage: That the project is in from then on: "1", "2" or "3".
        by: Who or what decided.
        reason: Why, as a sentence.
        readings: What the gates read at that time, by figure, as JSON.
        at: When.
    """

    place: int
    stage: str
    by: str
    reason: str
    readings: Mapping[str, Any]
    at: datetime


class StageMoves(ProjectStore):
    """The moves of one project."""

    table = STAGE_MOVES

    def history(self) -> list[StageMove]:
        """All moves, oldest first; none: nobody has put the project into a stage."""
        own = [column for column in STAGE_MOVES.c if column.name in StageMove.__slots__]
        asked = select(*own).where(*self._own()).order_by(STAGE_MOVES.c.place)
        with self._database.reading() as connection:
            return [StageMove(**row._mapping) for row in connection.execute(asked)]

    def current(self) -> StageMove | None:
        """The last move; None without one."""
        moves = self.history()
        return moves[-1] if moves else None

    def add(self, move: StageMove) -> None:
        """Keep a move.

        Raises:
            InvalidInputError: Somebody else has moved the project meanwhile.
        """
        with self._database.writing() as connection:
            row = self._database.insert_new(connection, STAGE_MOVES, **self._place, **asdict(move))
        if row is None:
            raise InvalidInputError(
                f"project {self._project} was moved by somebody else meanwhile: look again"
            )
        self._note()

    def _note(self) -> None:
        """Every move as a revision in the log, also those whose process was killed before."""
        moves = self.history()
        told = [
            Observation(
                Subject.PROJECT,
                self._project,
                f"STAGE {move.stage}",
                {"by": move.by, "reason": move.reason, "readings": dict(move.readings)},
                stamp=move.at,
                event=f"stage move {move.place}",
            )
            for move in moves
        ]
        Revisions(self._database, self._host, self._project).add(told, "stage", moves[-1].at)

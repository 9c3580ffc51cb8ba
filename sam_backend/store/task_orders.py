"""How urgent each task of a project is, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import TASK_ORDERS

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """One task's place in the order.

    Attributes:
        task: Its number.
        priority: 0 to 1, the most urgent is 1.
        reason: Why, for people.
        scores: What the priority is made of, 0 to 1 each, by name.
        at: When it was found.
    """

    task: int
    priority: float
    reason: str
    scores: Mapping[str, float]
    at: datetime


class TaskOrders(ProjectStore):
    """The order of one project's tasks."""

    table = TASK_ORDERS

    def replace(self, orders: Sequence[TaskOrder]) -> None:
        """A new order of the project, instead of what was known."""
        rows = [
            {
                **self._place,
                "task": one.task,
                "priority": one.priority,
                "reason": one.reason,
                "scores": dict(one.scores),
                "at": one.at,
            }
            for one in orders
        ]
        with self._database.writing() as connection:
            self._database.lock(connection, f"order of {self._host} {self._project}")
            connection.execute(delete(TASK_ORDERS).where(*self._own()))
            for start in range(0, len(rows), _AT_ONCE):
                connection.execute(TASK_ORDERS.insert(), rows[start : start + _AT_ONCE])

    def all(self) -> dict[int, TaskOrder]:
        """By task."""
        asked = select(TASK_ORDERS).where(*self._own())
        with self._database.reading() as connection:
            return {
                row.task: TaskOrder(row.task, row.priority, row.reason, row.scores, row.at)
                for row in connection.execute(asked)
            }

"""Tasks that wait for somebody, among those that ask for the same."""

from collections.abc import Container, Iterator

from sam_backend.dispatch.types import FreeTask, Needs


class Pool:
    """Free tasks that ask for the same, most urgent first; and oldest first."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._urgent: list[FreeTask] = []
        self._old: list[FreeTask] = []
        self._left: dict[int, int] = {}  # places by task

    def add(self, task: FreeTask) -> None:
        """In the order of urgency."""
        self._urgent.append(task)
        self._left[task.number] = task.places

    def sort(self) -> None:
        """After the last one was added."""
        self._old = sorted(self._urgent, key=lambda task: task.number)

    def first_for(
        self, person: str, taken: Container[tuple[int, str]], is_oldest: bool = False
    ) -> FreeTask | None:
        """The most urgent task, or the oldest one, that this person is not at yet."""
        tasks = self._old if is_oldest else self._urgent
        while tasks and tasks[0].number not in self._left:
            tasks.pop(0)
        for task in tasks:
            if (
                task.number in self._left
                and person not in task.not_for
                and (task.number, person) not in taken
            ):
                return task
        return None

    def take(self, task: FreeTask) -> None:
        """One place less."""
        self._left[task.number] -= 1
        if not self._left[task.number]:
            del self._left[task.number]

    def left(self) -> Iterator[tuple[FreeTask, int]]:
        """Tasks with the places that nobody has taken."""
        return ((task, self._left[task.number]) for task in self._old if task.number in self._left)

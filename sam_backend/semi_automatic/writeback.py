"""Writes the figures of prefilled tasks into their data, beside their predictions."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.predictions import show_version, write_task_data
from sam_backend.labelstudio.api.project_tasks import tasks_numbered
from sam_backend.semi_automatic.task_prefill import Prefilled

log = logging.getLogger(__name__)

_CALL_S = 60.0
_PATIENCE_S = 5.0
_MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True, eq=False)
class TaskUpdate:
    """What a prefilled task is to have in Label Studio.

    Attributes:
        host: Its Label Studio.
        project_id: Its project.
        task_id: Its number.
        fields: For its data.
        model_version: Version of the model that made its prediction; None: it got none.
    """

    host: LabelStudioHost
    project_id: int
    task_id: int
    fields: Mapping[str, object]
    model_version: str | None

    @classmethod
    def of(
        cls,
        host: LabelStudioHost,
        project_id: int,
        task_id: int,
        prefilled: Prefilled,
        model_version: str,
    ) -> "TaskUpdate":
        """The update of a prefilled task."""
        version = None if prefilled.asks_again else model_version
        return cls(host, project_id, task_id, prefilled.fields, version)


class TaskWriter:
    """Writes the figures of tasks that Label Studio asked for, after the answer. Close it.

    The figures go into the tasks' data, and the project shows the predictions of this model
    version: only then do scores sort, filter and drive uncertainty sampling.

    Args:
        report: Told the subject and the reason of what goes wrong.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._waiting: queue.SimpleQueue[TaskUpdate | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="task-writer", daemon=True)
        self._thread.start()

    def put(self, update: TaskUpdate) -> None:
        """Write it soon; returns at once."""
        self._waiting.put(update)

    def close(self) -> None:
        """End the thread after the call that runs; figures that wait come with the next asking."""
        self._waiting.put(None)
        self._thread.join(_PATIENCE_S)  # a call to a slow Label Studio goes with the process

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            together = [first]
            is_last = False
            while len(together) < _MOST_AT_ONCE and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    is_last = True
                    break
                together.append(following)
            self._write_all(together)
            if is_last:
                return

    def _write_all(self, together: Sequence[TaskUpdate]) -> None:
        places: dict[tuple[LabelStudioHost, int], list[TaskUpdate]] = {}
        for update in together:
            places.setdefault((update.host, update.project_id), []).append(update)
        for (host, project_id), tasks in places.items():
            try:
                with LabelStudioClient(host, _CALL_S) as client:
                    write_tasks(client, project_id, tasks)
            except SamBackendError as error:
                self._report(f"project {project_id}: figures of prefilled tasks", str(error))
            except Exception:  # the thread must outlive what a project holds
                log.exception("project %d: tasks cannot be written", project_id)


def write_tasks(client: LabelStudioClient, project_id: int, tasks: Sequence[TaskUpdate]) -> None:
    """Write the figures of tasks into their data, and show their predictions.

    Raises:
        LabelStudioError: A call fails.
    """
    versions = [update.model_version for update in tasks if update.model_version is not None]
    if versions:
        show_version(client, project_id, versions[-1])
    by_number = {update.task_id: update for update in tasks}
    for task in tasks_numbered(client, project_id, list(by_number)):
        data: Any = task.get("data")
        if isinstance(data, Mapping):
            write_task_data(client, task["id"], data, by_number[task["id"]].fields)

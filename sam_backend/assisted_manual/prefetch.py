"""A task is opened: its image is encoded ahead of the first click, and the next tasks' too."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sam_backend.assisted_manual.task_embeddings import TaskEmbeddings
from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.projects.tasks import task_data, task_id
from sam_backend.sam.device import Priority
from sam_backend.serving.served_models import ServedModels
from sam_backend.serving.timing import StageClock

log = logging.getLogger(__name__)

# Downloads run side by side, the device takes one image at a time.
_WORKERS = 2
_MAX_WAITING = 100


class Prefetch:
    """Warms embeddings in the background. Failures are logged only: the click will say them again.

    Args:
        models: Whose embeddings are warmed.
        embeddings: Where to warm them.
        n_ahead: How many tasks after the opened one to warm as well.
    """

    def __init__(self, models: ServedModels, embeddings: TaskEmbeddings, n_ahead: int) -> None:
        self._models = models
        self._embeddings = embeddings
        self._n_ahead = n_ahead
        self._opened = _BoundedPool("opened")
        self._ahead = _BoundedPool("ahead")

    def warm(
        self, task: Mapping[str, Any], config: LabelConfig, host: LabelStudioHost, name: str
    ) -> None:
        """Encode this task's images soon, then those of the next tasks; returns at once.

        Args:
            task: The task that was opened.
            config: Label config of the project.
            host: The project's Label Studio.
            name: The project, as /predict names it: its model encodes.

        Raises:
            InvalidInputError: The task names no image.
        """
        number, addresses = task_id(task), _addresses(task, config)
        self._opened.submit(lambda: self._warm(number, addresses, host, name, Priority.OPEN))
        project = task.get("project")
        if self._n_ahead and number is not None and isinstance(project, int):
            self._ahead.submit(lambda: self._warm_next(project, number, config, host, name))

    def close(self) -> None:
        """Drop what has not begun."""
        self._opened.close()
        self._ahead.close()

    def _warm(
        self,
        number: int | None,
        addresses: list[str],
        host: LabelStudioHost,
        name: str,
        priority: Priority,
    ) -> None:
        try:
            for address in addresses:
                with self._models.lease(name) as model:
                    self._embeddings.embed(model, address, host, number, priority, StageClock())
        except SamBackendError as error:
            log.warning("task %s is not warmed: %s", number, error)

    def _warm_next(
        self, project: int, number: int, config: LabelConfig, host: LabelStudioHost, name: str
    ) -> None:
        try:
            with LabelStudioClient(host) as client:
                following = client.tasks_after(project, number, self._n_ahead)
        except SamBackendError as error:
            log.warning("the tasks after %d are not warmed: %s", number, error)
            return
        for task in following:
            try:
                addresses = _addresses(task, config)
            except InvalidInputError as error:
                log.warning("task %s is not warmed: %s", task_id(task), error)
            else:
                self._warm(task_id(task), addresses, host, name, Priority.BACKGROUND)


def _addresses(task: Mapping[str, Any], config: LabelConfig) -> list[str]:
    return [image.address(task_data(task)) for image in config.images]


class _BoundedPool:
    """Threads for work that nobody waits for; what comes when too much waits is dropped."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix=name)
        self._free = threading.Semaphore(_MAX_WAITING)

    def submit(self, work: Callable[[], None]) -> None:
        if self._free.acquire(blocking=False):
            self._pool.submit(self._run, work)
        else:
            log.debug("too much waits to be warmed")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # the pool would swallow it
            log.exception("warming failed")
        finally:
            self._free.release()

"""A task is opened: its image is encoded ahead of the first click, and the next tasks' too."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sam_backend.engine.task_embeddings import TaskEmbeddings
from sam_backend.engine.timing import StageClock
from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.sam.device import Priority

log = logging.getLogger(__name__)

# Downloads run side by side, the device takes one image at a time.
_WORKERS = 2


class Opening:
    """Warms embeddings in the background. Failures are logged only: the click will say them again.

    Args:
        embeddings: Where to warm them.
        n_ahead: How many tasks after the opened one to warm as well.
    """

    def __init__(self, embeddings: TaskEmbeddings, n_ahead: int) -> None:
        self._embeddings = embeddings
        self._n_ahead = n_ahead
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="opening")

    def warm(self, task: Mapping[str, Any], config: LabelConfig, host: LabelStudioHost) -> None:
        """Encode this task's images soon, then those of the next tasks; returns at once."""
        self._pool.submit(self._warm_one, task, config, host, Priority.OPEN)
        if self._n_ahead:
            self._pool.submit(self._warm_next, task, config, host)

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _warm_one(
        self,
        task: Mapping[str, Any],
        config: LabelConfig,
        host: LabelStudioHost,
        priority: Priority,
    ) -> None:
        try:
            for image in config.images:
                address = image.address(task.get("data") or {})
                self._embeddings.embed(address, host, task.get("id"), priority, StageClock())
        except SamBackendError as error:
            log.warning("task %s is not warmed: %s", task.get("id"), error)
        except Exception:  # the pool would swallow it
            log.exception("task %s is not warmed", task.get("id"))

    def _warm_next(
        self, task: Mapping[str, Any], config: LabelConfig, host: LabelStudioHost
    ) -> None:
        try:
            with LabelStudioClient(host) as client:
                following = client.tasks_after(int(task["project"]), int(task["id"]), self._n_ahead)
        except (SamBackendError, KeyError, TypeError, ValueError) as error:
            log.warning("tasks after %s are not warmed: %s", task.get("id"), error)
            return
        for one in following:
            self._warm_one(one, config, host, Priority.BACKGROUND)

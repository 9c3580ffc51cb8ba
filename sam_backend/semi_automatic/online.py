"""Door (a): Label Studio asks for predictions of one task or of hundreds, and waits 100 s."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.projects.tasks import task_id
from sam_backend.semi_automatic.factory import PrefillChoice
from sam_backend.semi_automatic.task_prefill import Prefilled, PrefillTask, TaskPrefiller
from sam_backend.semi_automatic.task_reading import results
from sam_backend.serving.served_models import ServedModels
from sam_backend.serving.timing import StageClock

log = logging.getLogger(__name__)

# While one task is on the device, others are fetched, opened and written.
_AT_ONCE = 3


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Tasks that predictions are asked for.

    Attributes:
        host: The Label Studio that asks.
        project: Its project, as /predict names it.
        project_id: The project's number.
        tasks: As sent: id, data, annotations, drafts, predictions.
        config: Label config of the project.
        params: What the project says about prefilling.
    """

    host: LabelStudioHost
    project: str
    project_id: int
    tasks: Sequence[Mapping[str, Any]]
    config: LabelConfig
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class AskedAnswer:
    """What can be said now.

    Attributes:
        model_version: Version of the model that makes all predictions.
        prefilled: One for each task, in order; None: not ready, or nothing can be said now.
        reasons: Why a task has nothing, by its place; tasks that are only not ready have none.
    """

    model_version: str
    prefilled: tuple[Prefilled | None, ...]
    reasons: Mapping[int, str]

    @property
    def n_waiting(self) -> int:
        """Tasks that are not ready."""
        return sum(one is None for one in self.prefilled) - len(self.reasons)


Done = Callable[[Asked, Mapping[str, Any], Prefilled, str, str], None]
"""Told each finished task: who asked, the task, its prediction, model version and fingerprint."""


class AskedPredictions:
    """Answers within a time budget; what is not ready goes on and is there the next time.

    Tasks that are being worked on are not begun again when they are asked for again. Safe under
    threads; close it.

    Args:
        models: Whose masks they are.
        choice: What prefills a project's tasks, with the database that there is now.
        done: Told of each task, on a thread of ours.
    """

    def __init__(
        self, models: ServedModels, choice: Callable[[], PrefillChoice], done: Done
    ) -> None:
        self._models = models
        self._choice = choice
        self._done = done
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prefill")
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str, int, str], Future[Prefilled]] = {}

    def answer(self, asked: Asked, budget_s: float) -> AskedAnswer:
        """What is ready within so many seconds.

        Raises:
            SamBackendError: No task of the project can be prefilled; the message says why.
        """
        until_s = time.monotonic() + budget_s
        with self._models.lease(asked.project) as model:
            version = model.model_version
            prefiller = self._choice().task_prefiller(
                model.checkpoint, asked.params, asked.project_id, asked.config, asked.host
            )
        futures = [self._begin(asked, task, prefiller, version) for task in asked.tasks]
        waiting = set(futures)
        while waiting and (left_s := until_s - time.monotonic()) > 0:
            _, waiting = wait(waiting, left_s, FIRST_COMPLETED)
        prefilled: list[Prefilled | None] = []
        reasons: dict[int, str] = {}
        for place, future in enumerate(futures):
            found, reason = _outcome(future)
            prefilled.append(found)
            if reason is not None:
                reasons[place] = reason
        return AskedAnswer(version, tuple(prefilled), reasons)

    @property
    def n_running(self) -> int:
        """Tasks that are worked on, or wait for it."""
        with self._lock:
            return len(self._running)

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(
        self, asked: Asked, task: Mapping[str, Any], prefiller: TaskPrefiller, version: str
    ) -> "Future[Prefilled]":
        number = task_id(task)
        key = (str(asked.host.origin), asked.project, number or 0, version)
        job = PrefillTask(
            host=asked.host,
            task={"id": number, "data": task.get("data")},
            submitted=results(task.get("annotations")),
            drafts=results(task.get("drafts")),
            predicted=results(task.get("predictions")),
        )
        with self._lock:
            known = self._running.get(key) if number is not None else None
            if known is not None:
                return known
            future = self._pool.submit(self._prefill, asked.project, prefiller, job, version)
            if number is not None:
                self._running[key] = future
        future.add_done_callback(lambda done: self._ended(key, asked, job, prefiller, done))
        return future

    def _prefill(
        self, project: str, prefiller: TaskPrefiller, job: PrefillTask, version: str
    ) -> Prefilled:
        with self._models.lease(project, gives_way=True) as model:
            if model.model_version != version:
                raise _ReplacedError(f"{version} was replaced by {model.model_version}: ask again")
            return prefiller.prefill(model, job, StageClock())

    def _ended(
        self,
        key: tuple[str, str, int, str],
        asked: Asked,
        job: PrefillTask,
        prefiller: TaskPrefiller,
        future: "Future[Prefilled]",
    ) -> None:
        with self._lock:
            if self._running.get(key) is future:
                del self._running[key]
        if future.cancelled() or future.exception() is not None:
            return
        try:
            self._done(asked, job.task, future.result(), key[-1], prefiller.fingerprint)
        except Exception:  # a callback's exception would vanish
            log.exception("task %s: its prediction is not recorded", job.task.get("id"))


class _ReplacedError(SamBackendError):
    """The model was replaced while the task waited."""


def _outcome(future: "Future[Prefilled]") -> tuple[Prefilled | None, str | None]:
    """What is ready, else the reason for what will not be."""
    if not future.done() or future.cancelled():
        return None, None
    error = future.exception()
    if error is None:
        return future.result(), None
    if isinstance(error, SamBackendError):
        return None, str(error)
    log.error("prefilling failed", exc_info=error)
    return None, f"internal error {type(error).__name__}, see the log"

"""A bulk run into a Label Studio project: each image once, however often the command is begun.

What is in the project is asked of the project itself: a task's data holds the run and the image's
digest. Label Studio makes a request's tasks and predictions in one transaction. A request whose
answer was lost may have been carried out, so that what it was to make is looked for again before
it is repeated; should both come to pass nevertheless, the later task goes in the end.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageFetchError
from sam_backend.fully_automatic.addresses import Addresses
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.tasks import DIGEST, HIDDEN_MASK, RUN, TaskWriter
from sam_backend.labelstudio.api.predictions import import_predictions, show_version
from sam_backend.labelstudio.api.project_tasks import (
    data_filter,
    delete_task,
    import_tasks,
    tasks_filtered,
)
from sam_backend.labelstudio.api.retry import Retry
from sam_backend.projects.project import Project
from sam_backend.store.shards import ImageMasks

MOST_BYTES = 16 * 2**20
"""Of a request; Label Studio takes 250 MB, and holds all of it in memory several times over."""
BATCH_TASKS = 200


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task of the run that the project has.

    Attributes:
        number: Its id.
        has_prediction: It has one.
        is_touched: People have worked on it.
    """

    number: int
    has_prediction: bool
    is_touched: bool


@dataclass(slots=True)
class ImportSummary:
    """What an import did.

    Attributes:
        made: Tasks that it made.
        known: Images that had their task before.
        completed: Tasks that had none of their masks, and got them.
        removed: Tasks that a lost answer had made twice.
        left_out: Images without a task, for they could not be read by the run or for the upload,
            and masks that no task shows.
        elapsed_s: Wall time.
    """

    made: int = 0
    known: int = 0
    completed: int = 0
    removed: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    elapsed_s: float = 0.0

    @property
    def unreadable(self) -> int:
        """Images without a task."""
        return self.left_out.get(reasons.UNREADABLE_IMAGE, 0)

    def as_json(self) -> dict[str, Any]:
        """All figures, for people and scripts."""
        return {
            "tasks_made": self.made,
            "tasks_there_before": self.known,
            "tasks_completed": self.completed,
            "doubled_tasks_removed": self.removed,
            "images_without_a_task": self.unreadable,
            "seconds": self.elapsed_s,
            "left_out": self.left_out.as_json(),
            "tasks_per_second": self.made / self.elapsed_s if self.elapsed_s else 0.0,
        }


class BulkImport:
    """Puts images of a run into a project.

    Args:
        project: The project.
        run: Whose images.
        writer: Writer of their tasks.
        addresses: Addresses of the images.
        retry: Waits out a Label Studio that is away.
        tasks_a_second: At the most; None: as fast as it goes.
        batch_tasks: Tasks of a request at the most.
        observe: Told how many images of how many are done.
        is_stopped: True once it should end after the batch in hand.
    """

    def __init__(
        self,
        project: Project,
        run: BulkRun,
        writer: TaskWriter,
        addresses: Addresses,
        retry: Retry,
        tasks_a_second: float | None = None,
        batch_tasks: int = BATCH_TASKS,
        observe: Callable[[int, int], None] = lambda done, of: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = project.client
        self._project_id = project.id
        self._run = run
        self._run_id = run.run_id
        self._writer = writer
        self._addresses = addresses
        self._retry = retry
        self._tasks_a_second = tasks_a_second
        self._batch_tasks = batch_tasks
        self._observe = observe
        self._is_stopped = is_stopped

    def run(self) -> ImportSummary:
        """Import all images of the run that the project has not.

        Raises:
            InvalidInputError: The run is not finished, or an image has no address.
            LabelStudioError: Label Studio refuses a call, or is away for too long; the same
                command goes on.
        """
        summary = self.put(self._run.images(), self._run.manifest.n_images)
        for uri, reason in self._run.manifest.unreadable().items():
            summary.left_out.add(reasons.UNREADABLE_IMAGE, f"{uri}: {reason}")
        return summary

    def put(
        self,
        images: Iterable[ImageMasks],
        n_images: int,
        more: Callable[[ImageMasks], dict[str, Any]] = lambda image: {},
    ) -> ImportSummary:
        """Import some images.

        Args:
            images: Images of the run.
            n_images: How many they are.
            more: Further fields of an image's task.

        Raises:
            SamBackendError: As of `run`.
        """
        start_s, summary = time.monotonic(), ImportSummary()
        known = self._retry.get(self.known)
        for batch in self._batches(images, known, summary, more):
            self._retry.get(self._sending(batch, summary))
            n_done = summary.known + summary.made + summary.unreadable
            self._observe(n_done, n_images)
            self._keep_pace(summary, start_s)
            if self._is_stopped():
                break
        self._retry.get(lambda: self._finish(summary))
        summary.elapsed_s = time.monotonic() - start_s
        return summary

    def known(self) -> dict[str, list[KnownTask]]:
        """The run's tasks in the project by their image's digest, oldest first."""
        found: dict[str, list[KnownTask]] = defaultdict(list)
        told = data_filter(RUN, self._run_id)
        for task in tasks_filtered(self._client, self._project_id, told):
            data = task.get("data")
            if isinstance(data, dict) and data.get(RUN) == self._run_id:
                n_drawn = task.get("total_annotations", 0) + task.get("cancelled_annotations", 0)
                has_prediction = bool(task.get("total_predictions"))
                one = KnownTask(int(task["id"]), has_prediction, bool(n_drawn))
                found[str(data.get(DIGEST))].append(one)
        return {
            digest: sorted(tasks, key=lambda one: one.number) for digest, tasks in found.items()
        }

    def _batches(
        self,
        images: Iterable[ImageMasks],
        known: dict[str, list[KnownTask]],
        summary: ImportSummary,
        more: Callable[[ImageMasks], dict[str, Any]],
    ) -> Iterator[dict[str, dict[str, Any]]]:
        """Tasks that are missing, by digest, of some megabytes each."""
        waiting: list[ImageMasks] = []
        for image in images:
            if image.reason is not None:
                told = f"{image.uri}: {image.reason}"
                summary.left_out.add(reasons.UNREADABLE_IMAGE, told)
            elif image.digest in known:
                summary.known += 1
                task = known[image.digest][0]
                if image.masks and self._is_incomplete(task):
                    self._complete(task, image)
                    summary.completed += 1
            else:
                waiting.append(image)
                if len(waiting) == self._batch_tasks:
                    yield from self._written(waiting, summary, more)
                    waiting = []
        if waiting:
            yield from self._written(waiting, summary, more)

    def _is_incomplete(self, task: KnownTask) -> bool:
        is_bare = not task.has_prediction and not task.is_touched
        return is_bare and self._writer.makes_predictions

    def _written(
        self,
        images: list[ImageMasks],
        summary: ImportSummary,
        more: Callable[[ImageMasks], dict[str, Any]],
    ) -> Iterator[dict[str, dict[str, Any]]]:
        addresses = self._retry.get(lambda: self._addresses.of(images))
        batch: dict[str, dict[str, Any]] = {}
        n_bytes = 0
        for image, address in zip(images, addresses, strict=True):
            if isinstance(address, ImageFetchError):
                summary.left_out.add(reasons.UNREADABLE_IMAGE, str(address))
                continue
            task = self._writer.task(image, address, more(image))
            summary.left_out.add(HIDDEN_MASK, image.uri, self._writer.n_hidden(image))
            size = len(json.dumps(task))
            if batch and n_bytes + size > MOST_BYTES:
                yield batch
                batch, n_bytes = {}, 0
            batch[image.digest] = task
            n_bytes += size
        if batch:
            yield batch

    def _sending(
        self, batch: dict[str, dict[str, Any]], summary: ImportSummary
    ) -> Callable[[], None]:
        tries = 0

        def send() -> None:
            nonlocal tries
            tries += 1
            there = self.known() if tries > 1 else {}
            tasks = [task for digest, task in batch.items() if digest not in there]
            if tasks:
                import_tasks(self._client, self._project_id, tasks)
            summary.made += len(batch)

        return send

    def _complete(self, task: KnownTask, image: ImageMasks) -> None:
        sent = {"task": task.number, **self._writer.prediction(image)}
        self._retry.get(lambda: import_predictions(self._client, self._project_id, [sent]))

    def _finish(self, summary: ImportSummary) -> None:
        """Remove doubled tasks, and show the run's predictions, if there are any."""
        known = self.known()
        for tasks in known.values():
            spare = [one for one in tasks if not one.is_touched]
            for one in spare if len(spare) < len(tasks) else spare[1:]:
                delete_task(self._client, one.number)
                summary.removed += 1
        # Label Studio refuses a version that none of the project's predictions has
        if any(one.has_prediction for tasks in known.values() for one in tasks):
            show_version(self._client, self._project_id, self._run.plan.model_version)

    def _keep_pace(self, summary: ImportSummary, start_s: float) -> None:
        if self._tasks_a_second is not None:
            ahead_s = summary.made / self._tasks_a_second - (time.monotonic() - start_s)
            if ahead_s > 0:
                time.sleep(ahead_s)

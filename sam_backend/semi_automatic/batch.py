"""Door (b): a project's tasks prefilled through the API, in batches, however many there are.

What is done is written in the ledger, batch by batch. A run that was killed is begun again with the
same command: tasks that are done are passed over; those of the batch that was being sent are
prefilled again, and whatever predictions of ours Label Studio already has of them make way.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from sam_backend.datasets.left_out import LeftOut
from sam_backend.labelstudio.api.predictions import delete_prediction, import_predictions
from sam_backend.projects.project import Project
from sam_backend.semi_automatic.prefill_log import ledger_row
from sam_backend.semi_automatic.task_prefill import Prefilled, TaskPrefiller
from sam_backend.semi_automatic.task_reading import ReadTask, TaskReader
from sam_backend.semi_automatic.writeback import TaskUpdate, write_tasks
from sam_backend.serving.champion import Champion
from sam_backend.serving.served_model import Checkpoint, ServedModel
from sam_backend.serving.timing import StageClock
from sam_backend.store.prefills import PrefillRow

BATCH = 20
"""Tasks of one upload: so many are prefilled again at the most when a run is killed."""
_AT_ONCE = 3
# Tasks that are prefilled and wait for their upload: their regions fill memory.
_MOST_WAITING = 3 * BATCH


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        done: Tasks sent, or failed for good.
        of: Tasks of this run.
        masks: Shown until now.
        failed: Tasks without a prediction.
        elapsed_s: Since the start.
    """

    done: int
    of: int
    masks: int
    failed: int
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        """Time left at the speed until now; None before the first task."""
        return self.elapsed_s / self.done * (self.of - self.done) if self.done else None


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        sent: Tasks that got a prediction.
        known: Tasks passed over: done before with the same model and settings.
        reasons: Why a task got none, by task.
        left_out: Drawn masks that could not be read, and masks over the limit, task by task.
        counts: Masks by outcome: accepted, review, discarded, cut, repeats, nested.
        replaced: Older predictions of ours that were removed.
        coverage: Sum over the tasks sent.
        spent_s: Seconds by stage, summed over threads.
        device_s: Seconds that the device worked, by stage.
        elapsed_s: Wall time.
    """

    sent: int = 0
    known: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    counts: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    coverage: float = 0.0
    spent_s: dict[str, float] = field(default_factory=dict)
    device_s: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0

    def spend(self, spent_s: Mapping[str, float]) -> None:
        """Add seconds by stage."""
        for stage, seconds in spent_s.items():
            self.spent_s[stage] = self.spent_s.get(stage, 0.0) + seconds

    def as_json(self) -> dict[str, Any]:
        """All figures, for people and scripts."""
        minutes = self.elapsed_s / 60
        busy_s = sum(self.device_s.values())
        return {
            "tasks_prefilled": self.sent,
            "tasks_done_before": self.known,
            "tasks_without_a_prediction": len(self.reasons),
            "masks": dict(self.counts),
            "masks_per_task": (self.counts["accepted"] + self.counts["review"]) / max(1, self.sent),
            "mean_coverage": self.coverage / max(1, self.sent),
            "older_predictions_replaced": self.replaced,
            "left_out": self.left_out.as_json(),
            "seconds": self.elapsed_s,
            "tasks_per_minute": self.sent / minutes if minutes else 0.0,
            "device_busy_share": busy_s / self.elapsed_s if self.elapsed_s else 0.0,
            "device_seconds_by_stage": dict(self.device_s),
            "seconds_by_stage": dict(self.spent_s),
        }

    def add(self, task_id: int, prefilled: Prefilled, row: PrefillRow) -> None:
        """Count one task that was sent, or could not be prefilled."""
        self.left_out.update(prefilled.left_out)
        if prefilled.reason is not None:
            self.reasons[task_id] = prefilled.reason
            self.left_out.add("task without a prediction", f"task {task_id}: {prefilled.reason}")
            return
        self.sent += 1
        self.coverage += row.coverage
        for judgement in prefilled.judgements.values():
            self.counts.update(judgement.counts())


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A prefilled task that waits to be sent."""

    read: ReadTask
    prefilled: Prefilled
    spent_s: Mapping[str, float]


class Preannotation:
    """One run over some tasks of a project.

    Args:
        project: The project.
        champion: Whose masks they are.
        choice: What prefills the project's tasks with a model.
        observe: Told after each batch.
        is_stopped: True once the run should end after what is in hand.
        again: Prefill also what is done: people may have drawn since, or removed predictions.
    """

    def __init__(
        self,
        project: Project,
        champion: Champion,
        choice: Callable[[Checkpoint], TaskPrefiller],
        observe: Callable[[Progress], None] = lambda progress: None,
        is_stopped: Callable[[], bool] = lambda: False,
        again: bool = False,
    ) -> None:
        self._project = project
        self._client = project.client
        self._champion = champion
        self._choice = choice
        self._prefills = project.prefills
        self._observe = observe
        self._is_stopped = is_stopped
        self._again = again

    def run(self, numbers: Sequence[int]) -> Summary:
        """Prefill these tasks; those done before with this model and these settings stay.

        Raises:
            SamBackendError: Label Studio or the database is out of reach; what was sent is kept.
        """
        summary = Summary()
        # one model for the whole run, whatever is promoted meanwhile
        with self._champion.lease() as model:
            model.segmenter()
            start_s, before_s = time.monotonic(), self._champion.device.spent_s
            prefiller = self._choice(model.checkpoint)
            todo = self._todo(numbers, prefiller.fingerprint, model.model_version, summary)
            with (
                ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prefill") as pool,
                ThreadPoolExecutor(1, thread_name_prefix="upload") as uploads,
            ):
                sending: deque[Future[None]] = deque()
                for batch in self._batches(model, prefiller, todo, pool):
                    sending.append(
                        uploads.submit(self._send, batch, prefiller.fingerprint, model, summary)
                    )
                    while len(sending) > 1 or (sending and sending[0].done()):
                        sending.popleft().result()
                    self._tell(summary, len(todo), start_s)
                for sent in sending:
                    sent.result()
        self._tell(summary, len(todo), start_s)
        summary.elapsed_s = time.monotonic() - start_s
        summary.device_s = {
            stage: seconds - before_s.get(stage, 0.0)
            for stage, seconds in self._champion.device.spent_s.items()
        }
        return summary

    def _todo(
        self, numbers: Sequence[int], fingerprint: str, version: str, summary: Summary
    ) -> list[int]:
        if self._again:
            return list(numbers)
        states = self._prefills.states(self._project.origin, self._project.id, numbers)
        todo = []
        for number in numbers:
            row = states.get(number)
            wanted = (fingerprint, version)
            if row is None or row.state != "done" or (row.fingerprint, row.model_version) != wanted:
                todo.append(number)
        summary.known = len(numbers) - len(todo)
        return todo

    def _batches(
        self,
        model: ServedModel,
        prefiller: TaskPrefiller,
        todo: Sequence[int],
        pool: ThreadPoolExecutor,
    ) -> Iterator[list[_Ready]]:
        """Prefilled tasks, `BATCH` at a time, while the next ones are worked on."""
        own = frozenset(self._prefills.own_versions(self._project.origin, self._project.id))
        reader = TaskReader(self._project, own | {model.model_version})
        working: deque[Future[_Ready]] = deque()
        batch: list[_Ready] = []
        for read in reader.read(todo):
            if self._is_stopped():
                break
            working.append(pool.submit(self._prefill, model, prefiller, read))
            while len(working) > _MOST_WAITING or (working and working[0].done()):
                batch.append(working.popleft().result())
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        while working:
            batch.append(working.popleft().result())
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _prefill(self, model: ServedModel, prefiller: TaskPrefiller, read: ReadTask) -> _Ready:
        clock = StageClock()
        return _Ready(read, prefiller.prefill(model, read.job, clock), clock.spent_s)

    def _send(
        self, batch: Sequence[_Ready], fingerprint: str, model: ServedModel, summary: Summary
    ) -> None:
        """One batch into Label Studio; the ledger says before and after what became of it."""
        start_s = time.monotonic()
        version, place = model.model_version, (self._project.host, self._project.id)
        rows = [
            ledger_row(*place, one.read.number, one.prefilled, version, fingerprint)
            for one in batch
        ]
        self._prefills.put([replace(row, state="sending") for row in rows])
        sent = [one for one in batch if not one.prefilled.asks_again]
        import_predictions(
            self._client,
            self._project.id,
            [{"task": one.read.number, **one.prefilled.prediction(version)} for one in sent],
        )
        for one in sent:
            for number in one.read.own:
                delete_prediction(self._client, number)
                summary.replaced += 1
        updates = [TaskUpdate.of(*place, one.read.number, one.prefilled, version) for one in batch]
        write_tasks(self._client, self._project.id, updates)
        self._prefills.put(rows)
        for one, row in zip(batch, rows, strict=True):
            summary.add(one.read.number, one.prefilled, row)
            summary.spend(one.spent_s)
        summary.spend({"upload": time.monotonic() - start_s})

    def _tell(self, summary: Summary, n_todo: int, start_s: float) -> None:
        n_failed = len(summary.reasons)
        masks = summary.counts["accepted"] + summary.counts["review"]
        elapsed_s = time.monotonic() - start_s
        self._observe(Progress(summary.sent + n_failed, n_todo, masks, n_failed, elapsed_s))

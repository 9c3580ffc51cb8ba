"""The one owner of the device: a single thread runs the model, clicks first."""

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Priority(IntEnum):
    """Who waits for the work; the lower number runs first."""

    CLICK = 0
    """A person has clicked and looks at the screen."""
    OPEN = 1
    """A task was opened; a click is likely soon."""
    BACKGROUND = 2
    """Nobody waits: prefetch and bulk work."""


@dataclass(order=True, slots=True)
class _Job:
    priority: Priority
    number: int
    future: "Future[Any]" = field(compare=False)
    work: Callable[[], Any] = field(compare=False)
    stage: str = field(compare=False)


class DeviceOwner:
    """Runs work one piece at a time on its own thread: by priority, then first come first served.

    A piece that runs is never interrupted, so background work should come in small pieces. Work
    must not wait for other work of the same owner.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the thread; `clock` returns seconds."""
        self._clock = clock
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self._number = 0
        self._closed = False
        self._spent_s: dict[str, float] = {}
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="device-owner", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[], Result],
        priority: Priority = Priority.CLICK,
        stage: str = "other",
    ) -> "Future[Result]":
        """Queues work; its result or exception comes through the future.

        Cancelling the future of work that has not begun takes it out of the queue.

        Args:
            work: A small piece.
            priority: Who waits for it.
            stage: What its time is counted as, such as "encode".

        Raises:
            RuntimeError: The owner is closed.
        """
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the device's owner is closed")
            self._number += 1
            heapq.heappush(self._jobs, _Job(priority, self._number, future, work, stage))
            self._changed.notify()
        return future

    @property
    def queue_length(self) -> int:
        """Pieces of work that wait, without the one that runs."""
        with self._changed:
            return sum(not job.future.cancelled() for job in self._jobs)

    @property
    def busy_s(self) -> float:
        """Seconds spent working since the start, with the piece that runs now."""
        with self._changed:
            now = 0.0 if self._busy_since is None else self._clock() - self._busy_since
            return sum(self._spent_s.values()) + now

    @property
    def spent_s(self) -> dict[str, float]:
        """Seconds of finished work by stage, since the start."""
        with self._changed:
            return dict(self._spent_s)

    def close(self) -> None:
        """Refuses new work, cancels what waits, waits for the piece that runs, ends the thread."""
        with self._changed:
            self._closed = True
            waiting, self._jobs = self._jobs, []
            self._changed.notify()
        for job in waiting:
            job.future.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while self._work_once():  # nothing of a finished job is held while waiting for the next
            pass

    def _work_once(self) -> bool:
        """Does the next piece; False when the owner is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return False
            job = heapq.heappop(self._jobs)
            if not job.future.set_running_or_notify_cancel():
                return True
            self._busy_since = self._clock()
        result, error = None, None
        try:
            result = job.work()
        except BaseException as raised:  # the thread must outlive whatever the work raises
            error = raised
        with self._changed:
            elapsed_s = self._clock() - (self._busy_since or 0.0)
            self._spent_s[job.stage] = self._spent_s.get(job.stage, 0.0) + elapsed_s
            self._busy_since = None
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)
        return True

"""Worker processes that make examples ahead of the training, so that a GPU need not wait."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

import cv2

from sam_backend.errors import SamBackendError
from sam_backend.training.examples import Example
from sam_backend.training.plan import Phase
from sam_backend.training.sources import EncodedExample, Source

AHEAD = 2
"""Batches that each worker has been asked for: one in the making, one waiting."""

Batch = Sequence[Example] | Sequence[EncodedExample]


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection


class Feeding:
    """A source that asks another one ahead, in worker processes.

    A batch depends on its step and phase alone, so it is the same whoever makes it: the number of
    workers changes nothing but the time. Step k is the work of worker k modulo their number.
    Use it as a context manager: it ends its workers.

    Args:
        source: What makes the batches; sent once to each worker.
        n_workers: Processes; 0: batches are made here and now.
    """

    def __init__(self, source: Source, n_workers: int) -> None:
        self._source = source
        # Not forked: a fork of a process with threads or with CUDA may never answer.
        context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._asked: deque[tuple[int, Phase]] = deque()
        for _ in range(n_workers):
            here, there = context.Pipe()
            process = context.Process(target=_make_batches, args=(source, there), daemon=True)
            process.start()
            there.close()  # else the end of a worker would go unseen
            self._workers.append(_Worker(process, here))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
            worker.process.join()

    def batch(self, step: int, phase: Phase) -> Batch:
        """The examples of a step; those of the next steps are being made meanwhile.

        Raises:
            SamBackendError: A worker has died; or what the source raised.
        """
        if not self._workers:
            return self._source.batch(step, phase)
        while self._asked and self._asked[0] != (step, phase):
            self._receive()  # made for a phase that is over
        for ahead in range(len(self._asked), AHEAD * len(self._workers)):
            self._ask(step + ahead, phase)
        made = self._receive()
        if isinstance(made, Exception):
            raise made
        return made

    def _ask(self, step: int, phase: Phase) -> None:
        try:
            self._workers[step % len(self._workers)].connection.send((step, phase))
        except OSError as error:
            raise SamBackendError("a worker that makes examples has died") from error
        self._asked.append((step, phase))

    def _receive(self) -> Batch | Exception:
        """The oldest batch that was asked for, or why there is none."""
        step, _ = self._asked.popleft()
        try:
            made: Batch | Exception = self._workers[step % len(self._workers)].connection.recv()
        except (EOFError, OSError) as error:
            raise SamBackendError("a worker that makes examples has died") from error
        return made


def _make_batches(source: Source, connection: Connection) -> None:
    """What a worker does until nobody is there to ask."""
    cv2.setNumThreads(1)  # one core each
    # Ctrl-C reaches all processes of a terminal; the training ends first, then its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            step, phase = connection.recv()
        except EOFError:
            return
        try:
            made: Batch | Exception = source.batch(step, phase)
        except Exception as error:
            made = error
        connection.send(made)

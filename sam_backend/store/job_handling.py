"""What a job's handler is given, what it returns, and how it says that it was stopped."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sam_backend.errors import SamBackendError
from sam_backend.progress import Progress
from sam_backend.store.jobs import Job

Report = Callable[[Progress], None]
IsStopped = Callable[[], bool]


class StoppedError(SamBackendError):
    """A handler has kept what it has and ended early, as it was told to."""


class Handler(Protocol):
    """Does the work of one kind of job."""

    def __call__(self, job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        """Do the job and return its result, JSON.

        Args:
            job: What is asked; with `attempts` above 1 somebody has begun it before.
            report: Takes how far the work is, as often as the handler likes.
            is_stopped: True once the handler should keep what it has and raise `StoppedError`.

        Raises:
            StoppedError: It was stopped.
            SamBackendError: The job cannot be done; the message says why.
        """
        ...

"""Runs queued jobs, one at a time, in a process of its own.

A worker holds a lease on its job and renews it while it works. Killed, it loses the lease, and the
next worker goes on with the job: handlers keep what they have done in files.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from sam_backend.errors import DatabaseError, SamBackendError
from sam_backend.progress import Progress
from sam_backend.store.job_handling import Handler, StoppedError
from sam_backend.store.jobs import LEASE_S, Job, Jobs, LeaseLostError

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 12
"""So many heartbeats may get lost before the job counts as abandoned."""
POLL_S = 2.0


class Worker:
    """Claims jobs and runs them.

    Args:
        jobs: The queue.
        handlers: By kind of job.
        name: Names the worker for people, such as "host:pid".
        lease_s: A job is given to another worker after so long without a heartbeat.
    """

    def __init__(
        self,
        jobs: Jobs,
        handlers: Mapping[str, Handler],
        name: str,
        lease_s: float = LEASE_S,
    ) -> None:
        self._jobs = jobs
        self._handlers = handlers
        self._name = name
        self._lease_s = lease_s
        self._leaving = threading.Event()

    def leave(self) -> None:
        """End soon: the job in hand keeps what it has and goes back to the queue."""
        self._leaving.set()

    def work(self, until_idle: bool = False, poll_s: float = POLL_S) -> None:
        """Run jobs until told to leave.

        Args:
            until_idle: Return once no job waits.
            poll_s: Time between two looks into an empty queue.

        Raises:
            DatabaseError: It is away, and we should end when idle; else it is waited for.
        """
        while not self._leaving.is_set():
            try:
                has_worked = self.work_once()
            except DatabaseError as error:
                if until_idle:
                    raise
                log.warning("%s", error)  # it comes back; the lease says what became of the job
                has_worked = False
            if not has_worked and (until_idle or self._leaving.wait(poll_s)):
                return

    def work_once(self, job_id: int | None = None) -> bool:
        """Run the oldest job that waits, or only the one of that number; False if there is none."""
        job = self._jobs.claim(self._name, self._lease_s, job_id)
        if job is None:
            return False
        held = _HeldJob(self._jobs, job, self._lease_s / BEATS_PER_LEASE, self._leaving)
        try:
            with held:
                self._run(job, held)
        except LeaseLostError as error:
            log.warning("%s", error)
        return True

    def _run(self, job: Job, held: "_HeldJob") -> None:
        handler = self._handlers.get(job.kind)
        if handler is None:
            known = ", ".join(self._handlers)
            self._jobs.fail(job, f"no worker knows the kind {job.kind!r}; known: {known}")
            return
        log.info("job %d (%s), attempt %d", job.id, job.kind, job.attempts)
        try:
            result = handler(job, held.report, held.is_stopped)
        except StoppedError as error:
            if held.is_cancelled:
                self._jobs.stopped(job, str(error))
            else:
                self._jobs.give_back(job)
        except LeaseLostError:
            raise
        except SamBackendError as error:
            # The job keeps the reason; on a terminal without a log the command tells it once.
            log.info("job %d failed: %s", job.id, error)
            self._jobs.fail(job, str(error))
        except OSError as error:  # such as a full disk
            log.exception("job %d failed", job.id)
            self._jobs.fail(job, f"{error.strerror or type(error).__name__}: {error.filename}")
        except Exception as error:
            # A foreign error's message may hold data: the job gets its class, the log the rest.
            log.exception("job %d failed", job.id)
            self._jobs.fail(job, f"internal error {type(error).__name__}, see the worker's log")
        else:
            held.tell_last()
            self._jobs.finish(job, result)
            log.info("job %d is done", job.id)


class _HeldJob:
    """A job's lease, renewed by a thread of its own while the work goes on."""

    def __init__(self, jobs: Jobs, job: Job, beat_s: float, leaving: threading.Event) -> None:
        self.is_cancelled = False
        self._jobs, self._job, self._beat_s, self._leaving = jobs, job, beat_s, leaving
        self._told: Mapping[str, Any] | None = None
        self._is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="job-lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, progress: Progress) -> None:
        """Tell the queue with the next heartbeat."""
        self._told = progress.as_json()

    def is_stopped(self) -> bool:
        """Whether the work should end early: cancelled, leaving, or no longer ours."""
        return self.is_cancelled or self._is_lost or self._leaving.is_set()

    def tell_last(self) -> None:
        """Tell what was reported last, before the job ends."""
        self._jobs.heartbeat(self._job, self._told)

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            try:
                self.is_cancelled = self._jobs.heartbeat(self._job, self._told)
            except LeaseLostError as error:
                log.warning("%s", error)
                self._is_lost = True
                return
            except Exception:  # the database may be away for a moment; the lease says how long
                log.exception("no heartbeat for job %d", self._job.id)

"""A durable queue of jobs: long work that one of any number of worker processes does.

A worker claims a job for a while (its lease) and keeps extending it; when it is killed, the lease
runs out and the next worker goes on with the job.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select, update

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.store.database import Database
from sam_backend.store.tables import ACTIVE, JOBS

State = Literal["queued", "running", "done", "failed", "cancelled"]

LEASE_S = 60.0
MAX_ATTEMPTS = 3


class LeaseLostError(SamBackendError):
    """The job is no longer this worker's: another one has it, or it has ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it was when it was read.

    Attributes:
        id: Its number, growing.
        kind: What is to be done.
        project: Label Studio's project that it is for; None without one.
        payload: What the work needs to know, JSON.
        dedupe_key: Unique among the jobs that have not ended.
        state: queued, running, then done, failed or cancelled.
        progress: What the worker told last, JSON.
        result: What came out of a job that is done, JSON.
        reason: Why it failed or was cancelled.
        created_at: When it was asked for.
        started_at: When a worker took it, the last time.
        finished_at: When it ended.
        worker: Who has it, or had it last.
        lease: Proves to the queue that a worker has it; another one after each claim.
        lease_s: How long the worker may be silent, in seconds.
        lease_until: When somebody else may take it.
        attempts: How often a worker has taken it.
        cancel_requested: Somebody wants the worker to stop.
    """

    id: int
    kind: str
    project: int | None
    payload: Mapping[str, Any]
    dedupe_key: str | None
    state: State
    progress: Mapping[str, Any]
    result: Mapping[str, Any] | None
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    lease: str | None
    lease_s: float | None
    lease_until: datetime | None
    attempts: int
    cancel_requested: bool

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """A row of the table, whose columns are our fields."""
        return cls(**row._mapping)

    def as_json(self) -> dict[str, Any]:
        """Everything but the lease's proof; moments in ISO 8601."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "lease"}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in fields.items()
        }


class Jobs:
    """The queue. Safe for any number of threads and processes.

    Args:
        database: Where it is kept.
        now: The clock, in any time zone; machines that share a queue should agree within seconds.
        max_attempts: A job whose worker fell silent so often fails.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._database = database
        self._now = now
        self._max_attempts = max_attempts

    def enqueue(
        self,
        kind: str,
        payload: Mapping[str, Any],
        project: int | None = None,
        dedupe_key: str | None = None,
    ) -> Job:
        """Asks for a job.

        While one with the same `dedupe_key` is queued or running, that one is returned, as it is.
        """
        fields = {
            "kind": kind,
            "project": project,
            "payload": dict(payload),
            "dedupe_key": dedupe_key,
            "state": "queued",
            "progress": {},
            "created_at": self._now(),
        }
        same = select(JOBS).where(JOBS.c.dedupe_key == dedupe_key, ACTIVE)
        while True:  # the one that is in the way may end before we have read it
            with self._database.writing() as connection:
                row = self._database.insert_new(connection, JOBS, **fields)
                row = row or connection.execute(same).first()
            if row is not None:
                return Job.of(row)

    def claim(self, worker: str, lease_s: float = LEASE_S, job_id: int | None = None) -> Job | None:
        """Takes the oldest job that waits, or whose worker has fallen silent; None: there is none.

        Args:
            worker: Names the worker for people, such as "host:pid".
            lease_s: The job is ours for so long, and again after each heartbeat.
            job_id: Takes only this one.
        """
        while True:
            with self._database.writing() as connection:
                job = self._claimable(connection, job_id)
                if job is None:
                    return None
                if not self._settled(connection, job):
                    return self._take(connection, job, worker, lease_s)

    def is_waiting(self) -> bool:
        """Whether there is a job to claim."""
        with self._database.reading() as connection:
            return connection.execute(self._claimables()).first() is not None

    def heartbeat(self, job: Job, progress: Mapping[str, Any] | None = None) -> bool:
        """Extends the lease and stores what the worker has to tell.

        Args:
            job: As `claim` gave it.
            progress: Replaces what was told before; None leaves it.

        Returns:
            True: somebody wants the job to stop; see `stopped`.

        Raises:
            LeaseLostError: The job is no longer ours.
        """
        until = self._now() + timedelta(seconds=job.lease_s or LEASE_S)
        told = {} if progress is None else {"progress": dict(progress)}
        return self._update_held(job, lease_until=until, **told).cancel_requested

    def finish(self, job: Job, result: Mapping[str, Any]) -> Job:
        """Ends a job that we hold as done.

        Raises:
            LeaseLostError: The job is no longer ours; the result is not kept.
        """
        return self._end_held(job, "done", result=dict(result))

    def fail(self, job: Job, reason: str) -> Job:
        """Ends a job that we hold as failed.

        Raises:
            LeaseLostError: The job is no longer ours.
        """
        return self._end_held(job, "failed", reason=reason)

    def stopped(self, job: Job, reason: str = "cancelled while it ran") -> Job:
        """Ends a job that we hold as cancelled, after `heartbeat` has told that it should stop.

        Raises:
            LeaseLostError: The job is no longer ours.
        """
        return self._end_held(job, "cancelled", reason=reason)

    def give_back(self, job: Job) -> Job:
        """Queues a job that we hold again, as a worker does that is asked to leave.

        Raises:
            LeaseLostError: The job is no longer ours.
        """
        return self._update_held(
            job, state="queued", lease=None, lease_until=None, attempts=job.attempts - 1
        )

    def cancel(self, job_id: int) -> Job:
        """Cancel a job.

        One that waits, or that its worker has left, is cancelled at once; the worker of a running
        one is asked to stop; one that has ended stays as it is.

        Raises:
            InvalidInputError: There is no such job.
        """
        with self._database.writing() as connection:
            job = self._read(connection, job_id, lock=True)
            if job.state == "queued":
                return _end(connection, job, "cancelled", self._now(), "cancelled before it began")
            if job.state != "running":
                return job
            job = _update(connection, JOBS.c.id == job_id, cancel_requested=True) or job
            if job.lease_until is not None and job.lease_until <= self._now():
                self._settled(connection, job)
                return self._read(connection, job_id)
            return job

    def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            InvalidInputError: There is no such job.
        """
        with self._database.reading() as connection:
            return self._read(connection, job_id)

    def list(
        self,
        kind: str | None = None,
        project: int | None = None,
        states: tuple[State, ...] = (),
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs, the newest first; each argument that is given narrows them."""
        query = select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(JOBS.c.kind == kind)
        if project is not None:
            query = query.where(JOBS.c.project == project)
        if states:
            query = query.where(JOBS.c.state.in_(states))
        with self._database.reading() as connection:
            return [Job.of(row) for row in connection.execute(query)]

    def _claimables(self, job_id: int | None = None) -> Select[Any]:
        """The oldest job that may be taken, or only the one of that number."""
        silent = and_(JOBS.c.state == "running", JOBS.c.lease_until <= self._now())
        query = select(JOBS).where(or_(JOBS.c.state == "queued", silent))
        if job_id is not None:
            query = query.where(JOBS.c.id == job_id)
        return query.order_by(JOBS.c.id).limit(1)

    def _claimable(self, connection: Connection, job_id: int | None) -> Job | None:
        """That job, locked; rows that others have locked are not seen."""
        # SQLite has one writer, and no such words.
        query = self._claimables(job_id).with_for_update(skip_locked=True)
        row = connection.execute(query).first()
        return None if row is None else Job.of(row)

    def _settled(self, connection: Connection, job: Job) -> bool:
        """Ends a job that nobody should go on with."""
        if job.cancel_requested:
            reason = f"cancelled after its worker {job.worker} had left it"
            _end(connection, job, "cancelled", self._now(), reason)
        elif job.state == "running" and job.attempts >= self._max_attempts:
            reason = f"its workers fell silent {job.attempts} times, the last one was {job.worker}"
            _end(connection, job, "failed", self._now(), reason)
        else:
            return False
        return True

    def _take(self, connection: Connection, job: Job, worker: str, lease_s: float) -> Job | None:
        now = self._now()
        return _update(
            connection,
            JOBS.c.id == job.id,
            state="running",
            worker=worker,
            started_at=now,
            lease=uuid.uuid4().hex,
            lease_s=lease_s,
            lease_until=now + timedelta(seconds=lease_s),
            attempts=job.attempts + 1,
        )

    def _update_held(self, job: Job, **fields: Any) -> Job:
        held = and_(JOBS.c.id == job.id, JOBS.c.state == "running", JOBS.c.lease == job.lease)
        with self._database.writing() as connection:
            updated = _update(connection, held, **fields)
            if updated is None:
                now = self._read(connection, job.id)
                by = f" by {now.worker}" if now.state == "running" else ""
                raise LeaseLostError(f"job {job.id} is no longer ours: it is {now.state}{by}")
            return updated

    def _end_held(self, job: Job, state: State, **fields: Any) -> Job:
        return self._update_held(
            job, state=state, finished_at=self._now(), lease=None, lease_until=None, **fields
        )

    def _read(self, connection: Connection, job_id: int, lock: bool = False) -> Job:
        query = select(JOBS).where(JOBS.c.id == job_id)
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise InvalidInputError(f"no job {job_id}; see `sam-backend jobs`")
        return Job.of(row)


def _end(connection: Connection, job: Job, state: State, at: datetime, reason: str) -> Job:
    fields = {"state": state, "finished_at": at, "reason": reason}
    ended = _update(connection, JOBS.c.id == job.id, **fields, lease=None, lease_until=None)
    return ended or job


def _update(connection: Connection, where: ColumnElement[bool], **fields: Any) -> Job | None:
    row = connection.execute(update(JOBS).where(where).values(**fields).returning(JOBS)).first()
    return None if row is None else Job.of(row)

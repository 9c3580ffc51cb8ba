"""The queue gives each job to one worker at a time, and loses none."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.jobs import Job, Jobs, LeaseLostError
from tests.store.workers import claim_and_hang, claim_and_note_all

PROCESSES = get_context("spawn")  # as real workers: nothing is inherited


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(database: Database, clock: Clock) -> Jobs:
    return Jobs(database, clock)


def claimed(jobs: Jobs, worker: str = "w", lease_s: float = 60.0) -> Job:
    job = jobs.claim(worker, lease_s)
    assert job is not None
    return job


def test_the_life_of_a_job(jobs: Jobs, clock: Clock) -> None:
    asked = jobs.enqueue("retrain", {"steps": 7, "ä": [1.5, None]}, project=3)
    assert (asked.state, asked.attempts, asked.worker, asked.project) == ("queued", 0, None, 3)
    assert asked.created_at == clock.at
    began = clock.move(1)
    job = claimed(jobs, "host:1")
    assert (job.id, job.state, job.attempts, job.worker) == (asked.id, "running", 1, "host:1")
    assert job.payload == {"steps": 7, "ä": [1.5, None]}
    assert (job.started_at, job.lease_until) == (began, began + timedelta(seconds=60))
    assert jobs.claim("host:2") is None

    clock.move(50)
    assert jobs.heartbeat(job, {"step": 1, "loss": float("nan")}) is False
    assert jobs.heartbeat(job) is False
    seen = jobs.get(job.id)
    assert seen.progress == {"step": 1, "loss": None}
    assert seen.lease_until == clock.at + timedelta(seconds=60)

    ended = clock.move(5)
    done = jobs.finish(job, {"version": "starter-1-r1"})
    assert (done.state, done.result) == ("done", {"version": "starter-1-r1"})
    assert (done.finished_at, done.lease, done.lease_until) == (ended, None, None)
    assert jobs.get(job.id) == done
    assert jobs.claim("host:2") is None
    shown = done.as_json()
    assert shown["finished_at"] == ended.isoformat()
    assert "lease" not in shown


def test_the_oldest_comes_first_and_lists_begin_with_the_newest(jobs: Jobs) -> None:
    for number in range(4):
        jobs.enqueue("retrain" if number % 2 else "bulk", {"n": number}, project=number)
    assert [claimed(jobs).payload["n"] for _ in range(2)] == [0, 1]

    def numbers(**narrowed: object) -> list[int]:
        return [job.payload["n"] for job in jobs.list(**narrowed)]

    assert numbers() == [3, 2, 1, 0]
    assert numbers(limit=1) == [3]
    assert numbers(kind="bulk") == [2, 0]
    assert numbers(project=1) == [1]
    assert numbers(states=("queued",)) == [3, 2]
    assert numbers(states=("running", "done"), kind="bulk") == [0]


def test_a_key_has_one_unfinished_job(jobs: Jobs) -> None:
    first = jobs.enqueue("retrain", {"n": 1}, dedupe_key="project 1")
    assert jobs.enqueue("retrain", {"n": 2}, dedupe_key="project 1") == first
    job = claimed(jobs)
    assert jobs.enqueue("retrain", {"n": 3}, dedupe_key="project 1") == job
    assert jobs.enqueue("retrain", {}, dedupe_key="project 2").id != job.id
    assert jobs.enqueue("retrain", {}).id != jobs.enqueue("retrain", {}).id
    jobs.fail(job, "no")
    again = jobs.enqueue("retrain", {"n": 4}, dedupe_key="project 1")
    assert (again.payload, again.id != job.id) == ({"n": 4}, True)


def test_a_silent_workers_job_goes_to_the_next(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("retrain", {})
    lost = claimed(jobs, "slow", 10)
    jobs.heartbeat(lost, {"step": 5})
    clock.move(10)
    taken = claimed(jobs, "next", 10)
    assert (taken.id, taken.attempts, taken.worker) == (lost.id, 2, "next")
    assert taken.progress == {"step": 5}
    tries: list[Callable[[], object]] = [
        lambda: jobs.heartbeat(lost),
        lambda: jobs.finish(lost, {}),
        lambda: jobs.fail(lost, "no"),
        lambda: jobs.stopped(lost),
        lambda: jobs.give_back(lost),
    ]
    for attempt in tries:
        with pytest.raises(LeaseLostError, match=f"job {lost.id} .* running by next"):
            attempt()
    assert jobs.get(taken.id) == taken
    jobs.finish(taken, {})
    with pytest.raises(LeaseLostError, match=r"it is done$"):
        jobs.finish(taken, {})


def test_a_worker_keeps_a_lease_that_nobody_took(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("retrain", {})
    job = claimed(jobs, lease_s=10)
    clock.move(100)
    assert jobs.heartbeat(job) is False
    assert jobs.claim("other") is None


def test_the_same_worker_under_a_new_lease_is_another_holder(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("retrain", {})
    old = claimed(jobs, "w", 10)
    clock.move(10)
    new = claimed(jobs, "w", 10)
    with pytest.raises(LeaseLostError):
        jobs.heartbeat(old)
    jobs.finish(new, {})


def test_a_job_that_kills_its_workers_fails(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("retrain", {}, dedupe_key="k")
    other = jobs.enqueue("retrain", {})
    for number in range(3):
        job = claimed(jobs, f"w{number}", 10)
        assert job.attempts == number + 1
        clock.move(10)
    assert claimed(jobs, "w3").id == other.id
    failed = jobs.get(job.id)
    assert (failed.state, failed.finished_at) == ("failed", clock.at)
    assert failed.reason == "its workers fell silent 3 times, the last one was w2"
    assert jobs.enqueue("retrain", {}, dedupe_key="k").id != job.id


def test_cancel(jobs: Jobs, clock: Clock) -> None:
    running = jobs.enqueue("retrain", {})
    waiting = jobs.enqueue("retrain", {})
    job = claimed(jobs, lease_s=10)
    assert jobs.cancel(waiting.id).reason == "cancelled before it began"
    asked = jobs.cancel(running.id)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert jobs.heartbeat(job) is True
    ended = jobs.stopped(job)
    assert (ended.state, ended.reason) == ("cancelled", "cancelled while it ran")
    assert jobs.cancel(running.id) == ended
    assert jobs.claim("other") is None
    with pytest.raises(InvalidInputError, match="no job 99"):
        jobs.cancel(99)
    with pytest.raises(InvalidInputError, match="no job 99"):
        jobs.get(99)


def test_a_cancelled_job_is_not_taken_up_again(jobs: Jobs, clock: Clock) -> None:
    left, given_back, silent = (jobs.enqueue("retrain", {"n": n}) for n in range(3))
    first, second, _ = (claimed(jobs, f"w{n}", 10) for n in range(3))
    jobs.cancel(left.id)
    jobs.cancel(given_back.id)
    jobs.give_back(second)
    clock.move(10)
    assert jobs.cancel(silent.id).state == "cancelled"
    assert jobs.claim("other") is None
    states = [job.state for job in jobs.list()]
    assert states == ["cancelled"] * 3
    assert jobs.get(first.id).reason == "cancelled after its worker w0 had left it"


def test_a_job_given_back_is_no_attempt(jobs: Jobs) -> None:
    jobs.enqueue("retrain", {})
    for number in range(5):
        job = claimed(jobs, f"w{number}")
        assert job.attempts == 1
        back = jobs.give_back(job)
        assert (back.state, back.lease_until) == ("queued", None)


def test_two_processes_share_200_jobs(settings: Settings, jobs: Jobs, tmp_path: Path) -> None:
    for number in range(200):
        jobs.enqueue("note", {"n": number})
    notes = [tmp_path / f"notes-{worker}" for worker in "ab"]
    ready = PROCESSES.Barrier(2)
    workers = [
        PROCESSES.Process(target=claim_and_note_all, args=(settings, str(path), ready))
        for path in notes
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = [path.read_text().splitlines() for path in notes]
    assert all(lines), "both must have worked"
    assert Counter(line for file in lines for line in file) == {str(n): 1 for n in range(200)}
    assert {job.state for job in jobs.list()} == {"done"}
    assert {job.attempts for job in jobs.list()} == {1}


def test_a_killed_workers_job_is_resumed(settings: Settings, database: Database) -> None:
    jobs = Jobs(database)
    asked = jobs.enqueue("retrain", {})
    reader, writer = PROCESSES.Pipe(duplex=False)
    worker = PROCESSES.Process(target=claim_and_hang, args=(settings, writer))
    worker.start()
    assert reader.recv() == asked.id
    assert jobs.claim("too soon") is None
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    later = Jobs(database, lambda: datetime.now(UTC) + timedelta(seconds=61))
    job = claimed(later, "next")
    assert (job.id, job.attempts, job.progress) == (asked.id, 2, {"step": 1})
    assert later.finish(job, {}).state == "done"


def test_one_job_can_be_asked_for(jobs: Jobs) -> None:
    assert not jobs.is_waiting()
    first, second = jobs.enqueue("retrain", {}), jobs.enqueue("retrain", {})
    assert jobs.is_waiting()
    job = jobs.claim("w", job_id=second.id)
    assert job is not None
    assert job.id == second.id
    assert jobs.claim("w", job_id=second.id) is None, "it is taken"
    assert claimed(jobs).id == first.id
    assert not jobs.is_waiting()


def test_a_job_of_a_silent_worker_waits(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("retrain", {})
    claimed(jobs, lease_s=60)
    assert not jobs.is_waiting()
    clock.move(61)
    assert jobs.is_waiting()

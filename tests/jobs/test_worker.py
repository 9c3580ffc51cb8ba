"""A worker runs what waits, tells how far it is, and loses nothing when it is killed."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.jobs.worker import Worker
from sam_backend.progress import Progress
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.job_handling import Handler, IsStopped, Report, StoppedError
from sam_backend.store.jobs import Job, Jobs
from tests.jobs.counting_worker import count_slowly

PROCESSES = get_context("spawn")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


def eventually(condition: Callable[[], bool], patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def worker(jobs: Jobs, handler: Handler, lease_s: float = 60.0) -> Worker:
    return Worker(jobs, {"count": handler}, "test:1", lease_s)


def test_a_full_disk_is_named(jobs: Jobs) -> None:
    def handler(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        Path("/dev/full").write_text("a checkpoint")
        return {}

    job = jobs.enqueue("count", {})
    worker(jobs, handler).work(until_idle=True)
    assert "No space left on device" in str(jobs.get(job.id).reason)


def test_a_database_that_is_away_is_waited_for(database: Database, jobs: Jobs) -> None:
    def rename(before: str, after: str) -> None:
        with database.writing() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    job = jobs.enqueue("count", {})
    rename("jobs", "away")
    at_work = worker(jobs, lambda job, report, is_stopped: {})
    with pytest.raises(DatabaseError, match="no such table"):
        at_work.work(until_idle=True)
    thread = threading.Thread(target=at_work.work, kwargs={"poll_s": 0.01})
    thread.start()
    time.sleep(0.1)  # a few looks
    rename("away", "jobs")
    eventually(lambda: jobs.get(job.id).state == "done")
    at_work.leave()
    thread.join(30)
    assert not thread.is_alive()


def test_jobs_are_run_in_order_until_none_waits(jobs: Jobs) -> None:
    seen: list[int] = []

    def handler(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        seen.append(job.payload["n"])
        report(Progress("counting", 1))
        return {"n": job.payload["n"] * 2}

    ids = [jobs.enqueue("count", {"n": n}).id for n in range(3)]
    worker(jobs, handler).work(until_idle=True)
    assert seen == [0, 1, 2]
    ended = [jobs.get(number) for number in ids]
    assert [job.state for job in ended] == ["done"] * 3
    assert [job.result for job in ended] == [{"n": 0}, {"n": 2}, {"n": 4}]
    assert ended[0].progress == {"stage": "counting", "done": 1}, "what was told last is kept"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidInputError("steps must be at least 1, not 0"), "steps must be at least 1, not 0"),
        (
            RuntimeError("token 0123 in here"),
            "internal error RuntimeError, see the worker's log",
        ),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(
    jobs: Jobs, error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        if job.payload["n"] == 0:
            raise error
        return {}

    first, second = jobs.enqueue("count", {"n": 0}), jobs.enqueue("count", {"n": 1})
    worker(jobs, handler).work(until_idle=True)
    assert (jobs.get(first.id).state, jobs.get(first.id).reason) == ("failed", reason)
    is_loud = any(record.levelno >= logging.WARNING for record in caplog.records)
    assert is_loud == (str(error) != reason), "a known reason is told by who asked for the job"
    assert jobs.get(second.id).state == "done"


def test_an_unknown_kind_fails_and_names_the_known_ones(jobs: Jobs) -> None:
    job = jobs.enqueue("paint", {})
    worker(jobs, lambda job, report, is_stopped: {}).work(until_idle=True)
    assert jobs.get(job.id).reason == "no worker knows the kind 'paint'; known: count"


def _waits(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
    report(Progress("waiting", 0))
    eventually(is_stopped)
    raise StoppedError("stopped at step 3")


@pytest.mark.parametrize(("how", "state"), [("cancel", "cancelled"), ("leave", "queued")])
def test_a_running_job_is_stopped(jobs: Jobs, how: str, state: str) -> None:
    job = jobs.enqueue("count", {})
    at_work = worker(jobs, _waits, lease_s=1.2)
    thread = threading.Thread(target=at_work.work, kwargs={"until_idle": True})
    thread.start()
    eventually(lambda: jobs.get(job.id).progress == {"stage": "waiting", "done": 0})
    if how == "cancel":
        jobs.cancel(job.id)
    else:
        at_work.leave()
    thread.join(60)
    ended = jobs.get(job.id)
    assert ended.state == state
    assert ended.reason == ("stopped at step 3" if how == "cancel" else None)


def test_the_lease_is_kept_longer_than_it_lasts(jobs: Jobs) -> None:
    def slow(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        time.sleep(1.0)
        assert jobs.claim("a thief") is None
        return {}

    job = jobs.enqueue("count", {})
    worker(jobs, slow, lease_s=0.6).work(until_idle=True)
    assert jobs.get(job.id).state == "done"


def test_the_job_of_a_killed_worker_is_finished_by_the_next(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.enqueue("count", {"to": 40, "file": str(tmp_path / "count.txt")})
    settings = {"data_dir": str(tmp_path)}
    first = PROCESSES.Process(target=count_slowly, args=(settings, "first", 1.0))
    first.start()
    counted = tmp_path / "count.txt"
    eventually(lambda: counted.is_file() and int(counted.read_text() or 0) >= 3)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    at_kill = int(counted.read_text())
    assert 3 <= at_kill < 40
    eventually(jobs.is_waiting)
    second = PROCESSES.Process(target=count_slowly, args=(settings, "second", 1.0))
    second.start()
    second.join(120)
    ended = jobs.get(job.id)
    assert (ended.state, ended.attempts, ended.worker) == ("done", 2, "second")
    assert ended.result is not None
    assert ended.result["began_at"] >= at_kill, "it went on where the first one was"

"""`sam-backend jobs`: what is asked of the workers; data on stdout."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sam_backend.cli import jobs as command
from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Jobs


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Jobs]:
    database = open_database(Settings(data_dir=tmp_path))
    yield Jobs(database)
    database.close()


def run(queue: Jobs, *arguments: str) -> Result:
    return CliRunner().invoke(command.app, arguments, obj=queue)


def test_the_list_is_the_default_and_shows_how_far_each_job_is(queue: Jobs) -> None:
    assert run(queue).stderr == "no jobs\n"
    for number in range(5):
        queue.enqueue("retrain", {}, project=number)
    jobs = [job for job in (queue.claim(f"w{n}") for n in range(4)) if job is not None]
    queue.heartbeat(jobs[0], {"step": 30, "loss": 0.123456, "curve": [1, 2]})
    queue.finish(jobs[1], {"version": "starter-1-r1"})
    queue.fail(jobs[2], "no masks in project 2")
    queue.cancel(jobs[3].id)

    lines = [line.split() for line in run(queue).stdout.splitlines()]
    assert lines[0][:4] == ["ID", "KIND", "PROJECT", "STATE"]
    shown = [(line[0], line[3], " ".join(line[6:])) for line in lines[1:]]
    assert shown == [
        ("5", "queued", ""),
        ("4", "stopping", ""),
        ("3", "failed", "no masks in project 2"),
        ("2", "done", "version starter-1-r1"),
        ("1", "running", "step 30, loss 0.1235"),
    ]
    assert run(queue, "list").stdout == run(queue).stdout
    as_json = json.loads(run(queue, "list", "--json").stdout)
    assert [job["id"] for job in as_json] == [5, 4, 3, 2, 1]
    assert as_json[-1]["progress"] == {"step": 30, "loss": 0.123456, "curve": [1, 2]}


def test_old_jobs_are_shown_on_demand(queue: Jobs) -> None:
    for _ in range(command.SHOWN + 1):
        queue.enqueue("retrain", {})
    assert len(run(queue).stdout.splitlines()) == 1 + command.SHOWN
    assert len(run(queue, "list", "--all").stdout.splitlines()) == 2 + command.SHOWN


def test_a_job_whose_worker_is_gone_is_silent(tmp_path: Path, queue: Jobs) -> None:
    queue.enqueue("retrain", {})
    past = Jobs(
        open_database(Settings(data_dir=tmp_path)),
        lambda: datetime.now(UTC) - timedelta(seconds=61),
    )
    past.claim("w", 60)
    assert run(queue).stdout.splitlines()[1].split()[2] == "silent"


def test_show_and_cancel(queue: Jobs) -> None:
    for _ in range(2):
        queue.enqueue("retrain", {"steps": 9})
    queue.claim("host:7")
    shown = json.loads(run(queue, "show", "1").stdout)
    assert (shown["payload"], shown["worker"], shown["state"]) == (
        {"steps": 9},
        "host:7",
        "running",
    )
    said = [run(queue, "cancel", number) for number in ("1", "2", "2")]
    assert [result.stdout for result in said] == ["running\n", "cancelled\n", "cancelled\n"]
    assert said[0].stderr == "host:7 is asked to stop\n"
    for arguments in (["show", "9"], ["cancel", "9"]):
        result = run(queue, *arguments)
        assert isinstance(result.exception, InvalidInputError)
        assert "no job 9" in str(result.exception)


def test_the_command_opens_the_database_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_BACKEND_DATABASE_URL", f"sqlite:///{tmp_path}/jobs.db")
    result = CliRunner().invoke(command.app, ["list", "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert (tmp_path / "jobs.db").is_file()

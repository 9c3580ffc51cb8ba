"""The status report and its page: models, promotions and jobs, readable by people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.server.service import Service
from sam_backend.server.status_page import render_status
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Jobs
from sam_backend.store.models import open_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def jobs(settings: Settings) -> Iterator[Jobs]:
    database = open_database(settings)
    yield Jobs(database)
    database.close()


def test_jobs_show_their_state_and_how_far_they_are(settings: Settings, jobs: Jobs) -> None:
    for project in (1, 2, 3):
        jobs.enqueue("retrain", {}, project=project)
    failed, running = jobs.claim("worker"), jobs.claim("worker")
    assert failed is not None
    assert running is not None
    jobs.fail(failed, "project 1 has <no> masks")
    progress = {"stage": "training", "done": 30, "of": 200, "loss": 0.12345, "eta_s": 61.2}
    jobs.heartbeat(running, progress)
    jobs.cancel(running.id)
    with Service.start(settings, newest_jobs=lambda limit: jobs.list(limit=limit)) as service:
        report = service.status()
    states = {job.project: (job.state, job.progress) for job in report.jobs}
    assert states == {
        "1": ("failed", "project 1 has <no> masks"),
        "2": ("stopping", "training, 30 of 200, loss 0.123, eta 61 s"),
        "3": ("queued", ""),
    }
    page = render_status(report)
    assert "project 1 has &lt;no&gt; masks" in page
    assert '<span class="stopping">stopping</span>' in page


def test_a_database_that_is_away_is_said_and_costs_no_status(
    settings: Settings, jobs: Jobs
) -> None:
    with Service.start(settings, newest_jobs=lambda limit: jobs.list(limit=limit)) as service:
        with jobs._database.writing() as connection:
            connection.exec_driver_sql("DROP TABLE jobs")
        report = service.status()
    assert report.jobs == []
    assert "no such table" in report.jobs_failure
    assert "no such table" in render_status(report)


def test_the_last_promotions_come_newest_first(settings: Settings) -> None:
    store = open_store(settings)
    version = store.champion().version
    store.promote(version, reason="as good as <gold>", by="the gate")
    with Service.start(settings) as service:
        report = service.status()
    (change,) = report.champions
    assert (change.version, change.action, change.by) == (version, "promotion", "the gate")
    assert "as good as &lt;gold&gt;" in render_status(report)


def test_without_jobs_and_promotions_it_says_so(settings: Settings) -> None:
    with Service.start(settings) as service:
        page = render_status(service.status())
    assert "None yet." in page
    assert "Nobody was promoted yet" in page

"""Surveys: ordered where something was labelled since, and done as a job."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from sam_backend.jobs.handlers import handlers
from sam_backend.monitoring.schedule import SurveySchedule
from sam_backend.monitoring.surveying import JOB_KIND, order_survey
from sam_backend.projects.measured import LotVerdict, Surveyed
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.jobs import Jobs
from sam_backend.store.measurements import Measurements
from sam_backend.store.revisions import Revisions
from tests.databases import database, settings
from tests.projects.working_project import HOST, PROJECT, label, move

__all__ = ["database", "settings"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def schedule(database: Database, every_s: float = 3600) -> SurveySchedule:
    told: list[tuple[str, str]] = []
    return SurveySchedule(
        Jobs(database),
        database,
        lambda: {PROJECT: HOST, 9: HOST},
        every_s,
        lambda subject, reason: told.append((subject, reason)),
    )


def test_only_what_was_worked_on_is_surveyed_and_once(database: Database) -> None:
    at = schedule(database)
    assert at.look() == []
    label(database, NOON, [9.0] * 3)
    assert at.look() == [], "in no stage"
    move(database, 1, "1", NOON)
    assert at.look() == [PROJECT]
    assert at.look() == [PROJECT]
    (job,) = Jobs(database).list(kind=JOB_KIND)
    assert job.payload == {"project": PROJECT}

    number = Revisions(database, HOST, PROJECT).last_number()
    Surveyed(at=NOON, revision=number).keep(Measurements(database, HOST, PROJECT))
    assert at.look() == []
    later = NOON + timedelta(hours=1)
    lot = LotVerdict(at=later, run="r", review_project=9, verdict="reject")
    lot.keep(Measurements(database, HOST, 9))
    assert at.look() == [PROJECT], "perhaps a lot of this project"
    then = NOON + timedelta(hours=2)
    Surveyed(at=then, revision=number).keep(Measurements(database, HOST, PROJECT))
    assert at.look() == []
    label(database, NOON + timedelta(days=1), [9.0], first=4)
    assert at.look() == [PROJECT]


def test_time_passes_and_the_thread_ends(database: Database) -> None:
    move(database, 1, "1", NOON)
    at = schedule(database, every_s=0.01)
    at.start()
    jobs = Jobs(database)
    while not jobs.list(kind=JOB_KIND):
        time.sleep(0.01)
    at.close()
    assert len(jobs.list(kind=JOB_KIND)) == 1


def test_a_survey_is_a_job_that_a_worker_knows(database: Database, settings: Settings) -> None:
    assert order_survey(Jobs(database), 3).id == order_survey(Jobs(database), 3).id
    assert JOB_KIND in handlers(settings)


def test_a_project_that_is_unknown_is_a_reason(database: Database, settings: Settings) -> None:
    jobs = Jobs(database)
    order_survey(jobs, 3)
    job = jobs.claim("w")
    assert job is not None
    with pytest.raises(Exception, match="project 3 is unknown"):
        handlers(settings)[JOB_KIND](job, lambda told: None, lambda: False)

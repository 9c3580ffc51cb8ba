"""A real server over a project that has gone through its stages."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sam_backend.datasets.left_out import LeftOut
from sam_backend.json_form import as_json
from sam_backend.metrics.gate import Comparison
from sam_backend.metrics.intervals import Interval
from sam_backend.projects.measured import (
    CalibrationDrift,
    GoldAnswer,
    GoldScores,
    JudgedByGold,
    LotVerdict,
)
from sam_backend.retraining.result import RetrainingResult
from sam_backend.server.app import create_app
from sam_backend.server.protocol import SetupRequest
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from sam_backend.store.calibrations import Calibrations
from sam_backend.store.database import Database, open_database
from sam_backend.store.jobs import Jobs
from sam_backend.store.leases import Leases
from sam_backend.store.measurements import Measurements
from sam_backend.store.prefills import PrefillRow, Prefills
from tests.projects.working_project import HOST, PROJECT, falling, label, move
from tests.quality.calibration.calibrated import calibrated_model
from tests.server import playing

NOW = datetime.now(UTC)
IOU = Interval(0.91, 0.88, 0.94)


def fill(database: Database) -> None:
    """A project that has gone through its stages, with all that is measured on the way."""
    begin = NOW - timedelta(days=2)
    move(database, 1, "1", begin - timedelta(hours=1))
    then = label(database, begin, falling(60, 34, 14), masks=20)
    move(database, 2, "2", then)
    then = label(database, then, falling(60, 14, 8), masks=50, first=61)
    move(database, 3, "3", then)
    label(database, then, falling(30, 5, 4.5), masks=70, first=121)
    measurements = Measurements(database, HOST, PROJECT)
    GoldScores(
        at=NOW,
        images=12,
        people=JudgedByGold(images=12, matched_iou=IOU),
        annotators=(
            JudgedByGold(who="1", images=12, matched_iou=IOU),
            JudgedByGold(who="2", images=2),
        ),
        models=(JudgedByGold(who="starter-2+1", images=12, matched_iou=IOU),),
        answers=tuple(
            GoldAnswer(
                at=begin + timedelta(hours=n),
                pairs=10,
                iou_sum=8.5 + n / 40,
                masks=10,
                seconds=100.0,
            )
            for n in range(30)
        ),
    ).keep(measurements)
    for verdict in ("accept", "reject"):
        LotVerdict(
            at=NOW,
            run=f"{verdict}ed-run",
            review_project=PROJECT,
            verdict=verdict,
            images=99,
            reviewed=99,
            defective=1,
        ).keep(measurements)
    with Leases(database, HOST, PROJECT).deciding() as book:
        for task, person in ((200, "1"), (201, "1"), (202, "2")):
            until = NOW + timedelta(hours=1)
            book.give(task, 0, person, False, 0.5, "next in order", NOW, until)
    counts = {"accepted": 30, "review": 15, "discarded": 55, "duplicates": 7}
    row = PrefillRow(HOST, PROJECT, 61, "f", "v", "done", counts, 0.5, 0.5, None, b"", NOW)
    Prefills(database).put([row])
    jobs = Jobs(database)
    jobs.enqueue("retrain", {}, PROJECT)
    job = jobs.claim("w")
    assert job is not None
    figure = Comparison("1-click mIoU", 0.5, 0.7, Interval(0.2, 0.1, 0.3), "better")
    told = RetrainingResult("starter-2-r1", "starter-2", True, (), (figure,), "", LeftOut())
    jobs.finish(job, as_json(told))


def calibrate(database: Database, version: str) -> None:
    """A calibration, from which masks judged since differ more and more."""
    Calibrations(database).put(version, calibrated_model(version).as_json(), NOW)
    for value in (0.01, 0.04):
        drift = Interval(value, value - 0.02, value + 0.02)
        CalibrationDrift(
            at=NOW, model_version=version, masks=50, drift=drift, contradicted=False
        ).keep(Measurements(database, HOST, PROJECT))


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[tuple[str, Service]]:
    """A server over a filled database, and its address."""
    with first_day(folder, **settings) as (url, service, database):
        fill(database)
        connect(service)
        calibrate(database, service.model_version)
        yield url, service


def connect(service: Service) -> None:
    """What Label Studio does when somebody connects the backend to the project."""
    service.setup(SetupRequest(project=f"{PROJECT}.17", hostname=HOST, access_token="secret"))


@contextmanager
def first_day(folder: Path, **settings: Any) -> Iterator[tuple[str, Service, Database]]:
    """A server over an empty database, which no project has called yet, and its address."""
    told = Settings(data_dir=folder, port=0, own_worker=False, label_studio_hosts="*", **settings)
    database = open_database(told)
    with (
        Service.start(told, database=lambda: database) as service,
        playing.serving(create_app(service, told)) as url,
    ):
        yield url, service, database
    database.close()

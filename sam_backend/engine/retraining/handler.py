"""Retraining as a kind of job."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sam_backend.engine.retraining.order import JOB_KIND, RetrainingOrder
from sam_backend.engine.retraining.run import RetrainingRun
from sam_backend.engine.worker import Handler, IsStopped, Report
from sam_backend.settings import Settings
from sam_backend.store.jobs import Job
from sam_backend.store.models import open_store


def handlers(settings: Settings) -> dict[str, Handler]:
    """What a worker of this backend can do, by kind of job."""

    def retraining(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        order = RetrainingOrder.parse(dict(job.payload))
        folder = run_folder(settings, job)
        store = open_store(settings)
        return RetrainingRun(order, folder, settings, store, report, is_stopped).run()

    return {JOB_KIND: retraining}


def run_folder(settings: Settings, job: Job) -> Path:
    """Where a job keeps its work: under the data folder, by day and number."""
    return settings.data_dir / "runs" / f"{job.created_at:%Y%m%d}-{job.kind}-{job.id}"

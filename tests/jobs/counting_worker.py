"""A worker for processes of their own: counts in a file, slowly, and goes on after a kill."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sam_backend.jobs.worker import Worker
from sam_backend.progress import Progress
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.job_handling import IsStopped, Report
from sam_backend.store.jobs import Job, Jobs


def count_slowly(settings: dict[str, Any], name: str, lease_s: float) -> None:
    """Run the queue's jobs of the kind "count" until none waits."""
    database = open_database(Settings(**settings))
    Worker(Jobs(database), {"count": _count}, name, lease_s).work(until_idle=True)
    database.close()


def _count(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
    file = Path(job.payload["file"])
    began_at = int(file.read_text()) if file.is_file() else 0
    for n in range(began_at, job.payload["to"] + 1):
        partial = file.with_suffix(".partial")
        partial.write_text(str(n))
        partial.replace(file)
        report(Progress("counting", n))
        time.sleep(0.05)
    return {"began_at": began_at}

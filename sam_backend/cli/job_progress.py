"""Running a queued job here, or watching who runs it: what `train` and `train-detector` share."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sam_backend.cli.process_setup import leaving_at_signals, worker_name
from sam_backend.cli.progress_bar import Show, progress_bar
from sam_backend.errors import SamBackendError
from sam_backend.progress import Progress
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.store.job_handling import Handler, IsStopped, Report
    from sam_backend.store.jobs import Job, Jobs

_FOLLOW_S = 1.0


def known_handlers(settings: Settings) -> dict[str, "Handler"]:
    """What a worker of this backend can do; torch takes seconds to import."""
    from sam_backend.jobs.handlers import handlers

    return handlers(settings)


def work_or_follow(jobs: "Jobs", job: "Job", known: Mapping[str, "Handler"]) -> "Job":
    """Run the job here, or watch who runs it; returns it once it has ended or went back."""
    from sam_backend.jobs.worker import Worker

    with progress_bar() as show:
        shown = {kind: _showing(handler, show) for kind, handler in known.items()}
        worker = Worker(jobs, shown, worker_name())
        with leaving_at_signals(worker.leave) as left:
            while True:
                if worker.work_once(job.id):
                    return jobs.get(job.id)
                job = jobs.get(job.id)
                if job.state not in {"queued", "running"} or left():
                    return job
                progress = Progress.of_json(job.progress)
                if progress is not None:
                    show(progress)
                time.sleep(_FOLLOW_S)


def result_of(job: "Job") -> Mapping[str, Any]:
    """What came out of a job.

    Raises:
        SamBackendError: Nothing; says why.
    """
    if job.state == "done" and job.result is not None:
        return job.result
    why = {
        "queued": f"went back to the queue; `sam-backend worker` goes on with it, "
        f"`sam-backend jobs cancel {job.id}` ends it",
        "running": f"goes on in {job.worker}",
    }.get(job.state, f"{job.state}: {job.reason}")
    raise SamBackendError(f"job {job.id} {why}")


def _showing(handler: "Handler", show: Show) -> "Handler":
    """A handler whose reports are shown too."""

    def shown(job: "Job", report: "Report", is_stopped: "IsStopped") -> Mapping[str, Any]:
        def both(progress: Progress) -> None:
            report(progress)
            show(progress)

        return handler(job, both, is_stopped)

    return shown

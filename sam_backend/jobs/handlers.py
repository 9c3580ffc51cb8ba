"""What a worker can do: each kind of job and what does it."""

from collections.abc import Mapping
from typing import Any

import torch

from sam_backend.errors import SamBackendError
from sam_backend.json_form import as_json
from sam_backend.monitoring.surveying import JOB_KIND as SURVEY_KIND
from sam_backend.monitoring.surveying import run_survey
from sam_backend.retraining.folders import (
    clear,
    clear_abandoned,
    held,
    run_folder,
    runs_folder,
)
from sam_backend.retraining.request import JOB_KIND, RetrainingRequest
from sam_backend.retraining.run import RetrainingRun
from sam_backend.semi_automatic.detector_training import (
    JOB_KIND as DETECTOR_KIND,
)
from sam_backend.semi_automatic.detector_training import (
    DetectorRequest,
    run_detector_training,
)
from sam_backend.settings import Settings
from sam_backend.store.job_handling import Handler, IsStopped, Report, StoppedError
from sam_backend.store.jobs import Job
from sam_backend.store.models import open_store


def handlers(settings: Settings) -> dict[str, Handler]:
    """What a worker of this backend can do, by kind of job."""

    def retraining(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        request = RetrainingRequest.parse(dict(job.payload))
        folder = run_folder(settings, job)
        clear_abandoned(runs_folder(settings))
        with held(folder, is_stopped):
            run = RetrainingRun(request, folder, settings, open_store(settings), report, is_stopped)
            try:
                result = run.run()
            except StoppedError:
                raise  # somebody may go on with it
            except SamBackendError:
                clear(folder)
                raise
            clear(folder)
            return dict(as_json(result))

    def detector(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        request = DetectorRequest.parse(dict(job.payload))
        folder = run_folder(settings, job)
        with held(folder, is_stopped):
            return run_detector_training(request, folder, settings, report, is_stopped)

    def survey(job: Job, report: Report, is_stopped: IsStopped) -> Mapping[str, Any]:
        return run_survey(job, settings, report, is_stopped)

    return {JOB_KIND: retraining, DETECTOR_KIND: detector, SURVEY_KIND: survey}

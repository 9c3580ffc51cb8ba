"""`sam-backend train-detector`: a project's detector learns from its masks."""

from typing import Annotated

import typer

from sam_backend.cli.job_progress import known_handlers, result_of, work_or_follow
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.process_setup import log_to_stderr, tune_allocator
from sam_backend.cli.tables import echo_figures
from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings


def train_detector(
    project: Annotated[
        int, typer.Option(help="Label Studio project: learn from its annotations.", min=1)
    ],
    network: Annotated[str, typer.Option(help="mobilenet (fast) or resnet50.")] = "mobilenet",
    side_px: Annotated[int, typer.Option(help="Long side of the images it sees.")] = 512,
    steps: Annotated[int, typer.Option(help="Optimiser steps.", min=1)] = 3000,
    seed: Annotated[
        int,
        typer.Option(help="Random seed of the first weights and of the order of images.", min=0),
    ] = 0,
    detach: Annotated[bool, typer.Option(help="Leave it to a worker and return.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the detector whose boxes the proposer `detector` prompts with.

    Stopped by Ctrl-C, the job keeps what it has and waits for a worker or the same command.
    """
    settings = Settings() if device is None else Settings(device=device)
    tune_allocator(settings)
    if detach:
        log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.projects.project import open_project
    from sam_backend.semi_automatic.detector_training import JOB_KIND, DetectorRequest
    from sam_backend.store.database import open_database
    from sam_backend.store.jobs import Jobs
    from sam_backend.training.detector.network import build

    request = DetectorRequest(
        project=project, network=network, side_px=side_px, steps=steps, seed=seed
    )
    build(request.network, request.side_px)  # a wrong name is told before a job waits
    with open_project(settings, request.project):
        pass  # and a wrong project
    known = {} if detach else known_handlers(settings)
    database = open_database(settings)
    try:
        jobs = Jobs(database)
        payload = request.model_dump(mode="json")
        job = jobs.enqueue(JOB_KIND, payload, request.project, request.dedupe_key)
        if dict(job.payload) != payload:
            raise InvalidInputError(
                f"job {job.id} already trains a detector of this project with other settings: "
                f"end it with `sam-backend jobs cancel {job.id}`"
            )
        if detach:
            echo_result(job.as_json(), as_json, str(job.id))
            return
        result = result_of(work_or_follow(jobs, job, known))
    finally:
        database.close()
    if as_json:
        echo_json(result)
    else:
        echo_figures(result)

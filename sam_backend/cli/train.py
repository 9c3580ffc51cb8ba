"""`sam-backend train`: a checkpoint learns from human masks, and the gate decides on the result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.gate_table import gate_rows
from sam_backend.cli.job_progress import known_handlers, result_of, work_or_follow
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.process_setup import log_to_stderr, tune_allocator
from sam_backend.cli.tables import echo_left_out, echo_table
from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.store.jobs import Job


def train(
    project: Annotated[
        int | None, typer.Option(help="Label Studio project: learn from its annotations.", min=1)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set instead: COCO, SA-1B, a manifest, mask files.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    gold: Annotated[
        Path | None,
        typer.Option(help="Data set to judge on. If left out, gold masks or a part of the data."),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            help="Version to start from and to beat. If left out, the one served to the project."
        ),
    ] = None,
    depth: Annotated[
        str, typer.Option(help="What learns: decoder (fast), adapter or full.")
    ] = "decoder",
    steps: Annotated[
        int | None,
        typer.Option(
            help="Number of optimiser steps at most. If left out, SAM_BACKEND_RETRAIN_STEPS.", min=1
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed of clicks and of the order of images.", min=0)
    ] = 0,
    promote: Annotated[
        bool, typer.Option(help="Serve the challenger if the gate lets it pass.")
    ] = True,
    detach: Annotated[bool, typer.Option(help="Leave it to a worker and return.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Retrain on human masks; the gate compares the challenger with the champion.

    Where the project has a model of its own (`sam-backend models use`), the challenger is compared
    with that one and promoted for this project only.

    Exit code 1 if the champion stays, as it does with --no-promote. Stopped by Ctrl-C, the job
    keeps what it has and waits for a worker (`sam-backend worker`) or the same command.
    """
    settings = Settings() if device is None else Settings(device=device)
    tune_allocator(settings)
    if detach:
        log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.projects.project import open_project
    from sam_backend.retraining.request import JOB_KIND, RetrainingRequest, chosen_parent
    from sam_backend.store.database import open_database
    from sam_backend.store.jobs import Jobs
    from sam_backend.store.models import open_store

    given = {
        "project": project,
        "data": _absolute(data),
        "images": _absolute(images),
        "gold": _absolute(gold),
        "parent": parent,
        "depth": depth,
        "steps": steps or settings.retrain_steps,
        "seed": seed,
        "promote": promote,
    }
    request = RetrainingRequest.parse({name: v for name, v in given.items() if v is not None})
    chosen_parent(request, open_store(settings), settings.model)
    if request.project is not None:
        with open_project(settings, request.project):
            pass  # a wrong project or parent is told before a job waits
    # Before the job waits: while torch loads, a server's own worker would come and take it.
    known = {} if detach else known_handlers(settings)
    database = open_database(settings)
    try:
        jobs = Jobs(database)
        payload = request.model_dump(mode="json", exclude_none=True)
        job = jobs.enqueue(JOB_KIND, payload, request.project, request.dedupe_key)
        if dict(job.payload) != payload:
            raise InvalidInputError(
                f"job {job.id} already retrains on this with other settings: see "
                f"`sam-backend jobs show {job.id}`, end it with `sam-backend jobs cancel {job.id}`"
            )
        if detach:
            echo_result(job.as_json(), as_json, str(job.id))
            return
        _finish(work_or_follow(jobs, job, known), as_json)
    finally:
        database.close()


def _finish(job: "Job", as_json: bool) -> None:
    """Print the outcome.

    Raises:
        SamBackendError: There is none; says why.
    """
    from sam_backend.retraining.result import RetrainingResult

    result = RetrainingResult.of(result_of(job))
    if as_json:
        echo_json(result)
    else:
        echo_table(gate_rows(result.comparisons, result.parent or "?", result.version))
        for reason in result.reasons:
            typer.echo(reason)
        echo_left_out(result.left_out)
        typer.echo(f"{result.version} is in {result.folder}", err=True)
    if not result.promoted:
        raise typer.Exit(1)


def _absolute(path: Path | None) -> str | None:
    """Return a path as text by which a worker in another folder finds it (`path_named`).

    Raises:
        InvalidInputError: It does not exist.
    """
    from sam_backend.datasets.image_files import readable_name

    if path is not None and not path.exists():
        raise InvalidInputError(
            f"{readable_name(path)} does not exist: name a data set, or a folder of images"
        )
    return None if path is None else readable_name(path.resolve())

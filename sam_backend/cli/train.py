"""`sam-backend train`: a checkpoint learns from human masks, and the gate decides on the result."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam_backend.cli.gate_table import gate_rows
from sam_backend.cli.launching import leaving_at_signals, log_to_stderr, tune_allocator, worker_name
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_table
from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.engine.worker import Handler, IsStopped, Report
    from sam_backend.store.jobs import Job, Jobs

_FOLLOW_S = 1.0


def train(
    project: Annotated[
        int | None, typer.Option(help="Label Studio project: learn from its annotations.", min=1)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set instead: COCO, SA-1B or a manifest.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    gold: Annotated[
        Path | None,
        typer.Option(help="Data set to judge on; gold masks or a part of the data without."),
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="Version to start from and to beat; the served one without.")
    ] = None,
    depth: Annotated[
        str, typer.Option(help="What learns: decoder (fast), adapter or full.")
    ] = "decoder",
    steps: Annotated[
        int | None,
        typer.Option(help="Optimiser steps at the most; SAM_BACKEND_RETRAIN_STEPS without.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of clicks and order.", min=0)] = 0,
    promote: Annotated[
        bool, typer.Option(help="Serve the challenger if the gate lets it pass.")
    ] = True,
    detach: Annotated[bool, typer.Option(help="Leave it to a worker and return.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
) -> None:
    """Retrain on human masks; the gate compares the challenger with the champion.

    Exit code 1 if the gate keeps the champion. Stopped by Ctrl-C, the job keeps what it has and
    waits for a worker (`sam-backend worker`) or the same command.
    """
    settings = Settings() if device is None else Settings(device=device)
    tune_allocator(settings)
    if detach:
        log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.engine.retraining.order import JOB_KIND, RetrainingOrder
    from sam_backend.store.database import open_database
    from sam_backend.store.jobs import Jobs

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
    order = RetrainingOrder.parse({name: v for name, v in given.items() if v is not None})
    # Before the job waits: while torch loads, a server's own worker would come and take it.
    known = {} if detach else _handlers(settings)
    database = open_database(settings)
    try:
        jobs = Jobs(database)
        payload = order.model_dump(mode="json", exclude_none=True)
        job = jobs.enqueue(JOB_KIND, payload, order.project, order.dedupe_key)
        if dict(job.payload) != payload:
            raise InvalidInputError(
                f"job {job.id} already retrains on this with other settings: see "
                f"`sam-backend jobs show {job.id}`, end it with `sam-backend jobs cancel {job.id}`"
            )
        if detach:
            typer.echo(job.id)
            return
        _finish(_work_or_follow(jobs, job, known), as_json)
    finally:
        database.close()


def _handlers(settings: Settings) -> dict[str, "Handler"]:
    from sam_backend.engine.retraining.handler import handlers

    return handlers(settings)


def _work_or_follow(jobs: "Jobs", job: "Job", known: Mapping[str, "Handler"]) -> "Job":
    """Run the job here, or watch who runs it; returns it once it has ended or went back."""
    from sam_backend.engine.worker import Worker

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
                show(job.progress)
                time.sleep(_FOLLOW_S)


def _finish(job: "Job", as_json: bool) -> None:
    """Print the outcome.

    Raises:
        SamBackendError: There is none; says why.
    """
    if job.state != "done" or job.result is None:
        why = {
            "queued": f"went back to the queue; `sam-backend worker` goes on with it, "
            f"`sam-backend jobs cancel {job.id}` ends it",
            "running": f"goes on in {job.worker}",
        }.get(job.state, f"{job.state}: {job.reason}")
        raise SamBackendError(f"job {job.id} {why}")
    if as_json:
        typer.echo(json.dumps(job.result, indent=2))
    else:
        _echo_outcome(job.result)
    if not job.result["promoted"]:
        raise typer.Exit(1)


def _echo_outcome(result: Mapping[str, Any]) -> None:
    echo_table(gate_rows(result["comparisons"], result["parent"], result["version"]))
    for reason in result["reasons"]:
        typer.echo(reason)
    typer.echo(f"{result['version']} is in {result['folder']}", err=True)


def _absolute(path: Path | None) -> str | None:
    """A worker may run in another folder."""
    return None if path is None else str(path.resolve())


def _showing(handler: "Handler", show: Callable[[Mapping[str, Any]], None]) -> "Handler":
    """A handler whose reports are shown too."""

    def shown(job: "Job", report: "Report", is_stopped: "IsStopped") -> Mapping[str, Any]:
        def both(state: Mapping[str, Any]) -> None:
            report(state)
            show(state)

        return handler(job, both, is_stopped)

    return shown

"""`sam-backend jobs`: what is asked of the workers, and how far they are."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.tables import echo_table
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.store.jobs import Job, Jobs

app = typer.Typer(help="Jobs: list, show, cancel.")

JobId = Annotated[int, typer.Argument(help="Its number, see `sam-backend jobs`.")]
SHOWN = 20


@app.callback(invoke_without_command=True)
def jobs(context: typer.Context) -> None:
    """Jobs: list, show, cancel. Without a command: list."""
    if context.obj is None:  # else the caller has brought a queue
        from sam_backend.store.database import open_database
        from sam_backend.store.jobs import Jobs

        context.obj = Jobs(open_database(Settings()))
    if context.invoked_subcommand is None:
        list_(context)


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    all_: Annotated[bool, typer.Option("--all", help=f"Not only the last {SHOWN}.")] = False,
) -> None:
    """Show the last jobs, the newest first."""
    found = _jobs(context).list(limit=None if all_ else SHOWN)
    if as_json:
        echo_json([job.as_json() for job in found])
    elif not found:
        typer.echo("no jobs", err=True)
    else:
        heads = ("ID", "KIND", "PROJECT", "STATE", "ASKED FOR", "PROGRESS OR REASON")
        echo_table([heads, *(_row(job) for job in found)])


@app.command()
def show(context: typer.Context, job_id: JobId, as_json: AsJson = True) -> None:
    """Show everything about one job, as JSON."""
    echo_json(_jobs(context).get(job_id).as_json())


@app.command()
def cancel(context: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Cancel a job: one that waits at once, one that runs at its worker's next step."""
    job = _jobs(context).cancel(job_id)
    echo_result(job.as_json(), as_json, job.state)
    if job.state == "running":
        typer.echo(f"{job.worker} is asked to stop", err=True)
    elif job.state != "cancelled":
        typer.echo(f"job {job_id} had ended before", err=True)


def _jobs(context: typer.Context) -> "Jobs":
    from sam_backend.store.jobs import Jobs

    queue = context.obj
    if not isinstance(queue, Jobs):
        raise TypeError(f"the context must hold Jobs, not {queue!r}")
    return queue


def _row(job: "Job") -> tuple[str, ...]:
    asked_for = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    project = "" if job.project is None else str(job.project)
    return str(job.id), job.kind, project, _state(job), asked_for, _told(job)


def _state(job: "Job") -> str:
    if job.state != "running":
        return job.state
    if job.cancel_requested:
        return "stopping"
    is_silent = job.lease_until is not None and job.lease_until < datetime.now(UTC)
    return "silent" if is_silent else "running"


def _told(job: "Job") -> str:
    if job.reason is not None:
        return job.reason
    told = job.progress if job.result is None else job.result
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in told.items()
        if isinstance(value, str | int | float)
    )

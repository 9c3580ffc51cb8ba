"""`sam-backend worker`: runs queued jobs, such as retrainings."""

import os
from typing import Annotated

import typer

from sam_backend.cli.process_setup import (
    leave_with_parent,
    leaving_at_signals,
    log_to_stderr,
    settings_with,
    tune_allocator,
    worker_name,
)


def worker(
    until_idle: Annotated[bool, typer.Option(help="End once no job waits.")] = False,
    nice: Annotated[int, typer.Option(help="Step back behind other processes.", min=0)] = 0,
    model: Annotated[
        str | None,
        typer.Option(help="Model version that the servers serve, as in `sam-backend serve`."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    child_of: Annotated[
        int | None, typer.Option(help="Id of the process that started this one; end when it ends.")
    ] = None,
) -> None:
    """Run queued jobs, one at a time; any number of workers may share a database.

    The first SIGINT or SIGTERM lets the job keep what it has and go back to the queue.
    """
    settings = settings_with(model, device)
    tune_allocator(settings)
    log_to_stderr(settings)
    if nice:
        os.nice(nice)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.jobs.handlers import handlers
    from sam_backend.jobs.worker import Worker
    from sam_backend.store.database import open_database
    from sam_backend.store.jobs import Jobs

    database = open_database(settings)
    at_work = Worker(Jobs(database), handlers(settings), worker_name())
    try:
        if child_of is None:
            typer.echo(f"ready for jobs, with the data folder {settings.data_dir}", err=True)
        else:
            leave_with_parent(child_of, at_work.leave)
        with leaving_at_signals(at_work.leave, is_child=child_of is not None):
            at_work.work(until_idle=until_idle)
        if until_idle and child_of is None:
            typer.echo("no job waits", err=True)
    finally:
        database.close()

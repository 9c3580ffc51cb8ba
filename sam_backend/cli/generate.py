"""`sam-backend generate`: all masks of a folder or a bucket, into shards."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.prefill_options import PresetOption, SetOption, read_settings
from sam_backend.cli.process_setup import (
    keep_compiled,
    leaving_at_signals,
    log_to_stderr,
    settings_with,
    tune_allocator,
)
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_figures
from sam_backend.progress import Progress

_MOST_SHOWN = 20


def generate(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, glob, image, list file, s3://, gs:// or az:// address, "
            "labelstudio://<project>."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.", callback=output_folder)],
    preset: PresetOption = None,
    set_: SetOption = None,
    shard_images: Annotated[int, typer.Option(help="Number of images in a shard.", min=1)] = 256,
    executor: Annotated[str, typer.Option(help="local or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster. If left out, this machine.")
    ] = None,
    actors: Annotated[int, typer.Option(help="Ray: processes with a model.", min=1)] = 1,
    gpus: Annotated[float, typer.Option(help="Ray: GPUs of each process.", min=0)] = 0.0,
    cpus: Annotated[float, typer.Option(help="Ray: CPUs of each process.", min=0)] = 1.0,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model version, see `sam-backend models list`. If left out, the champion, or the "
            "project's model."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find all masks of many images, without a person.

    The same command goes on after a kill, and does nothing where all is done. Images are listed
    once; those that are the same bytes are done once. The first SIGINT or SIGTERM ends after the
    images in hand.
    """
    settings = settings_with(model, device)
    tune_allocator(settings)
    keep_compiled(settings)
    log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    import threading

    from sam_backend.fully_automatic.executors import Machines, executor_named
    from sam_backend.fully_automatic.generating import generate_run, plan_run
    from sam_backend.fully_automatic.sources import project_number
    from sam_backend.projects.project import uid_of_project, with_model_of

    number = project_number(source)
    if number is not None and model is None:
        settings = with_model_of(settings, uid_of_project(settings, number))
    stopped = threading.Event()
    where = executor_named(executor, settings, Machines(address, actors, gpus, cpus))
    plan = plan_run(settings, source, read_settings(set_, preset), shard_images)
    with leaving_at_signals(stopped.set), progress_bar() as show:
        summary = generate_run(
            settings,
            out,
            plan,
            where,
            lambda state: show(
                Progress(
                    stage=state.stage,
                    done=state.done,
                    of=state.of,
                    masks=state.masks,
                    images_per_second=state.images_a_second,
                    masks_per_second=state.masks_a_second,
                    eta_s=state.eta_s,
                )
            ),
            stopped.is_set,
        )
    if as_json:
        echo_json(summary)
    else:
        echo_figures(summary, "unreadable_files", "notes")
    _echo_files("not read", summary.unreadable)
    _echo_files("read in part", summary.notes)
    if stopped.is_set():
        typer.echo("stopped early: the same command goes on", err=True)


def _echo_files(what: str, said: Mapping[str, str]) -> None:
    """Prints what is to be said of files, of the first ones only."""
    for uri, text in islice(said.items(), _MOST_SHOWN):
        typer.echo(f"{what}: {uri}: {text}", err=True)
    if (n_more := len(said) - _MOST_SHOWN) > 0:
        typer.echo(f"{what}: {n_more} more; --json tells all", err=True)

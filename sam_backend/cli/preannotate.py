"""`sam-backend preannotate`: prefill a project's tasks with masks, the dependable way."""

from typing import Annotated

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.prefill_options import (
    LikeOption,
    PresetOption,
    ProposerOption,
    SetOption,
    read_settings,
)
from sam_backend.cli.process_setup import (
    keep_compiled,
    leaving_at_signals,
    log_to_stderr,
    settings_with,
    tune_allocator,
)
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out
from sam_backend.errors import InvalidInputError
from sam_backend.progress import Progress


def preannotate(
    project: ProjectNumber,
    view: Annotated[int | None, typer.Option(help="Only tasks of this Data Manager tab.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Only tasks of this Data Manager filter, JSON.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Number of tasks to prefill at most.", min=1)
    ] = None,
    proposer: ProposerOption = None,
    like: LikeOption = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Prefill tasks again that were prefilled before: people may have drawn since.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model version, see `sam-backend models list`. If left out, the project's."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prefill a project's tasks with confident masks, as predictions.

    The same command goes on after a kill, and does nothing where all is done. Predictions that an
    earlier run has sent are replaced; nothing that a person has made is touched. The first SIGINT
    or SIGTERM ends after what is in hand.
    """
    if view is not None and filter_ is not None:
        raise InvalidInputError("--view and --filter exclude each other")
    settings = settings_with(model, device)
    tune_allocator(settings)
    keep_compiled(settings)
    log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    import threading

    from sam_backend.projects.project import open_project
    from sam_backend.semi_automatic.runs import preannotate_project

    stopped = threading.Event()
    with (
        leaving_at_signals(stopped.set),
        open_project(settings, project, own_model=model is None) as at,
        progress_bar() as show,
    ):
        summary = preannotate_project(
            at,
            view,
            filter_,
            limit,
            read_settings(set_, preset, proposer, like),
            lambda state: show(
                Progress(
                    stage=f"prefilling project {project}",
                    done=state.done,
                    of=state.of,
                    masks=state.masks,
                    eta_s=state.eta_s,
                )
            ),
            stopped.is_set,
            again,
        )
    if as_json:
        echo_json(summary)
    else:
        echo_figures(summary, "left_out")
        echo_left_out(summary.left_out)
    if stopped.is_set():
        typer.echo("stopped early: the same command goes on", err=True)

"""`sam-backend prefill`: what became of prefilled tasks."""

import json
from typing import Annotated

import typer

from sam_backend.cli.launching import log_to_stderr
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_table
from sam_backend.settings import Settings

HELP = "Prefilled tasks: what people did to them, what labels look like."

app = typer.Typer(help=HELP, no_args_is_help=True)

Project = Annotated[int, typer.Option(help="Number of the Label Studio project.")]


@app.callback()
def prefill() -> None:
    """Prefilled tasks: what people did to them, what labels look like."""


@app.command()
def report(
    project: Project, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False
) -> None:
    """Compare people's annotations with the predictions that they were made from.

    Masks that nobody touched are kept, changed ones edited, predicted ones that are gone rejected,
    and all others added. Annotations that began with nothing are counted, and left out.
    """
    settings = Settings()
    log_to_stderr(settings)
    from sam_backend.engine.project_dataset import host_of_project
    from sam_backend.engine.semi_automatic.edit_report import edit_report
    from sam_backend.labelstudio.client import LabelStudioClient

    with LabelStudioClient(host_of_project(settings, project), timeout_s=60) as client:
        told = edit_report(client, project).as_json()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    unread = told.pop("unread")
    rows = [(name, _shown(value)) for name, value in told.items()]
    echo_table([("WHAT", "HOW MUCH"), *rows])
    for reason, count in unread.items():
        typer.echo(f"not compared: {count} x {reason}", err=True)


@app.command("learn-labels")
def learn_labels(project: Project) -> None:
    """Look at what people have labelled, so that the classifier `nearest` can label masks."""
    settings = Settings()
    log_to_stderr(settings)
    from sam_backend.engine.semi_automatic.runs import learn_project_labels

    with progress_bar() as show:
        book = learn_project_labels(
            settings,
            project,
            lambda done, of: show({"stage": "looking at masks", "done": done, "of": of}),
        )
    rows = [(label, str(book.labels.count(label))) for label in sorted(set(book.labels))]
    echo_table([("LABEL", "MASKS"), *rows])


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

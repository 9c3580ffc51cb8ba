"""The `sam-backend` command: mounts the others and translates errors, here and only here."""

import io
import logging
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.markup import escape

from sam_backend import __version__
from sam_backend.cli import (
    bulk,
    check,
    dataset,
    demo,
    evaluate,
    generate,
    gold,
    jobs,
    models,
    preannotate,
    prefill,
    quality,
    review,
    serve,
    stage,
    tasks,
    train,
    train_detector,
    worker,
)
from sam_backend.cli.failures import file_fault, settings_faults, unknown_settings
from sam_backend.cli.process_setup import is_restarted
from sam_backend.errors import InvalidInputError, SamBackendError

log = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam-backend {__version__}")
        raise typer.Exit


@app.callback()
def program(
    is_version_wanted: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """The SAM data engine as a Label Studio ML backend."""


_CLICKS = "Stage 1, assisted-manual: people click, the model answers"
_PREFILL = "Stage 2, semi-automatic: tasks arrive prefilled"
_BULK = "Stage 3, fully automatic: masks of whole folders, reviewed on a sample"
_WORTH = "All stages: what masks are worth, and every state of them"
_LOOP = "All stages: when to move on, retraining, who does what"

app.command("demo", rich_help_panel=_CLICKS)(demo.demo)
app.command("serve", rich_help_panel=_CLICKS)(serve.serve)
app.command("check", rich_help_panel=_CLICKS)(check.check)
app.add_typer(models.app, name="models", help=models.HELP, rich_help_panel=_CLICKS)
app.command("preannotate", rich_help_panel=_PREFILL)(preannotate.preannotate)
app.add_typer(prefill.app, name="prefill", help=prefill.HELP, rich_help_panel=_PREFILL)
app.command("train-detector", rich_help_panel=_PREFILL)(train_detector.train_detector)
app.command("generate", rich_help_panel=_BULK)(generate.generate)
app.command("import", rich_help_panel=_BULK)(bulk.import_)
app.command("export", rich_help_panel=_BULK)(bulk.export)
app.add_typer(review.app, name="review", help=review.HELP, rich_help_panel=_BULK)
app.add_typer(gold.app, name="gold", help=gold.HELP, rich_help_panel=_WORTH)
app.add_typer(quality.app, name="quality", help=quality.HELP, rich_help_panel=_WORTH)
app.command("evaluate", rich_help_panel=_WORTH)(evaluate.evaluate)
app.add_typer(dataset.app, name="dataset", help=dataset.HELP, rich_help_panel=_WORTH)
app.add_typer(stage.app, name="stage", help=stage.HELP, rich_help_panel=_LOOP)
app.command("train", rich_help_panel=_LOOP)(train.train)
app.add_typer(tasks.app, name="tasks", help=tasks.HELP, rich_help_panel=_LOOP)
app.add_typer(jobs.app, name="jobs", help="Jobs: list, show, cancel.", rich_help_panel=_LOOP)
app.command("worker", rich_help_panel=_LOOP)(worker.worker)


def main() -> None:
    """Run the command line: exit code 2 for wrong input, 1 for what went wrong otherwise.

    Errors are one sentence on stderr; the traceback is in the log at SAM_BACKEND_LOG_LEVEL=DEBUG.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what no terminal shows
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not is_restarted():
            for warning in unknown_settings():
                _say("yellow", "warning", warning)
        app()
    except SamBackendError as error:
        _fail([str(error)], 2 if isinstance(error, InvalidInputError) else 1)
    except (ValidationError, SettingsError) as error:
        _fail(settings_faults(error), 2)
    except OSError as error:
        _fail([file_fault(error)], 1)


def _fail(reasons: list[str], code: int) -> NoReturn:
    log.debug("the error in full", exc_info=sys.exception())
    for reason in reasons:
        _say("red", "error", reason)
    sys.exit(code)


def _say(colour: str, kind: str, sentence: str) -> None:
    """Print to stderr; file names that are no text are shown with their bytes."""
    text = escape(sentence.encode(errors="backslashreplace").decode())
    Console(stderr=True).print(
        f"[{colour}]{kind}:[/{colour}] {text}", highlight=False, soft_wrap=True
    )


if __name__ == "__main__":
    main()

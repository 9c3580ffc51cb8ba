"""The `sam-backend` command: mounts the others and translates errors, here and only here."""

import sys

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

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
    starter,
    tasks,
    train,
    train_detector,
    worker,
)
from sam_backend.errors import InvalidInputError, SamBackendError

app = typer.Typer(
    help="The SAM data engine as a Label Studio ML backend.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("train-detector")(train_detector.train_detector)
app.command("evaluate")(evaluate.evaluate)
app.command("preannotate")(preannotate.preannotate)
app.command("generate")(generate.generate)
app.command("export")(bulk.export)
app.command("import")(bulk.import_)
app.command("worker")(worker.worker)
app.add_typer(models.app, name="models", help=models.HELP)
app.add_typer(prefill.app, name="prefill", help=prefill.HELP)
app.add_typer(review.app, name="review", help=review.HELP)
app.add_typer(gold.app, name="gold", help=gold.HELP)
app.add_typer(quality.app, name="quality", help=quality.HELP)
app.add_typer(dataset.app, name="dataset", help=dataset.HELP)
app.add_typer(stage.app, name="stage", help=stage.HELP)
app.add_typer(tasks.app, name="tasks", help=tasks.HELP)
app.add_typer(jobs.app, name="jobs", help="Jobs: list, show, cancel.")
app.add_typer(starter.app, name="starter", help=starter.HELP)


def main() -> None:
    """Run the command line: exit code 2 for wrong input, 1 for other errors of ours."""
    try:
        app()
    except SamBackendError as error:
        _say(str(error))
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in fault["loc"])
            _say(f"setting {name}: {fault['msg']}" if name else fault["msg"])
        sys.exit(2)


def _say(reason: str) -> None:
    console = Console(stderr=True)
    console.print(f"[red]error:[/red] {escape(reason)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()

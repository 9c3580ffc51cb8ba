"""`sam-backend prefill`: what became of prefilled tasks."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sam_backend import json_form
from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.prefill_options import PresetOption, SetOption, read_settings
from sam_backend.cli.process_setup import log_to_stderr, start_command, tune_allocator
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out, echo_table, shown
from sam_backend.errors import InvalidInputError
from sam_backend.progress import Progress
from sam_backend.settings import Settings

HELP = "Prefilled tasks: what people did to them, what labels look like."

CURVE_JSON, CURVE_PNG = "prefill.json", "prefill.png"

app = typer.Typer(help=HELP, no_args_is_help=True)


@app.callback()
def prefill() -> None:
    """Prefilled tasks: what people did to them, what labels look like."""


@app.command()
def report(project: ProjectNumber, as_json: AsJson = False) -> None:
    """Compare people's annotations with the predictions that they were made from.

    Masks that nobody touched are kept, changed ones edited, predicted ones that are gone rejected,
    and all others added. Annotations that began with nothing are counted, and left out.
    """
    from sam_backend.projects.project import open_project
    from sam_backend.semi_automatic.edit_report import edit_report

    with open_project(start_command(), project) as at:
        found, unread = edit_report(at)
    if as_json:
        echo_json(json_form.as_json(found) | {"unread": unread})
        return
    echo_figures(found, "at")
    echo_left_out(unread, "not compared")


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="Data set: COCO, SA-1B, a manifest, mask files.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the curve (PNG) and all figures (JSON).", callback=output_folder
        ),
    ],
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    limit: Annotated[int | None, typer.Option(help="Images at the most.", min=1)] = None,
    min_area: Annotated[
        float,
        typer.Option(
            help="Leave out masks that cover a smaller share of their image, 0 to 1.", min=0, max=1
        ),
    ] = 0.0,
    bars: Annotated[
        str | None,
        typer.Option(help="Three predicted IoUs to tell about, as 0.5,0.6,0.7."),
    ] = None,
    preset: PresetOption = None,
    set_: SetOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model version, see `sam-backend models list`. If left out, the champion."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure prefilling on a data set: recall and precision against any annotator's masks.

    Whatever is set applies, but for the bar of the predicted IoU, which the curve runs over.
    """
    settings = Settings() if model is None else Settings(model=model)
    tune_allocator(settings)
    log_to_stderr(settings)
    from sam_backend.datasets.reading import read_dataset
    from sam_backend.datasets.selection import select
    from sam_backend.metrics.prefill_curve import draw_curve
    from sam_backend.semi_automatic.runs import evaluate_prefilling

    told = None if bars is None else _bars(bars)
    dataset = select(read_dataset(data, images), min_area, "all", limit=limit)
    if not dataset.images:
        raise InvalidInputError(f"{data} has no mask that covers {min_area:.2%} of its image")
    echo_left_out(dataset.skipped)
    with progress_bar() as show:
        marked, points = evaluate_prefilling(
            settings,
            dataset,
            read_settings(set_, preset),
            told,
            counting(show, "prefilling"),
        )
    out.mkdir(parents=True, exist_ok=True)
    figures = json_form.as_json({"images": len(dataset), "points": points})
    (out / CURVE_JSON).write_text(json.dumps(figures, indent=1) + "\n")
    draw_curve(points, marked, out / CURVE_PNG)
    typer.echo(f"{out / CURVE_JSON}\n{out / CURVE_PNG}", err=True)
    if as_json:
        echo_json(figures)
        return
    heads = ["PREDICTED IOU FROM", "MASKS AN IMAGE"]
    heads += [f"{what} @ {iou}" for iou in points[0].recall for what in ("RECALL", "PRECISION")]
    rows = [
        [f"{point.bar:g}", f"{point.masks_an_image:.1f}"]
        + [shown(told[iou]) for iou in point.recall for told in (point.recall, point.precision)]
        for point in points
        if point.bar in marked
    ]
    echo_table([heads, *rows])


def _bars(text: str) -> list[float]:
    """Return the predicted IoUs of the option --bars.

    Raises:
        InvalidInputError: One is no number from 0 to 1.
    """
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one <= 1 for one in found):
        raise InvalidInputError(
            f"--bars takes numbers from 0 to 1 with commas, such as 0.5,0.6,0.7, not {text!r}"
        )
    return found


@app.command("learn-labels")
def learn_labels(project: ProjectNumber, as_json: AsJson = False) -> None:
    """Look at what people have labelled, so that the classifier `nearest` can label masks."""
    from sam_backend.datasets.left_out import LeftOut
    from sam_backend.projects.project import open_project
    from sam_backend.semi_automatic.runs import learn_project_labels

    left_out = LeftOut()
    with open_project(start_command(), project) as at, progress_bar() as show:
        book = learn_project_labels(
            at,
            lambda done, of: show(Progress("looking at masks", done, of)),
            left_out,
        )
    echo_left_out(left_out)
    counts = {label: book.labels.count(label) for label in sorted(set(book.labels))}
    if as_json:
        echo_json(counts)
    else:
        echo_table([("LABEL", "MASKS"), *((label, str(n)) for label, n in counts.items())])

"""`sam-backend evaluate`: how good a checkpoint's masks are on a data set."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.launching import tune_allocator
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_left_out, echo_table
from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.datasets.types import Dataset
    from sam_backend.engine.evaluation import Evaluation
    from sam_backend.sam.checkpoints import LoadedModel
    from sam_backend.store.learned_images import LearnedImages

RESULTS_NAME = "evaluation.json"
SHEET_NAME = "examples.png"


def evaluate(
    data: Annotated[Path, typer.Argument(help="Data set: COCO, SA-1B or a manifest.")],
    model: Annotated[
        str | None,
        typer.Option(help="Version, family, or weights file; the champion without."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all results as JSON and a sheet of examples.", callback=output_folder
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Images at the most.", min=1)] = None,
    min_area: Annotated[
        float, typer.Option(help="Least part of its image that a mask covers.", min=0, max=1)
    ] = 0.0,
    annotator: Annotated[
        str, typer.Option(help="Whose masks: all, first (of each image), or a name.")
    ] = "all",
    clicks: Annotated[int, typer.Option(help="Clicks a mask at the most.", min=1)] = 20,
    automatic: Annotated[
        bool, typer.Option("--automatic", help="Recall of the automatic generator too; slow.")
    ] = False,
    predicted_iou: Annotated[
        float | None,
        typer.Option(
            help="Least predicted IoU of automatic masks; the card's without.", min=0, max=1
        ),
    ] = None,
    stability: Annotated[
        float | None,
        typer.Option(help="Least stability of automatic masks; the card's without.", min=0, max=1),
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points a side of the grid; the card's without.", min=1)
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint: a simulated annotator clicks and draws boxes on every mask.

    mIoU after 1, 3, 5 and 9 clicks and for the tight box. NoC: clicks until an IoU of 0.85 or 0.90.
    Boundary IoU, calibration of the predicted IoU, AR@1000 of automatic masks.
    Intervals of 95 %, over images.
    """
    settings = Settings() if device is None else Settings(device=device)
    tune_allocator(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.datasets.reading import read_dataset
    from sam_backend.datasets.selection import select
    from sam_backend.engine.evaluation import draw_examples, evaluate_model
    from sam_backend.sam.automatic.settings import AutomaticSettings

    whole = read_dataset(data, images)
    dataset = select(whole, min_area, annotator, limit=limit)
    if not dataset.images:
        raise InvalidInputError(
            f"{data} has no mask by annotator {annotator!r} that covers {min_area:.2%} of its image"
        )
    _say_what(dataset)
    loaded, suggested, learned = _load(model, settings)
    _say_what_is_not_clean(dataset, learned)
    thresholds = AutomaticSettings.of(
        suggested, predicted_iou=predicted_iou, stability=stability, points_per_side=points
    )
    with progress_bar() as show:
        found = evaluate_model(
            loaded,
            dataset,
            lambda stage, done, of: show({"stage": stage, "done": done, "of": of}),
            clicks,
            thresholds if automatic else None,
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / RESULTS_NAME).write_text(json.dumps(found.as_json(), indent=1) + "\n")
        draw_examples(loaded, dataset, found.interactive, out / SHEET_NAME)
        typer.echo(f"{out / RESULTS_NAME}\n{out / SHEET_NAME}", err=True)
    if as_json:
        echo_json(found.as_json(with_results=False))
    else:
        _print(found)


def _say_what(dataset: "Dataset") -> None:
    typer.echo(f"{dataset.name}: {dataset.n_masks} masks on {len(dataset)} images", err=True)
    echo_left_out(dataset.skipped)


def _say_what_is_not_clean(dataset: "Dataset", learned: "LearnedImages | None") -> None:
    """Warn of images that the model or an ancestor of it has learned from."""
    n = 0 if learned is None else sum(image.digest in learned for image in dataset)
    if n:
        typer.echo(
            f"warning: the model has learned from {n} of these images; its figures on them say "
            "nothing of other images",
            err=True,
        )


def _load(
    name: str | None, settings: Settings
) -> "tuple[LoadedModel, Mapping[str, float], LearnedImages | None]":
    """The model, its card's thresholds of automatic masks, and what it learned from if known."""
    import torch

    from sam_backend.sam.checkpoints import choose_device, load
    from sam_backend.store.learned_images import read_learned
    from sam_backend.store.models import open_store

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    if name is not None and Path(name).exists():
        return load(Path(name), device), {}, None
    entry = open_store(settings).to_serve(name)
    return load(entry.folder, device), entry.card.automatic, read_learned(entry)


def _print(found: "Evaluation") -> None:
    from sam_backend.quality.figures import figures
    from sam_backend.quality.intervals import intervals

    report, told = found.interactive, intervals(found.interactive)
    rows = [("FIGURE", found.model_version, "95 % INTERVAL")]
    for figure in figures(report.max_clicks):
        n, ends = figure.digits, told.get(figure.name)
        between = f"{ends.low:.{n}f} to {ends.high:.{n}f}" if ends else "one image has none"
        name = figure.name
        if name.startswith("NoC"):
            name += f" (max {report.max_clicks})"
        rows.append((name, f"{report.value(figure):.{n}f}", between))
    if found.automatic is not None:
        recall = found.automatic
        rows.append(("automatic AR@1000", f"{recall.average_recall:.3f}", ""))
        rows.append(("automatic recall@0.5", f"{recall.recall(0.5):.3f}", ""))
        rows.append(("automatic masks an image", f"{recall.proposals_per_image:.1f}", ""))
    echo_table(rows)

"""`sam-backend evaluate`: how good a checkpoint's masks are on a data set, or on several."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.process_setup import tune_allocator
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_left_out, echo_table
from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.progress import Progress
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.datasets.types import Dataset
    from sam_backend.retraining.evaluation import Evaluation
    from sam_backend.sam.automatic.settings import AutomaticSettings
    from sam_backend.sam.checkpoints import LoadedModel
    from sam_backend.store.learned_images import LearnedImages

RESULTS_NAME = "evaluation.json"
SHEET_NAME = "examples.png"


@dataclass(frozen=True, slots=True)
class _Measurement:
    """What is measured of each data set, and with what.

    Attributes:
        model: Ready to run.
        learned: Images that it has learned from; None if that is not known.
        clicks: For each mask at the most.
        thresholds: Which automatic masks are kept; None: the generator is not measured.
        min_area: Leave out masks that cover a smaller share of their image, 0 to 1.
        annotator: Whose masks.
        limit: Images at the most; None: all.
    """

    model: "LoadedModel"
    learned: "LearnedImages | None"
    clicks: int
    thresholds: "AutomaticSettings | None"
    min_area: float
    annotator: str
    limit: int | None

    def select(self, whole: "Dataset", data: Path) -> "Dataset":
        """The images and masks of a data set that are measured; says which, and what is not clean.

        Raises:
            InvalidInputError: There are none.
        """
        from sam_backend.datasets.selection import select

        dataset = select(whole, self.min_area, self.annotator, limit=self.limit)
        if not dataset.images:
            raise InvalidInputError(
                f"{data} has no mask by annotator {self.annotator!r} that covers "
                f"{self.min_area:.2%} of its image"
            )
        _say_what(dataset)
        _say_what_is_not_clean(dataset, self.learned)
        return dataset

    def of(self, dataset: "Dataset", out: Path | None, name: str = "") -> "Evaluation":
        """The figures of a data set; with `out`, all results and examples go there.

        Args:
            dataset: With at least one mask.
            out: Is made.
            name: Says on the progress bar which data set it is.
        """
        from sam_backend.retraining.evaluation import draw_examples, evaluate_model

        before = f"{name}, " if name else ""
        with progress_bar() as show:
            found = evaluate_model(
                self.model,
                dataset,
                lambda stage, done, of: show(Progress(before + stage, done, of)),
                self.clicks,
                self.thresholds,
            )
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / RESULTS_NAME).write_text(json.dumps(found.as_json(), indent=1) + "\n")
            draw_examples(self.model, dataset, found.interactive, out / SHEET_NAME)
            typer.echo(f"{out / RESULTS_NAME}\n{out / SHEET_NAME}", err=True)
        return found


def evaluate(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Data set: COCO, SA-1B, a manifest, or a folder with images and mask files."
        ),
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(help="Folder whose sub-folders are data sets: all of them, in one table."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Version, family, or weights file. If left out, the champion."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all results as JSON and a sheet of examples; of a suite, one folder "
            "for each data set.",
            callback=output_folder,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Images at the most.", min=1)] = None,
    min_area: Annotated[
        float,
        typer.Option(
            help="Leave out masks that cover a smaller share of their image, 0 to 1.", min=0, max=1
        ),
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
            help="Lowest predicted IoU of automatic masks. If left out, the model card's.",
            min=0,
            max=1,
        ),
    ] = None,
    stability: Annotated[
        float | None,
        typer.Option(
            help="Lowest stability of automatic masks. If left out, the model card's.", min=0, max=1
        ),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(help="Points on a side of the grid. If left out, the model card's.", min=1),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a checkpoint: a simulated annotator clicks and draws boxes on every mask.

    The protocol is that of the published click benchmarks: at most 20 clicks, each at the centre of
    the largest error region, void pixels left out. NoC: clicks until an IoU of 0.85 or 0.90, 20
    where it is not reached. mIoU after 1, 3, 5 and 9 clicks and for the tight box. Boundary IoU,
    calibration of the predicted IoU, AR@1000 of automatic masks.
    Intervals of 95 %, over images.
    """
    if (data is None) == (suite is None):
        raise InvalidInputError("evaluate takes either a data set or --suite, a folder of them")
    if suite is not None and images is not None:
        raise InvalidInputError("--images is of one data set; a suite's lie in their own folders")
    settings = Settings() if device is None else Settings(device=device)
    tune_allocator(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    from sam_backend.datasets.reading import read_dataset
    from sam_backend.sam.automatic.settings import AutomaticSettings

    # before the model: what cannot be read is told at once
    folders = [] if suite is None else _folders_of(suite)
    whole = None if data is None else read_dataset(data, images)
    loaded, suggested, learned = _load(model, settings)
    thresholds = AutomaticSettings.of(
        suggested, predicted_iou=predicted_iou, stability=stability, points_per_side=points
    )
    measurement = _Measurement(
        loaded, learned, clicks, thresholds if automatic else None, min_area, annotator, limit
    )
    if data is not None and whole is not None:
        dataset = measurement.select(whole, data)
        found = measurement.of(dataset, out)
        if as_json:
            echo_json(found.as_json(with_results=False))
        else:
            _print_papers({dataset.name: found})
            typer.echo("")
            _print(found)
    elif suite is not None:
        _measure_suite(measurement, suite, folders, out, as_json)


def _folders_of(suite: Path) -> list[Path]:
    """The folders of a suite, by name; hidden ones are none.

    Raises:
        InvalidInputError: There is none.
    """
    if not suite.is_dir():
        raise InvalidInputError(f"there is no folder {suite}")
    found = sorted(one for one in suite.iterdir() if one.is_dir() and one.name[0] != ".")
    if not found:
        raise InvalidInputError(
            f"{suite} has no sub-folder: --suite takes a folder with a folder for each data set"
        )
    return found


def _measure_suite(
    measurement: _Measurement, suite: Path, folders: list[Path], out: Path | None, as_json: bool
) -> None:
    """Measure what is a data set, tell what is none, and what failed.

    Raises:
        InvalidInputError: None of the folders is a data set.
        Exit: With 1, in the end, if a data set could not be measured.
    """
    from sam_backend.datasets.reading import NoDatasetError, read_dataset

    found: dict[str, Evaluation] = {}
    skipped, failed = [], {}
    for folder in folders:
        try:
            dataset = measurement.select(read_dataset(folder), folder)
            place = None if out is None else out / folder.name
            found[folder.name] = measurement.of(dataset, place, folder.name)
        except NoDatasetError:
            skipped.append(folder.name)
            typer.echo(f"skipped: {folder.name} is no data set", err=True)
        except (SamBackendError, OSError) as error:
            failed[folder.name] = str(error)
            typer.echo(f"failed: {folder.name}: {error}", err=True)
    if not found and not failed:
        raise InvalidInputError(f"{suite} holds no data set in its folders: {', '.join(skipped)}")
    if as_json:
        told = {name: one.as_json(with_results=False) for name, one in found.items()}
        echo_json({"data_sets": told, "skipped": skipped, "failed": failed})
    elif found:
        _print_papers(found)
    if failed:
        raise typer.Exit(1)


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


def _print_papers(found: "Mapping[str, Evaluation]") -> None:
    """The table that papers print: a row a data set, each figure over its interval."""
    from sam_backend.metrics.figures import in_papers
    from sam_backend.metrics.intervals import intervals

    clicks = next(iter(found.values())).interactive.max_clicks
    columns = in_papers(clicks)
    rows = [["DATA SET", "MASKS", *(figure.name for figure in columns)]]
    for name, one in found.items():
        report, told = one.interactive, intervals(one.interactive)
        row = [name, str(report.n_masks)]
        for figure in columns:
            n, ends = figure.digits, told.get(figure.name)
            between = f"\n{ends.low:.{n}f}-{ends.high:.{n}f}" if ends else ""
            row.append(f"{report.value(figure):.{n}f}{between}")
        rows.append(row)
    echo_table(rows)


def _print(found: "Evaluation") -> None:
    from sam_backend.metrics.figures import figures
    from sam_backend.metrics.intervals import intervals

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

"""`sam-backend export` and `sam-backend import`: what a bulk run found, for others."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.paths import output_file, output_folder, read_text
from sam_backend.cli.process_setup import leaving_at_signals, start_command
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out
from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from sam_backend.fully_automatic.addresses import Addresses
    from sam_backend.fully_automatic.run_folder import BulkRun
    from sam_backend.projects.project import Project

INSTANCES = "instances.json"

Run = Annotated[Path, typer.Argument(help="Folder of the run.")]
As = Annotated[str, typer.Option("--as", help="What masks become: predictions or annotations.")]
MaxMasks = Annotated[
    int, typer.Option(help="Number of masks a task gets at most: the surest.", min=1)
]
Output = Annotated[
    str, typer.Option(help="Kind of tag: auto, brush, polygon, rectangle or bitmask.")
]
Label = Annotated[
    str | None, typer.Option(help="Label of all masks. If left out, the tag's first label.")
]
Upload = Annotated[bool, typer.Option("--upload", help="Upload the images to the project.")]
UrlPrefix = Annotated[str | None, typer.Option(help="Images lie behind this web address.")]
DocumentRoot = Annotated[
    Path | None, typer.Option(help="Images are local files of Label Studio below this folder.")
]


def export(
    run: Run,
    to: Annotated[
        Path, typer.Option(help="Folder, made if it is missing; for coco also a file, *.json.")
    ],
    format_: Annotated[str, typer.Option("--format", help="sa1b, coco or labelstudio.")] = "sa1b",
    config: Annotated[
        Path | None, typer.Option(help="labelstudio: the project's labelling configuration.")
    ] = None,
    as_: As = "predictions",
    max_masks: MaxMasks = 100,
    output: Output = "auto",
    label: Label = None,
    url_prefix: UrlPrefix = None,
    document_root: DocumentRoot = None,
    as_json: AsJson = False,
) -> None:
    """Write what a bulk run found for other tools.

    sa1b: one JSON file an image. coco: `instances.json`. labelstudio: task files to import.
    """
    if format_ == "coco":
        to = output_file(to if to.suffix == ".json" and not to.is_dir() else to / INSTANCES)
    else:
        output_folder(to)
    config_text = None if config is None else read_text(config)
    from sam_backend.datasets.left_out import LeftOut
    from sam_backend.fully_automatic import exports
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.fully_automatic.tasks import TaskOptions, TaskWriter
    from sam_backend.labelstudio.config.label_config import LabelConfig

    found, left_out = read_run(run), LeftOut()
    if format_ == "sa1b":
        count, what = exports.export_sa1b(found, to, left_out), "files"
    elif format_ == "coco":
        count, what = exports.export_coco(found, to, left_out), "masks"
    elif format_ == "labelstudio":
        if config_text is None:
            raise InvalidInputError("--format labelstudio needs --config")
        options = TaskOptions(as_, max_masks, output, label)
        writer = TaskWriter(LabelConfig.parse(config_text), found.run_id, options)
        addresses = _addresses(found, url_prefix, document_root)
        count, what = exports.export_tasks(found, to, writer, addresses, left_out), "tasks"
    else:
        raise InvalidInputError(f"--format is sa1b, coco or labelstudio, not {format_!r}")
    told = {what: count, "to": str(to), "left_out": left_out}
    echo_result(told, as_json, f"{count} {what} in {to}")
    echo_left_out(left_out)


def import_(
    run: Run,
    project: ProjectNumber,
    as_: As = "predictions",
    max_masks: MaxMasks = 100,
    output: Output = "auto",
    label: Label = None,
    proven: Annotated[
        bool,
        typer.Option(
            "--proven",
            help="Import only masks above the proven accept threshold, and a random share of "
            "the others.",
        ),
    ] = False,
    audit_share: Annotated[
        float, typer.Option(help="With --proven: share of the other masks, chosen at random.")
    ] = 0.02,
    upload: Upload = False,
    url_prefix: UrlPrefix = None,
    document_root: DocumentRoot = None,
    rate: Annotated[float | None, typer.Option(help="Tasks a second at the most.")] = None,
    batch: Annotated[int, typer.Option(help="Tasks of a request at the most.", min=1)] = 200,
    retry_for: Annotated[
        float, typer.Option(help="Seconds that Label Studio may be away.", min=0)
    ] = 600.0,
    patience: Annotated[float | None, typer.Option(hidden=True, min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Make tasks of a bulk run's images, with their masks.

    The same command goes on after a kill, and adds nothing where all is there. Images are named by
    their own addresses (http, s3, gs, az) unless an option says otherwise.
    """
    settings = start_command()
    import threading

    from sam_backend.fully_automatic.importing import BulkImport
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.fully_automatic.tasks import TaskOptions, TaskWriter
    from sam_backend.labelstudio.api.retry import Retry
    from sam_backend.labelstudio.config.label_config import LabelConfig
    from sam_backend.projects.measured import RunImport
    from sam_backend.projects.project import open_project
    from sam_backend.quality.calibration.current import current_calibration

    if rate is not None and rate <= 0:
        raise InvalidInputError(f"--rate must be above 0, not {rate:g}")
    if patience is not None:
        typer.echo("--patience is --retry-for now; the old name ends with 0.4", err=True)
        retry_for = patience
    found = read_run(run)
    stopped = threading.Event()
    with (
        open_project(settings, project) as at,
        leaving_at_signals(stopped.set),
        progress_bar() as show,
    ):
        calibrated = current_calibration(at.database, found.plan.model_version)
        options = TaskOptions(as_, max_masks, output, label, calibrated, proven, audit_share)
        waiting = Retry(retry_for)
        config = waiting.get(lambda: at.client.project(project))["label_config"]
        summary = BulkImport(
            at,
            found,
            TaskWriter(LabelConfig.parse(str(config)), found.run_id, options),
            addresses_of(found, at, upload, url_prefix, document_root),
            waiting,
            rate,
            batch,
            counting(show, "importing"),
            stopped.is_set,
        ).run()
        RunImport(
            at=datetime.now(UTC),
            run=found.run_id,
            tasks_made=summary.made,
            images_without_a_task=summary.unreadable,
        ).keep(at.measurements)
    if as_json:
        echo_json(summary)
    else:
        echo_figures(summary, "left_out")
        echo_left_out(summary.left_out)
    if stopped.is_set():
        typer.echo("stopped early: the same command goes on", err=True)


def addresses_of(
    run: "BulkRun",
    project: "Project",
    upload: bool,
    url_prefix: str | None,
    document_root: Path | None,
) -> "Addresses":
    """How a project gets at a run's images, as the options say."""
    if not upload:
        return _addresses(run, url_prefix, document_root)
    if url_prefix is not None or document_root is not None:
        raise InvalidInputError("--upload, --url-prefix and --document-root exclude each other")
    from sam_backend.fully_automatic.addresses import UploadedAddresses
    from sam_backend.fully_automatic.sources import ImageReader

    return UploadedAddresses(project, ImageReader(project.settings, run.manifest.root))


def _addresses(run: "BulkRun", url_prefix: str | None, document_root: Path | None) -> "Addresses":
    from sam_backend.fully_automatic import addresses

    if url_prefix is not None and document_root is not None:
        raise InvalidInputError("--url-prefix and --document-root exclude each other")
    if url_prefix is not None:
        return addresses.PrefixAddresses(url_prefix, run.manifest.root)
    if document_root is not None:
        return addresses.LocalFileAddresses(document_root)
    return addresses.OwnAddresses()
